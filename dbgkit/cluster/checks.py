"""Checks of single values: text, number, key; and what does not fit."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from distributed.protocol import Serialize
from distributed.protocol.serialize import ToPickle

DEEPEST = 20  # tuples within one another, of a key
LARGEST = 2**64  # of a count; what is larger nobody has counted
LATEST = 2e11  # seconds since 1970: what any system's calendar knows


class Misfit(Exception):
    """A value is not what was agreed.

    `why` reads ``is 'x', not text`` or ``is missing``; `path` says where it stands:
    names of fields and positions, the outermost first.
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


def unlike(value: Any, wanted: str) -> Misfit:
    """The misfit of a value that is not what was wanted."""
    return Misfit(f"is {reprlib.repr(value)}, not {wanted}")


def anything(value: Any) -> None:
    """Accepts anything: whoever reads it takes it as it is."""


def text(value: Any) -> None:
    if not isinstance(value, str):
        raise unlike(value, "text")


def data(value: Any) -> None:
    if not isinstance(value, (bytes, bytearray)):
        raise unlike(value, "bytes")


def flag(value: Any) -> None:
    if value is not True and value is not False:
        raise unlike(value, "a truth value")


def whole(value: Any) -> None:
    """A whole number, of either sign; numpy's too, which are there within a process."""
    if type(value) is not int and (type(value) is bool or not _is(value, Integral)):
        raise unlike(value, "a whole number")
    if not -LARGEST < value < LARGEST:
        raise unlike(value, "a whole number in range")


def count(value: Any) -> None:
    whole(value)
    if value < 0:
        raise unlike(value, "a count")


def number(value: Any) -> None:
    """A finite number of a plausible size."""
    real(value)
    if not (math.isfinite(value) and -LARGEST < value < LARGEST):
        raise unlike(value, "a number in range")


def real(value: Any) -> None:
    """Any number: an amount of a resource may be infinite."""
    if type(value) is not float and (type(value) is bool or not _is(value, Real)):
        raise unlike(value, "a number")


def _is(value: Any, kind: type) -> bool:
    """`isinstance`, of which mypy draws no conclusion."""
    return isinstance(value, kind)


def moment(value: Any) -> None:
    """Seconds since 1970."""
    real(value)
    if not 0 <= value < LATEST:
        raise unlike(value, "a time")


def key(value: Any) -> None:
    """A task's key, of which Dask itself can make a name; None if there is none."""
    if type(value) is str:
        return
    asked(value)
    if isinstance(value, bytes):
        try:
            value.decode()  # as dask.utils.key_split does
        except UnicodeDecodeError:
            raise unlike(value, "a key") from None
    elif isinstance(value, tuple):
        if not value:
            raise unlike(value, "a key")
        key(value[0])


def asked(value: Any) -> None:
    """What somebody has asked for as a key: it need not be one."""
    _hashable(value, DEEPEST)


def _hashable(value: Any, deepest: int) -> None:
    if isinstance(value, tuple):
        if not deepest:
            raise Misfit("has tuples nested deeper than in any key")
        for part in value:
            _hashable(part, deepest - 1)
        return
    try:
        hash(value)
    except TypeError:
        raise unlike(value, "a key") from None


def packed_key(value: Any) -> None:
    """A key, or its bytes, as they were written."""
    if not isinstance(value, bytes):
        key(value)


def scalar(value: Any) -> None:
    """What a configuration has."""
    if not isinstance(value, (str, int, float, type(None))):
        raise unlike(value, "text or a number")


def mapping(value: Any) -> None:
    if not isinstance(value, Mapping):
        raise unlike(value, "a mapping")


def exception(value: Any) -> None:
    """What ``distributed.core.clean_exception`` makes an exception of."""
    if not isinstance(value, (bytes, str, BaseException, Serialize, ToPickle)):
        raise unlike(value, "an exception")
