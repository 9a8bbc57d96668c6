"""What in a value cannot be pickled: the innermost part, and the way to it.

From a value that cannot be pickled, the search goes to its first part that cannot be,
and so on: attributes, items, what a function closes over or takes from its globals,
whatever ``__getstate__`` or ``__reduce__`` gives. Within a limit of time.
"""

from __future__ import annotations

import dis
import functools
import io
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import CodeType, FunctionType, MethodType
from typing import Any

import cloudpickle

from dbgkit.remote.common.texts import safe_repr, safe_str

_LIMIT = 1.5  # seconds
_MOST_STEPS = 50  # from a value to its part
_AT_A_TIME = 200
_CHECKED_EVERY = 1_000  # objects between two checks of the clock
_COPYREG = ("copyreg", "_reconstructor")


@dataclass(frozen=True)
class Culprit:
    """What cannot be pickled, and what pickling it raises.

    ``path`` is the way to it from the value: ``"args[0].lock"``; empty: the value
    itself. It is not ``complete`` if the time was up before its end.
    """

    path: str
    value: Any
    error: Exception
    complete: bool = True


class TimeUp(Exception):
    """The limit of time was reached."""


class Clock:
    """A limit of time for several steps."""

    def __init__(self) -> None:
        self._end = time.monotonic() + _LIMIT

    def check(self) -> None:
        if time.monotonic() > self._end:
            raise TimeUp


def find_culprit(value: Any, clock: Clock, path: str = "") -> Culprit | None:
    """What in a value cannot be pickled; None if all can be."""
    try:
        error = why_unpicklable(value, clock)
    except TimeUp as up:
        return Culprit(path, value, up, complete=False)
    if error is None:
        return None
    found = Culprit(path, value, error)
    passed: set[int] = set()
    for _ in range(_MOST_STEPS):
        passed.add(id(found.value))
        try:
            inner = _first_part(found, clock, passed)
        except TimeUp:
            return replace(found, complete=False)
        if inner is None:
            break
        found = inner
    return found


def _first_part(found: Culprit, clock: Clock, passed: set[int]) -> Culprit | None:
    """The first part of a value that cannot be pickled either."""
    for step, part in _parts(found.value):
        if id(part) in passed:
            continue
        error = why_unpicklable(part, clock)
        if error is not None:
            return Culprit(joined(found.path, step), part, error)
    return None


def joined(path: str, step: str) -> str:
    """A path with one more step: an attribute, an item, or words."""
    if not path:
        return step.lstrip(".")
    if step[:1] in ".[":
        return f"{path}{step}"
    # A task's own function is named by the step.
    return step if path == "func" else f"{path} → {step}"


def why_unpicklable(value: Any, clock: Clock) -> Exception | None:
    """What pickling a value raises, as Dask tries it last; None if it can be pickled.

    ``distributed.protocol.pickle.dumps`` tries cloudpickle last.
    """
    try:
        _Pickler(clock).dump(value)
    except TimeUp:
        raise
    except Exception as error:  # pickling runs anybody's code
        return error
    return None


def first_unpicklable(values: list[Any], clock: Clock) -> int | None:
    """Which of many values is the first that cannot be pickled.

    Some at a time, so that what they share is pickled once for all of these.
    """
    for start in range(0, len(values), _AT_A_TIME):
        clock.check()
        part = values[start : start + _AT_A_TIME]
        if _can_pickle(part):
            continue
        for index, value in enumerate(part, start):
            if why_unpicklable(value, clock) is not None:
                return index
    return None


def _can_pickle(values: list[Any]) -> bool:
    pickler = cloudpickle.Pickler(_Nowhere(), 5, buffer_callback=lambda buffer: None)
    try:
        pickler.dump(values)
    except Exception:  # pickling runs anybody's code
        return False
    return True


class _Nowhere(io.RawIOBase):
    """A file that keeps nothing."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles to nowhere, within a limit; large buffers stay where they are."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(_Nowhere(), 5, buffer_callback=lambda buffer: None)
        self._clock = clock
        self._count = 0

    def persistent_id(self, obj: Any) -> None:
        """Called for each object before it is pickled; None: as any other."""
        self._count += 1
        if self._count % _CHECKED_EVERY == 0:
            self._clock.check()


# --- the parts of a value -----------------------------------------------------


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Parts of a value that are pickled with it, and the step that leads to each."""
    if isinstance(value, MethodType):
        yield ".__self__", value.__self__
        yield ".__func__", value.__func__
    elif isinstance(value, FunctionType):
        yield from _function_parts(value)
    elif type(value) is functools.partial:
        yield ".func", value.func
        yield ".args", value.args
        yield ".keywords", value.keywords
    elif isinstance(value, Mapping) and type(value).__reduce_ex__ in _PLAIN:
        for key, item in value.items():
            yield f"[{_short(key)}]", item
            yield f"key {_short(key)}", key
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif type(value) in (set, frozenset):
        for item in value:
            yield f"member {_short(item)}", item
    elif isinstance(value, type):
        yield from _class_parts(value)
    elif _is_frame(value):
        yield from _frame_parts(value)
    elif _is_object_array(value):
        for index, item in enumerate(value.flat):
            yield f"[{index}]", item
    else:
        yield from _reduced_parts(value)


_PLAIN = (dict.__reduce_ex__, object.__reduce_ex__)


def _function_parts(function: Any) -> Iterator[tuple[str, Any]]:
    """What a function that is pickled by value takes along."""
    name = function.__name__
    if wrapped := getattr(function, "__wrapped__", None):
        yield ".__wrapped__", wrapped
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for variable, cell in cells:
        try:
            yield f"closure variable {variable!r} of {name!r}", cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    for number, default in enumerate(function.__defaults__ or ()):
        yield f"default {number} of {name!r}", default
    for key, default in (function.__kwdefaults__ or {}).items():
        yield f"default {key!r} of {name!r}", default
    for variable in _global_names(function.__code__):
        if variable in function.__globals__:
            yield f"global {variable!r} of {name!r}", function.__globals__[variable]
    for attribute, item in vars(function).items():
        yield f".{attribute}", item


def _global_names(code: CodeType) -> list[str]:
    """Globals that a function's code reads, those of nested functions too."""
    names = {
        str(step.argval): None
        for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL")
    }
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names.update(dict.fromkeys(_global_names(constant)))
    return list(names)


def _class_parts(value: type) -> Iterator[tuple[str, Any]]:
    for name, item in list(vars(value).items()):
        if name in ("__dict__", "__weakref__", "__module__", "__doc__"):
            continue
        if isinstance(item, (staticmethod, classmethod)):
            item = item.__func__
        elif isinstance(item, property):
            item = (item.fget, item.fset, item.fdel)
        yield f".{name}", item


def _is_frame(value: Any) -> bool:
    """Whether a value is of pandas, with columns or without; imports nothing."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series))


def _frame_parts(value: Any) -> Iterator[tuple[str, Any]]:
    columns = (
        [(f"[{_short(name)}]", column) for name, column in value.items()]
        if hasattr(value, "columns")
        else [("", value)]
    )
    for step, column in columns:
        if column.dtype == object:
            for index, item in enumerate(column.to_numpy()):
                yield f"{step}.iloc[{index}]", item
    yield ".attrs", value.attrs


def _is_object_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return (
        numpy is not None and isinstance(value, numpy.ndarray) and value.dtype.hasobject
    )


def _reduced_parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What ``__reduce_ex__`` gives of an object: state, items, arguments."""
    try:
        reduced = value.__reduce_ex__(5)
    except Exception:  # the object's own: nothing goes on from here
        return
    if not isinstance(reduced, tuple) or len(reduced) < 2:
        return
    function, args, state, items, pairs = (*reduced, None, None, None, None)[:5]
    yield from _state_parts(value, state)
    for index, item in enumerate(items or ()):
        yield f"[{index}]", item
    for key, item in pairs or ():
        yield f"[{_short(key)}]", item
    whose = _reducer(value)
    for index, item in enumerate(args):
        if item is not type(value):
            yield _argument_step(value, item, index, whose), item
    if (function.__module__, getattr(function, "__name__", "")) != _COPYREG:
        yield f"what {whose} calls", function


def _reducer(value: Any) -> str:
    """Name of the method that says how an object is pickled."""
    kind = type(value)
    for name in ("__getnewargs_ex__", "__getnewargs__", "__reduce_ex__", "__reduce__"):
        found = getattr(kind, name, None)
        if found is not None and found is not getattr(object, name, None):
            return f"{name}()"
    return "__reduce_ex__()"


def _argument_step(value: Any, item: Any, index: int, whose: str) -> str:
    """The attribute that an argument of the constructor is, else its number."""
    for name, held in getattr(value, "__dict__", {}).items():
        if held is item:
            return f".{name}"
    return f".{whose}[{index}]"


def _state_parts(value: Any, state: Any) -> Iterator[tuple[str, Any]]:
    """Parts of a state: attributes and slots, or whatever ``__getstate__`` gives."""
    own = getattr(type(value), "__getstate__", None)
    given = own is not None and own is not getattr(object, "__getstate__", None)
    if state is None:
        return
    if isinstance(state, tuple) and len(state) == 2 and not given:
        # (__dict__, slots): see copyreg and object.__getstate__.
        for each in state:
            if isinstance(each, dict):
                yield from ((f".{name}", item) for name, item in each.items())
        return
    if not isinstance(state, dict):
        yield ".__getstate__()" if given else ".__reduce__()[2]", state
        return
    for name, item in state.items():
        held = getattr(value, "__dict__", {}).get(name, _MISSING)
        if not given or held is item:
            yield f".{name}", item
        else:
            yield f".__getstate__()[{_short(name)}]", item


_MISSING = object()


def _short(value: Any) -> str:
    return safe_repr(value, 60)


def in_one_line(error: Exception) -> str:
    """The message of an error, in one line."""
    return " ".join(safe_str(error, 200).split()) or type(error).__name__
