"""A value as an expression of Python, where it is small and comes out as it was."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import sys
import uuid
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from dbgkit.bundles.to_test_layout import Expression, quoted, text
from dbgkit.bundles.to_test_parts import Inner, NotLiteral, checked
from dbgkit.bundles.to_test_tables import of_pandas
from dbgkit.remote.common.frames import is_own
from dbgkit.replays.function_watch import Consumed

LONGEST = 2_500  # characters of a literal
_TEXT = 1_200  # of a text
_MOST = 400  # parts of one
_DEEPEST = 20
_PLAIN = (bool, int, type(None), type(...), type(NotImplemented))


class Literals:
    """Writes values as expressions, and says what these need.

    ``reference`` gives the expression of a function or a class, and sees to its import;
    ``need`` is told a line of import; ``reference_made`` gives the name of a function
    that makes an object of a class and its attributes.
    """

    def __init__(
        self,
        reference: Callable[[Any], str],
        need: Callable[[str], None],
        reference_made: Callable[[], str] = lambda: "restored",
    ) -> None:
        self._reference_made = reference_made
        self._reference = reference
        self._need = need
        self._left = _MOST

    def of(self, value: Any) -> Expression:
        """The expression of a value; raises `NotLiteral`."""
        self._left = _MOST
        imports: list[str] = []
        written = self._written(value, imports, 0)
        if len(written.flat) > LONGEST:
            raise NotLiteral("it is long")
        for line in imports:
            self._need(line)
        return written

    def _written(self, value: Any, imports: list[str], depth: int) -> Expression:
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            raise NotLiteral("it has many parts")
        kind = type(value)
        if kind in _PLAIN:
            if kind is int and value.bit_length() > 1_000:
                raise NotLiteral("it is long")
            return text(repr(value))
        if kind is str:
            if len(value) > _TEXT:
                raise NotLiteral("it is long")
            return text(quoted(value))
        if kind is bytes or kind is bytearray:
            if len(value) > LONGEST // 4:
                raise NotLiteral("it is long")
            return text(repr(value))
        if kind is float:
            return text(_of_float(value))
        if kind is complex:
            return text(f"complex({_of_float(value.real)}, {_of_float(value.imag)})")

        def write(part: Any) -> Expression:
            return self._written(part, imports, depth + 1)

        inner = Inner(write, imports)
        if kind in _CONTAINERS:
            return _CONTAINERS[kind](value, inner)
        if kind in _STANDARD:
            imports.append(f"import {kind.__module__.partition('.')[0]}")
            return text(_STANDARD[kind](value))
        if kind is type(pathlib.Path()):
            imports.append("from pathlib import Path")
            return text(f"Path({quoted(str(value))})")
        module = kind.__module__.partition(".")[0]
        if module == "numpy" and "numpy" in sys.modules:
            return _of_numpy(value, inner) or self._of_object(value, inner)
        if module == "pandas" and "pandas" in sys.modules:
            return of_pandas(value, inner)
        return self._of_object(value, inner)

    def _of_object(self, value: Any, inner: Inner) -> Expression:
        """A function or a class by its name; an object of the user's by its state."""
        kind = type(value)
        if isinstance(value, (type, FunctionType)) or is_builtin(value):
            return text(self._reference(value))
        if isinstance(value, enum.Enum):
            return text(f"{self._reference(kind)}[{quoted(value.name)}]")
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            return inner.call(self._reference(kind), (), zip(kind._fields, value))  # noqa: B905
        if dataclasses.is_dataclass(value) and is_plain_dataclass(value):
            pairs = [
                (f.name, getattr(value, f.name)) for f in dataclasses.fields(value)
            ]
            return inner.call(self._reference(kind), (), pairs)
        state = state_of(value)
        if state is None:
            raise NotLiteral(f"a {kind.__name__} has no literal")
        made = inner.call("restored", (), state.items())
        head = f"{self._reference_made()}({self._reference(kind)}"
        return Expression(head if not state else f"{head}, ", made.items, ")")


def _of_float(value: float) -> str:
    plain = value == value and abs(value) != float("inf")
    return repr(value) if plain else f'float("{value}")'


def _of_dict(value: dict[Any, Any], inner: Inner) -> Expression:
    items = tuple(
        inner.of(item).after(f"{inner.of(key).flat}: ") for key, item in value.items()
    )
    return Expression("{", items, "}")


def _of_set(value: Any, inner: Inner) -> Expression:
    name = type(value).__name__
    try:
        ordered = sorted(value)
    except TypeError:
        ordered = sorted(value, key=repr)
    if not ordered:
        return text(f"{name}()")
    written = inner.listed(ordered, "{", "}")
    if name == "set":
        return written
    return Expression(f"{name}({{", written.items, "})")


def _of_iterator(value: Any, inner: Inner) -> Expression:
    written = inner.listed(value.items)
    return Expression("iter([", written.items, "])")


def _of_slice(value: slice, inner: Inner) -> Expression:
    return inner.call("slice", (value.start, value.stop, value.step))


_CONTAINERS: dict[type, Callable[[Any, Inner], Expression]] = {
    list: lambda value, inner: inner.listed(value),
    tuple: lambda value, inner: Expression(
        "(", inner.listed(value).items, ")", comma=True
    ),
    dict: _of_dict,
    set: _of_set,
    frozenset: _of_set,
    slice: _of_slice,
    range: lambda value, inner: text(repr(value)),
    Consumed: _of_iterator,
}
# Whose repr is an expression, once their module is imported.
_STANDARD: dict[type, Callable[[Any], str]] = {
    **dict.fromkeys(
        (datetime.date, datetime.datetime, datetime.time, datetime.timedelta), repr
    ),
    datetime.timezone: repr,
    decimal.Decimal: lambda value: f"decimal.{value!r}",
    fractions.Fraction: lambda value: f"fractions.{value!r}",
    uuid.UUID: lambda value: f"uuid.{value!r}",
}


def is_builtin(value: Any) -> bool:
    """Whether it is a function of a module in C."""
    owner = getattr(value, "__self__", None)
    return isinstance(value, BuiltinFunctionType) and isinstance(owner, ModuleType)


def is_plain_dataclass(value: Any) -> bool:
    """Whether its constructor gives back each field as it is."""
    kind, fields = type(value), dataclasses.fields(value)
    state = dict(getattr(value, "__dict__", {}))
    return (
        all(each.init for each in fields)
        and not hasattr(kind, "__post_init__")
        and {*state} <= {each.name for each in fields}
        and is_users(kind)
    )


def state_of(value: Any) -> dict[str, Any] | None:
    """The attributes of an object of the user's own; None if it has more than these."""
    kind = type(value)
    own = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__slots__")
    bases = [base for base in kind.__mro__ if base is not object]
    if not is_users(kind) or any(name in vars(b) for b in bases for name in own):
        return None
    try:
        object.__new__(kind)
        state = dict(object.__getattribute__(value, "__dict__"))
    except (TypeError, AttributeError):  # it is a list, say, with more to it
        return None
    return state if all(map(str.isidentifier, state)) and "kind" not in state else None


def is_users(kind: type) -> bool:
    """Whether a class is the user's own, of a script or of a module."""
    home = sys.modules.get(kind.__module__)
    path = getattr(home, "__file__", None)
    if kind.__module__ in ("__main__", "__mp_main__") or home is None:
        return True
    return isinstance(path, str) and is_own(path)


def _of_numpy(value: Any, inner: Inner) -> Expression | None:
    """A number or a small array of NumPy, checked by comparing; None: another thing."""
    import numpy as np

    inner.need("import numpy as np")
    if isinstance(value, np.dtype):
        written = text(f"np.dtype({quoted(value.str)})")
    elif isinstance(value, (np.datetime64, np.timedelta64)):
        name = type(value).__name__
        unit = np.datetime_data(value.dtype)[0]
        plain = value.astype("int64") if name == "timedelta64" else str(value)
        written = inner.call(f"np.{name}", (_plain(plain), unit))
    elif isinstance(value, np.bool_):
        written = text(f"np.bool_({value!s})")
    elif isinstance(value, np.generic):
        written = inner.call(f"np.{type(value).__name__}", (value.item(),))
    elif type(value) is np.ndarray:
        written = _of_array(value, inner)
    elif isinstance(value, np.ufunc):
        return text(f"np.{value.__name__}")
    else:
        return None
    return checked(written, value, {"np": np})


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else int(value)


def _of_array(value: Any, inner: Inner) -> Expression:
    if value.size > _MOST or value.dtype.names or value.dtype.kind in "MmV":
        raise NotLiteral("an array of many, or of another kind")
    parts = inner.of(value.tolist())
    kind = text(f"dtype={quoted(str(value.dtype))}")
    if value.size == 0 and value.ndim > 1:
        return Expression(f"np.zeros({value.shape}, ", (kind,), ")")
    return Expression("np.array(", (parts, kind), ")")
