"""A fresh copy of a value for each run, at the least cost that is safe."""

from __future__ import annotations

import datetime
import decimal
import sys
from collections.abc import Callable
from typing import Any

_PLAIN: tuple[type, ...] = (
    *(str, bytes, int, float, complex, bool, type(None), range, slice),
    *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta),
    decimal.Decimal,
)


class Copies:
    """Copies values so that a task may change them in place.

    What is in the cells of a frame, or in a list, is copied too, unless it is of types
    that cannot change; which those are is looked up once for each input, as its parts
    hold nothing else. ``pickled`` copies anything.
    """

    def __init__(self, pickled: Callable[[Any], Any]) -> None:
        self._pickled = pickled
        self._plain: dict[Any, bool] = {}

    def know(self, name: Any, value: Any) -> None:
        """Look at an input before any part of it is copied."""
        self._plain[name] = _holds_plain(value)

    def fresh(self, name: Any, value: Any) -> Any:
        """A copy of an input, or of a part of it."""
        if type(value) in _PLAIN:
            return value
        if not self._plain.get(name, False):
            return self._pickled(value)
        if type(value) in (list, dict, set):
            return value.copy()
        if type(value) in (tuple, frozenset):
            return value
        return value.copy()


def _holds_plain(value: Any) -> bool:
    """Whether what a value holds cannot change, so that the outermost is copied."""
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind in (list, tuple, set, frozenset):
        return _all_plain(value)
    if kind is dict:
        return _all_plain(value) and _all_plain(value.values())
    pandas, numpy = sys.modules.get("pandas"), sys.modules.get("numpy")
    if pandas is not None and kind in (pandas.DataFrame, pandas.Series):
        return _plain_cells(value) and not value.attrs
    return numpy is not None and kind is numpy.ndarray and not value.dtype.hasobject


def _all_plain(values: Any) -> bool:
    return all(kind in _PLAIN or _is_scalar(kind) for kind in set(map(type, values)))


def _is_scalar(kind: type) -> bool:
    """Whether a type is one of numpy's or pandas' that cannot change."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and issubclass(kind, numpy.generic):
        return kind is not numpy.void  # a record, whose fields can be set
    if pandas is None:
        return False
    known = (pandas.Timestamp, pandas.Timedelta, type(pandas.NaT), type(pandas.NA))
    return any(kind is each for each in known)


def _plain_cells(value: Any) -> bool:
    """Whether no cell of a frame or a series can change.

    A copy of its columns shares what is in cells of dtype object. What other libraries
    keep in columns of their own is not known here.
    """
    columns = [value] if value.ndim == 1 else [value.iloc[:, i] for i in _over(value)]
    homes = {type(column.dtype).__module__.split(".")[0] for column in columns}
    if not homes <= {"numpy", "pandas"}:
        return False
    cells = (column.to_numpy() for column in columns if column.dtype == object)
    return all(map(_all_plain, cells))


def _over(value: Any) -> range:
    return range(value.shape[1])
