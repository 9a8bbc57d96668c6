"""What comes along whole is equal to what it was, in all that can be asked of it."""

from __future__ import annotations

import msgpack
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal, assert_series_equal

from dbgkit.model.kept import restore
from dbgkit.remote.values.keep import NOT_KEPT, keep

DAYS = pd.date_range("2020-01-01", periods=2, freq="D")


def sent(value):
    """What a value is after it was kept, sent and made again."""
    kept = keep(value, 4_096)
    assert kept is not NOT_KEPT
    return restore(msgpack.unpackb(msgpack.packb(kept), strict_map_key=False))


def frame(index=None, columns=None):
    return pd.DataFrame([[1, 2.5], [3, 4.5]], index=index, columns=columns)


@pytest.mark.parametrize(
    "value",
    [
        frame(index=pd.RangeIndex(2, name="id")),
        frame(index=pd.Index([5, 7], name="range", dtype="int32")),
        frame(index=DAYS),
        frame(index=pd.DatetimeIndex(list(DAYS))),
        frame(columns=pd.Index(["a", "b"], name="kind")),
        frame(columns=pd.RangeIndex(2, name="kind")),
        frame(columns=pd.Index(["a", "b"], dtype=object)),
        frame(columns=pd.Index([1, 2], dtype="int32")),
        frame(index=[1, 1], columns=["a", "a"]),
        pd.DataFrame(),
        pd.DataFrame(index=[1, 2]),
    ],
)
def test_a_frame_has_its_index_and_columns(value):
    found = sent(value)
    assert_frame_equal(found, value, check_column_type="exact", check_freq=True)
    for one, other in ((found.index, value.index), (found.columns, value.columns)):
        assert type(one) is type(other)
        assert one.identical(other)


@pytest.mark.parametrize("storage", ["python", "pyarrow"])
def test_a_series_of_texts_has_its_storage(storage):
    if storage == "pyarrow":
        pytest.importorskip("pyarrow")
    value = pd.Series(["a", "b"], dtype=f"string[{storage}]", name="x")
    found = sent(value)
    assert_series_equal(found, value)
    assert found.dtype.storage == storage


def with_attributes(value):
    value.attrs["unit"] = "m"
    return value


@pytest.mark.parametrize(
    "value",
    [
        with_attributes(frame()),
        with_attributes(pd.Series([1])),
        frame().set_flags(allows_duplicate_labels=False),
        frame(index=DAYS + pd.offsets.BDay(0)).asfreq(pd.offsets.CDay()),
        frame(
            columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["x", "y"])
        ),
        frame(columns=pd.CategoricalIndex(["a", "b"])),
        frame(columns=pd.Index([1, 2], dtype="Int64")),
        np.longlong(5) if np.dtype("q").type is not np.dtype("i8").type else object(),
    ],
    ids=repr,
)
def test_what_would_not_be_equal_is_not_whole(value):
    assert keep(value, 4_096) is NOT_KEPT


def test_an_array_that_was_locked_is_so_again():
    value = np.arange(3)
    assert sent(value).flags.writeable
    value.flags.writeable = False
    assert not sent(value).flags.writeable


def test_an_array_has_its_order_in_memory():
    found = sent(np.asfortranarray(np.arange(6).reshape(2, 3)))
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found.flags.f_contiguous


def test_a_frame_can_be_written_to():
    found = sent(frame(columns=["a", "b"]))
    found.loc[0, "a"] = 9
    assert found["a"].tolist() == [9, 3]
