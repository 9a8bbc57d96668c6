"""Long passes in slices, so that the scheduler's event loop goes on meanwhile.

This file is sent to the scheduler as source: standard library only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter, time
from typing import Any

SLICE = 500  # elements between two looks at the clock
PAUSE = 0.004  # seconds that the event loop waits for one slice


class Pace:
    """Yields to the event loop once a slice has taken its time."""

    def __init__(self) -> None:
        self._since = perf_counter()

    async def breathe(self) -> None:
        if perf_counter() - self._since > PAUSE:
            await asyncio.sleep(0)
            self._since = perf_counter()


async def slices(
    elements: list[Any], pace: Pace, size: int = SLICE
) -> AsyncIterator[list[Any]]:
    """Parts of a list, with a yield to the event loop wherever it is time for one."""
    for start in range(0, len(elements), size):
        yield elements[start : start + size]
        await pace.breathe()


def now_of(state: Any) -> float:
    """The time that a state is of: now, or when the dump was taken."""
    taken = getattr(state, "taken", None)
    return time() if taken is None else float(taken)


def is_dump(state: Any) -> bool:
    """Whether a state was read from a dump, and is no live scheduler."""
    return getattr(state, "taken", None) is not None
