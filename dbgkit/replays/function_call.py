"""The user's own call that failed within a task, with its arguments as they were then.

A frame that has failed may have bound its arguments anew, and the values may have been
changed in place. So the task runs twice more at most: once to count the calls of that
function, and once more to copy the arguments of the one that failed, as it begins.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import CodeType, FrameType, FunctionType
from typing import Any

from dbgkit import advice
from dbgkit.errors import DbgkitError, NotHere, NotVerified
from dbgkit.remote.common.calls import Call as PlainCall
from dbgkit.remote.common.calls import call_of, is_dasks, plain_function, user_call
from dbgkit.remote.common.frames import is_own, walk
from dbgkit.remote.recording.raised import raised
from dbgkit.remote.recording.steps import is_execute_graph, mapped_call
from dbgkit.replays.calling import Call, call_graph, call_task
from dbgkit.replays.function_watch import (
    Find,
    Watch,
    library_frame,
    own_frame,
    watching,
)
from dbgkit.replays.lacking import lack_in, only_lacking
from dbgkit.replays.naming import call_again, named
from dbgkit.replays.nodes import bind_plainly
from dbgkit.replays.outcome import run_of
from dbgkit.replays.preparing import Notify, Prepared
from dbgkit.replays.standin import in_place_of_worker, reading


@dataclass
class FunctionCall:
    """A call that failed: ``function(*args, **kwargs)``.

    ``cells`` are the values that the function has from around it, by name.
    ``exception`` is what the task raised, with the frames of a run of its own.
    """

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    exception: BaseException
    cells: dict[str, Any] = field(default_factory=dict)
    # The code of the user's function; None if a library's was called.
    code: CodeType | None = None
    seconds: float = 0.0


def find_calls(prepared: Prepared, notify: Notify) -> Iterator[FunctionCall]:
    """The calls that failed, the one that says most first: one of them may be enough.

    Raises
    ------
    NotVerified
        The task does not fail as it did.
    NotHere
        The function that failed is not the user's, or its arguments cannot be copied.
    """
    began = time.perf_counter()
    first = _run(prepared, notify)
    _refuse_unlike(prepared, first, began)
    try:
        yield from _calls_of(prepared, notify, first)
    finally:
        prepared.submissions.let_go(first.exception)


def _calls_of(
    prepared: Prepared, notify: Notify, first: Call
) -> Iterator[FunctionCall]:
    error, refused = first.exception, None
    assert error is not None
    frames = [frame for frame, _ in walk(error.__traceback__)]
    own = own_frame(frames)
    if own is not None:
        try:
            yield _call_of_frame(prepared, notify, own_frame, own, first)
        except DbgkitError as reason:
            refused = reason
    plain = _call_of_library(prepared, first, frames)
    if plain is not None:
        yield FunctionCall(*plain, exception=error, seconds=first.seconds)
    if refused is not None:
        raise refused
    if own is not None or plain is not None:
        return
    theirs = library_frame(frames)
    if theirs is None:
        raise NotHere(
            f"the function that failed in {named(prepared.failure.key)} is not the "
            "user's: a test would only call Dask",
            f"{advice.call('debug')} opens it",
            key=prepared.failure.key,
        )
    # What Dask itself calls, with arguments of its own: ``Series.astype``.
    yield _call_of_frame(prepared, notify, library_frame, theirs, first)


def _refuse_unlike(prepared: Prepared, call: Call, began: float) -> None:
    """Raise unless the task has failed as it did on the cluster."""
    failure, error = prepared.failure, call.exception
    lack = lack_in(error)
    if lack is not None:
        only_lacking(failure, prepared.material, lack, [])
    stored = prepared.submissions.handed_to(error, began)
    if stored is not None:
        raise NotHere(
            f"{named(failure.key)} only gets the stored error of {stored.key!r}, which "
            "it submits",
            f"name that one: {advice.call('to_test', stored.key)}",
            key=failure.key,
        )
    form = None if error is None else raised(error)
    run = run_of(failure, form, call.seconds)
    if run.outcome == "passed":
        raise NotVerified(
            f"{named(failure.key)} passes when it is run again, so a test of it would "
            "too",
            "it depends on chance, on time, or on something outside of its inputs; "
            f"{call_again('replay', failure, times=20)} runs it more often",
            key=failure.key,
        )
    if run.outcome != "same":
        how = run.detail or f"{run.exception_type}: {run.message}"
        raise NotVerified(
            f"{named(failure.key)} fails in another way when it is run again: {how}",
            f"{call_again('replay', failure)} says how the two differ",
            key=failure.key,
        )


def _run(prepared: Prepared, notify: Notify, watch: Watch | None = None) -> Call:
    """One run of the task, on inputs of its own, without comparing anything."""
    plan, material = prepared.plan, prepared.material
    with reading(prepared.stand_in):
        data = prepared.inputs.fresh(last=False)
        nodes = {key: material.rows[key].read() for key in plan.run_here}
    only = nodes[material.key] if plan.scope == "task" else None
    surroundings = in_place_of_worker(prepared.stand_in, only, notify)
    if watch is not None:
        watch.around = (nodes, data)
    with watching(watch) if watch is not None else nullcontext():
        if only is not None:
            return call_task(only, data, surroundings)
        return call_graph(nodes, list(material.roots), data, notify, surroundings)


# --- the user's own function --------------------------------------------------------


def _call_of_frame(
    prepared: Prepared, notify: Notify, find: Find, frame: FrameType, first: Call
) -> FunctionCall:
    """The call of which a frame is, with its arguments as it began.

    ``find`` finds it among the frames of another run.
    """
    code = frame.f_code
    watch = Watch(code, find)
    again = _run(prepared, notify, watch)
    number = watch.number_of(again.exception)
    prepared.submissions.let_go(again.exception)
    taken = watch.taken.get(number)
    if taken is None:
        watch = Watch(code, find, number or 1, exhaust=True)
        prepared.submissions.let_go(_run(prepared, notify, watch).exception)
        taken = watch.taken.get(number or 1)
    if taken is None:
        what = f"{code.co_name!r} was not called again in the same way"
        raise watch.error or NotHere(what, key=prepared.failure.key)
    pickled, function = taken
    values = prepared.inputs.reader.loads(pickled)
    args, kwargs = _as_passed(function, values["arguments"])
    assert first.exception is not None
    return FunctionCall(
        function,
        args,
        kwargs,
        first.exception,
        values["cells"],
        code,
        first.seconds,
    )


def _as_passed(
    function: FunctionType, values: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments, from the values of the parameters.

    Those at the end that are the function's own defaults are left out.
    """
    code = function.__code__
    names = list(code.co_varnames)
    positional = names[: code.co_argcount]
    named = names[code.co_argcount :][: code.co_kwonlyargcount]
    rest = names[code.co_argcount + code.co_kwonlyargcount :]
    more = values[rest.pop(0)] if code.co_flags & inspect.CO_VARARGS else ()
    if not more:
        defaults = list(function.__defaults__ or ())
        while defaults and _is_default(values[positional[-1]], defaults.pop()):
            positional.pop()
    usual = function.__kwdefaults__ or {}
    kwargs = {
        name: values[name]
        for name in named
        if name not in usual or not _is_default(values[name], usual[name])
    }
    if code.co_flags & inspect.CO_VARKEYWORDS:
        kwargs |= values[rest.pop(0)]
    return (*(values[name] for name in positional), *more), kwargs


def _is_default(value: Any, default: Any) -> bool:
    """Whether a value is the default of its parameter, as far as that is plain."""
    if value is default:
        return True
    plain = type(value) in (bool, int, float, str)
    return plain and type(value) is type(default) and bool(value == default)


# --- a library's function -----------------------------------------------------------


def _call_of_library(
    prepared: Prepared, call: Call, frames: Sequence[FrameType]
) -> PlainCall | None:
    """The call of a library's function that Dask was given; None if it is Dask's."""
    found = _step_call(frames) or _item_call(frames) or _task_call(prepared, call)
    if found is None or is_dasks(found[0]):
        return None
    plain, _ = plain_function(found[0])
    # A user's own function is found by its frame.
    if type(plain) is FunctionType and is_own(plain.__code__.co_filename):
        return None
    return found


def _item_call(frames: Sequence[FrameType]) -> PlainCall | None:
    calls = [each for each in map(mapped_call, frames) if each is not None]
    return calls[-1] if calls else None


def _step_call(frames: Sequence[FrameType]) -> PlainCall | None:
    """The call of the innermost step of a fused task."""
    if any(mapped_call(frame) is not None for frame in frames):
        return None
    for frame in reversed(frames):
        if is_execute_graph(frame):
            local = frame.f_locals
            return _put_in(local["node"], {**local["cache"]})
    return None


def _task_call(prepared: Prepared, call: Call) -> PlainCall | None:
    if call.function is None:
        return None
    if prepared.plan.scope != "task":
        return user_call(call.function, call.args, call.kwargs)
    # Anew: the task may have changed what it was given.
    with reading(prepared.stand_in):
        data = prepared.inputs.fresh(last=False)
        node = prepared.material.rows[prepared.material.key].read()
    return _put_in(node, data)


def _put_in(node: Any, data: dict[Any, Any]) -> PlainCall | None:
    """The user's call of a node, with the values of its inputs; None if not known."""
    if call_of(node, data) is None:
        return None
    function, args, kwargs = bind_plainly(node, data)
    return None if function is None else user_call(function, args, kwargs)
