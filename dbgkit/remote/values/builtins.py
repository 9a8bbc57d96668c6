"""Tellers of the standard library's classes; importing this registers them.

As in ``walk``, nothing of the user's own is called.
"""

from __future__ import annotations

import array
import datetime
import decimal
import fractions
import functools
import pathlib
import re
import types
import uuid
from typing import Any

from ..common.objects import class_name, slots, stored, type_name
from .walk import Walker, tell_object, tellers, tells

__all__ = ["Walker"]  # with all tellers


@tells(range, leaf=True)
def _tell_range(walker: Walker, value: range) -> str:
    return repr(value)


@tells(slice)
def _tell_slice(walker: Walker, value: slice) -> str:
    return f"slice({walker.items((value.start, value.stop, value.step), 3)})"


@tells(datetime.date, datetime.timedelta, decimal.Decimal, uuid.UUID, leaf=True)
def _tell_as_text(walker: Walker, value: Any) -> str:
    """Small things of the standard library; a subclass of one is just an object."""
    if id(type(value)) not in tellers:
        return tell_object(walker, value)
    text = str(value)
    walker.cut |= len(text) > walker.budget.string
    return text[: walker.budget.string]


@tells(fractions.Fraction, leaf=True)
def _tell_fraction(walker: Walker, value: fractions.Fraction) -> str:
    parts = [stored(value, name) for name in ("_numerator", "_denominator")]
    if type(value) is not fractions.Fraction or any(type(n) is not int for n in parts):
        return tell_object(walker, value)
    return "/".join(walker.tell(part) for part in parts)


@tells(
    pathlib.PosixPath,
    pathlib.WindowsPath,
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
    leaf=True,
)
def _tell_path(walker: Walker, value: pathlib.PurePath) -> str:
    """A path, unless it is made of texts of the user's own class."""
    for _, part in slots(value, 20):
        texts = part if type(part) is list or type(part) is tuple else [part]
        if any(issubclass(type(t), str) and type(t) is not str for t in texts):
            return tell_object(walker, value)
    if id(type(value)) not in tellers:
        return tell_object(walker, value)
    return walker.cut_to(str(value), walker.budget.string)[0]


@tells(datetime.datetime, datetime.time, leaf=True)
def _tell_datetime(walker: Walker, value: Any) -> str:
    if not (type(value) is datetime.datetime or type(value) is datetime.time):
        return tell_object(walker, value)
    # A time zone may be the user's own class: named, not asked.
    zone = value.tzinfo
    if zone is None or type(zone) is datetime.timezone:
        return str(value)
    return f"{value.replace(tzinfo=None)} ({type_name(type(zone))})"


@tells(type, leaf=True)
def _tell_class(walker: Walker, value: type) -> str:
    return f"<class {type_name(value)}>"


@tells(types.FunctionType, leaf=True)
def _tell_function(walker: Walker, value: types.FunctionType) -> str:
    name = types.FunctionType.__dict__["__qualname__"].__get__(value)
    return f"<function {name[:100]}>"


@tells(types.BuiltinFunctionType, leaf=True)
def _tell_builtin(walker: Walker, value: types.BuiltinFunctionType) -> str:
    return f"<builtin {types.BuiltinFunctionType.__dict__['__name__'].__get__(value)}>"


@tells(types.MethodType)
def _tell_method(walker: Walker, value: types.MethodType) -> str:
    function = types.MethodType.__dict__["__func__"].__get__(value)
    owner = types.MethodType.__dict__["__self__"].__get__(value)
    return f"<method of {type_name(type(owner))}: {walker.tell(function)}>"


@tells(functools.partial)
def _tell_partial(walker: Walker, value: functools.partial[Any]) -> str:
    base = functools.partial.__dict__
    inner = walker.tell(base["func"].__get__(value))
    args = walker.tell(base["args"].__get__(value))
    keywords = base["keywords"].__get__(value)
    more = f" and {walker.tell(keywords)}" if keywords else ""
    return f"<partial of {inner} with {args}{more}>"


@tells(types.ModuleType)
def _tell_module(walker: Walker, value: types.ModuleType) -> str:
    # A descriptor, which typeshed takes for the namespace itself.
    descriptor: Any = vars(types.ModuleType)["__dict__"]
    name = descriptor.__get__(value).get("__name__")
    return f"<module {name[:100] if type(name) is str else '?'}>"


@tells(BaseException)
def _tell_exception(walker: Walker, value: BaseException) -> str:
    args = BaseException.__dict__["args"].__get__(value)
    text = walker.items(tuple.__iter__(args), tuple.__len__(args))
    return f"{class_name(type(value))}({text})"


@tells(array.array)
def _tell_typed(walker: Walker, value: array.array[Any]) -> str:
    first = array.array.__getitem__(value, slice(0, walker.budget.items))
    items = walker.items(array.array.__iter__(first), array.array.__len__(value))
    return f"array({array.array.typecode.__get__(value)!r}, [{items}])"


@tells(memoryview)
def _tell_memory(walker: Walker, value: memoryview) -> str:
    return f"<memoryview of {value.nbytes:,} bytes>"  # of what, a file perhaps


@tells(types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)
def _tell_suspended(walker: Walker, value: Any) -> str:
    kind = type(value)
    return f"<{class_name(kind)} {kind.__dict__['__qualname__'].__get__(value)[:100]}>"


@tells(re.Pattern)
def _tell_pattern(walker: Walker, value: re.Pattern[Any]) -> str:
    return f"<pattern {walker.tell(value.pattern)}>"
