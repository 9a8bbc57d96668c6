"""The failure because of which other tasks failed: of several, the earliest.

If several inputs of a task fail, Dask blames the last of them that is reported
(``exception_blame``, distributed/scheduler.py), while its future keeps the exception of
the first. So all dependencies are followed up to those that failed by themselves. The
cost grows with the failed tasks above those asked for, up to a limit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any

from ..common.pacing import Pace, slices
from ..common.texts import COMPARED
from .followers import is_follower

MOST_LINKS = 10_000  # dependencies that one question follows
SLICE = 100  # tasks between two checks of the time


class Roots:
    """What was found above some tasks that have failed.

    Attributes
    ----------
    order : list of TaskState
        Tasks that failed by themselves, the earliest first; but first of all those
        with the text that was asked for.
    others : list of TaskState
        Those of `order` that are the first for none of the tasks asked for.
    when : dict of Key to float or None
        When those of `order` failed, as far as that is known.
    places : dict of TaskState to tuple
        What `order` is sorted by.
    unfollowed : int
        Tasks whose dependencies were too many: what they are blamed on is taken.
    """

    def __init__(self) -> None:
        self.order: list[Any] = []
        self.others: list[Any] = []
        self.when: dict[Any, float | None] = {}
        self.places: dict[Any, tuple[bool, bool, float]] = {}
        self.unfollowed = 0
        self._below: dict[Any, Any] = {}
        self._cause: dict[Any, Any] = {}

    def cause_of(self, ts: Any) -> Any:
        """The first of `order` above a failed task that was passed, or itself."""
        return self._cause.get(ts, ts)

    def way(self, root: Any) -> list[Any]:
        """Tasks from one that was asked for to a root, each of which needs the next."""
        way = [root]
        while (below := self._below.get(way[-1])) is not None:
            way.append(below)
        return way[::-1]


def raised(ts: Any) -> bool:
    """Whether a task failed by itself.

    What it raised stays with it if it is blamed on another later. A dump has only the
    blame, as the text outlives a retry.
    """
    return ts.exception_blame is ts or ts.exception is not None


async def find_roots(
    state: Any, starts: Iterable[Any], pace: Pace, texts: Collection[str] = ()
) -> Roots:
    """The failures above some tasks that have failed, or these themselves.

    ``texts`` are beginnings (see `COMPARED`) of what futures have as the exception's
    text.
    """
    roots = Roots()
    starts = list(starts)
    found, failed_by = await _walk(state, starts, roots, pace)
    roots.when = await _times(state, [ts.key for ts in found], pace)

    def place(ts: Any) -> tuple[bool, bool, float]:
        other = bool(texts) and (ts.exception_text or "")[:COMPARED] not in texts
        # Without a time it happened before all that is still recorded.
        return is_follower(ts.exception_text), other, roots.when[ts.key] or 0.0

    roots.places = {ts: place(ts) for ts in found}
    roots.order = sorted(found, key=roots.places.__getitem__)
    steps = 0
    for root in roots.order:
        stack = [root]
        while stack:
            ts = stack.pop()
            if ts in roots._cause:
                continue
            roots._cause[ts] = root
            stack += failed_by.get(ts, ())
            steps += 1
            if steps % SLICE == 0:
                await pace.checkpoint()
    meant: set[Any] = set()
    async for part in slices(starts, pace):
        meant.update(map(roots.cause_of, part))
    roots.others = [root for root in roots.order if root not in meant]
    return roots


async def _walk(
    state: Any, starts: Iterable[Any], roots: Roots, pace: Pace
) -> tuple[list[Any], dict[Any, list[Any]]]:
    """Up over failed tasks, breadth first: the roots, and what failed below each."""
    below = roots._below
    below.update(dict.fromkeys(starts))
    order = list(below)
    found: list[Any] = []
    failed_by: dict[Any, list[Any]] = {}
    left = MOST_LINKS
    for at, ts in enumerate(order, 1):  # which grows meanwhile
        if at % SLICE == 0:
            await pace.checkpoint()
        # What was forgotten, and others are still blamed on, has lost its own blame.
        if raised(ts) or ts.exception_blame is None:
            found.append(ts)
            continue
        needs = ts.dependencies
        above = [dts for dts in islice(needs, left) if dts.state == "erred"]
        if len(needs) > left:
            roots.unfollowed += 1
        left = max(0, left - len(needs))
        blame = ts.exception_blame
        if not left or not above or state.tasks.get(blame.key) is not blame:
            above.append(blame)
        for dts in above:
            failed_by.setdefault(dts, []).append(ts)
            if dts not in below:
                below[dts] = ts
                order.append(dts)
    return found, failed_by


async def _times(state: Any, keys: list[Any], pace: Pace) -> dict[Any, float | None]:
    """When tasks failed: by the history of failures, else by the transition log."""
    found: dict[Any, float | None] = dict.fromkeys(keys)
    for entry in reversed(state.erred_tasks):
        if entry.key in found:
            found[entry.key] = entry.timestamp
    undated = {key for key, when in found.items() if when is None}
    if not undated:
        return found
    async for part in slices(list(state.transition_log), pace):
        for entry in part:
            if entry[2] == "erred" and entry[0] in undated:
                found[entry[0]] = entry[5]
    return found
