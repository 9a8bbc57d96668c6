"""`where="worker"`: the task runs again where its inputs are, and nothing changes."""

from __future__ import annotations

import asyncio
import gc
import operator
import os
import pickle
import signal
import threading
import warnings

import dask
import hard_tasks
import numpy as np
import pandas as pd
import pytest
import rerun_tasks as again
import tasks
from conftest import own_cluster
from distributed import (
    Client,
    LocalCluster,
    wait,
)
from watching import settle, started_again, unchanged, wait_until

import dbgkit
from dbgkit import errors, render
from dbgkit.remote.common.unpickling import Reading
from dbgkit.remote.worker.replay_copies import copy_values


def replayed(client, future, **options):
    """Replay on a worker; nothing on the cluster may change by it."""
    wait(future)
    with unchanged(client):
        replay = dbgkit.replay(future, where="worker", **options)
    assert replay.where == "worker"
    assert replay.exception is None
    return replay


def told(replay, function):
    """Texts of the locals of one recorded frame."""
    frame = next(each for each in replay.frames if each.function == function)
    return {name: value.text for name, value in frame.locals}


def workers_of(client):
    return sorted(client.nthreads())


def no_thread_left(client):
    wait_until(
        lambda: not any(client.run(again.threads_of).values()),
        "the replays' threads ended",
    )


# --- outcomes -----------------------------------------------------------------


def test_the_same_failure_comes_home_as_a_recording(client):
    half = client.submit(tasks.inc, 3, key="half")
    replay = replayed(client, client.submit(tasks.ratio, half, 0, key="ratio"))
    assert replay.outcome == "same"
    assert replay.plan.worker in workers_of(client)
    assert told(replay, "ratio") == {"a": "4", "b": "0"}
    recording = replay.recording
    assert (recording.key, recording.worker) == ("ratio", replay.plan.worker)
    assert list(recording.values.values()) == [{"a": 4, "b": 0}]


def test_the_verdict_says_on_which_worker(processes_client, capsys):
    replay = replayed(processes_client, processes_client.submit(tasks.ratio, 1, 0))
    render.show(replay, whole=True)
    text = " ".join(capsys.readouterr().out.split())
    assert f"same: failed on worker {replay.plan.worker} in the same way" in text


def test_what_passes_comes_home_as_a_text(client, tmp_path, capsys):
    replay = replayed(
        client, client.submit(again.fails_at_first, str(tmp_path / "seen"))
    )
    assert (replay.outcome, replay.result) == ("passed", None)
    assert replay.returned.text == "{'rows': 25, 'password': <hidden>}"
    render.show(replay, whole=True)
    text = " ".join(capsys.readouterr().out.split())
    assert "it returned {'rows': 25" in text


def test_another_failure_is_different(client, tmp_path):
    future = client.submit(again.fails_at_first, str(tmp_path / "seen"), "twice")
    replay = replayed(client, future)
    assert replay.outcome == "different"
    assert replay.runs[0].exception_type == "KeyError"
    assert replay.recording.exception_type == "KeyError"


def test_several_runs_are_counted(client, tmp_path):
    future = client.submit(again.fails_and_returns_in_turn, str(tmp_path / "count"))
    replay = replayed(client, future, times=5)
    assert replay.outcome == "same"
    assert replay.tally == {"passed": 3, "same": 2}
    assert replay.recording.message == "an odd one"


def test_past_its_time_the_thread_still_runs_and_it_is_said(client, tmp_path):
    path = str(tmp_path / "file")
    replay = replayed(
        client, client.submit(again.fails_then_waits, path), timeout="0.5s", times=3
    )
    assert replay.outcome == "timeout"
    thread = client.run(again.threads_of, workers=[replay.plan.worker])
    (name,) = thread[replay.plan.worker]
    note = f"thread {name} still runs on {replay.plan.worker}"
    assert any(note in each for each in replay.notes)
    assert "2 further runs left out" in replay.notes
    open(f"{path}-go", "w").close()
    no_thread_left(client)


def test_a_task_that_outlives_its_worker_ends_without_a_warning(tmp_path):
    path = str(tmp_path / "file")
    with own_cluster(n_workers=1, processes=False) as client:
        replay = replayed(
            client, client.submit(again.fails_then_waits, path), timeout="0.5s"
        )
        assert replay.outcome == "timeout"
    # GIVEN a cluster that has closed, its event loop too WHEN the task ends
    (name,) = again.threads_of(None)
    (thread,) = (each for each in threading.enumerate() if each.name == name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        open(f"{path}-go", "w").close()
        thread.join(30)
        gc.collect()
    assert not thread.is_alive()
    assert not [each for each in caught if "never awaited" in str(each.message)]


def test_ctrl_c_leaves_it_running_and_says_so(processes_client, tmp_path):
    path = str(tmp_path / "file")
    future = processes_client.submit(again.fails_then_waits, path)
    wait(future)
    said = []

    def interrupt():
        wait_until(lambda: os.path.exists(f"{path}-begun"), "the task runs again")
        # To that thread: nothing else wakes it while it waits.
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        dbgkit.replay(future, where="worker", notify=said.append)
    thread.join()
    assert any("still runs on" in getattr(each, "text", "") for each in said)
    open(f"{path}-go", "w").close()
    no_thread_left(processes_client)


def test_the_workers_loop_answers_while_the_task_runs(client, tmp_path):
    path = str(tmp_path / "file")
    future = client.submit(again.fails_then_waits, path)
    wait(future)
    found = []
    thread = threading.Thread(
        target=lambda: found.append(dbgkit.replay(future, where="worker"))
    )
    thread.start()
    wait_until(lambda: os.path.exists(f"{path}-begun"), "the task runs again")
    # All of this happens while the task runs: it waits for the file below.
    for number in range(20):
        assert len(client.run(os.getpid)) == 2
        assert client.submit(tasks.inc, number, pure=False).result(timeout=20)
    open(f"{path}-go", "w").close()
    thread.join()
    assert found[0].outcome == "passed"


def test_a_task_that_takes_its_worker_along_has_died(tmp_path):
    with own_cluster(n_workers=1) as client:
        future = client.submit(again.fails_then_ends, str(tmp_path / "seen"))
        wait(future)
        replay = dbgkit.replay(future, where="worker")
        assert replay.outcome == "died"
        assert "exited with status 3" in replay.runs[0].detail
        started_again(client, replay.plan.worker, 1)


def test_a_worker_that_leaves_on_purpose_has_not_died(tmp_path):
    path = str(tmp_path / "file")
    with own_cluster(processes=False) as client:
        future = client.submit(again.fails_then_waits, path)
        wait(future)
        address = dbgkit.locate(future).worker

        def retire():
            wait_until(lambda: os.path.exists(f"{path}-begun"), "the task runs again")
            client.retire_workers([address])

        thread = threading.Thread(target=retire)
        thread.start()
        with pytest.raises(errors.SchedulerGone, match="closed on purpose"):
            dbgkit.replay(future, where="worker")
        thread.join()
        open(f"{path}-go", "w").close()


# --- inputs -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "value"),
    [(tasks.append_and_fail, [1, 2]), (tasks.zero_and_fail, np.ones(5))],
)
def test_values_in_the_workers_memory_stay_as_they_are(client, function, value):
    held = client.submit(tasks.same, value, key=f"kept for {function.__name__}")
    rest = () if function is tasks.zero_and_fail else (3,)
    wait(client.submit(function, held, *rest, key=f"changes: {function.__name__}"))
    before = list(held.result())
    future = client.submit(function, held, *rest, key=f"again: {function.__name__}")
    wait(future)
    before = list(held.result())
    replayed(client, future, times=2)
    assert list(held.result()) == before


def test_each_run_has_inputs_of_its_own(client):
    held = client.submit(tasks.same, [1], key="kept for each")
    future = client.submit(tasks.append_and_fail, held, 3, key="appends")
    replay = replayed(client, future, times=3)
    assert {run.message for run in replay.runs} == {"cannot take 3 values"}


def test_that_the_task_changes_its_input_is_said(processes_client):
    held = processes_client.submit(tasks.same, [1, 2], key="kept whole")
    future = processes_client.submit(tasks.append, held, 3, key="third")
    replay = replayed(processes_client, future)
    assert replay.outcome == "passed"
    assert any(
        "changes its input 'kept whole' in place" in note for note in replay.notes
    )


def test_its_inputs_are_compared_with_those_recorded(processes_client):
    with dbgkit.record():
        held = processes_client.submit(tasks.inc, 1, key="held")
        future = processes_client.submit(tasks.ratio, held, 0, key="recorded")
        wait(future)
        replay = dbgkit.replay(future, where="worker")
    assert replay.compared == {"held": "same"}
    assert "the inputs are those recorded when it failed" in replay.notes


def on_each(client):
    """A large and a small array, each on a worker of its own."""
    first, second = workers_of(client)
    large = client.submit(np.ones, 2000, workers=[first], key="large")
    small = client.submit(np.ones, 10, workers=[second], key="small")
    return large, small


def test_it_runs_where_most_bytes_are_and_fetches_the_rest(client):
    large, small = on_each(client)
    future = client.submit(again.sum_and_fail, large, small, key="both")
    wait(future)
    # The failed task has brought a copy of one to where it ran.
    with unchanged(client):
        plan = dbgkit.replay(future, where="worker", dry_run=True)
    hows = {info.key: info.how for info in plan.inputs}
    assert hows["large"] == "have"
    assert plan.call == "sum_and_fail(<large>, <small>)"
    replay = replayed(client, future)
    assert (replay.outcome, replay.plan.worker) == ("same", plan.worker)


def test_what_it_fetches_from_other_workers_counts(client, capsys):
    first, second = workers_of(client)
    large = client.submit(np.ones, 2000, workers=[first], key="large")
    other = client.submit(np.ones, 1000, workers=[second], key="other")
    wait([large, other])
    future = client.submit(
        again.sum_and_fail, large, other, workers=[first], key="both"
    )
    wait(future)
    settle(client)
    # Without the copy that the failed task has brought.
    forget = client.run(again.drop, "other", workers=[first])
    assert forget[first]
    wait_until(lambda: len(client.who_has([other])["other"]) == 1, "one copy is left")
    plan = dbgkit.replay(future, where="worker", dry_run=True)
    hows = {info.key: info.how for info in plan.inputs}
    assert hows == {"large": "have", "other": "pull"}
    assert 8000 <= plan.pull_bytes < 9000
    render.show(plan, whole=True)
    text = " ".join(capsys.readouterr().out.split())
    assert f"runs the task, on worker {first}, in a thread of its own" in text
    assert "fetched from another worker" in text and "copied there" in text
    with pytest.raises(errors.InputsTooLarge, match="'other'"):
        dbgkit.replay(future, where="worker", max_bytes=100)
    assert replayed(client, future).outcome == "same"


def test_released_inputs_are_computed_there(client):
    start = dask.delayed(tasks.inc)(1, dask_key_name="start")
    middle = dask.delayed(tasks.inc)(start, dask_key_name="middle")
    end = dask.delayed(tasks.ratio)(middle, 0, dask_key_name="end")
    with pytest.raises(ZeroDivisionError) as caught:
        end.compute(scheduler=client, optimize_graph=False)
    settle(client)
    with unchanged(client):
        plan = dbgkit.replay(caught.value, where="worker", dry_run=True)
        assert plan.run_here == ("start", "middle", "end")
        replay = dbgkit.replay(caught.value, where="worker")
    assert replay.outcome == "same"
    assert told(replay, "ratio") == {"a": "3", "b": "0"}
    with pytest.raises(errors.RecomputeRefused):
        dbgkit.replay(caught.value, where="worker", recompute=False)


def flaky_chain(client, path):
    """The exception of a task whose input cannot be computed a second time."""
    first = dask.delayed(again.goes_once)(path, dask_key_name="first")
    end = dask.delayed(tasks.ratio)(first, 0, dask_key_name="end")
    with pytest.raises(ZeroDivisionError) as caught:
        end.compute(scheduler=client, optimize_graph=False)
    settle(client)
    return caught.value


def test_an_input_that_fails_this_time_is_no_outcome(client, tmp_path):
    error = flaky_chain(client, str(tmp_path / "once"))
    with unchanged(client), pytest.raises(errors.RecomputeFailed, match="'first'"):
        dbgkit.replay(error, where="worker")


def test_with_its_ancestors_their_failure_is_an_outcome(client, tmp_path):
    error = flaky_chain(client, str(tmp_path / "once"))
    with unchanged(client):
        replay = dbgkit.replay(error, where="worker", scope="ancestors")
    assert replay.outcome == "different"
    assert replay.recording.key == "first"
    assert "goes_once" in [frame.function for frame in replay.frames]


def test_an_input_that_cannot_be_copied_is_refused(client):
    lock = client.submit(threading.Lock, key="lock")
    wait(lock)
    future = client.submit(tasks.ratio, lock, 0, key="locked")
    wait(future)
    with unchanged(client), pytest.raises(errors.InputNotCopyable, match="'lock'"):
        dbgkit.replay(future, where="worker")


def test_an_actor_is_refused(client):
    actor = client.submit(again.Counter, actor=True, key="actor")
    wait(actor)
    future = client.submit(tasks.ratio, actor, 0, key="acts")
    wait(future)
    with unchanged(client), pytest.raises(errors.NotHere, match="is an actor"):
        dbgkit.replay(future, where="worker")


# --- what surrounds the task --------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [hard_tasks.boom_async, again.boom_with_client],
    ids=lambda each: each.__name__,
)
def test_async_tasks(client, function):
    replay = replayed(client, client.submit(function, 4, key="awaited"))
    assert replay.outcome == "same"
    asked = any("asked for a client" in note for note in replay.notes)
    assert asked == (function is again.boom_with_client)
    assert told(replay, function.__name__)["doubled"] == "8"


@pytest.mark.parametrize(
    "function",
    [
        again.uses_its_worker,
        hard_tasks.submit_from_within,
        hard_tasks.submit_with_worker_client,
    ],
    ids=lambda each: each.__name__,
)
def test_the_worker_and_a_client_are_there(client, function):
    replay = replayed(client, client.submit(function, 4, key="asking"))
    assert replay.outcome == "same"
    assert any("asked for a client" in note for note in replay.notes)


def test_what_it_sets_on_its_worker_stays_with_it(client):
    def seen(dask_worker):
        return getattr(dask_worker, "seen_by_test", 0)

    future = client.submit(again.counts_on_its_worker, 1, pure=False)
    wait(future)
    before = client.run(seen)
    replayed(client, future, times=2)
    assert client.run(seen) == before


def test_what_it_logs_is_not_sent(client):
    future = client.submit(hard_tasks.log_and_fail, 1, pure=False)
    wait(future)
    before = len(client.get_events("dbgkit-test"))
    replay = replayed(client, future)
    assert any("1 event" in note for note in replay.notes)
    assert len(client.get_events("dbgkit-test")) == before


def test_leaving_the_workers_pool_leaves_it_as_it_is(client):
    future = client.submit(again.leaves_the_pool, 4, key="leaving")
    wait(future)
    settle(client)
    before = client.run(again.pool_of)
    replay = replayed(client, future)
    assert replay.outcome == "same"
    assert client.run(again.pool_of) == before
    no_thread_left(client)


def test_no_thread_is_left(client):
    replayed(client, client.submit(tasks.ratio, 1, 0))
    no_thread_left(client)


# --- refusals -----------------------------------------------------------------


def test_without_a_cluster_it_is_refused():
    with pytest.raises(ZeroDivisionError) as caught:
        dask.delayed(tasks.ratio)(1, 0).compute(scheduler="sync")
    with pytest.raises(errors.NotHere, match="no cluster"):
        dbgkit.replay(caught.value, where="worker")


def test_what_killed_a_worker_is_refused():
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        own_cluster(n_workers=1) as client,
    ):
        (address,) = workers_of(client)
        future = client.submit(hard_tasks.end_process, 3, key="killer")
        wait(future)
        with pytest.raises(errors.WouldKill, match="where='process'"):
            dbgkit.replay(future, where="worker")
        started_again(client, address, 1)


def test_where_memory_is_short_it_is_refused():
    # A worker of this process: it has more than its limit already.
    quiet = {
        f"distributed.worker.memory.{name}": False
        for name in ("target", "spill", "pause", "terminate")
    }
    with (
        dask.config.set(quiet),
        own_cluster(n_workers=1, processes=False, memory_limit="30 MiB") as client,
    ):
        held = client.submit(bytes, 2**20, key="held")
        future = client.submit(operator.truediv, held, 0, key="short")
        wait(future)
        with (
            unchanged(client),
            pytest.raises(errors.NotHere, match=r"memory is short.*1\.00 MiB"),
        ):
            dbgkit.replay(future, where="worker")


def test_where_its_worker_is_paused_another_one_runs_it():
    with own_cluster(n_workers=2, processes=False) as client:
        first, second = workers_of(client)
        held = client.submit(tasks.inc, 3, workers=[first], key="held")
        future = client.submit(
            tasks.ratio, held, 0, workers=[first], allow_other_workers=True
        )
        wait(future)
        client.run(again.pause, workers=[first])
        replay = dbgkit.replay(future, where="worker")
        assert (replay.outcome, replay.plan.worker) == ("same", second)
        assert [info.how for info in replay.plan.inputs] == ["pull"]
        client.run(again.pause, on=False, workers=[first])


def test_where_no_worker_runs_it_is_refused():
    with own_cluster(n_workers=1, processes=False) as client:
        future = client.submit(tasks.ratio, 1, 0)
        wait(future)
        client.retire_workers(workers_of(client))
        wait_until(lambda: not client.nthreads(), "the worker has left")
        with pytest.raises(errors.NotHere, match="there is no worker"):
            dbgkit.replay(future, where="worker")


def test_a_p2p_shuffle_is_refused(processes_client):
    import dask.dataframe as dd

    frame = dd.from_pandas(pd.DataFrame({"x": range(20)}), npartitions=2)
    shuffled = frame.shuffle("x", shuffle_method="p2p")
    with pytest.raises(ValueError, match="columns") as caught:
        shuffled.map_partitions(again.fail_on, meta={"x": int}).compute()
    settle(processes_client)
    with unchanged(processes_client), pytest.raises(errors.NotHere, match="P2P"):
        dbgkit.replay(caught.value, where="worker")


# --- the asynchronous client, and facts of Dask -----------------------------------


def test_with_an_asynchronous_client():
    async def run():
        async with (
            LocalCluster(
                n_workers=1,
                processes=False,
                asynchronous=True,
                dashboard_address=":0",
            ) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            future = client.submit(tasks.ratio, 1, 0)
            await wait(future)
            return await dbgkit.replay(future, where="worker")

    assert asyncio.run(run()).outcome == "same"


def test_a_worker_has_what_the_replay_asks_of_it(client):
    def asked(dask_worker):
        manager = dask_worker.memory_manager
        return [
            isinstance(manager.memory_pause_fraction, (float, bool)),
            manager.memory_limit is None or manager.memory_limit > 0,
            dask_worker.monitor.get_process_memory() > 0,
            dask_worker.state.actors == {},
            dask_worker.execution_state["worker"] is dask_worker,
        ]

    assert all(all(answers) for answers in client.run(asked).values())


def test_tasks_of_a_worker_have_their_state_in_the_thread(client):
    found = client.submit(again.names_of_state, pure=False).result()
    assert {"start_time", "execution_state", "key"} <= found


# --- copies -------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.arange(3_000_000)[::2],
        np.empty(0),
        pd.DataFrame({"x": range(5), "y": list("abcde")}),
        [bytearray(b"abc"), b"abc", {"x": (1, None)}],
    ],
    ids=["array", "fortran", "large", "empty", "frame", "objects"],
)
def test_a_copy_is_equal_and_shares_no_memory(value):
    copied = copy_values({"value": value}, Reading())["value"]
    assert type(copied) is type(value)
    assert pickle.dumps(copied) == pickle.dumps(pickle.loads(pickle.dumps(value)))
    if isinstance(value, np.ndarray):
        assert not np.shares_memory(copied, value)
        assert copied.flags.writeable == value.flags.writeable


def test_copies_share_what_their_originals_share():
    rows = [1, 2]
    copied = copy_values({"one": rows, "other": {"rows": rows}}, Reading())
    assert copied["one"] is copied["other"]["rows"]
    assert copied["one"] is not rows


def test_a_copy_of_what_cannot_be_written_to_cannot_be():
    value = np.arange(5)
    value.flags.writeable = False
    assert not copy_values({"value": value}, Reading())["value"].flags.writeable
