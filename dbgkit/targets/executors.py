"""Futures of executors, which are not Dask's own but may wrap one.

``Client.get_executor()`` gives ``concurrent.futures.Future``; an event loop's
``run_in_executor`` wraps that once more, in an ``asyncio.Future``.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

from dbgkit.cluster.clients import is_future
from dbgkit.errors import NotFailed


def is_executors_future(value: Any) -> bool:
    """Whether a value is a future of ``concurrent.futures`` or ``asyncio``."""
    return isinstance(value, Future) or asyncio.isfuture(value)


def behind(future: Any) -> Any:
    """What an executor's future stands for: Dask's own future, or its exception."""
    if isinstance(future, Future):
        wrapped = wrapped_future(future)
        if wrapped is not None:
            return wrapped
    if not future.done() or future.cancelled():
        state = "cancelled" if future.cancelled() else "pending"
        raise NotFailed(
            f"this {type(future).__name__} has not failed: it is {state}",
            "pass it once it has failed",
            key=None,
            state=state,
        )
    error = future.exception()
    if error is None:
        raise NotFailed(
            f"this {type(future).__name__} has not failed: it is finished",
            "pass a future that has failed",
            key=None,
            state="finished",
        )
    return error


def wrapped_future(future: Future[Any]) -> Any:
    """Dask's future within one of ``ClientExecutor``; None if it is another executor's.

    Its callback holds it (``_wrap_future``, distributed/cfexecutor.py).
    """
    for callback in list(future._done_callbacks):  # type: ignore[attr-defined]
        for cell in getattr(callback, "__closure__", None) or ():
            if is_future(cell.cell_contents):
                return cell.cell_contents
    return None
