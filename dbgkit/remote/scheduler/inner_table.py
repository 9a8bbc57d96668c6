"""Root causes, looked up by the exception that a waiting task received.

The table is kept on the index between questions, and extended by later failures. It is
made when a question first meets a failure that may have been passed on to a waiting
task, and costs nothing until then.
"""

from __future__ import annotations

from asyncio import Lock
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..common.frames import parse_traceback
from ..common.pacing import Pace, slices
from ..common.pickles import Frame
from .inner_identities import READ, Identity, compared, own_frames

if TYPE_CHECKING:
    from ..common.wire_failures import HistoryEntry

MOST_WAYS = 100  # tasks that submitted one another, or that one may have submitted
_EMPTIED = 5_000  # failures that are freed at once
_MOST_GONE = 1_000  # failures that may be gone before a table is made anew
_SLACK = 0.001  # seconds between two clocks of one scheduler
_MANY = 20  # frames, at the least, of a traceback that may be too long to be sent
_REPEATED = "[Previous line repeated"


class Index(Protocol):
    """What is needed of an index of failures (see ``failures_index``)."""

    most_noted: int
    dated: bool
    members: dict[Any, int]
    when: dict[Any, float | None]
    submitted: Any
    fresh: list[Any] | None


class Led(NamedTuple):
    """What a task may have submitted; ``entry`` is None where it is still there."""

    key: Any
    entry: HistoryEntry | None
    alike: int


class _Known(NamedTuple):
    when: float
    key: Any
    marked: bool
    entry: HistoryEntry | None


_Place = tuple[str, tuple[Frame, ...] | None]  # None: not known


@lru_cache(maxsize=256)
def _own_of_text(frames: str) -> tuple[Frame, ...]:
    return own_frames(parse_traceback(frames))


def places_of(text: str, frames: str | None) -> tuple[_Place, ...]:
    """Where a failure is looked up: without frames, if its traceback was too long.

    ``error_message`` (distributed/core.py) leaves out a traceback that takes more
    than 10,000 bytes; then a task has no text of it, though the history has. Other
    frames reach whoever waits: what has none was raised by the client itself.
    """
    if not frames:
        return ((text, None),)
    place: _Place = (text, _own_of_text(frames[-READ:]))
    if _REPEATED in frames or frames.count("\n  File ") >= _MANY:
        return place, (text, None)
    return (place,)


def is_marked(ts: Any) -> bool:
    """Whether there is a sign that a task was submitted by another one.

    ``Scheduler._set_priorities`` takes 0.01 off the generation of such a task, and a
    worker's own client has this name (``Worker._get_client``).
    """
    priority = ts.priority
    if priority is not None and len(priority) > 1 and priority[1] % 1:
        return True
    return any(cs.client_key.startswith("Client-worker-") for cs in ts.who_wants or ())


class _Alike:
    """Failures of one identity, the earliest first."""

    __slots__ = ("keys", "marks", "whens")

    def __init__(self) -> None:
        # Three lists, as so many small tuples would take three times the memory.
        self.whens: list[float] = []
        self.keys: list[Any] = []
        self.marks = bytearray()

    def add(self, when: float, key: Any, marked: bool) -> None:
        # They nearly always come in order.
        place = len(self.whens)
        if place and when < self.whens[-1]:
            place = bisect_right(self.whens, when)
        elif place and self.keys[-1] == key and when == self.whens[-1]:
            return
        self.whens.insert(place, when)
        self.keys.insert(place, key)
        self.marks.insert(place, marked)

    def backwards(
        self, when: float | None, is_there: Callable[[Any, float], bool]
    ) -> Iterator[_Known]:
        """Those up to a time, the last first; what is gone is taken out on the way."""
        end = len(self.whens)
        if when is not None:
            end = bisect_right(self.whens, when + _SLACK)
        while end:
            start = end
            while start and not is_there(self.keys[start - 1], self.whens[start - 1]):
                start -= 1
            if start < end:
                del self.whens[start:end], self.keys[start:end], self.marks[start:end]
                end = start
                continue
            end -= 1
            yield _Known(self.whens[end], self.keys[end], bool(self.marks[end]), None)

    def shrink(self) -> None:
        del self.whens[-_EMPTIED:], self.keys[-_EMPTIED:], self.marks[-_EMPTIED:]


class Submitted:
    """Failures that an index has, by their text and frames.

    Frames are read only of those whose text was asked for.
    """

    def __init__(self, state: Any, index: Index) -> None:
        self.state = state
        self.index = index
        self.dated = index.dated
        self.size = 0  # what was taken in, and may be gone
        self.lock = Lock()
        self.of: dict[_Place, _Alike] = {}
        # By the hash of a text: a key, or a list of several.
        self._unread: dict[int, Any] = {}

    def is_stale(self) -> bool:
        """Whether it has to be made anew: of other times, or most of it is gone."""
        most = 2 * len(self.index.members) + _MOST_GONE
        return self.dated != self.index.dated or self.size > most

    async def take(
        self, keys: list[Any], pace: Pace, only: set[str] | None = None
    ) -> None:
        """Take in what has failed; ``only`` what has one of some texts."""
        async for part in slices(keys, pace):
            for key in part:
                text = self._text_of(key)
                if text and (only is None or text in only):
                    self._take(key, hash(text))

    def _take(self, key: Any, number: int) -> None:
        self.size += 1
        before = self._unread.get(number)
        if before is None:
            self._unread[number] = key
        elif type(before) is list:
            before.append(key)
        else:
            self._unread[number] = [before, key]

    async def read(
        self, texts: Iterable[str], times: dict[Any, float], pace: Pace
    ) -> None:
        """Look up what failed with some texts; the times of some are handed in."""
        for text in texts:
            found = self._unread.pop(hash(text), None)
            if found is None:
                continue
            keys = found if type(found) is list else [found]
            async for part in slices(keys, pace):
                for key in part:
                    self._read(key, text, times)

    def _read(self, key: Any, text: str, times: dict[Any, float]) -> None:
        if self._text_of(key) != text:
            return
        ts = self.state.tasks[key]
        when = self.index.when.get(key) or times.get(key) or 0.0
        marked = is_marked(ts)
        for place in places_of(text, ts.traceback_text):
            alike = self.of.get(place)
            if alike is None:
                alike = self.of[place] = _Alike()
            alike.add(when, key, marked)

    def is_there(self, key: Any, when: float) -> bool:
        """Whether a task has not been run again, nor forgotten, since it was read."""
        index = self.index
        if key not in index.members:
            return False
        now = index.when.get(key)
        if now is not None and now != when and self.dated == index.dated:
            return False
        ts = self.state.tasks.get(key)
        return ts is not None and bool(ts.exception_text)

    def _text_of(self, key: Any) -> str:
        ts = self.state.tasks.get(key) if key in self.index.members else None
        text = ts.exception_text if ts is not None else None
        return compared(text) if text else ""

    async def empty(self, pace: Pace) -> None:
        """Drop everything in slices: freeing a million at once would block the loop."""
        for alike in self.of.values():
            while alike.keys:
                alike.shrink()
                await pace.checkpoint()


_by_time = attrgetter("when")


class Lookup:
    """What some tasks may have submitted, for one question.

    Parameters
    ----------
    entries : iterable of dict
        What the history alone has.
    texts : set of str
        What may be asked for.
    """

    def __init__(self, entries: Iterable[HistoryEntry], texts: set[str]) -> None:
        self._table: Submitted | None = None
        self._own = False
        self._forgotten: dict[_Place, list[_Known]] = {}
        for entry in sorted(entries, key=lambda entry: entry["when"] or 0.0):
            text = compared(entry["exception_text"] or "")
            if text in texts:
                known = _Known(entry["when"] or 0.0, entry["key"], True, entry)
                for place in places_of(text, entry["traceback_text"]):
                    self._forgotten.setdefault(place, []).append(known)

    @classmethod
    async def of_failed(
        cls,
        state: Any,
        index: Index,
        texts: set[str],
        history: list[HistoryEntry],
        pace: Pace,
    ) -> Lookup:
        """Of all that is there, and of what the history alone has."""
        lookup = cls((e for e in history if e["key"] not in index.members), texts)
        times = {entry["key"]: entry["when"] or 0.0 for entry in reversed(history)}
        if len(index.members) > index.most_noted:
            index.submitted = index.fresh = None
            table = Submitted(state, index)
            lookup._own = True
            await table.take(list(index.members), pace, texts)
            await table.read(texts, times, pace)
        else:
            table = await _kept(state, index, texts, times, pace)
        lookup._table = table
        return lookup

    async def empty(self, pace: Pace) -> None:
        """Drop what was looked up, if it is too much to keep."""
        if self._own and self._table is not None:
            await self._table.empty(pace)

    def of(
        self,
        key: Any,
        when: float | None,
        handed: Iterable[Identity],
        *,
        count: bool = False,
    ) -> Led | None:
        """The last that failed so before a task of this key did."""
        for each in handed:
            # A long traceback does not come home.
            place = (each.text, each.frames or None)
            window: Iterable[_Known] = islice(self._backwards(place, when), MOST_WAYS)
            window = list(window) if count else window
            first = None
            for known in window:
                if known.key == key or not (each.sure or known.marked):
                    continue
                if known.marked:
                    first = known
                    break
                first = first or known
            if first is None:
                continue
            if not count:
                return Led(first.key, first.entry, 1)
            same = {known.key for known in window if known.marked == first.marked}
            return Led(first.key, first.entry, len(same - {key}))
        return None

    def _backwards(self, place: _Place, when: float | None) -> Iterator[_Known]:
        times = self._forgotten.get(place)
        there: Iterator[_Known] = iter(())
        if self._table is not None and (alike := self._table.of.get(place)):
            there = alike.backwards(when, self._table.is_there)
        if not times:
            return there
        end = len(times)
        if when is not None:
            end = bisect_right(times, when + _SLACK, key=_by_time)
        return merge(reversed(times[:end]), there, key=_by_time, reverse=True)


async def _kept(
    state: Any,
    index: Index,
    texts: set[str],
    times: dict[Any, float],
    pace: Pace,
) -> Submitted:
    """The table that the index keeps, extended by what has failed since."""
    while True:
        table: Submitted | None = index.submitted
        if table is None or index.fresh is None or table.is_stale():
            table = index.submitted = Submitted(state, index)
            index.fresh = list(index.members)
        async with table.lock:
            if index.submitted is not table or index.fresh is None:
                continue  # another question has replaced it in the meantime
            fresh, index.fresh = index.fresh, []
            whole = False
            try:
                await table.take(fresh, pace)
                await table.read(texts, times, pace)
                whole = True
            finally:
                if not whole and index.submitted is table:
                    index.submitted = index.fresh = None
            return table
