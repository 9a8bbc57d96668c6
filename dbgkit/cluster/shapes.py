"""Shapes of answers: what has to be where, checked in one go before anything is read.

A shape is a function that takes a value and raises `Misfit` if it is another one than
was agreed. They are put together once, out of plain functions, as thousands of rows go
through them.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from numbers import Integral, Real
from operator import itemgetter
from typing import Any

Shape = Callable[[Any], None]

DEEPEST = 20  # tuples within one another, of a key
LARGEST = 2**64  # of a count; what is larger nobody has counted
LATEST = 2e11  # seconds since 1970: what any system's calendar knows


class Misfit(Exception):
    """A value is not what was agreed.

    Attributes
    ----------
    why : str
        ``is 'x', no text``; ``is missing``.
    path : list
        Where it stands: names of fields and positions, the outermost first.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.path: list[Any] = []

    def __str__(self) -> str:
        return f"{self.place} {self.why}"

    @property
    def place(self) -> str:
        """``groups[0].count``"""
        found = ""
        for name in self.path:
            found += f".{name}" if type(name) is str else f"[{name!r}]"
        return found.removeprefix(".") or "it"

    def within(self, name: Any) -> Misfit:
        """The same, seen from outside."""
        self.path.insert(0, name)
        return self


def fits(shape: Shape, value: Any) -> bool:
    """Whether a value has a shape."""
    try:
        shape(value)
    except Misfit:
        return False
    return True


def _other(value: Any, wanted: str) -> Misfit:
    return Misfit(f"is {reprlib.repr(value)}, no {wanted}")


# -- single values -------------------------------------------------------------


def anything(value: Any) -> None:
    """What whoever reads it takes as it comes."""


def text(value: Any) -> None:
    if not isinstance(value, str):
        raise _other(value, "text")


def data(value: Any) -> None:
    if not isinstance(value, (bytes, bytearray)):
        raise _other(value, "bytes")


def flag(value: Any) -> None:
    if value is not True and value is not False:
        raise _other(value, "truth value")


def whole(value: Any) -> None:
    """A whole number, of either sign; numpy's too, which are there within a process."""
    if type(value) is not int and (type(value) is bool or not _is(value, Integral)):
        raise _other(value, "whole number")
    if not -LARGEST < value < LARGEST:
        raise _other(value, "whole number of any use")


def count(value: Any) -> None:
    whole(value)
    if value < 0:
        raise _other(value, "count")


def number(value: Any) -> None:
    """A number that is finite, and that somebody may have measured."""
    real(value)
    if not (math.isfinite(value) and -LARGEST < value < LARGEST):
        raise _other(value, "number of any use")


def real(value: Any) -> None:
    """Any number: an amount of a resource may be infinite."""
    if type(value) is not float and (type(value) is bool or not _is(value, Real)):
        raise _other(value, "number")


def _is(value: Any, kind: type) -> bool:
    """`isinstance`, of which mypy draws no conclusion."""
    return isinstance(value, kind)


def moment(value: Any) -> None:
    """Seconds since 1970."""
    real(value)
    if not 0 <= value < LATEST:
        raise _other(value, "time")


def key(value: Any) -> None:
    """A task's key, of which Dask itself can make a name; None where there is none."""
    if type(value) is str:
        return
    asked(value)
    if isinstance(value, bytes):
        try:
            value.decode()  # as dask.utils.key_split does
        except UnicodeDecodeError:
            raise _other(value, "key") from None
    elif isinstance(value, tuple):
        if not value:
            raise _other(value, "key")
        key(value[0])


def asked(value: Any) -> None:
    """What somebody has asked for as a key: it need not be one."""
    _hashable(value, DEEPEST)


def _hashable(value: Any, deepest: int) -> None:
    if isinstance(value, tuple):
        if not deepest:
            raise Misfit("has more tuples within one another than any key")
        for part in value:
            _hashable(part, deepest - 1)
        return
    try:
        hash(value)
    except TypeError:
        raise _other(value, "key") from None


def scalar(value: Any) -> None:
    """What a configuration has."""
    if not isinstance(value, (str, int, float, type(None))):
        raise _other(value, "text or number")


# -- what has parts ------------------------------------------------------------


def maybe(shape: Shape) -> Shape:
    """It, or None."""

    def check(value: Any) -> None:
        if value is not None:
            shape(value)

    return check


def each(shape: Shape, least: int = 0) -> Shape:
    """A list, of ``least`` parts at the least; messages make tuples of lists."""

    def check(value: Any) -> None:
        if not isinstance(value, (list, tuple)):
            raise _other(value, "list")
        if len(value) < least:
            raise _other(value, f"list of {least} or more")
        for at, part in enumerate(value):
            try:
                shape(part)
            except Misfit as misfit:
                raise misfit.within(at) from None

    return check


def row(*shapes: Shape) -> Shape:
    """A list of so many parts, each of a shape of its own."""

    def check(value: Any) -> None:
        if not isinstance(value, (list, tuple)) or len(value) != len(shapes):
            raise _other(value, f"list of {len(shapes)}")
        for at, (shape, part) in enumerate(zip(shapes, value, strict=True)):
            try:
                shape(part)
            except Misfit as misfit:
                raise misfit.within(at) from None

    return check


def table(shape: Shape, names: Shape = text) -> Shape:
    """A mapping of any names to one shape."""

    def check(value: Any) -> None:
        if not isinstance(value, Mapping):
            raise _other(value, "mapping")
        for name, part in value.items():
            try:
                names(name)
                shape(part)
            except Misfit as misfit:
                raise misfit.within(name) from None

    return check


def record(
    fields: Mapping[str, Shape],
    optional: Mapping[str, Shape] | None = None,
    agree: Callable[[Any], str] | None = None,
) -> Shape:
    """A mapping with these fields; what else it has is of no concern.

    Parameters
    ----------
    fields : mapping
    optional : mapping, optional
        Those that may be missing.
    agree : callable, optional
        Given the mapping, tells what of its fields cannot be together; or nothing.
    """
    wanted = tuple(fields.items())
    others = tuple((optional or {}).items())

    def check(value: Any) -> None:
        if not isinstance(value, Mapping):
            raise _other(value, "mapping")
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


texts = each(text)
maybe_number = maybe(number)


def rows(fields: Mapping[str, Shape]) -> Shape:
    """A list of records, looked at field by field, as there may be thousands.

    Where that finds something odd, each row is looked at, so that it is told which.
    """
    one_by_one = each(record(fields))
    columns = [(itemgetter(name), _AT_ONCE[shape]) for name, shape in fields.items()]

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
        # The sum of what is no number is none.
        not found or (math.isfinite(sum(found)) and _are_near(found))
    )


def _are_near(values: list[Any]) -> bool:
    return bool(min(values) > -LARGEST and max(values) < LARGEST)


def _are_keys(values: list[Any]) -> bool:
    return all(fits(key, value) for value in values if type(value) is not str)


# Whether all of many values have a shape; False where it takes a closer look.
_AT_ONCE: dict[Shape, Callable[[list[Any]], bool]] = {
    text: lambda values: _types(values) <= {str},
    texts: lambda values: (
        _types(values) <= {list, tuple} and _types(chain.from_iterable(values)) <= {str}
    ),
    count: _are_counts,
    maybe_number: _are_numbers,
    key: _are_keys,
}


def one_of(names: Sequence[str]) -> Shape:
    """One of some texts."""

    def check(value: Any) -> None:
        text(value)
        if value not in names:
            raise _other(value, f"one of {', '.join(map(repr, names))}")

    return check


def by(name: str, shapes: Mapping[str, Shape], rest: Shape | None = None) -> Shape:
    """A mapping whose shape is told by the text of one of its fields."""
    field = record({name: text})

    def check(value: Any) -> None:
        field(value)
        shape = shapes.get(value[name], rest)
        if shape is None:
            raise _other(value[name], f"{name} that is known").within(name)
        shape(value)

    return check


def either(name: str, there: Shape, missing: Shape) -> Shape:
    """A mapping of one shape if it has some field, else of another."""

    def check(value: Any) -> None:
        (there if isinstance(value, Mapping) and name in value else missing)(value)

    return check
