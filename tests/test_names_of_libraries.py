"""What fails in a library alone has one name: located, replayed and recorded."""

from __future__ import annotations

import json
import re

import dask.array as da
import dask.bag as db
import numpy as np
import pytest
from dask import delayed
from distributed import wait

import dbgkit


def array():
    """NumPy's own error, in the step of a fused task."""
    x = da.from_array(np.full((6, 4), np.nan), chunks=(6, 4))
    return da.linalg.svd(x + 1)[1][:2]


def chunked_array():
    x = da.from_array(np.array([["1", "2"], ["x", "4"]]), chunks=(1, 2))
    return x.astype(float)[:, :1] + 1


def dataframe():
    dd = pytest.importorskip("dask.dataframe")
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"x": ["1", "2", "no", "4"]}, dtype=object)
    return dd.from_pandas(frame, npartitions=2).x.astype(int) + 1


def bag():
    return db.from_sequence(["1", "{", "3"], npartitions=3).map(json.loads).map(str)


def builtin():
    return db.from_sequence(["1", "no", "3"], npartitions=3).map(int).map(str)


def one_task():
    return delayed(json.loads)(delayed(str)("{"))


JOBS = (array, chunked_array, dataframe, bag, builtin, one_task)


def bare(name):
    """A name without how many of its kind there are, which recordings do not know."""
    return re.sub(r" \(of \d+, counted from 0\)|, one of \d+", "", name)


@pytest.mark.parametrize("job", JOBS)
def test_of_a_future(client, job):
    with dbgkit.record(client=client):
        collection = job().persist()
        wait(collection)
        located = dbgkit.locate(collection)
        (recorded,) = dbgkit.recordings(located.key).recordings
        failures = dbgkit.failures(limit=None)
    names = {"located": located.name}
    for where in (None, "process", "worker"):
        replay = dbgkit.replay(collection, where=where)
        assert replay.outcome == "same"
        names[f"replayed {where}"] = replay.failure.name
    names["again"] = dbgkit.locate(replay.failure).name
    assert set(names.values()) == {located.name}, names
    assert bare(recorded.name) == bare(located.name)
    assert located.key in {key for group in failures.groups for key in group.keys}


@pytest.mark.parametrize("job", JOBS)
def test_of_an_exception_whose_graph_is_left(client, job):
    collection = job()
    with pytest.raises(Exception) as raised:  # of whatever the library raises
        collection.compute()
    located = dbgkit.locate(raised.value)
    assert dbgkit.replay(raised.value).failure.name == located.name
    assert dbgkit.replay(raised.value, scope="ancestors").failure.name == located.name


@pytest.mark.parametrize("job", JOBS)
def test_without_a_cluster(job):
    collection = job()
    with pytest.raises(Exception) as raised:  # of whatever the library raises
        collection.compute(scheduler="sync")
    located = dbgkit.locate(raised.value)
    assert dbgkit.replay(raised.value, where="process").failure.name == located.name
    assert dbgkit.replay(raised.value).failure.name == located.name
