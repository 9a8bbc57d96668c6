"""Long passes in slices, so that the scheduler's event loop goes on meanwhile.

This file is sent to the scheduler as source: standard library only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import islice
from time import perf_counter, time
from typing import Any, Protocol

SLICE = 500  # elements of the first slice; the next ones are as long as is quick
SHORTEST, LONGEST = 20, 8_000
PAUSE = 0.004  # seconds that the event loop waits for one slice
AT_ONCE = 50_000  # tasks that may be listed in one go: about 2 ms


class Counting(Protocol):
    """Something that counts how many tasks were forgotten so far."""

    forgotten: int


class Pace:
    """Yields to the event loop once a slice has taken its time."""

    def __init__(self) -> None:
        self._since = perf_counter()

    async def breathe(self) -> None:
        if perf_counter() - self._since > PAUSE:
            await self.rest()

    async def rest(self) -> None:
        await asyncio.sleep(0)
        self._since = perf_counter()


async def slices(elements: list[Any], pace: Pace) -> AsyncIterator[list[Any]]:
    """Parts of a list, from its end on, with yields to the event loop.

    The list is emptied on the way, as letting go of a million elements at once is a
    pause too. Slices become longer or shorter with what is done to them.
    """
    size = SLICE
    while elements:
        part = elements[-size:]
        del elements[-size:]
        part.reverse()
        start = perf_counter()
        yield part
        took = perf_counter() - start
        if took < PAUSE / 8:
            size = min(2 * size, LONGEST)
        elif took > PAUSE / 2:
            size = max(size // 4, SHORTEST)
        await pace.breathe()


async def in_order(elements: list[Any], pace: Pace) -> AsyncIterator[list[Any]]:
    """`slices` of a list from its beginning on."""
    elements.reverse()
    async for part in slices(elements, pace):
        yield part


async def all_tasks(
    state: Any, pace: Pace, counting: Counting | None
) -> AsyncIterator[list[Any]]:
    """All tasks in slices; what is there throughout comes exactly once.

    Listing a million tasks is a pause of its own. So one half is listed from the
    beginning, and the other, after the event loop had its turn, from the end: a dict
    keeps its order, and what was forgotten in between has been counted. Without that
    count (a dump) nothing changes, or all is listed in one go.
    """
    tasks = state.tasks
    if counting is None or len(tasks) <= AT_ONCE:
        async for part in in_order(list(tasks.values()), pace):
            yield part
        return
    first = list(islice(tasks.values(), len(tasks) // 2))
    before = counting.forgotten
    await pace.rest()
    gone = counting.forgotten - before
    # Were all that are gone among the first half, so many would be left; else the
    # last of them are of the first half.
    left = max(0, len(tasks) - len(first) + gone)
    second = list(islice(reversed(tasks.values()), left))
    if gone:
        known = {id(ts) for ts in first[-gone:]}
        second[-gone:] = [ts for ts in second[-gone:] if id(ts) not in known]
    await pace.rest()
    async for part in in_order(first, pace):
        yield part
    async for part in slices(second, pace):
        yield part


def now_of(state: Any) -> float:
    """The time that a state is of: now, or when the dump was taken."""
    taken = getattr(state, "taken", None)
    return time() if taken is None else float(taken)


def is_dump(state: Any) -> bool:
    """Whether a state was read from a dump, and is no live scheduler."""
    return getattr(state, "taken", None) is not None
