"""The gauntlet: which part of which zarr store a failed task's values came from."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from distributed import wait

import dbgkit

zarr = pytest.importorskip("zarr")
pytestmark = pytest.mark.filterwarnings("ignore")

VALUES = np.arange(100).reshape(10, 10)


def too_big(block):
    """Fails in one chunk."""
    if block.max() == 99:
        raise ValueError("too big")
    return block


def origin(client, array):
    """Where the values of the chunk that fails came from."""
    future = client.compute(array.map_blocks(too_big, dtype=array.dtype))
    wait(future, timeout=60)
    failure = dbgkit.locate(future)
    assert failure.exception_type == "ValueError"
    (found,) = failure.came_from
    return found


def stored(store, path=None):
    made = zarr.open_group(store, mode="w").create_array(
        path or "temp", shape=(10, 10), chunks=(5, 5), dtype="i8"
    )
    made[:] = VALUES
    return made


def test_of_a_store_that_is_named(client, tmp_path):
    stored(str(tmp_path / "a.zarr"), "inner/temp")
    array = da.from_zarr(str(tmp_path / "a.zarr"), component="inner/temp")
    found = origin(client, array)
    assert found.what == "from_zarr"
    assert found.path == str(tmp_path / "a.zarr")
    assert found.place == "inner/temp [5:10, 5:10]"


@pytest.mark.parametrize("inline", [True, False])
def test_of_an_array_that_is_open(client, tmp_path, inline):
    made = stored(str(tmp_path / "a.zarr"))
    found = origin(client, da.from_zarr(made, inline_array=inline))
    assert found.path == str(tmp_path / "a.zarr")
    assert found.place == "temp [5:10, 5:10]"


def test_what_is_in_memory_has_no_path(client):
    found = origin(client, da.from_zarr(stored(zarr.storage.MemoryStore())))
    assert found.path == ""
    assert "[5:10, 5:10]" in found.text


def test_of_a_variable_that_xarray_opened(client, tmp_path):
    xarray = pytest.importorskip("xarray")
    path = str(tmp_path / "b.zarr")
    made = xarray.Dataset({"temp": (("x", "y"), VALUES)}).chunk(x=5, y=5)
    made.to_zarr(path, consolidated=False, compute=True)
    opened = xarray.open_zarr(path, consolidated=False)
    found = origin(client, opened["temp"].data)
    assert (found.what, found.path) == ("open_dataset", path)
    assert found.place == "temp [5:10, 5:10]"
