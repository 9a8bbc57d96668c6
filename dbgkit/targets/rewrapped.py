"""What a task raised, if another exception arrived in its place.

Two exceptions cannot be raised as they are: ``StopIteration`` out of a coroutine of
Dask's client, and ``asyncio.CancelledError`` through `distributed.utils.sync`.
"""

from __future__ import annotations

import asyncio
import re

from dbgkit.remote.common.exceptions import cause_of, traceback_of
from dbgkit.remote.common.frames import package_of, walk
from dbgkit.remote.recording.handed import raising_future

_STOPPED = re.compile(r"(async )?generator raised |coroutine raised ")


def as_raised(exception: BaseException) -> BaseException:
    """What a task raised, given an exception in its place; else the exception itself.

    A ``CancelledError`` without arguments stands for an exception that was lost: any
    failed task may be meant.
    """
    if isinstance(exception, RuntimeError) and _stopped(exception):
        return cause_of(exception) or exception
    if isinstance(exception, UnboundLocalError) and _lost_by_sync(exception):
        return asyncio.CancelledError()
    return exception


def _stopped(error: RuntimeError) -> bool:
    """Whether Python raised it in place of a StopIteration from the client.

    A task that raises such a RuntimeError itself has it from its own generator.
    """
    cause = cause_of(error)
    text = error.args[0] if error.args else None
    return (
        isinstance(cause, (StopIteration, StopAsyncIteration))
        and isinstance(text, str)
        and _STOPPED.match(text) is not None
        and any(
            raising_future(frame, cause) is not None
            for frame, _ in walk(traceback_of(cause))
        )
    )


def _lost_by_sync(error: UnboundLocalError) -> bool:
    """Whether `distributed.utils.sync` raised it because it had caught nothing.

    It catches ``Exception``, which ``CancelledError`` is not, and then returns a result
    that does not exist.
    """
    codes = [frame.f_code for frame, _ in walk(traceback_of(error))]
    return (
        bool(codes)
        and codes[-1].co_name == "sync"
        and package_of(codes[-1].co_filename) == "distributed"
    )
