"""The user's own call that failed within a task, with its arguments as they were then.

A frame that has failed may have bound its arguments anew, and the values may have been
changed in place. So the task runs twice more at most: once to count the calls of that
function, and once more to copy the arguments of the one that failed, as it begins.
"""

from __future__ import annotations

import dis
import inspect
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import CodeType, FrameType, FunctionType
from typing import Any

from dbgkit import advice
from dbgkit.errors import DbgkitError, NotHere, NotVerified
from dbgkit.remote.common.calls import Call as PlainCall
from dbgkit.remote.common.calls import call_of, is_dasks, plain_function, user_call
from dbgkit.remote.common.codes import file_of_frame, functions_of, identity
from dbgkit.remote.common.frames import is_machinery, is_own, walk
from dbgkit.remote.recording.raised import raised
from dbgkit.remote.recording.steps import is_execute_graph, mapped_call
from dbgkit.replays.calling import Call, call_graph, call_task
from dbgkit.replays.lacking import lack_in, only_lacking
from dbgkit.replays.nodes import bind_plainly, write
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
    error = first.exception
    _refuse_unlike(prepared, first, began)
    assert error is not None
    frames = [frame for frame, _ in walk(error.__traceback__)]
    own, refused = _own_frame(frames), None
    if own is not None:
        try:
            yield _call_of_frame(prepared, notify, own, first)
        except (NotHere, DbgkitError) as reason:
            refused = reason
    plain = _call_of_library(prepared, first, frames)
    if plain is not None:
        yield FunctionCall(*plain, exception=error, seconds=first.seconds)
    prepared.submissions.let_go(error)
    if refused is not None:
        raise refused
    if own is None and plain is None:
        raise NotHere(
            f"the function that failed in {prepared.failure.key!r} is not the user's: "
            "a test would only call Dask",
            f"{advice.call('debug')} opens it",
            key=prepared.failure.key,
        )


def _refuse_unlike(prepared: Prepared, call: Call, began: float) -> None:
    """Raise unless the task has failed as it did on the cluster."""
    failure, error = prepared.failure, call.exception
    lack = lack_in(error)
    if lack is not None:
        only_lacking(failure, prepared.material, lack, [])
    stored = prepared.submissions.handed_to(error, began)
    if stored is not None:
        raise NotHere(
            f"{failure.key!r} only gets the stored error of {stored.key!r}, which it "
            "submits",
            f"name that one: {advice.call('to_test', stored.key)}",
            key=failure.key,
        )
    form = None if error is None else raised(error)
    run = run_of(failure, form, call.seconds)
    if run.outcome == "passed":
        raise NotVerified(
            f"{failure.key!r} passes when it is run again, so a test of it would too",
            "it depends on chance, on time, or on something outside of its inputs; "
            f"{advice.call('replay', failure.key, times=20)} runs it more often",
            key=failure.key,
        )
    if run.outcome != "same":
        how = run.detail or f"{run.exception_type}: {run.message}"
        raise NotVerified(
            f"{failure.key!r} fails in another way when it is run again: {how}",
            f"{advice.call('replay', failure.key)} says how the two differ",
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


def _own_frame(frames: Sequence[FrameType]) -> FrameType | None:
    """The outermost frame of the user's own; of what a bag maps, that of one item.

    A function that takes a bag's items one by one is called before the one that makes
    them, and fails because of it.
    """
    begin = 0
    for place, frame in enumerate(frames):
        if mapped_call(frame) is not None:
            begin = place
    for frame in (*frames[begin:], *frames[:begin]):
        filename = file_of_frame(frame)
        if not is_machinery(filename) and is_own(filename):
            return frame
    return None


def _call_of_frame(
    prepared: Prepared, notify: Notify, own: FrameType, first: Call
) -> FunctionCall:
    """The call of which a frame is, with its arguments as it began."""
    code = own.f_code
    watch = Watch(code)
    again = _run(prepared, notify, watch)
    number = watch.number_of(again.exception)
    prepared.submissions.let_go(again.exception)
    taken = watch.taken.get(number)
    if taken is None:
        watch = Watch(code, number or 1, exhaust=True)
        prepared.submissions.let_go(_run(prepared, notify, watch).exception)
        taken = watch.taken.get(number or 1)
    if taken is None:
        what = f"{code.co_name!r} was not called again in the same way"
        raise watch.error or NotHere(what, key=prepared.failure.key)
    pickled, function = taken
    values = prepared.inputs.reader.loads(pickled)
    args, kwargs = _as_passed(code, values["arguments"])
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


class Watch:
    """A profile function that counts the calls of one function, and copies arguments.

    Without ``wanted``, those of the first call are copied: most functions are called
    once in a task. With ``exhaust``, an iterator among them is read to its end, which
    changes that run.
    """

    def __init__(self, code: CodeType, wanted: int = 1, exhaust: bool = False) -> None:
        self.taken: dict[int, tuple[bytes, FunctionType]] = {}
        self.error: DbgkitError | None = None
        self.around: Any = ()  # what leads to the function: run specs, and inputs
        self._identity, self._name = identity(code), code.co_name
        self._wanted, self._exhaust = wanted, exhaust
        self._count = 0
        self._numbers: dict[int, int] = {}  # by the id of a frame: the last with it
        self._starts: dict[CodeType, int | None] = {}
        self._lock = threading.RLock()

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event != "call" or code.co_name != self._name:
            return
        with self._lock:
            if code not in self._starts:
                same = identity(code) == self._identity
                self._starts[code] = _start_of(code) if same else None
            start = self._starts[code]
            # A generator and a coroutine are called anew each time they go on.
            if start is None or frame.f_lasti > start:
                return
            self._count += 1
            self._numbers[id(frame)] = number = self._count
        if number == self._wanted:
            self._take(number, frame)

    def _take(self, number: int, frame: FrameType) -> None:
        try:
            taken = _snapshot(frame, self._exhaust, self.around)
        except DbgkitError as error:
            self.error = error
        except Exception as error:  # of the user's own objects, as they are copied
            self.error = NotHere(f"the arguments cannot be copied: {error}")
        else:
            if taken is not None:
                self.taken[number] = taken

    def number_of(self, exception: BaseException | None) -> int:
        """The number of the call in which an exception was raised; 0: not known."""
        frames = [f for f, _ in walk(exception.__traceback__)] if exception else []
        own = _own_frame(frames)
        return 0 if own is None else self._numbers.get(id(own), 0)


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Call the profile function in this thread and in those that it starts."""
    before, of_threads = sys.getprofile(), threading.getprofile()
    threading.setprofile(watch)
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)
        # None is what takes it off; the signature of typeshed has a function alone.
        undo: Callable[[Any], None] = threading.setprofile
        undo(of_threads)


def _start_of(code: CodeType) -> int:
    """The offset at which a call of some code begins: ``RESUME`` since Python 3.11."""
    found = (i.offset for i in dis.get_instructions(code) if i.opname == "RESUME")
    return next(found, -1)


def _snapshot(
    frame: FrameType, exhaust: bool, around: Any
) -> tuple[bytes, FunctionType] | None:
    """A pickle of the arguments of a call that begins, and its function.

    None if there is an iterator among them, which must not be read in this run.
    """
    function = function_of_frame(frame, around)
    arguments = arguments_of(frame)
    for name, value in arguments.items():
        if is_lazy(value):
            if not exhaust:
                return None
            arguments[name] = Consumed(list(value))
    cells = {
        name: cell.cell_contents
        for name, cell in zip(
            frame.f_code.co_freevars, function.__closure__ or (), strict=False
        )
        if _is_filled(cell) and name != "__class__"
    }
    # The function itself is known by its name where it is among them.
    own = [name for name, value in cells.items() if value is function]
    for name in own:
        del cells[name]
    values = {"arguments": arguments, "cells": cells}
    what = f"the arguments of {frame.f_code.co_name!r}"
    return write(values, what), function


@dataclass
class Consumed:
    """The items of an iterator that was passed."""

    items: list[Any]


def is_lazy(value: Any) -> bool:
    """Whether a value is read only once: a generator, a ``map``, a ``zip``."""
    kind = type(value)
    return (
        inspect.isgenerator(value)
        or kind in (map, filter, zip, enumerate)
        or (
            kind.__module__ in ("itertools", "dask.bag.core")
            and hasattr(kind, "__next__")
        )
    )


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def arguments_of(frame: FrameType) -> dict[str, Any]:
    """What a call that begins was given, by the names of the parameters."""
    code, values = frame.f_code, frame.f_locals
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS)
    count += bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return {name: values[name] for name in code.co_varnames[:count]}


def _as_passed(
    code: CodeType, values: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments, from the values of the parameters."""
    names = list(code.co_varnames)
    positional = names[: code.co_argcount]
    named = names[code.co_argcount :][: code.co_kwonlyargcount]
    rest = names[code.co_argcount + code.co_kwonlyargcount :]
    args = [values[name] for name in positional]
    kwargs = {name: values[name] for name in named}
    if code.co_flags & inspect.CO_VARARGS:
        args += values[rest.pop(0)]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        kwargs |= values[rest.pop(0)]
    return tuple(args), kwargs


def function_of_frame(frame: FrameType, around: Any) -> FunctionType:
    """The function that a frame runs: of those with its code, the one with its cells.

    A frame does not say which one it is. ``around`` is what may lead to it.
    """
    code, local = frame.f_code, frame.f_locals
    for function in _functions_near(frame, around):
        if function.__code__ is not code:
            continue
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=False))
        if all(
            not _is_filled(cell) or local.get(name) is cell.cell_contents
            for name, cell in cells.items()
        ):
            return function
    raise NotHere(f"the function of {code.co_name!r} is not known")


def _functions_near(frame: FrameType, around: Any) -> Iterator[FunctionType]:
    """Functions that may be the one of a frame: what costs least comes first."""
    import gc

    code, space = frame.f_code, frame.f_globals
    path = getattr(code, "co_qualname", code.co_name).split(".")
    yield from functions_of([space.get(path[0]), frame.f_locals.get("self")])
    yield from functions_of(around)
    yield from functions_of([each for each in space.values() if _is_named(each)])
    # All that refer to it: but those that garbage collection leaves alone (frozen).
    for each in gc.get_referrers(code):
        if type(each) is FunctionType:
            yield each


def _is_named(value: Any) -> bool:
    return isinstance(value, (FunctionType, type))


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
