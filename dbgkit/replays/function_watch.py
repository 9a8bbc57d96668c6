"""Which call of a function fails, and a copy of its arguments as it begins."""

from __future__ import annotations

import dis
import gc
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FrameType, FunctionType
from typing import Any

from dbgkit.errors import DbgkitError, NotHere
from dbgkit.remote.common.codes import file_of_frame, functions_of, identity
from dbgkit.remote.common.frames import (
    is_compiled,
    is_machinery,
    is_own,
    is_stdlib,
    walk,
)
from dbgkit.remote.recording.steps import mapped_call
from dbgkit.replays.nodes import write

Find = Callable[[Sequence[FrameType]], "FrameType | None"]


def own_frame(frames: Sequence[FrameType]) -> FrameType | None:
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


def library_frame(frames: Sequence[FrameType]) -> FrameType | None:
    """The outermost frame of a public function of a library's, below Dask's own."""
    found = None
    for frame in frames:
        filename = file_of_frame(frame)
        if is_machinery(filename):
            found = None
        elif found is None and not (is_stdlib(filename) or is_compiled(filename)):
            private = frame.f_code.co_name.startswith(("_", "<"))
            found = None if private else frame
    return found


class Watch:
    """A profile function that counts the calls of one function, and copies arguments.

    Without ``wanted``, those of the first call are copied: most functions are called
    once in a task. With ``exhaust``, an iterator among them is read to its end, which
    changes that run.
    """

    def __init__(
        self, code: CodeType, find: Find, wanted: int = 1, exhaust: bool = False
    ) -> None:
        self.taken: dict[int, tuple[bytes, FunctionType]] = {}
        self.error: DbgkitError | None = None
        self.around: Any = ()  # what leads to the function: run specs, and inputs
        self._find = find
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
        own = self._find(frames)
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
    code, space = frame.f_code, frame.f_globals
    path = getattr(code, "co_qualname", code.co_name).split(".")
    yield from _methods_near(frame)
    yield from functions_of([space.get(path[0]), frame.f_locals.get("self")])
    yield from functions_of(around)
    yield from functions_of([each for each in space.values() if _is_named(each)])
    # All that refer to it: but those that garbage collection leaves alone (frozen).
    for each in gc.get_referrers(code):
        if type(each) is FunctionType:
            yield each


def _methods_near(frame: FrameType) -> Iterator[FunctionType]:
    """Methods of that name of the class of the first argument, as of its bases."""
    code = frame.f_code
    first = frame.f_locals.get(code.co_varnames[0]) if code.co_varnames else None
    for base in type(first).__mro__:
        yield from functions_of([vars(base).get(code.co_name)], 20)


def _is_named(value: Any) -> bool:
    return isinstance(value, (FunctionType, type))
