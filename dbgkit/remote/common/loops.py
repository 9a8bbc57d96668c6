"""Calls from threads into event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


def begin_in(loop: Any, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Begin a coroutine in the event loop of another thread.

    `asyncio.run_coroutine_threadsafe`, except that it leaves no coroutine behind that
    nobody awaits, of which Python would warn.

    Raises
    ------
    RuntimeError
        The loop is closed.
    """
    try:
        return asyncio.run_coroutine_threadsafe(coroutine, loop)
    except RuntimeError:
        coroutine.close()
        raise
