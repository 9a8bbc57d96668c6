"""What the stand-in for a worker lacks is never the outcome of a replay."""

from __future__ import annotations

import os
import threading

import pandas as pd
import pytest
from distributed import get_worker, wait
from watching import unchanged

import dbgkit
from dbgkit.errors import StandInLacks


@pytest.fixture
def gated(client):
    """Workers that have what no replay here can have: it cannot be pickled."""

    def put(dask_worker):
        dask_worker.gate = threading.Lock()

    def take(dask_worker):
        del dask_worker.gate

    client.run(put)
    yield client
    client.run(take)


def plainly(value):
    with get_worker().gate:
        raise ValueError(f"cannot take {value}")


def wrapped(value):
    try:
        gate = get_worker().gate
    except Exception as error:
        raise RuntimeError("not set up") from error
    with gate:
        raise ValueError(f"cannot take {value}")


def while_handling(value):
    try:
        gate = get_worker().gate
    except Exception:
        raise RuntimeError("not set up")  # noqa: B904
    with gate:
        raise ValueError(f"cannot take {value}")


def hidden(value):
    try:
        gate = get_worker().gate
    except Exception:
        raise RuntimeError("not set up") from None
    with gate:
        raise ValueError(f"cannot take {value}")


def deep(value):
    try:
        return hidden(value)
    except RuntimeError as error:
        raise KeyError("gate") from error


def failed(client, function, *args):
    future = client.submit(function, *args, pure=False)
    wait(future, timeout=30)
    return future


ASKING = [plainly, wrapped, while_handling, hidden, deep]


@pytest.mark.parametrize("function", ASKING)
def test_what_a_task_asks_in_vain_is_said_and_where_it_runs(gated, function):
    future = failed(gated, function, 4)
    with unchanged(gated), pytest.raises(StandInLacks) as caught:
        dbgkit.replay(future)
    assert caught.value.key == future.key
    assert "'gate'" in caught.value.message
    assert "test_gauntlet_lacking.py:" in caught.value.message
    assert "where='worker'" in caught.value.hint


def test_so_it_is_in_a_process_of_its_own(gated):
    future = failed(gated, deep, 4)
    with pytest.raises(StandInLacks, match=r"'gate'.*where='worker'"):
        dbgkit.replay(future, where="process")


@pytest.mark.parametrize("function", [plainly, deep])
def test_on_a_worker_itself_it_is_the_same_failure(gated, function):
    future = failed(gated, function, 4)
    assert dbgkit.replay(future, where="worker").outcome == "same"


def test_debug_goes_to_the_recording_if_there_is_one(gated, capsys):
    dbgkit.record(client=gated).off()
    with dbgkit.record(client=gated):
        future = failed(gated, wrapped, 4)
        found = dbgkit.debug(future, prompt=False)
    said = capsys.readouterr()
    assert isinstance(found, dbgkit.model.Recording)
    assert (found.exception_type, found.message) == ("ValueError", "cannot take 4")
    assert "not replayed" in said.err and "'gate'" in said.err
    assert "ValueError: cannot take 4" in said.out
    assert "not set up" not in said.out.splitlines()[1]


def test_debug_says_so_where_there_is_none(gated):
    future = failed(gated, wrapped, 4)
    with pytest.raises(StandInLacks, match=r"'gate'.*where='worker'"):
        dbgkit.debug(future, prompt=False)


def at_times(path):
    """Fails at once the first time, and asks its worker after that."""
    if not os.path.exists(path):
        with open(path, "w"):
            raise ValueError("cannot take 4")
    return wrapped(4)


def test_of_several_runs_one_that_failed_the_same_is_the_outcome(gated, tmp_path):
    path = tmp_path / "was-here"
    future = failed(gated, at_times, str(path))
    path.unlink()
    again = dbgkit.replay(future, times=3)
    assert (again.outcome, len(again.runs)) == ("same", 1)
    assert any("'gate'" in note for note in again.notes)


def without_it(value):
    gate = getattr(get_worker(), "gate", None)
    return {"": 1}[value] if gate is None else 1 / value


def test_what_a_task_does_without_is_noted(gated):
    again = dbgkit.replay(failed(gated, without_it, 0))
    assert again.outcome == "different"
    assert any("'gate'" in note for note in again.notes)


def mixed(frame):
    return frame.assign(x=["oops", 1])


def test_what_goes_into_a_shuffle_runs_again_on_no_worker(processes_client):
    import dask
    import dask.dataframe as dd

    frame = dd.from_pandas(pd.DataFrame({"x": range(4), "y": range(4)}), npartitions=2)
    meta = frame._meta.assign(x=frame._meta.x.astype("int64"))
    with dask.config.set({"dataframe.shuffle.method": "p2p"}):
        job = frame.map_partitions(mixed, meta=meta).shuffle("y")
        with pytest.raises(Exception) as raised:
            job.compute()
    # THEN it is replayed with what goes into the shuffle, and on no worker
    with dbgkit.replay(raised.value) as again:
        assert again.outcome == "same"
    with pytest.raises(dbgkit.errors.DbgkitError, match="P2P"):
        dbgkit.replay(raised.value, where="worker")
