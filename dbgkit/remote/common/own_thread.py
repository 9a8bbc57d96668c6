"""Runs slow calls in threads of their own: no event loop waits for a file system.

A process waits for threads of a pool as it exits; for these it does not.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class TooSlow(OSError):
    """A file system does not answer in time."""


async def apart(
    function: Callable[..., T],
    *args: Any,
    limit: float,
    late: Callable[[T], object] = lambda _: None,
) -> T:
    """What a function returns or raises, in a thread of its own.

    After ``limit`` seconds, or once the caller is cancelled, nobody waits any more:
    what it then returns is passed to ``late``.

    Raises
    ------
    TooSlow
    """
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    running = _started(function, args)

    def wake(_: Future[T]) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(ended.set_result, None)

    running.add_done_callback(wake)
    taken = False
    try:
        await asyncio.wait([ended], timeout=limit)
        taken = running.done()
    finally:
        if not taken:
            running.add_done_callback(lambda it: it.exception() or late(it.result()))
    if taken:
        return running.result()
    raise _too_slow(limit)


def in_time(function: Callable[..., T], *args: Any, limit: float) -> T:
    """As `apart`, for callers that cannot await."""
    running = _started(function, args)
    if wait([running], limit).done:
        return running.result()
    raise _too_slow(limit)


def _started(function: Callable[..., T], args: Any) -> Future[T]:
    """A call that runs in a thread of its own."""
    running: Future[T] = Future()

    def run() -> None:
        try:
            found = function(*args)
        except Exception as error:  # raised again where it is waited for
            running.set_exception(error)
        else:
            running.set_result(found)

    threading.Thread(target=run, name="dbgkit files", daemon=True).start()
    return running


def _too_slow(limit: float) -> TooSlow:
    return TooSlow(f"it took longer than {limit:g} s")
