"""Verdicts on failures under Dask's own schedulers, without any cluster."""

from __future__ import annotations

import dask
import dask.bag as db
import dask.dataframe as dd
import pandas as pd
import pytest
import verdict_tasks as tasks
from distributed import get_client, get_worker

import dbgkit

SCHEDULERS = ["threads", "sync", "processes"]
FRAME = pd.DataFrame({"x": [1, 2], "y": ["1", "oops"]})


def column():
    return dask.delayed(pd.DataFrame.__getitem__)(FRAME, "a")


def number():
    return dask.delayed(int)("oops")


def columns():
    frame = dd.from_pandas(FRAME, npartitions=1)
    return frame.map_partitions(pd.DataFrame.drop, columns=["z"], meta=FRAME)


def numbers():
    return db.from_sequence(["1", "oops"], npartitions=1).map(pd.to_numeric)


LIBRARY_ALONE = [column, number, columns, numbers]


def failed_compute(job, scheduler):
    options = {"num_workers": 1} if scheduler == "processes" else {}
    with pytest.raises(Exception) as caught:
        job.compute(scheduler=scheduler, **options)
    return caught.value


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("make", LIBRARY_ALONE)
def test_what_a_library_alone_raises_is_the_same_failure(make, scheduler):
    again = dbgkit.replay(failed_compute(make(), scheduler), where="here")
    assert (again.outcome, again.runs[0].detail) == ("same", "")


def test_what_a_library_alone_raises_is_the_same_in_a_process_of_its_own():
    again = dbgkit.replay(failed_compute(column(), "threads"), where="process")
    assert (again.outcome, again.runs[0].detail) == ("same", "")


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("name", ["deep", "hidden"])
def test_the_same_causes_are_the_same_failure(name, scheduler):
    job = dask.delayed(getattr(tasks, name))("rows")
    again = dbgkit.replay(failed_compute(job, scheduler), where="here")
    assert (again.outcome, again.runs[0].detail) == ("same", "")


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
@pytest.mark.parametrize("name", ["deep", "hidden"])
def test_another_cause_is_another_failure(name, scheduler, monkeypatch):
    job = dask.delayed(getattr(tasks, name))("rows")
    error = failed_compute(job, scheduler)
    monkeypatch.setenv(tasks.HERE, "1")
    again = dbgkit.replay(error, where="here")
    assert again.outcome == "different"
    assert "KeyError" in again.runs[0].detail


@pytest.mark.parametrize("name", ["deep", "hidden"])
def test_causes_that_did_not_come_along_are_not_claimed_to_be_the_same(name):
    job = dask.delayed(getattr(tasks, name))("rows")
    again = dbgkit.replay(failed_compute(job, "processes"), where="here")
    assert again.outcome == "same"
    assert any("the causes were not compared" in note for note in again.notes)


def test_a_cause_that_did_come_along_from_another_process_counts(monkeypatch):
    error = failed_compute(dask.delayed(tasks.number)(3), "processes")
    monkeypatch.setenv(tasks.HERE, "1")
    again = dbgkit.replay(error, where="here")
    assert again.outcome == "different"
    assert (
        "with another cause: before LookupError: no such row, now"
        in again.runs[0].detail
    )


def test_what_a_script_handles_as_it_computes_is_no_cause():
    try:
        raise OSError("of the script's own")
    except OSError:
        error = failed_compute(dask.delayed(tasks.implicit)("rows"), "sync")
    assert dbgkit.replay(error).outcome == "same"


def ask_worker(value):
    return get_worker().name + value


def ask_client(value):
    return get_client().id + value


@pytest.mark.parametrize("where", ["here", "process"])
@pytest.mark.parametrize("function", [ask_worker, ask_client])
def test_where_there_was_no_worker_a_replay_has_none_either(function, where):
    error = failed_compute(dask.delayed(function)("x"), "threads")
    assert isinstance(error, ValueError)
    assert dbgkit.replay(error, where=where).outcome == "same"
