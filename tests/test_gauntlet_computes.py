"""A compute has raised and let go of everything: the exception is enough."""

from __future__ import annotations

import sys
import threading

import dask
import pytest
import tasks
from distributed import Client, wait
from jobs import JOBS, delayed_job, fail, failed_compute, newest_erred
from watching import (
    clear_history,
    entered,
    forgotten,
    own_frame,
    settle,
    unchanged,
)

import dbgkit
from dbgkit.errors import NoFailure


def test_compute_raised_and_the_tasks_are_forgotten(client, job):
    make, function, values, error = job
    exception = failed_compute(make(), error)
    key = client.run_on_scheduler(newest_erred)
    forgotten(client)
    with unchanged(client):
        again = dbgkit.replay(exception)
    assert again.failure.key == key
    assert again.failure.found_in == "graph"
    assert again.outcome == "same"
    entered(again, function, **values)


def test_compute_raised_and_the_tasks_are_just_being_forgotten(client, job):
    make, function, values, error = job
    exception = failed_compute(make(), error)
    again = dbgkit.replay(exception)
    assert again.failure.key == client.run_on_scheduler(newest_erred)
    assert again.outcome == "same"
    entered(again, function, **values)
    forgotten(client)


def test_locate_alone_after_compute_raised(client, job):
    make, function, _, error = job
    exception = failed_compute(make(), error)
    forgotten(client)
    with unchanged(client):
        failure = dbgkit.locate(exception)
    assert failure.key == client.run_on_scheduler(newest_erred)
    assert failure.exception_type == error.__name__
    assert failure.message == str(exception)
    assert function in failure.traceback_text
    assert failure.worker in client.scheduler_info()["workers"]
    assert failure.when is not None


def test_an_exception_that_was_raised_from_the_failure(client):
    try:
        try:
            delayed_job().compute()
        except ZeroDivisionError as error:
            raise RuntimeError("the report could not be made") from error
    except RuntimeError as error:
        again = dbgkit.replay(error)
    assert again.failure.exception_type == "ZeroDivisionError"
    entered(again, "ratio", a=5, b=0)


def test_the_exception_being_handled_is_the_default_target(client):
    try:
        delayed_job().compute()
    except ZeroDivisionError:
        failure = dbgkit.locate()
    assert failure.exception_type == "ZeroDivisionError"
    assert failure.key == client.run_on_scheduler(newest_erred)


def test_the_last_exception_at_the_prompt_is_the_default_target(client, monkeypatch):
    exception = failed_compute(delayed_job(), ZeroDivisionError)
    monkeypatch.setattr(sys, "last_value", exception, raising=False)
    monkeypatch.setattr(sys, "last_exc", exception, raising=False)
    again = dbgkit.replay()
    entered(again, "ratio", a=5, b=0)


def test_300_parallel_failures_in_one_compute_find_the_one_that_was_raised(client):
    jobs = [dask.delayed(tasks.boom_slowly)(number) for number in range(300)]
    key_of = {job.key: number for number, job in enumerate(jobs)}
    with pytest.raises(ValueError) as caught:
        dask.compute(*jobs)
    settle(client)
    again = dbgkit.replay(caught.value)
    assert str(again.exception) == str(caught.value)
    entered(again, "boom_slowly", x=key_of[again.failure.key])


def test_300_failed_futures_are_each_matched_to_their_own_key(client):
    futures = client.map(tasks.boom_slowly, range(300))
    wait(futures)
    errors = {}
    for future in futures:
        with pytest.raises(ValueError) as caught:
            future.result()
        errors[future.key] = caught.value
    with unchanged(client):
        found = {key: dbgkit.locate(error).key for key, error in errors.items()}
    assert found == {key: key for key in errors}


def test_another_clients_failure_of_the_same_kind_comes_first(client):
    exception = failed_compute(delayed_job(), ZeroDivisionError)
    own = client.run_on_scheduler(newest_erred)
    with Client(client.scheduler.address, set_as_default=False) as other:
        theirs = fail(other, tasks.ratio, 8, 0)
        assert client.run_on_scheduler(newest_erred) == theirs.key
        with unchanged(other, settled=False):
            again = dbgkit.replay(exception)
    assert again.failure.key == own
    entered(again, "ratio", a=5, b=0)


def test_another_clients_failure_is_not_taken_for_the_own_newest(client):
    future = fail(client, tasks.ratio, 5, 0)
    with Client(client.scheduler.address, set_as_default=False) as other:
        fail(other, tasks.boom, 8)
        assert dbgkit.locate(client=client).key == future.key


def test_with_no_failure_of_ones_own_the_schedulers_newest_is_marked(client):
    with Client(client.scheduler.address, set_as_default=False) as other:
        theirs = fail(other, tasks.boom, 8)
        with unchanged(client):
            failure = dbgkit.locate(client=client)
        assert failure.key == theirs.key
    assert any("another client" in note for note in failure.notes)


def test_the_newest_failed_future_is_the_default_target(client):
    fail(client, tasks.boom, 1)
    newest = fail(client, tasks.ratio, 5, 0)
    finished = client.submit(tasks.inc, 1)
    wait(finished)
    with unchanged(client):
        assert dbgkit.locate().key == newest.key


def test_nothing_has_failed(client):
    client.run_on_scheduler(clear_history)
    with unchanged(client), pytest.raises(NoFailure):
        dbgkit.locate(client=client)


def test_the_schedulers_history_has_rolled_over_and_the_workers_logs_have_it(client):
    exception = failed_compute(delayed_job(), ZeroDivisionError)
    own = client.run_on_scheduler(newest_erred)
    later = client.map(tasks.boom, range(120))
    wait(later)
    history = client.run_on_scheduler(
        lambda dask_scheduler: [entry.key for entry in dask_scheduler.erred_tasks]
    )
    assert own not in history
    with unchanged(client):
        again = dbgkit.replay(exception)
    assert (again.failure.key, again.outcome) == (own, "same")
    entered(again, "ratio", a=5, b=0)


def test_no_trace_of_the_failure_is_left_but_the_graph(client):
    # Two tasks of one text, of which neither history nor logs know: the graph runs
    # here, up to the first that fails.
    job = delayed_job()
    exception = failed_compute(job, ZeroDivisionError)
    exception.args = ("of another text",)
    client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.erred_tasks.clear())
    forgotten(client)
    with unchanged(client):
        again = dbgkit.replay(exception)
    assert again.failure.key == job.key
    assert again.scope == "ancestors"
    assert any("no longer reports which task" in note for note in again.notes)
    entered(again, "ratio", a=5, b=0)


def test_a_compute_that_failed_twice_is_told_by_its_last_failure(client):
    failed_compute(delayed_job(), ZeroDivisionError)
    forgotten(client)
    exception = failed_compute(delayed_job(), ZeroDivisionError)
    entry = client.run_on_scheduler(
        lambda dask_scheduler: dask_scheduler.erred_tasks[0].timestamp
    )
    forgotten(client)
    failure = dbgkit.locate(exception)
    assert failure.when.timestamp() == pytest.approx(entry, abs=1e-5)
    assert not any("tasks of this graph failed" in note for note in failure.notes)


def test_a_graph_that_was_handed_to_the_client(client):
    with pytest.raises(ZeroDivisionError) as caught:
        client.get({"x": 4, "y": (tasks.inc, "x"), "z": (tasks.ratio, "y", 0)}, "z")
    forgotten(client)
    with unchanged(client):
        again = dbgkit.replay(caught.value)
    assert (again.failure.key, again.outcome) == ("z", "same")
    entered(again, "ratio", a=5, b=0)


# Dask warns that this makes graphs of its expressions.
@pytest.mark.filterwarnings("ignore:Computing mixed collections:UserWarning")
def test_collections_of_several_kinds_at_once(client):
    with pytest.raises((ZeroDivisionError, ValueError)) as caught:
        dask.compute(*(make() for make, *_ in JOBS.values()))
    settle(client)
    with unchanged(client):
        again = dbgkit.replay(caught.value)
    assert (again.outcome, str(again.exception)) == ("same", str(caught.value))
    assert own_frame(again.exception).f_code.co_name in {
        function for _, function, *_ in JOBS.values()
    }


def test_a_compute_in_another_thread(client):
    errors = []

    def run():
        errors.append(failed_compute(delayed_job(), ZeroDivisionError))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    forgotten(client)
    with unchanged(client):
        again = dbgkit.replay(errors[0])
    assert again.outcome == "same"
    entered(again, "ratio", a=5, b=0)
