"""What an exception is that no failed task is known for: the one place that decides.

Each kind is tried in turn, the most certain first; each says what happened and what to
do. Nothing is run, and nothing is asked of a cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import FrameType

from dbgkit.model import Failure
from dbgkit.remote.common.frames import walk
from dbgkit.targets.carried import as_on_worker, of_batch
from dbgkit.targets.failure import failure_from_exception
from dbgkit.targets.runs import of_callback, of_plugin, of_run
from dbgkit.targets.starting import of_start
from dbgkit.targets.tracebacks import Trace, callers, chain, is_rebuilt, place_of
from dbgkit.targets.unpicklable import of_result, of_unsent
from dbgkit.targets.without_task_kind import Kind

_DASK = ("dask", "distributed")

# The most certain first.
_FAMILIES: tuple[Callable[[BaseException], Kind | None], ...] = (
    of_unsent,
    of_result,
    of_plugin,
    of_run,
    of_start,
    of_batch,
    of_callback,
)


# Known by frames that nothing else leaves, even if a graph is in the traceback.
CERTAIN = ("unsent", "result", "plugin", "run", "start", "callback")


def failure_of_kind(kind: Kind) -> Failure:
    """A `Failure` without a known task."""
    failure = failure_from_exception(
        kind.exception, found_in="exception", notes=kind.notes
    )
    failure = replace(failure, kind=kind.code)
    if kind.code == "carried":
        return as_on_worker(failure, kind.exception)
    return failure


def kind_of(exception: BaseException, found: Trace) -> Kind:
    """What an exception with such a traceback is, if no failed task is known of it."""
    errors = _each(exception)
    for error in errors:
        for family in _FAMILIES:
            # What a callback computes has its own tasks.
            if family is of_callback and found.found:
                continue
            kind = family(error)
            if kind is not None:
                return kind
        # What follows the exception that a computation was found for came before it.
        if found.found and error is found.exception:
            break
    if found.actor:
        return Kind(
            "actor",
            found.exception,
            "a method of an actor failed: that is not a task, so there is nothing to "
            "replay",
        )
    if found.futures:
        return Kind(
            "remote",
            exception,
            "none of the futures in its traceback holds this exception (any more), so "
            "there is no task to replay",
            "compute it again, and pass the exception at once",
        )
    return _whose(exception, errors)


def _each(exception: BaseException) -> list[BaseException]:
    """An exception and all that it leads to, hidden ones last; each once."""
    every = [*chain(exception), *chain(exception, hidden=True)]
    # Not by its hash, nor by equality: a class of the user's may have its own.
    return list({id(error): error for error in every}.values())


def _whose(exception: BaseException, errors: list[BaseException]) -> Kind:
    """Whose exception it is, as far as its frames show."""
    frames = [frame for error in errors for frame, _ in walk(error.__traceback__)]
    if any(map(is_rebuilt, frames)):
        return Kind(
            "remote",
            exception,
            "it was raised in another process, and by which task is not known: there "
            "is nothing to replay",
            "pass the future, the key, or the exception as compute(), result() or "
            "gather() raises it",
        )
    if not frames:
        return Kind(
            "remote",
            exception,
            "it has no traceback, and no future that is held has failed with it: "
            "whether a task raised it is not known",
            "pass the future, the key, or the exception as it was raised",
        )
    of_dask = any(type(error).__module__.split(".")[0] in _DASK for error in errors)
    # What called the outermost of them runs still.
    if of_dask or any(map(_is_dasks, (*frames, *callers(frames[0])))):
        return Kind(
            "dask",
            exception,
            "it was raised in this process, by Dask or by code under it, but not by a "
            "task",
        )
    return Kind("none", exception, "this exception has nothing to do with Dask")


def _is_dasks(frame: FrameType) -> bool:
    """Whether a frame is Dask's, but for its command line, which runs scripts."""
    package, file, _ = place_of(frame)
    return package in _DASK and (package, file) != ("dask", "cli.py")
