"""What the others of a collective raise, as one fails, is counted with that one.

This file is sent to the scheduler as source: standard library and dask only.
"""

from __future__ import annotations

import bisect
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from dask.utils import key_split

from .pacing import Pace, emptied
from .roots import is_follower
from .survey_groups import Group
from .survey_index import Row
from .texts import Signature

# Seconds. So long XGBoost waits for the others (``xgboost.collective.Config.timeout``).
MOST_APART = 300.0


class _Led(NamedTuple):
    """A failure that followers may have failed because of."""

    when: float
    order: int  # of those at one time, as groups have none
    group: Group


class Follower(NamedTuple):
    """A failure that came of another one in the same collective."""

    key: Any
    when: float
    members: int  # failed tasks of it, itself included
    told: Row | dict[str, Any]  # or the history's entry, where that is all that is left


class Followers:
    """Gives each follower to the failure of its collective.

    Nothing on the scheduler tells which tasks were in one collective. They run the same
    function, so that their keys have the same prefix, and fail together: each follower
    is given to the failure of its prefix that is the nearest in time. Two trainings
    that fail alike have one group of followers, and each its own failure.
    """

    def __init__(self) -> None:
        self._followers: list[Follower] = []
        self._failed: dict[str, list[_Led]] = {}

    def add(self, follower: Follower) -> None:
        """Note a follower."""
        self._followers.append(follower)

    def note(self, key: Any, when: float | None, group: Group) -> None:
        """Note a failure that is no follower's."""
        if when is not None:
            failed = self._failed.setdefault(key_split(key), [])
            failed.append(_Led(when, len(failed), group))

    async def placed(self, pace: Pace) -> AsyncIterator[Follower]:
        """Count followers with what they failed because of; gives those left over."""
        # In one go for each prefix, so of no other than theirs.
        for prefix in {key_split(each.key) for each in self._followers}:
            self._failed.get(prefix, []).sort()
        async for part in emptied(self._followers, pace):
            for follower in part:
                led = self._nearest(follower)
                if led is None:
                    yield follower
                else:
                    led.group.cascaded += follower.members

    def _nearest(self, follower: Follower) -> _Led | None:
        failed = self._failed.get(key_split(follower.key), [])
        at = bisect.bisect_left(failed, (follower.when,))
        near = [
            each
            for each in failed[max(0, at - 1) : at + 1]
            if abs(each.when - follower.when) <= MOST_APART
        ]
        return min(near, key=lambda each: abs(each.when - follower.when), default=None)


def is_follower_alike(alike: Signature) -> bool:
    """As `is_follower`, of what makes failures alike."""
    kind, message, _ = alike
    return is_follower(f"{kind}({message})")
