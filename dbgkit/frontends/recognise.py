"""Whether an exception came through Dask; cheap enough to check for every one."""

from __future__ import annotations

from dbgkit.errors import DbgkitError
from dbgkit.remote.common.frames import package_of, walk

_DASK = ("dask", "distributed")
# Beyond these nobody would find the cause by reading either.
_MOST_FRAMES = 5_000
_MOST_CAUSES = 20


def touches_dask(exception: BaseException) -> bool:
    """Whether Dask raised an exception, or any frame that it passed is Dask's.

    Costs a look at the file of each frame, some microseconds; imports nothing.
    """
    error: BaseException | None = exception
    for _ in range(_MOST_CAUSES):
        if error is None or isinstance(error, DbgkitError):
            return False
        if type(error).__module__.partition(".")[0] in _DASK or _passed(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _passed(error: BaseException) -> bool:
    for index, (frame, _) in enumerate(walk(error.__traceback__)):
        if index == _MOST_FRAMES:
            break
        if package_of(frame.f_code.co_filename) in _DASK:
            return True
    return False
