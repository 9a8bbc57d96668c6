"""Failures without any cluster: they are entered too."""

from __future__ import annotations

import dask.array as da
import dask.dataframe as dd
import pandas as pd
import pytest
import tasks
from jobs import delayed_job, fail, failed_compute
from watching import (
    entered,
    known_keys,
    own_frame,
    unchanged,
)

import dbgkit
from dbgkit.errors import NoTask


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_a_failure_under_a_scheduler_of_this_process(job, scheduler):
    make, function, values, error = job
    exception = failed_compute(make(), error, scheduler=scheduler)
    again = dbgkit.replay(exception)
    assert again.failure.key is not None
    assert again.failure.found_in == "local"
    assert again.outcome == "same"
    entered(again, function, **values)


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_debug_enters_a_local_failure_as_it_happened(job, scheduler, capsys):
    make, function, values, error = job
    exception = failed_compute(make(), error, scheduler=scheduler)
    again = dbgkit.debug(exception, prompt=False)
    assert again.exception is exception
    entered(again, function, **values)
    assert function in capsys.readouterr().out


def test_a_failure_under_the_process_scheduler(job):
    make, function, values, error = job
    exception = failed_compute(make(), error, scheduler="processes", num_workers=1)
    again = dbgkit.replay(exception)
    assert again.outcome == "same"
    assert again.failure.key is not None
    entered(again, function, **values)


def test_a_local_failure_while_a_client_is_connected(client):
    exception = failed_compute(delayed_job(), ZeroDivisionError, scheduler="sync")
    with unchanged(client):
        again = dbgkit.replay(exception)
    assert again.failure.found_in == "local"
    entered(again, "ratio", a=5, b=0)


def needs_rows(frame):
    first = frame["x"].iloc[7]
    return frame.assign(y=1 / (first - first))


def test_meta_inference_of_a_dataframe(capsys):
    frame = dd.from_pandas(pd.DataFrame({"x": range(20)}), npartitions=4)
    with pytest.raises(Exception) as caught:
        frame.map_partitions(needs_rows)
    failure = dbgkit.locate(caught.value)
    assert (failure.found_in, failure.exception_type) == ("meta", "IndexError")
    with pytest.raises(NoTask):
        dbgkit.replay(caught.value)
    again = dbgkit.debug(caught.value, prompt=False)
    assert own_frame(again.exception).f_code.co_name == "needs_rows"
    assert "made-up data" in capsys.readouterr().out


def needs_numbers(block):
    size = len(block)
    raise TypeError(f"no numbers among {size}")


def test_meta_inference_of_an_array(capsys):
    with pytest.raises(Exception) as caught:
        da.ones((4, 4), chunks=2).map_blocks(needs_numbers, dtype=None).compute()
    failure = dbgkit.locate(caught.value)
    assert (failure.found_in, failure.exception_type) == ("meta", "TypeError")
    again = dbgkit.debug(caught.value, prompt=False)
    entered(again, "needs_numbers")
    assert "made-up data" in capsys.readouterr().out


def test_an_exception_that_has_nothing_to_do_with_dask(capsys):
    with pytest.raises(ZeroDivisionError) as caught:
        tasks.ratio(5, 0)
    failure = dbgkit.locate(caught.value)
    assert (failure.key, failure.found_in) == (None, "exception")
    again = dbgkit.debug(caught.value, prompt=False)
    entered(again, "ratio", a=5, b=0)
    assert "nothing to do with Dask" in capsys.readouterr().out


def test_an_exception_of_the_users_own_code_while_futures_are_failing(client):
    future = fail(client, tasks.ratio, 5, 0)

    def report(failed):
        raise KeyError("no such column")

    with pytest.raises(KeyError) as caught:
        report(future)
    with unchanged(client):
        failure = dbgkit.locate(caught.value)
    assert (failure.found_in, failure.key) == ("exception", None)
    assert known_keys(client) == {future.key}
