"""Computations inside an optimisation, texts that differ, lost schedulers, joblib."""

from __future__ import annotations

import random
import time

import dask
import pandas as pd
import pytest
from distributed import Future
from watching import clear_history, forgotten, wait_until

import dbgkit
from dbgkit import errors


def raised(call):
    """The exception of a call, with its frames."""
    with pytest.raises(Exception) as caught:
        call()
    return caught.value


# -- optimize() that computes --------------------------------------------------


def part(frame):
    if (frame["x"] == 13).any():
        raise ValueError("a bad row")
    return frame


def make_frame():
    import dask.dataframe as dd

    # Other data each time: Dask remembers divisions by name.
    data = pd.DataFrame({"x": range(20), "y": random.sample(range(1_000), 20)})
    return dd.from_pandas(data, npartitions=4).map_partitions(part, meta=data)


COMPUTES = {
    "set_index": lambda frame: frame.set_index("y").compute(),
    "set_index, persisted": lambda frame: frame.set_index("y").persist(),
    "set_index, its divisions": lambda frame: frame.set_index("y").divisions,
    "set_index, under a sum": lambda frame: frame.set_index("y").x.sum().compute(),
    "sort_values": lambda frame: frame.sort_values("y").compute(),
    "several": lambda frame: dask.compute(frame.set_index("y"), 1),
}


def tasks_begun(client):
    """Tasks that the scheduler has ever made, ours included."""
    return client.run_on_scheduler(
        lambda dask_scheduler: {
            key
            for key, _, finish, *_ in dask_scheduler.transition_log
            if finish == "processing"
        }
    )


@pytest.mark.parametrize("case", COMPUTES)
def test_what_an_optimisation_computes_is_entered(processes_client, case):
    client = processes_client
    exception = raised(lambda: COMPUTES[case](make_frame()))
    assert str(exception) == "a bad row"
    forgotten(client)
    before = len(tasks_begun(client))
    failure = dbgkit.locate(exception)
    assert len(tasks_begun(client)) == before
    assert (failure.kind, failure.found_in) == ("task", "graph")
    assert failure.name == 'step "part" on partition 2 (of 4, counted from 0)'
    replay = dbgkit.replay(exception)
    assert replay.outcome == "same"
    assert [list(value["x"]) for value in replay.inputs.values()] in (
        [],
        [[*range(10, 15)]],
    )


def test_a_collection_whose_optimisation_computes_is_only_looked_at(processes_client):
    frame = make_frame().repartition(partition_size="1MB")
    before = len(tasks_begun(processes_client))
    with pytest.raises(errors.NoFailure):
        dbgkit.locate(frame)
    assert len(tasks_begun(processes_client)) == before


def test_other_threads_compute_while_an_optimisation_is_looked_at():
    from concurrent.futures import ThreadPoolExecutor

    from dbgkit.targets.optimizing import computing_refused

    with computing_refused(), ThreadPoolExecutor(1) as pool:
        work = dask.delayed(sum)([1, 2])
        assert pool.submit(work.compute).result(timeout=30) == 3


# -- texts that are not equal --------------------------------------------------


class Clocked(Exception):
    def __repr__(self):
        return f"Clocked at {random.random()}"


class Thing:
    pass


def too_long(value):
    raise ValueError("x" * 20_000)


def clocked(value):
    raise Clocked("late")


def with_an_address(value):
    raise ValueError(Thing())


def with_a_set(value):
    raise ValueError({"a", "b", "c", "d"})


def from_another(value):
    try:
        return {}[value]
    except KeyError as error:
        raise RuntimeError("not there") from error


UNEQUAL = [too_long, clocked, with_an_address, with_a_set, from_another]


@pytest.mark.parametrize("how", ["as it is", "wrapped", "from None"])
@pytest.mark.parametrize("function", UNEQUAL)
def test_unequal_texts_of_equal_errors_are_matched(processes_client, function, how):
    work = dask.delayed(function)(1, dask_key_name=f"the-{function.__name__}")
    other = dask.delayed(len)("ab")

    def call():
        try:
            dask.compute(work, other)
        except Exception as error:
            if how == "as it is":
                raise
            raise OSError("the job failed") from (error if how == "wrapped" else None)

    exception = raised(call)
    forgotten(processes_client)
    failure = dbgkit.locate(exception)
    assert (failure.key, failure.kind) == (work.key, "task")
    assert (failure.found_in, failure.attempts) == ("graph", 1)


# -- schedulers that are gone --------------------------------------------------


def test_a_scheduler_that_went_is_told_at_once(harmable):
    with harmable(n_workers=1, processes=False) as client:
        future = client.submit(time.sleep, 60, key="slept")
        wait_until(lambda: client.processing(), "it is sent to its worker", 15)
        client.loop.add_callback(client.scheduler_comm.comm.abort)
        exception = raised(lambda: future.result(timeout=30))
        began = time.monotonic()
        with pytest.raises(
            errors.SchedulerGone, match="was lost while waiting for 'slept'"
        ):
            dbgkit.locate(exception)
        assert time.monotonic() - began < 3
        # A client of older releases that is closed while it connects again never
        # ends: ``Client._close`` waits for what reads its old connection.
        wait_until(lambda: client.status == "running", "it is connected again", 30)


def test_a_cluster_that_was_restarted(harmable):
    with harmable(n_workers=1, processes=False) as client:
        future = client.submit(len, "ab", resources={"NOBODY_HAS": 1}, key="waited")
        client.restart(timeout=30, wait_for_workers=False)
        exception = raised(lambda: future.result(timeout=30))
        with pytest.raises(errors.Cancelled, match="the cluster was restarted"):
            dbgkit.locate(exception)


# -- joblib's Dask backend -----------------------------------------------------


def ratio(value, factor=6):
    distance = value - 3
    time.sleep(0.01)
    return factor / distance


def run_with_joblib(count):
    joblib = pytest.importorskip("joblib")
    with joblib.parallel_config(backend="dask"):
        joblib.Parallel()(joblib.delayed(ratio)(each) for each in range(count))


def test_a_failed_batch_of_joblib_is_found_and_entered(processes_client, monkeypatch):
    """The scheduler calls it finished: its result carries the exception."""
    held, submit = [], processes_client.submit

    def submit_and_hold(*args, **options):
        held.append(submit(*args, **options))
        return held[-1]

    # joblib lets go of a batch at once or later, as it happens.
    monkeypatch.setattr(processes_client, "submit", submit_and_hold)
    exception = raised(lambda: run_with_joblib(20))
    failure = dbgkit.locate(exception)
    assert failure.kind == "carried"
    assert failure.key.startswith("batch_of_ratio_")
    assert failure.worker in processes_client.scheduler_info()["workers"]
    for where in ("here", "process", "worker"):
        replay = dbgkit.replay(exception, where=where)
        assert (replay.outcome, where) == ("same", where)
    replay = dbgkit.replay(exception)
    frames = []
    traceback = replay.exception.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    assert (frames[-1].f_code.co_name, frames[-1].f_locals["value"]) == ("ratio", 3)


def let_go(client):
    """As joblib does sooner or later."""
    client.cancel([Future(key, client) for key in list(client.futures)])
    forgotten(client)


def test_a_batch_that_joblib_has_let_go_of_shows_where_it_failed(processes_client):
    client = processes_client
    dbgkit.record(client=client).off()
    exception = raised(lambda: run_with_joblib(4))
    let_go(client)
    failure = dbgkit.locate(exception)
    assert (failure.kind, failure.key) == ("carried", None)
    assert failure.name == 'function "ratio"'
    assert "return factor / distance" in str(failure)
    assert "joblib/parallel.py" not in str(failure)


def test_a_batch_that_joblib_has_let_go_of_is_recorded(processes_client, capsys):
    client = processes_client
    dbgkit.record(client=client).off()
    with dbgkit.record(client=client):
        client.run_on_scheduler(clear_history)
        exception = raised(lambda: run_with_joblib(4))
        let_go(client)
        failure = dbgkit.locate(exception)
        assert failure.kind == "carried"
        assert failure.key.startswith("batch_of_ratio_")
        assert "in ratio" in failure.traceback_text
        with pytest.raises(errors.UnknownKey, match="using='recording'"):
            dbgkit.replay(exception)
        (group,) = dbgkit.failures().groups
        assert (group.keys, group.count) == ((failure.key,), 1)
        assert group.location.endswith("in ratio")
        assert "joblib returns exceptions as results" in str(dbgkit.failures())
        recorded = [each for each in dbgkit.recordings().recordings if each.frames]
        assert [each.exception_type for each in recorded] == ["ZeroDivisionError"]
        assert recorded[0].key.startswith("batch_of_ratio_")
        entered = dbgkit.debug(exception, prompt=False)
        assert entered.key == recorded[0].key
        assert "as recorded on the worker" in capsys.readouterr().out
        values = dict(entered.frames[-1].locals)
        assert entered.frames[-1].function == "ratio"
        assert values["value"].text == "3"
