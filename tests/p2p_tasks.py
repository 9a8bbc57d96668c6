"""Partitions and chunks that a P2P shuffle cannot take."""

from __future__ import annotations

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd

META = pd.DataFrame({"a": pd.Series([], dtype=int), "b": pd.Series([], dtype=float)})
P2P = {
    "dataframe.shuffle.method": "p2p",
    "array.rechunk.method": "p2p",
    "dataframe.convert-string": False,
}


def partition(number):
    """The one of number 1 has a text where numbers belong."""
    prices = [1.5, 2.5, "oops"] if number == 1 else [1.5, 2.5, 3.5]
    return pd.DataFrame({"a": [1, 2, 3], "b": prices})


def plain(number):
    """As it should be."""
    return pd.DataFrame({"a": [1, 2, 3], "b": [1.0, 2.0, float(number)]})


def mixed_keys(number):
    """The one of number 1 has texts to merge by."""
    keys = ["x", "y", "z"] if number == 1 else [1, 2, 3]
    return pd.DataFrame({"a": keys, "b": [1.0, 2.0, 3.0]})


def frame(make):
    """Three partitions."""
    return dd.from_map(make, [0, 1, 2], meta=META)


def shuffled():
    """A shuffle that fails as partition 1 goes in."""
    return frame(partition).shuffle("a")


def merged():
    """A merge that fails as partition 1 goes in."""
    right = frame(plain).rename(columns={"b": "c"})
    return frame(partition).merge(right, on="a")


def merged_by_mixed_keys():
    """A merge that fails after what goes in has gone in."""
    right = frame(plain).rename(columns={"b": "c"})
    return frame(mixed_keys).merge(right, on="a")


def chunk(number):
    """The one of number 1 is too narrow."""
    return np.ones((4, 3 if number == 1 else 4))


def rechunked():
    """A rechunk that fails on the chunk of another shape."""
    make = dask.delayed(chunk)
    parts = [da.from_delayed(make(n), (4, 4), dtype=float) for n in range(3)]
    return da.concatenate(parts).rechunk((6, 2))


def fails_after(part):
    """What a user does with what comes out of a shuffle."""
    if len(part):
        raise ValueError(f"{len(part)} rows are too many")
    return part


def consumed():
    """A shuffle that is sound, and what takes from it."""
    return frame(plain).shuffle("a").map_partitions(fails_after, meta=META)


def other_type(number):
    """The one of number 1 has texts alone where numbers belong."""
    prices = ["x", "y", "z"] if number == 1 else [1.5, 2.5, 3.5]
    return pd.DataFrame({"a": [1, 2, 3], "b": prices})


def shuffled_of_types():
    """A shuffle that fails after what goes in has gone in, each by itself."""
    return frame(other_type).shuffle("a")
