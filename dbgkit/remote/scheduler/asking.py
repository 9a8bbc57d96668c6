"""Asks workers or nannies, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic
from typing import TypeVar

T = TypeVar("T")


async def ask_all(
    addresses: Iterable[str],
    ask: Callable[[str], Awaitable[T]],
    limit: float,
    at_once: int,
) -> dict[str, T | None]:
    """What each of them answers; None: it is gone, or all took longer than a limit."""
    gate = asyncio.Semaphore(at_once)
    deadline = monotonic() + limit

    async def answer_of(address: str) -> T | None:
        async with gate:
            try:
                return await asyncio.wait_for(ask(address), deadline - monotonic())
            except (OSError, asyncio.TimeoutError):
                return None

    asked = list(addresses)
    answers = await asyncio.gather(*map(answer_of, asked))
    return dict(zip(asked, answers, strict=True))
