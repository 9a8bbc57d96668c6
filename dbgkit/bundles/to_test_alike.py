"""Is a value that was written and read back what it was? Types and order included."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

_DEEPEST = 50


def alike(one: Any, other: Any, depth: int = 0) -> bool:
    """Whether two values are the same in all that a task could see.

    False where that is not known.
    """
    kind = type(one)
    if type(other) is not kind or depth > _DEEPEST:
        return False
    if one is other:
        return True
    if kind in (float, complex):
        return repr(one) == repr(other)  # nan is nan, and -0.0 is not 0.0
    if kind in (list, tuple):
        return _all_alike(one, other, depth)
    if kind is dict:
        return _all_alike([*one], [*other], depth) and _all_alike(
            [*one.values()], [*other.values()], depth
        )
    module = kind.__module__.partition(".")[0]
    try:
        if module == "numpy":
            return _alike_of_numpy(one, other, depth)
        if module == "pandas":
            return _alike_of_pandas(one, other, depth)
        return bool(one == other)
    except Exception:  # the user's own __eq__, or a part that cannot be compared
        return False


def _all_alike(one: Sequence[Any], other: Sequence[Any], depth: int) -> bool:
    return len(one) == len(other) and all(
        alike(a, b, depth + 1) for a, b in zip(one, other, strict=True)
    )


def _alike_of_numpy(one: Any, other: Any, depth: int) -> bool:
    import numpy as np

    if not isinstance(one, (np.ndarray, np.generic)):
        return bool(one == other)
    if type(one) not in (np.ndarray,) and isinstance(one, np.ndarray):
        return False  # a masked array, a matrix, a subclass of the user's
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.hasobject:
        return _all_alike(one.ravel().tolist(), other.ravel().tolist(), depth)
    order = one.flags["F_CONTIGUOUS"] == other.flags["F_CONTIGUOUS"]
    return order and bool(one.tobytes() == other.tobytes())


def _alike_of_pandas(one: Any, other: Any, depth: int) -> bool:
    pd = sys.modules["pandas"]

    if one is pd.NaT or one is pd.NA:
        return one is other
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
        return (
            _same_index(one.index, other.index)
            and _same_index(one.columns, other.columns)
            and one.attrs == other.attrs
            and all(
                _same_cells(one.iloc[:, n], other.iloc[:, n], depth)
                for n in range(one.shape[1])
            )
        )
    if isinstance(one, pd.Series):
        pd.testing.assert_series_equal(one, other, check_exact=True)
        return (
            _same_index(one.index, other.index)
            and alike(one.name, other.name)
            and one.attrs == other.attrs
            and _same_cells(one, other, depth)
        )
    if isinstance(one, pd.Index):
        pd.testing.assert_index_equal(one, other, exact=True)
        return _same_index(one, other)
    if isinstance(one, pd.api.extensions.ExtensionArray):
        pd.testing.assert_extension_array_equal(one, other, check_exact=True)
        return True
    return bool(one == other)


def _same_index(one: Any, other: Any) -> bool:
    return (
        type(one) is type(other)
        and one.dtype == other.dtype
        and [*map(repr, one.names)] == [*map(repr, other.names)]
        and getattr(one, "freq", None) == getattr(other, "freq", None)
        and (one.dtype != object or _all_alike([*one], [*other], 0))
    )


def _same_cells(one: Any, other: Any, depth: int) -> bool:
    """Whether columns of objects hold the same; to pandas `1` and `True` do."""
    if one.dtype != other.dtype:
        return False
    if one.dtype != object:
        return True
    return _all_alike([*one], [*other], depth)
