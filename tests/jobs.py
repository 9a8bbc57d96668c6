"""Collections that fail, and how to have them fail."""

from __future__ import annotations

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import tasks
from distributed import wait
from watching import settle, wait_until


def delayed_job():
    return dask.delayed(tasks.ratio)(
        dask.delayed(tasks.inc)(4), dask.delayed(tasks.inc)(-1)
    )


def bag_job():
    return db.from_sequence(range(20), npartitions=4).map(tasks.boom_at, 13)


def array_job():
    x = da.arange(20, chunks=5) * 1
    return x.map_blocks(tasks.bad_chunk, meta=np.array((), dtype=x.dtype))


def dataframe_job():
    frame = dd.from_pandas(pd.DataFrame({"x": range(20)}), npartitions=4)
    return frame.map_partitions(tasks.bad_part, meta=frame._meta)


JOBS = {
    "delayed": (delayed_job, "ratio", {"a": 5, "b": 0}, ZeroDivisionError),
    "bag": (bag_job, "boom_at", {"x": 13, "bad": 13}, ValueError),
    "array": (array_job, "bad_chunk", {"largest": 14}, ValueError),
    "dataframe": (dataframe_job, "bad_part", {"rows": 5}, ValueError),
}


def newest_erred(dask_scheduler):
    return dask_scheduler.erred_tasks[0].key


def failed_compute(collection, error, **options):
    """What a compute raised; nothing of it is kept but the exception."""
    with pytest.raises(error) as caught:
        collection.compute(**options)
    return caught.value


def fail(client, function, *args, **options):
    """A future that has failed."""
    future = client.submit(function, *args, **options)
    wait_until(lambda: future.status == "error", f"{future} has failed")
    return future


def bag():
    return db.from_sequence(range(20), npartitions=4).map(tasks.inc)


def array():
    return da.arange(20, chunks=5) + 1


def dataframe():
    frame = dd.from_pandas(pd.DataFrame({"x": range(20)}), npartitions=4)
    return frame.assign(x=frame["x"] + 1)


def on_bag(collection):
    return collection.map(tasks.boom_at, 13)


def on_array(collection):
    return collection.map_blocks(tasks.bad_chunk, meta=collection._meta)


def on_dataframe(collection):
    return collection.map_partitions(tasks.bad_part, meta=collection._meta)


FUSED = {
    "bag": (bag, on_bag, "boom_at", {"x": 13, "bad": 13}),
    "array": (array, on_array, "bad_chunk", {"largest": 15}),
    "dataframe": (dataframe, on_dataframe, "bad_part", {"rows": 5}),
}


def failed(future):
    """Wait until a future has failed, and the rest of the cluster is at rest."""
    wait_until(lambda: future.status == "error", f"{future} has failed")
    settle(future.client)
    return future


def hows(plan):
    return {info.key: info.how for info in plan.inputs}


def submitter(client):
    """What submits a call, and waits until it has failed."""

    def submit(function, *args, **options):
        future = client.submit(function, *args, pure=False, **options)
        wait(future, timeout=30)
        assert future.status == "error"
        return future

    return submit
