"""Runs slow calls in threads of their own: no event loop waits for a file system.

A process waits for threads of a pool as it exits; for these it does not.

This file is sent to workers and nannies as source: standard library only.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def apart(
    function: Callable[..., T],
    *args: Any,
    limit: float,
    late: Callable[[T], object] = lambda _: None,
) -> T:
    """What a function returns or raises, in a thread of its own.

    Parameters
    ----------
    function : callable
    *args
    limit : float
        Seconds to wait for it.
    late : callable
        Called with its outcome after that, where nobody waits any more.

    Raises
    ------
    OSError
        It took too long.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    lock, over = threading.Lock(), threading.Event()

    def tell(found: Any, error: Exception | None) -> None:
        if done.done():  # whoever waited was cancelled
            if error is None:
                late(found)
            return
        if error is None:
            done.set_result(found)
        else:
            done.set_exception(error)

    def run() -> None:
        found, error = _tried(function, args)
        with lock:
            if not over.is_set():
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(tell, found, error)
                return
        if error is None:
            late(found)

    threading.Thread(target=run, name="dbgkit files", daemon=True).start()
    try:
        await asyncio.wait([done], timeout=limit)
        if done.done():
            return done.result()
        with lock:
            over.set()
        await asyncio.sleep(0)  # it may have been set just now
        if done.done():
            return done.result()
        raise TooSlow(f"it took longer than {limit:g} s")
    finally:
        over.set()
        done.cancel()


def in_time(function: Callable[..., T], *args: Any, limit: float) -> T:
    """As `apart`, for callers that cannot await."""
    found: list[tuple[Any, Exception | None]] = []
    thread = threading.Thread(
        target=lambda: found.append(_tried(function, args)),
        name="dbgkit files",
        daemon=True,
    )
    thread.start()
    thread.join(limit)
    if not found:
        raise TooSlow(f"it took longer than {limit:g} s")
    result, error = found[0]
    if error is not None:
        raise error
    done: T = result
    return done


class TooSlow(OSError):
    """A file system does not answer in time."""


def _tried(function: Callable[..., Any], args: Any) -> tuple[Any, Exception | None]:
    try:
        return function(*args), None
    except Exception as error:  # raised again where it is waited for
        return None, error
