"""A failure and that of the task that submitted it are counted as one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..common.pacing import Pace, emptied
from ..common.texts import Signature
from .failures_groups import Group, Groups, Row, group_of
from .failures_index import ErredIndex
from .inner_identities import Identity, identities_of_texts, texts_of
from .inner_table import MOST_WAYS, Lookup

if TYPE_CHECKING:
    from ..common.wire_failures import HistoryEntry


class Waiting(NamedTuple):
    """A root cause that may have failed because of what it had submitted."""

    root: Any
    row: Row
    when: float | None
    members: int  # failed tasks of it, itself included


class InnerCounts:
    """Puts failures that waited for others into the groups of these.

    Parameters
    ----------
    state : Scheduler or DumpState
    index : ErredIndex
    groups : dict
        What has been counted so far.
    is_counted : callable
        Whether a root cause is counted by itself.
    read : callable
        Reads a root cause's `Row`.
    note : callable
        Called with each failure, when it was, and in which group it was counted.
    """

    def __init__(
        self,
        state: Any,
        index: ErredIndex,
        groups: Groups,
        is_counted: Callable[[Any], bool],
        read: Callable[[Any], Awaitable[Row | None]],
        note: Callable[[Any, float | None, Group], None],
    ) -> None:
        self.state = state
        self.index = index
        self.groups = groups
        self.is_counted = is_counted
        self.read = read
        self.note = note
        # Keys of the history that are counted with what had submitted them.
        self._counted: set[Any] = set()
        self._added: set[Any] = set()
        self._table: Lookup | None = None
        self._handed: dict[Any, tuple[Identity, ...]] = {}

    async def fill(
        self, waiting: list[Waiting], history: list[HistoryEntry], pace: Pace
    ) -> None:
        """Look up what they waited for, forgotten failures too."""
        for entry in history:
            if entry["key"] not in self.index.members:
                texts = entry["exception_text"], entry["traceback_text"]
                if handed := identities_of_texts(*texts):
                    self._handed.setdefault(entry["key"], handed)
                await pace.checkpoint()
        wanted = texts_of(self._handed.values())
        unsettled: list[Waiting] = []
        async for part in emptied(waiting, pace):
            for one in part:
                if not self._settled(one):
                    unsettled.append(one)
                    wanted |= texts_of([one.row.handed])
        if not wanted:
            return
        self._table = await Lookup.of_failed(
            self.state, self.index, wanted, history, pace
        )
        async for part in emptied(unsettled, pace):
            for one in part:
                await self._place(one)
                await pace.checkpoint()

    async def empty(self, pace: Pace) -> None:
        """Drop what was looked up, once everything is counted."""
        if self._table is not None:
            await self._table.empty(pace)

    async def _place(self, one: Waiting) -> None:
        root, row, when, members = one
        inner, entry = await self._innermost(root, row, when)
        if inner is None:
            cascaded = members - (self.index.blame.get(root) == root)
            group = group_of(self.groups, row.alike)
            group.add(root, row, when, cascaded)
            self.note(root, when, group)
            if entry is not None:
                group.submitted[root] = entry
                self._counted.add(entry["key"])
            return
        found = await self.read(inner)
        assert found is not None
        self._put(inner, found, one)

    def _put(self, inner: Any, row: Row, one: Waiting) -> None:
        """Count what failed because of an inner task with that one."""
        root, _, when, members = one
        group = group_of(self.groups, row.alike)
        group.cascaded += members
        self.note(root, when, group)
        if not self.is_counted(inner) and inner not in self._added:
            # The client that is asked for wants only the outer one.
            self._added.add(inner)
            own = self.index.members[inner] - (self.index.blame.get(inner) == inner)
            group.add(inner, row, self.index.when.get(inner) or when, own)

    def _settle(self, root: Any, when: float | None, inner: Any) -> None:
        """Note of what had submitted a single task, for the next question."""
        since = self.index.when.get(inner)
        if when is not None and since is not None and root in self.index.rows:
            self.index.led[root] = when, inner, since

    def _settled(self, one: Waiting) -> bool:
        """Whether what a failure had submitted is known from an earlier question."""
        index = self.index
        led = index.led.get(one.root)
        if led is None or led[0] != one.when:
            return False
        _, inner, since = led
        row = index.rows.get(inner)
        if row is None or index.blame.get(inner) != inner:
            return False
        if index.when.get(inner) != since:
            return False  # it has failed again
        self._put(inner, row, one)
        return True

    async def _innermost(
        self, root: Any, row: Row, when: float | None
    ) -> tuple[Any, HistoryEntry | None]:
        """The last of those that submitted one another; None: it submitted none.

        And the history's entry of a further one, where that is all that is left of it.
        """
        assert self._table is not None
        seen = {root}
        inner, handed = None, row.handed
        for _ in range(MOST_WAYS):
            if not handed:
                break
            led = self._table.of(root if inner is None else inner, when, handed)
            if led is None or led.key in seen:
                break
            if led.entry is not None:
                return inner, led.entry
            found = await self.read(led.key)
            if found is None or led.key not in self.index.members:
                break
            inner, handed = led.key, found.handed
            if not handed and len(seen) == 1:
                self._settle(root, when, inner)
            seen.add(inner)
            when = self.index.when.get(inner) or when
        return inner, None

    def counts_elsewhere(
        self,
        entry: HistoryEntry,
        alike_of: Callable[[HistoryEntry], Signature],
    ) -> bool:
        """Whether a forgotten failure was submitted by another, or waited for another.

        Then it is counted with that one.
        """
        key = entry["key"]
        if key in self._counted:
            return True
        handed = self._handed.get(key)
        if self._table is None or not handed:
            return False
        led = self._table.of(key, entry["when"], handed)
        if led is None:
            return False
        if led.entry is not None:
            group = group_of(self.groups, alike_of(led.entry))
        else:
            row = self.index.rows.get(led.key)
            if row is None or not self.is_counted(led.key):
                return False
            group = group_of(self.groups, row.alike)
        group.cascaded += 1
        self.note(key, entry["when"], group)
        return True
