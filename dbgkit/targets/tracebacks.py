"""What an exception's traceback still holds: futures, a graph, a local task.

No arming is needed: the frames that Dask leaves in a traceback keep their locals.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from traceback import walk_stack
from types import FrameType, TracebackType
from typing import Any

from dbgkit.remote.common.exceptions import Link, descent, linked, raised_from
from dbgkit.remote.common.frames import is_machinery, is_own, package_of, walk
from dbgkit.remote.recording.handed import futures_in, holds
from dbgkit.targets.rewrapped import as_raised

_MOST_SHOWN = 100  # exceptions
_DEEPEST = 100_000  # frames
_COMPUTING = (("dask", "base.py", "compute"), ("dask", "base.py", "persist"))


@dataclass
class Trace:
    """What was found in the traceback of one exception.

    Attributes
    ----------
    exception : BaseException
        As the task raised it (see `as_raised`).
    futures, collections : list
        Of Dask's own frames, else of the user's.
    expression : object or None
        What ``dask.base.compute`` was computing.
    schedule : object or None
        The function that computed it: ``Client.get``, ``dask.threaded.get``, …
    local_task : tuple or None
        ``(key, node, data)`` of a task that ran in this process.
    actor : bool
        Whether a method of an actor failed.
    meta : BaseException or None
        The user's error, where Dask called a function on made-up data.
    """

    exception: BaseException
    futures: list[Any] = field(default_factory=list)
    expression: Any = None
    collections: list[Any] = field(default_factory=list)
    schedule: Any = None
    local_task: tuple[Any, Any, Any] | None = None
    actor: bool = False
    meta: BaseException | None = None

    @property
    def client(self) -> Any:
        """The client that computed it, or None."""
        owner = getattr(self.schedule, "__self__", None)
        return owner if hasattr(owner, "scheduler_comm") else None

    @property
    def found(self) -> bool:
        """Whether there is anything of Dask in it."""
        return bool(
            self.futures
            or self.expression is not None
            or self.local_task
            or self.actor
            or self.meta
        )


def chain(exception: BaseException, *, hidden: bool = False) -> Iterator[BaseException]:
    """An exception, what it was raised from, and members of groups: each once.

    ``hidden``: with what was being handled where it was raised ``from None``.
    """
    return linked(exception, hidden=hidden, members=_members)


def shown_chain(
    exception: BaseException, *, backwards: bool = False
) -> Iterator[tuple[str, BaseException]]:
    """Exceptions that Python shows with an exception: how each is related; each once.

    How is ``"cause"``, ``"context"``, or ``"member"`` of a group: these come first,
    the last of them first if it is to be read ``backwards``.
    """

    def links(one: BaseException) -> list[Link]:
        found = [("member", each) for each in _members(one)[:_MOST_SHOWN]]
        if backwards:
            found.reverse()
        link = raised_from(one)
        return found if link is None else [*found, link]

    for how, _, one in islice(descent(exception, links), _MOST_SHOWN - 1):
        yield how, one


def _members(exception: BaseException) -> list[BaseException]:
    """The exceptions that a group has: Python's, a backport's or a recorded one."""
    try:
        found = getattr(exception, "exceptions", ())
    except Exception:  # anything of the user's own may have that name
        return []
    if not isinstance(found, tuple):
        return []
    return [each for each in found if isinstance(each, BaseException)]


def trace(exception: BaseException) -> Trace:
    """Read an exception's traceback; of a chain, the first one that involves Dask.

    What ``raise … from None`` hides is read too, after all that is shown.
    """
    first = None
    for error in (*chain(exception), *chain(exception, hidden=True)):
        found = _trace_one(error)
        if found.found:
            return found
        first = first or found
    assert first is not None
    return first


def _trace_one(error: BaseException) -> Trace:
    found = Trace(as_raised(error))
    users: list[dict[str, Any]] = []
    innermost = None
    for frame, _ in walk(error.__traceback__):
        innermost = frame
        where = place_of(frame)
        if where in _COMPUTING:
            _take_compute(found, frame.f_locals)
        elif where[0] == "distributed":
            found.actor = found.actor or where[1] == "actor.py"
            if where[1:] == ("client.py", "get"):
                _take_get(found, frame.f_locals)
            found.futures.extend(futures_in(frame.f_locals.values()))
        elif where[2] in ("raise_on_meta_error", "apply_infer_dtype"):
            # `apply_infer_dtype` (dask/array/core.py) raises with no cause, but
            # has what it caught among its locals.
            caught = frame.f_locals.get("exc_value")
            found.meta = error.__cause__ or error.__context__ or caught
        elif not is_machinery(frame.f_code.co_filename):
            users.append(frame.f_locals)
    if found.meta is None and _is_meta_error(error):
        found.meta = error.__cause__ or error.__context__
    if not found.actor and innermost is not None:
        found.local_task = _local_task(innermost)
    if not found.found:
        for local in users:
            found.futures.extend(futures_in(local.values()))
        found.futures = [f for f in found.futures if holds(f, found.exception)]
    return found


def place_of(frame: FrameType) -> tuple[str, str, str]:
    """Package, name of the file and function of a frame."""
    filename = frame.f_code.co_filename.replace("\\", "/")
    return package_of(filename), filename.rsplit("/", 1)[-1], frame.f_code.co_name


def callers(frame: FrameType) -> Iterator[FrameType]:
    """A frame, what called it, what called that, and so on."""
    return (found for found, _ in islice(walk_stack(frame), _DEEPEST))


def _take_compute(found: Trace, local: dict[str, Any]) -> None:
    """Locals of ``dask.base.compute`` and ``persist`` (dask/base.py)."""
    if "collections" in local:
        found.collections = list(local["collections"])
        found.schedule = local.get("schedule")
        # Before it was optimised, its keys are not those that ran.
        found.expression = local.get("expr") if "keys" in local else None
        if found.expression is None and not found.collections:
            found.schedule = None


def _take_get(found: Trace, local: dict[str, Any]) -> None:
    """Locals of ``Client.get`` (distributed/client.py), where nobody computed.

    Its futures are released by then, so that they hold no exception any more.
    """
    if found.expression is None and "dsk" in local and "self" in local:
        found.expression = local["dsk"]
        found.schedule = local["self"].get


def _local_task(frame: FrameType) -> tuple[Any, Any, Any] | None:
    """The task that a frame was called for, under a scheduler of this process.

    ``dask.local.execute_task(key, task_info, …)`` has the key, the node and its
    inputs in its locals. It is cut out of tracebacks, but stays the caller of the
    user's frame.
    """
    for caller in callers(frame):
        place = place_of(caller)
        if place == ("dask", "local.py", "execute_task"):
            local = caller.f_locals
            if "task" in local and "data" in local:
                return local["key"], local["task"], local["data"]
            break
        if place[0] == "distributed":
            break
    return None


def is_rebuilt(frame: FrameType) -> bool:
    """Whether a frame was re-created from another process's text: without locals.

    ``Traceback.as_traceback`` (tblib) runs a stub of this name for each frame.
    """
    return "__traceback_maker" in frame.f_code.co_names


def live_places(error: BaseException) -> list[tuple[tuple[str, str, str], FrameType]]:
    """Frames of this process that an exception went through, outermost first."""
    return [
        (place_of(frame), frame)
        for frame, _ in walk(error.__traceback__)
        if not is_rebuilt(frame)
    ]


def _is_meta_error(error: BaseException) -> bool:
    text = error.args[0] if error.args and isinstance(error.args[0], str) else ""
    return text.startswith(("Metadata inference failed", "`dtype` inference failed"))


def exception_at_hand() -> BaseException | None:
    """The exception being handled, else the last one that reached the prompt.

    Our debugger leaves there what it was opened on: see `meant_by`.
    """
    handled = sys.exc_info()[1]
    if handled is not None:
        return handled
    # All that set last_exc set last_value too, and not the other way round.
    last = getattr(sys, "last_value", None)
    return last if isinstance(last, BaseException) else None


def whole_of(exception: BaseException) -> BaseException:
    """What led to an exception that was not raised by itself, a member of a group.

    The current exception, if the other one is attached to it.
    """
    at_hand = exception_at_hand()
    if exception.__traceback__ is not None or at_hand is None:
        return exception
    hangs = any(each is exception for each in chain(at_hand))
    return at_hand if hangs else exception


def stands_for(exception: BaseException, target: Any) -> None:
    """Let an exception made by a replay or a recording stand for its original."""
    _made[:] = [(exception, target)]


def meant_by(target: Any) -> Any:
    """What a target means: itself, unless it `stands_for` another one."""
    for made, meant in _made:
        if made is target:
            return meant
    return target


# The newest alone: the debuggers remember no more of them either.
_made: list[tuple[BaseException, Any]] = []


def leading(tb: TracebackType | None) -> list[TracebackType]:
    """From the first frame of the user's own on, up to where Dask takes over."""
    found: list[TracebackType] = []
    while tb is not None:
        filename = tb.tb_frame.f_code.co_filename
        if found and is_machinery(filename):
            return found
        if found or is_own(filename):
            found.append(tb)
        tb = tb.tb_next
    return []  # Dask did not take over: nothing was asked of it there
