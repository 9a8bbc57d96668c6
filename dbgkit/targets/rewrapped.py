"""What a task raised, where another exception came home in its place.

Neither can be raised as it is: ``StopIteration`` out of a coroutine of Dask's client,
and ``asyncio.CancelledError`` through `distributed.utils.sync`.
"""

from __future__ import annotations

import asyncio
import re

from dbgkit.remote.common.exceptions import cause_of, traceback_of
from dbgkit.remote.common.frames import package_of, walk
from dbgkit.remote.recording.handed import raising_future

_STOPPED = re.compile(r"(async )?generator raised |coroutine raised ")


def as_raised(exception: BaseException) -> BaseException:
    """What a task raised that an exception stands for; else itself.

    Returns
    -------
    BaseException
        A ``CancelledError`` without arguments stands for what was lost: any task
        that failed may be meant.
    """
    if isinstance(exception, RuntimeError) and _stopped(exception):
        return cause_of(exception) or exception
    if isinstance(exception, UnboundLocalError) and _lost_by_sync(exception):
        return asyncio.CancelledError()
    return exception


def _stopped(error: RuntimeError) -> bool:
    """Whether Python raised it for a StopIteration that the client was raising.

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
    """Whether `distributed.utils.sync` raised it, as it had caught nothing.

    It catches ``Exception``, which ``CancelledError`` is not, and then returns a
    result that there is not.
    """
    innermost = None
    for frame, _ in walk(traceback_of(error)):
        innermost = frame
    return (
        innermost is not None
        and innermost.f_code.co_name == "sync"
        and package_of(innermost.f_code.co_filename) == "distributed"
    )
