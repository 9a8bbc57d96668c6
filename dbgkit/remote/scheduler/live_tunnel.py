"""Passes a session's messages on, for clients that reach only the scheduler."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from distributed.comm import CommClosedError


async def tunnel(
    scheduler: Any, name: str, comm: Any, worker: str, stop: str, who: str
) -> None:
    """Pass messages on, both ways, until one side ends it."""
    if worker not in scheduler.workers:
        await comm.write({"op": "refused", "why": "its worker has left", "gone": True})
        await comm.close()
        return
    there = await scheduler.rpc.connect(worker)
    try:
        await there.write(
            {"op": f"{name}-session", "reply": False, "stop": stop, "who": who}
        )
        both = [
            asyncio.ensure_future(_pass_on(comm, there)),
            asyncio.ensure_future(_pass_on(there, comm)),
        ]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
    finally:
        # The worker's side is closed; the pool counts it until it is given back.
        there.abort()
        scheduler.rpc.reuse(worker, there)
        comm.abort() if comm.closed() else await comm.close()


async def _pass_on(source: Any, target: Any) -> None:
    """Pass messages on until one side is closed, or the session has ended."""
    with suppress(CommClosedError, OSError):
        while True:
            message = await source.read()
            await target.write(message)
            if isinstance(message, dict) and message.get("op") in ("ended", "refused"):
                return
