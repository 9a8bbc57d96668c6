"""What ended a script or a block: whether there is a failure to debug behind it."""

from __future__ import annotations

from dbgkit.remote.common.exceptions import raised_from
from dbgkit.remote.common.frames import walk
from dbgkit.remote.recording.handed import holds, raising_future
from dbgkit.targets.tracebacks import chain, trace


def to_debug(error: BaseException | None) -> BaseException | None:
    """The exception to debug, given one that nobody caught; None if there is none.

    Any ``Exception`` is. A script that ends itself because a computation failed
    (``sys.exit(1)`` in an ``except``, ``raise SystemExit(1) from error``) is debugged
    for that failure; anything else that is not an ``Exception`` only if a future failed
    with it.
    """
    if error is None or isinstance(error, Exception):
        return error
    if isinstance(error, SystemExit):
        return _behind_exit(error)
    # Before Python 3.11 ``asyncio.run`` raises another CancelledError after it.
    alike = (each for each in chain(error) if type(each) is type(error))
    return next(filter(_is_of_future, alike), None)


def _is_of_future(error: BaseException) -> bool:
    """Whether a future failed with it, even if its client was closed since.

    An exception that interrupted a wait for a future does not count: no frame of the
    client raised it.
    """
    found = trace(error)
    if any(holds(future, found.exception) for future in found.futures):
        return True
    return any(
        raising_future(frame, error) is not None
        and any(value is error for value in frame.f_locals.values())
        for frame, _ in walk(error.__traceback__)
    )


def _behind_exit(error: SystemExit) -> BaseException | None:
    before = raised_from(error)
    if before is None or error.code in (None, 0):
        return None
    return before[1] if trace(before[1]).found else None
