"""Failures of the other tasks of a collective are counted with the first one's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, NamedTuple

from dask.utils import key_split

from ..common.pacing import Pace, emptied
from .failures_groups import Group, Row
from .followers import Leaders, Runs

if TYPE_CHECKING:
    from ..common.wire_failures import HistoryEntry


class Follower(NamedTuple):
    """A failure that follows from another one in the same collective."""

    key: Any
    when: float
    members: int  # failed tasks of it, itself included
    known: Row | HistoryEntry  # the latter where nothing else is left


class Followers:
    """Gives each follower to the group of the failure of its collective."""

    def __init__(self) -> None:
        self.found: list[Follower] = []
        self._leaders: Leaders[Group] = Leaders()

    def note(self, key: Any, when: float | None, group: Group) -> None:
        """Note a failure that is not a follower's."""
        self._leaders.note(key, when, group)

    async def placed(self, state: Any, pace: Pace) -> AsyncIterator[Follower]:
        """Count followers with what they failed because of; yields those left over."""
        prefixes = {key_split(each.key) for each in self.found}
        runs = await Runs.of(state, prefixes, pace)
        left: list[Follower] = []
        async for part in emptied(self.found, pace):
            for follower in part:
                group = self._leaders.of(follower.key, follower.when, runs)
                if group is None:
                    left.append(follower)
                else:
                    group.cascaded += follower.members
        # Not before: whoever counts them notes them, but they lead no others.
        async for part in emptied(left, pace):
            for follower in part:
                yield follower
