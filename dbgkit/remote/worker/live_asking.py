"""Asks the scheduler whose a task is, from the task's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from concurrent.futures import TimeoutError as TooLate
from typing import Any

from ..common.loops import begin_in

LIMIT = 1.0  # seconds for the scheduler to answer
OFF = "live was turned off meanwhile"


def ask_scheduler(
    worker: Any, name: str, key: Any, tokens: Collection[str], *, stops: bool
) -> tuple[list[str] | None, str]:
    """For which armings it says that a task is wanted; None, and why, if it does not.

    ``name``: of its part; ``stops``: the task is about to stop for these.
    """

    if worker is None:
        return None, OFF

    async def ask() -> Any:
        wants = getattr(worker.scheduler, f"{name}-wants")
        return await wants(key=key, tokens=sorted(tokens), stops=stops)

    try:
        asking = begin_in(worker.loop.asyncio_loop, ask())
    except RuntimeError:
        return None, OFF
    try:
        found: list[str] | None = asking.result(LIMIT)
    except TooLate:
        asking.cancel()
        return None, f"the scheduler did not answer within {LIMIT:g} s"
    except (OSError, asyncio.CancelledError) as error:
        return None, f"the scheduler could not be asked: {error!s:.100}"
    # An operation that is not there is answered with None.
    return found, OFF if found is None else ""
