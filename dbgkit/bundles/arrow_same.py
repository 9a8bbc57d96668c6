"""Whether two tables of pandas are the same: more strictly than pandas compares them.

Types and dtypes count, and each bit: -0.0 is not 0.0, and None is not NaN.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from dbgkit.bundles.values_json import text_of


def same_table(one: Any, other: Any) -> bool:
    """Whether two frames, series or indexes are the same."""
    import pandas

    if type(one) is not type(other):
        return False
    if isinstance(one, pandas.Index):
        return same_index(one, other)
    if not same_index(one.index, other.index) or not _same_notes(one, other):
        return False
    if isinstance(one, pandas.Series):
        return _same_name(one.name, other.name) and same_values(one.array, other.array)
    if one.shape != other.shape or not same_index(one.columns, other.columns):
        return False
    return all(
        same_values(one.iloc[:, position].array, other.iloc[:, position].array)
        for position in range(one.shape[1])
    )


def _same_notes(one: Any, other: Any) -> bool:
    allows = [each.flags.allows_duplicate_labels for each in (one, other)]
    return allows[0] == allows[1] and _same_name(dict(one.attrs), dict(other.attrs))


def _same_name(one: Any, other: Any) -> bool:
    text = text_of(one)
    return text is not None and text == text_of(other)


def same_index(one: Any, other: Any) -> bool:
    """Whether two indexes are the same, frequency and names included."""
    import pandas

    if type(one) is not type(other) or len(one) != len(other):
        return False
    if not all(map(_same_name, one.names, other.names)):
        return False
    if isinstance(one, pandas.RangeIndex):
        return (one.start, one.stop, one.step) == (other.start, other.stop, other.step)
    if isinstance(one, pandas.MultiIndex):
        if one.sortorder != other.sortorder or one.nlevels != other.nlevels:
            return False
        return all(map(same_index, one.levels, other.levels)) and all(
            map(same_values, one.codes, other.codes)
        )
    if getattr(one, "freq", None) != getattr(other, "freq", None):
        return False
    return same_values(one.array, other.array)


def same_values(one: Any, other: Any) -> bool:
    """Whether two columns are the same."""
    import numpy
    import pandas

    one, other = plain(one), plain(other)
    dtype = one.dtype
    if dtype != other.dtype or type(dtype) is not type(other.dtype):
        return False
    if len(one) != len(other):
        return False
    if isinstance(dtype, numpy.dtype):
        return _same_numbers(numpy.asarray(one), numpy.asarray(other))
    if type(one) is not type(other):
        return False
    if type(dtype) in (pandas.DatetimeTZDtype, pandas.PeriodDtype):
        zones = [type(getattr(each.dtype, "tz", None)) for each in (one, other)]
        return zones[0] is zones[1] and _same_numbers(one.view("i8"), other.view("i8"))
    if isinstance(one, pandas.Categorical):
        return (
            one.ordered == other.ordered
            and same_index(one.categories, other.categories)
            and _same_numbers(one.codes, other.codes)
        )
    if isinstance(one, pandas.arrays.IntervalArray):
        return (
            one.closed == other.closed
            and same_index(one.left, other.left)
            and same_index(one.right, other.right)
        )
    return _same_objects(one, other)


def plain(array: Any) -> Any:
    """A column's values: numpy's own array where pandas only wraps one."""
    import pandas

    wrapped = type(array) is pandas.arrays.NumpyExtensionArray
    return array.to_numpy() if wrapped else array


def _same_numbers(one: Any, other: Any) -> bool:
    if one.dtype == object:
        return _same_objects(one, other)
    return bool(one.dtype.str == other.dtype.str and one.tobytes() == other.tobytes())


def _same_objects(one: Any, other: Any) -> bool:
    missing = object()
    for mine, its in zip(chain(one, [missing]), chain(other, [missing]), strict=True):
        if mine is its:
            continue
        # A text keeps apart what is equal: 0.0 and -0.0, and equals what is not: nan.
        if type(mine) is not type(its) or repr(mine) != repr(its):
            return False
    return True
