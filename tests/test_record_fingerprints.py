"""Fingerprints: what differs is not *same*, what is the same is not *different*."""

from __future__ import annotations

import pickle

import hostile
import numpy as np
import pandas as pd
import pytest

from dbgkit.remote.values.fingerprints import compare, fingerprint

DAYS = pd.date_range("2020-01-01", periods=3)


def compared(one, other, seconds=5):
    return compare(fingerprint(one, seconds), fingerprint(other, seconds))


def series(index=None, dtype=None, **attributes):
    found = pd.Series(["a", "b", "a"], index=index, dtype=dtype)
    found.attrs.update(attributes)
    return found


def categories(names, ordered=False):
    return pd.CategoricalDtype(list(names), ordered=ordered)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (series(pd.RangeIndex(3, name="x")), series()),
        (series(pd.Index([4, 5, 6], name="x")), series([4, 5, 6])),
        (series(dtype=categories("ab")), series(dtype=categories("abc"))),
        (series(dtype=categories("ab")), series(dtype=categories("ab", ordered=True))),
        (
            pd.CategoricalIndex(["a"], dtype=categories("ab")),
            pd.CategoricalIndex(["a"], dtype=categories("ac")),
        ),
        (series(unit="m"), series()),
        (series(DAYS), series(pd.DatetimeIndex(list(DAYS)))),
        (
            series(pd.MultiIndex.from_product([[1, 2, 3], [1]], names=["a", "b"])),
            series(pd.MultiIndex.from_product([[1, 2, 3], [1]])),
        ),
        (
            pd.DataFrame([[1]], columns=pd.Index(["a"], name="x")),
            pd.DataFrame([[1]], columns=["a"]),
        ),
        (series().set_flags(allows_duplicate_labels=False), series()),
        ("é", b"\xc3\xa9"),
        (["ab", "c"], ["a", "bc"]),
    ],
)
def test_what_differs_is_told(one, other):
    assert compared(one, one) == "same"
    assert compared(one, other) == "different"


NUMBERS = np.arange(600_000.0).reshape(600, 1_000)


@pytest.mark.parametrize(
    "value", [NUMBERS.T, NUMBERS[:, ::2], NUMBERS[::-1], NUMBERS[::3]]
)
def test_an_array_is_the_same_however_it_lies_in_memory(value):
    assert compared(value, np.ascontiguousarray(value)) == "same"


@pytest.mark.parametrize("count", [1, 5])
def test_large_arrays_are_not_different_for_where_they_lie(count):
    values = [np.arange(3_600_000.0).reshape(1_800, 2_000)[:, ::2]] * count
    values.append(np.zeros(100))
    copies = pickle.loads(pickle.dumps(values))
    assert copies[0].flags.c_contiguous != values[0].flags.c_contiguous
    whole = count == 1
    assert compared(values, copies) == ("same" if whole else "unknown")
    copies[0][0, 0] = 7
    assert compared(values, copies) == "different"


def test_large_values_cost_little():
    many = pd.MultiIndex.from_product([range(1_000), range(1_000)])
    for value in (pd.Series(0, index=many), "é" * 20_000_000, 1 << 100_000_000):
        told = fingerprint(value, 5)
        assert not told[2]


def test_what_is_of_the_user_is_not_asked():
    dates = pd.DatetimeIndex(["2020-01-01"]).tz_localize(hostile.Zone())
    frame = pd.DataFrame({"day": dates}, index=dates)
    own = pd.DataFrame({"own": pd.Series(hostile.Extension(1))})
    values = [frame, frame["day"], dates, own, own["own"]]
    values += [pd.MultiIndex.from_arrays([dates]), hostile.OfMeta()]
    hostile.CALLS.clear()
    for value in values:
        assert fingerprint(value)[1:] == ["", False]
    assert not hostile.CALLS
