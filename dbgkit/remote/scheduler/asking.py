"""Asks workers or nannies, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")
MOST_NANNIES = 50


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


async def nanny_logs(
    state: Any, lines: int, limit: float
) -> tuple[dict[str, Any], int]:
    """The newest lines that nannies have logged, and how many were not asked.

    Only nannies of connected workers can be asked. Their logs have what other nannies
    of the same process said.
    """
    nannies = list({ws.nanny for ws in list(state.workers.values()) if ws.nanny})

    def ask(address: str) -> Any:
        return state.rpc(address).get_logs(start=0, n=lines, timestamps=True)

    answers = await ask_all(nannies[:MOST_NANNIES], ask, limit, MOST_NANNIES)
    return answers, len(nannies) - len(answers)
