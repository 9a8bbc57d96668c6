"""Checks of what arrives, made from the types in ``dbgkit.remote.common.wire``.

A shape is a function that takes a value and raises `Misfit` if it is not of a type.
Shapes are made on first use, once, out of plain functions, as thousands of rows go
through them.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache, reduce
from itertools import chain
from operator import itemgetter, or_
from typing import (
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from dbgkit.cluster import checks
from dbgkit.cluster.checks import LARGEST, Misfit, mapping, text, unlike
from dbgkit.remote.common.wire import Count, Key, Number, Size

Shape = Callable[[Any], None]
# Says which of a mapping's fields contradict each other; or nothing.
Agreement = Callable[[Any], str]


def fits(kind: Any, value: Any) -> bool:
    """Whether a value is of a type."""
    try:
        shape_of(kind)(value)
    except Misfit:
        return False
    return True


_AGREEMENTS: dict[str, Agreement] = {}


def agrees(name: str) -> Callable[[Agreement], Agreement]:
    """Declare a condition on several fields of a `TypedDict`: ``"wire_tasks.Held"``."""

    def note(agreement: Agreement) -> Agreement:
        _AGREEMENTS[name] = agreement
        return agreement

    return note


def _named(kind: Any) -> str:
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"


@cache
def shape_of(kind: Any) -> Shape:
    """The check of a type."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        kind, *named = args
        if "some" in named:
            return _each(get_args(kind)[0], least=1)
        return _NAMED[named[0]]
    if is_typeddict(kind):
        return _record(kind)
    if origin in (Union, types.UnionType):
        return _union(args)
    if origin in (list, Sequence):
        return _each(args[0])
    if origin is tuple:
        return _row(args)
    if origin is dict:
        return _table(*map(shape_of, args))
    if origin is Literal:
        return _one_of(args)
    return _PLAIN[kind]


# -- what has parts ------------------------------------------------------------


def _maybe(shape: Shape) -> Shape:
    def check(value: Any) -> None:
        if value is not None:
            shape(value)

    return check


def _each(kind: Any, least: int = 0) -> Shape:
    """A list of at least so many parts; in messages, lists become tuples."""
    return (not least and _rows(kind)) or _list_of(shape_of(kind), least)


def _list_of(shape: Shape, least: int = 0) -> Shape:
    def check(value: Any) -> None:
        if not isinstance(value, (list, tuple)):
            raise unlike(value, "a list")
        if len(value) < least:
            raise unlike(value, f"a list of at least {least}")
        for at, part in enumerate(value):
            try:
                shape(part)
            except Misfit as misfit:
                raise misfit.within(at) from None

    return check


def _row(kinds: Sequence[Any]) -> Shape:
    """A list of so many parts, each with its own type."""
    shapes = tuple(map(shape_of, kinds))

    def check(value: Any) -> None:
        if not isinstance(value, (list, tuple)) or len(value) != len(shapes):
            raise unlike(value, f"a list of {len(shapes)}")
        for at, (shape, part) in enumerate(zip(shapes, value, strict=True)):
            try:
                shape(part)
            except Misfit as misfit:
                raise misfit.within(at) from None

    return check


def _table(names: Shape, shape: Shape) -> Shape:
    """A mapping of any names to one shape."""

    def check(value: Any) -> None:
        mapping(value)
        for name, part in value.items():
            try:
                names(name)
                shape(part)
            except Misfit as misfit:
                raise misfit.within(name) from None

    return check


def _fields(kind: Any) -> dict[str, Any]:
    """Types of the fields of a `TypedDict`."""
    return get_type_hints(kind, include_extras=True)


def _record(kind: Any) -> Shape:
    """A mapping with some fields; any others are ignored."""
    shapes = [(name, shape_of(each)) for name, each in _fields(kind).items()]
    wanted = [each for each in shapes if each[0] in kind.__required_keys__]
    others = [each for each in shapes if each not in wanted]
    agree = _AGREEMENTS.get(_named(kind))

    def check(value: Any) -> None:
        mapping(value)
        name = ""
        try:
            for name, shape in wanted:
                shape(value[name])
            for name, shape in others:
                if name in value:
                    shape(value[name])
        except KeyError:
            raise Misfit("is missing").within(name) from None
        except Misfit as misfit:
            raise misfit.within(name) from None
        if agree is not None and (why := agree(value)):
            raise Misfit(why)

    return check


def _rows(kind: Any) -> Shape | None:
    """A list of records, checked field by field, as there may be thousands.

    If that finds something odd, each row is checked, to say which one it is. None if
    some fields cannot be checked all at once.
    """
    if not is_typeddict(kind) or kind.__optional_keys__ or _named(kind) in _AGREEMENTS:
        return None
    fields = _fields(kind)
    if not all(each in _AT_ONCE for each in fields.values()):
        return None
    one_by_one = _list_of(shape_of(kind))
    columns = [(itemgetter(name), _AT_ONCE[each]) for name, each in fields.items()]

    def check(value: Any) -> None:
        if isinstance(value, (list, tuple)) and _types(value) <= {dict}:
            with suppress(KeyError):
                if all(fit(list(map(get, value))) for get, fit in columns):
                    return
        one_by_one(value)

    return check


def _types(values: Iterable[Any]) -> set[type]:
    return set(map(type, values))


def _are_counts(values: list[Any]) -> bool:
    return _types(values) <= {int} and (
        not values or (min(values) >= 0 and max(values) < LARGEST)
    )


def _are_numbers(values: list[Any]) -> bool:
    found = [value for value in values if value is not None]
    return _types(found) <= {int, float} and (
        # One NaN makes the sum NaN.
        not found or (math.isfinite(sum(found)) and _are_near(found))
    )


def _are_near(values: list[Any]) -> bool:
    return bool(min(values) > -LARGEST and max(values) < LARGEST)


def _are_keys(values: list[Any]) -> bool:
    return all(fits(Key, value) for value in values if type(value) is not str)


# Whether all of many values are of a type; False if each has to be checked.
_AT_ONCE: dict[Any, Callable[[list[Any]], bool]] = {
    str: lambda values: _types(values) <= {str},
    list[str]: lambda values: (
        _types(values) <= {list, tuple} and _types(chain.from_iterable(values)) <= {str}
    ),
    Count: _are_counts,
    Number | None: _are_numbers,
    Size | None: _are_numbers,
    Key: _are_keys,
}


def _one_of(names: Sequence[str]) -> Shape:
    """One of several texts."""

    def check(value: Any) -> None:
        text(value)
        if value not in names:
            raise unlike(value, f"one of {', '.join(map(repr, names))}")

    return check


def _union(kinds: tuple[Any, ...]) -> Shape:
    """A type or None; or one of several mappings.

    The text of a field says which one, where that is a `Literal`; else it is the first
    of two if it has that one's first field.
    """
    some = [kind for kind in kinds if kind is not type(None)]
    if len(some) < len(kinds):
        return _maybe(shape_of(reduce(or_, some)))
    for name, kind in _fields(some[0]).items():
        if get_origin(kind) is Literal:
            return _by(name, some)
    first, other = some
    return _either(next(iter(_fields(first))), shape_of(first), shape_of(other))


def _by(name: str, kinds: list[Any]) -> Shape:
    """A mapping whose type is given by the text of one of its fields."""
    shapes: dict[str, Shape] = {}
    rest = None
    for kind in kinds:
        of = _fields(kind)[name]
        if get_origin(of) is Literal:
            shapes.update(dict.fromkeys(get_args(of), shape_of(kind)))
        else:
            rest = shape_of(kind)

    def check(value: Any) -> None:
        mapping(value)
        try:
            text(value[name])
        except KeyError:
            raise Misfit("is missing").within(name) from None
        except Misfit as misfit:
            raise misfit.within(name) from None
        shape = shapes.get(value[name], rest)
        if shape is None:
            raise unlike(value[name], f"a known {name}").within(name)
        shape(value)

    return check


def _either(name: str, there: Shape, missing: Shape) -> Shape:
    """A mapping of one shape if it has some field, else of another."""

    def check(value: Any) -> None:
        (there if isinstance(value, Mapping) and name in value else missing)(value)

    return check


_PLAIN: dict[Any, Shape] = {
    Any: checks.anything,
    str: text,
    bytes: checks.data,
    bool: checks.flag,
    int: checks.whole,
    float: checks.real,
}
_NAMED: dict[str, Shape] = {
    "key": checks.key,
    "asked": checks.asked,
    "packed key": checks.packed_key,
    "count": checks.count,
    "number": checks.number,
    "moment": checks.moment,
    "scalar": checks.scalar,
    "mapping": mapping,
    "exception": checks.exception,
    # Mappings each of which is checked for itself, as it is read.
    "apart": _list_of(mapping),
}
