"""Which failures follow from another one in the same collective, and from which.

This is decided here only, both for locating and for counting.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

from dask.utils import key_split

from ..common.pacing import Pace, slices

READ = 1_000  # characters of an exception's text
# Seconds that XGBoost waits for the others (``xgboost.collective.Config.timeout``).
MOST_APART = 300.0
MOST_LOOKED = 100  # failures before and after a follower's
MOST_TOGETHER = 1_000  # tasks of one collective that are known by what needs them

Known = TypeVar("Known")


def is_follower(text: str | None) -> bool:
    """Whether an exception's text is what others of a collective raise as one fails.

    They may be reported before it, as its connections are closed before its exception
    is sent. XGBoost names its own sources in ``src/collective`` (``result.cc``).
    """
    text = (text or "")[:READ]
    return text.startswith("XGBoostError(") and "/collective/" in text


class Runs:
    """When tasks of some prefixes ran, and with which others of those still there."""

    def __init__(self, tasks: Mapping[Any, Any]) -> None:
        self._tasks = tasks
        self._began: dict[Any, list[float]] = {}

    @classmethod
    async def of(cls, state: Any, prefixes: Collection[str], pace: Pace) -> Runs:
        """Read a state's transition log, in slices."""
        runs = cls(state.tasks)
        async for part in slices(list(state.transition_log) if prefixes else (), pace):
            runs.read(part, prefixes)
        return runs

    def read(self, log: Iterable[Any], prefixes: Collection[str]) -> None:
        """Take in ``(key, start, finish, recommendations, stimulus_id, timestamp)``."""
        for entry in log:
            if entry[2] == "processing" and key_split(entry[0]) in prefixes:
                self._began.setdefault(entry[0], []).append(entry[5])

    def began_by(self, key: Any, when: float, moment: float) -> bool:
        """Whether a run that failed at a time may have begun by a moment.

        It is given to its worker before it runs; where that is unknown, it may have.
        """
        times = (each for each in self._began.get(key, ()) if each <= when)
        return max(times, default=moment) <= moment

    def partners(self, key: Any) -> set[Any] | None:
        """Which tasks make one collective with a task; None: unknown.

        `xgboost.dask.train` has one task that depends on all of them.
        """
        ts = self._tasks.get(key)
        if ts is None:
            return None
        prefix = key_split(key)
        found = {
            other.key
            for dependent in islice(ts.dependents, MOST_TOGETHER)
            if len(dependent.dependencies) <= MOST_TOGETHER
            for other in dependent.dependencies
            if key_split(other.key) == prefix
        }
        return found if len(found) > 1 else None

    def is_there(self, key: Any) -> bool:
        """Whether a task is still known, and so what it belongs to."""
        return key in self._tasks


class _Failed(NamedTuple):
    when: float
    order: int  # of those at one time, as keys and what is known of them have none
    key: Any
    known: Any


class Leaders(Generic[Known]):
    """Failures that followers may have failed because of, and what is known of each.

    The scheduler does not know which tasks were in one collective. They run the same
    function, so that their keys have the same prefix; they run at the same time, and
    fail together; and mostly one task needs all of them. So each follower is given to
    the failure that is the nearest in time, of those of its prefix that may have run
    when it did: of its partners, where these are known. Two trainings that fail alike
    have one group of followers, and each its own failure.
    """

    def __init__(self) -> None:
        self._failed: dict[str, list[_Failed]] = {}
        # Of those prefixes that were asked for.
        self._by_key: dict[str, dict[Any, _Failed]] = {}

    def note(self, key: Any, when: float | None, known: Known) -> None:
        """Note a failure that is not a follower's."""
        if when is not None:
            prefix = key_split(key)
            failed = self._failed.setdefault(prefix, [])
            failed.append(_Failed(when, len(failed), key, known))
            self._by_key.pop(prefix, None)

    def of(self, key: Any, when: float, runs: Runs) -> Known | None:
        """What is known of the failure that a follower failed because of, if any."""
        prefix = key_split(key)
        failed = self._failed.get(prefix, [])
        if prefix not in self._by_key:
            failed.sort()
            self._by_key[prefix] = {each.key: each for each in failed}

        def ran_then(other: _Failed) -> bool:
            # Both ran as the first of them failed.
            first = min(when, other.when)
            return runs.began_by(key, when, first) and runs.began_by(
                other.key, other.when, first
            )

        def may_lead(other: _Failed) -> bool:
            # What is forgotten may have been a partner.
            partner = partners is None or not runs.is_there(other.key)
            return partner and ran_then(other)

        by_key, partners = self._by_key[prefix], runs.partners(key)
        failed_too = (by_key[each] for each in partners or () if each in by_key)
        leader = _nearest(filter(ran_then, failed_too), when)
        if leader is None:
            at = bisect.bisect_left(failed, (when,))
            before = failed[max(0, at - MOST_LOOKED) : at]
            after = failed[at : at + MOST_LOOKED]
            # Of each side the nearest that may be.
            sides = (filter(may_lead, side) for side in (reversed(before), after))
            around = (each for side in sides for each in islice(side, 1))
            leader = _nearest(around, when)
        return None if leader is None else leader.known


def _nearest(found: Iterable[_Failed], when: float) -> _Failed | None:
    """The nearest in time, unless it is too far from it."""
    nearest = min(found, key=lambda each: abs(each.when - when), default=None)
    too_far = nearest is None or abs(nearest.when - when) > MOST_APART
    return None if too_far else nearest
