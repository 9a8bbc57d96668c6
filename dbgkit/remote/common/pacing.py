"""Long passes in slices, so that the scheduler's event loop is not blocked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from time import perf_counter, time
from typing import Any, Protocol
from weakref import WeakKeyDictionary

SLICE = 100  # elements of the first slice; the next ones are as long as is quick
SHORTEST, LONGEST = 20, 8_000
PAUSE = 0.004  # seconds that the event loop waits for one slice
TURNS = 4  # of the event loop between two slices; each takes some 10 µs
AT_ONCE = 50_000  # tasks that may be listed in one go: about 2 ms


class Counting(Protocol):
    """Something that counts how many tasks were forgotten so far."""

    forgotten: int


_counting: WeakKeyDictionary[Any, Counting] = WeakKeyDictionary()


class Pace:
    """Yields to the event loop once a slice has used up its time."""

    def __init__(self) -> None:
        self._since = perf_counter()

    async def checkpoint(self) -> None:
        if perf_counter() - self._since > PAUSE:
            await self.rest()

    async def rest(self) -> None:
        # What comes in wakes a future, that a task, and each is a turn of the loop
        # of its own: after a single turn several slices would run on end.
        for _ in range(TURNS):
            await asyncio.sleep(0)
        self._since = perf_counter()


async def slices(elements: Sequence[Any], pace: Pace) -> AsyncIterator[Sequence[Any]]:
    """Parts of a list, with yields to the event loop; as long as is quick."""
    size, position = SLICE, 0
    while position < len(elements):
        start = perf_counter()
        yield elements[position : position + size]
        position += size
        size = _next_size(size, perf_counter() - start)
        await pace.checkpoint()


async def all_tasks(state: Any, pace: Pace) -> AsyncIterator[list[Any]]:
    """All tasks in slices; what is there throughout comes exactly once.

    Listing a million tasks at once blocks the loop. So one half is listed from the
    beginning, and the other, after the event loop had its turn, from the end: a dict
    keeps its order, and what is forgotten in between is counted. Without a count
    (nothing changes in a dump) all is listed in one go.
    """
    tasks = state.tasks
    counting = None if is_dump(state) else _counting.get(state)
    if counting is None or len(tasks) <= AT_ONCE:
        first, second = list(tasks.values()), []
    else:
        first = list(islice(tasks.values(), len(tasks) // 2))
        before = counting.forgotten
        await pace.rest()
        gone = counting.forgotten - before
        # If all that are gone were of the first half, so many are left; else the
        # last of them are of the first half.
        left = max(0, len(tasks) - len(first) + gone)
        second = list(islice(reversed(tasks.values()), left))
        if gone:
            known = {id(ts) for ts in first[-gone:]}
            second[-gone:] = [ts for ts in second[-gone:] if id(ts) not in known]
        await pace.rest()
    first.reverse()
    for elements in (first, second):
        async for part in emptied(elements, pace):
            yield part


def count_with(state: Any, counting: Counting) -> None:
    """Let `all_tasks` know how many tasks a scheduler has forgotten."""
    _counting[state] = counting


async def emptied(elements: list[Any], pace: Pace) -> AsyncIterator[list[Any]]:
    """Slices from the end of a list on, which is emptied.

    Freeing a million elements at once blocks the loop too.
    """
    size = SLICE
    while elements:
        part = elements[-size:]
        del elements[-size:]
        part.reverse()
        start = perf_counter()
        yield part
        size = _next_size(size, perf_counter() - start)
        await pace.checkpoint()


def _next_size(size: int, took: float) -> int:
    if took < PAUSE / 8:
        return min(2 * size, LONGEST)
    return max(size // 4, SHORTEST) if took > PAUSE / 2 else size


def now_of(state: Any) -> float:
    """The time that a state is of: now, or when the dump was taken."""
    taken = getattr(state, "taken", None)
    return time() if taken is None else float(taken)


def is_dump(state: Any) -> bool:
    """Whether a state was read from a dump, and is no live scheduler."""
    return getattr(state, "taken", None) is not None
