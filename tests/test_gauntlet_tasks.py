"""The gauntlet: tasks that are hard to replay, on real clusters.

For each the located key, the outcome, the innermost own frame and a local's value are
asserted, and that the cluster is as it was.
"""

from __future__ import annotations

import faulthandler
import operator
import os
import sys
from contextlib import contextmanager

import dask
import hard_tasks as tasks
import psutil
import pytest
from conftest import own_cluster
from distributed import wait
from watching import entered, own_frame, picture, unchanged, wait_until

import dbgkit
from dbgkit import errors
from dbgkit.model import Notice, Plan
from dbgkit.remote.common.frames import walk


@pytest.fixture
def failed(client):
    """Submit a call and wait until it has failed."""
    return submitter(client)


@pytest.fixture
def failed_there(processes_client):
    """As `failed`, on worker processes."""
    return submitter(processes_client)


def submitter(client):
    def submit(function, *args, **options):
        future = client.submit(function, *args, pure=False, **options)
        wait(future, timeout=30)
        assert future.status == "error"
        return future

    return submit


def replayed(client, future, function, outcome="same", **options):
    """Replay twice, once from the future and once by key; returns the last."""
    local = options.pop("local", {})
    with unchanged(client):
        assert dbgkit.locate(future.key, client=client).key == future.key
        replay = dbgkit.replay(future, **options)
        assert replay.failure.key == future.key
        assert replay.outcome == outcome
        entered(replay, function, **local)
    return replay


# -- what surrounds a task -----------------------------------------------------


def test_an_async_task_is_run_to_its_end(client, failed):
    future = failed(tasks.boom_async, 4)
    replay = replayed(client, future, "boom_async", local={"doubled": 8})
    assert replay.args == (4,)


def test_an_async_task_is_run_within_a_running_loop(client, failed):
    import asyncio

    future = failed(tasks.boom_async, 4)

    async def main():
        return dbgkit.replay(future)

    replay = asyncio.run(main())
    assert replay.outcome == "same"
    entered(replay, "boom_async", doubled=8)


def test_get_worker_answers_for_the_worker_that_it_failed_on(client, failed):
    future = failed(tasks.ask_worker, 4)
    address = dbgkit.locate(future).worker
    replayed(client, future, "ask_worker", local={"address": address})


def test_what_the_stand_in_lacks_is_said_by_name(client):
    future = client.submit(tasks.ask_worker_for, "executors", pure=False)
    wait(future, timeout=30)
    with unchanged(client), pytest.raises(errors.StandInLacks) as caught:
        dbgkit.replay(future)
    assert "'executors'" in caught.value.message
    assert "where='worker'" in caught.value.hint


def test_log_event_of_a_replay_is_not_sent(client, failed):
    future = failed(tasks.log_and_fail, 4)
    replayed(client, future, "log_and_fail", local={"x": 4})
    assert len(client.get_events("dbgkit-test")) >= 1
    before = len(client.get_events("dbgkit-test"))
    dbgkit.replay(future)
    assert len(client.get_events("dbgkit-test")) == before


@pytest.mark.parametrize(
    "function", [tasks.submit_from_within, tasks.submit_with_worker_client]
)
def test_work_that_the_task_submits_is_announced(client, failed, function):
    future = failed(function, 4)
    told = []
    with unchanged(client):
        assert dbgkit.locate(future).key == future.key
        with dbgkit.replay(future, notify=told.append) as replay:
            assert replay.outcome == "same"
            entered(replay, function.__name__, value=5)
    notices = [event.text for event in told if isinstance(event, Notice)]
    assert any("really runs" in text for text in notices)
    assert any("really ran" in note for note in replay.notes)


def test_work_that_a_task_submits_in_a_child_runs_on_the_cluster(
    processes_client, failed_there
):
    future = failed_there(tasks.submit_from_within, 4)
    replay = replayed(
        processes_client,
        future,
        "submit_from_within",
        where="process",
        local={"value": 5},
    )
    assert any("really runs" in note for note in replay.notes)


# -- what takes its worker along -----------------------------------------------


@contextmanager
def mortal_cluster():
    """A cluster on which a task that killed one worker is not tried again."""
    settings = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.pause": False,
    }
    options = {"n_workers": 1, "threads_per_worker": 1, "memory_limit": "400 MB"}
    with dask.config.set(settings), own_cluster(**options) as client:
        yield client


@pytest.fixture(scope="module")
def mortal():
    with mortal_cluster() as client:
        yield client


@pytest.fixture
def killed(mortal):
    def submit(function, *args):
        future = mortal.submit(function, *args, pure=False)
        wait(future, timeout=60)
        assert future.status == "error"
        assert type(future.exception()).__name__ == "KilledWorker"
        # The nanny starts another worker.
        wait_until(lambda: len(running_workers(mortal)) == 1, "a new worker")
        return future

    return submit


def running_workers(client):
    def running(dask_scheduler):
        return [
            address
            for address, ws in dask_scheduler.workers.items()
            if ws.status.name == "running"
        ]

    return client.run_on_scheduler(running)


def dies(client, future):
    """Replay what has killed a worker; nothing else than this may be the outcome."""
    with unchanged(client):
        failure = dbgkit.locate(future)
        assert (failure.key, failure.killed) == (future.key, True)
        assert failure.exception_type == "KilledWorker"
        replay = dbgkit.replay(future)
        assert replay.where == "process"
        assert replay.outcome == "died"
        with pytest.raises(errors.WouldKill, match="where='process'"):
            dbgkit.replay(future, where="here")
    return replay


def test_a_task_that_ends_its_process_dies_with_its_exit_code(mortal, killed):
    replay = dies(mortal, killed(tasks.end_process, 3))
    assert replay.runs[0].detail == "exit code 3"


def test_a_segmentation_fault_dies_with_signal_and_line(mortal, killed):
    replay = dies(mortal, killed(tasks.read_null, 4))
    assert replay.runs[0].detail == "signal 11 (SIGSEGV)"
    line = tasks.read_null.__code__.co_firstlineno + 2
    assert f'hard_tasks.py", line {line} in read_null' in replay.crash


def test_a_memory_hog_dies_at_the_workers_limit(mortal, killed):
    replay = dies(mortal, killed(tasks.eat_memory, 2_000))
    assert "memory" in replay.runs[0].detail
    assert "the worker's limit (400,000,000)" in replay.runs[0].detail


def test_a_task_that_exits_dies_with_its_frame():
    # A cluster of its own: at times the nanny goes with such a worker.
    with mortal_cluster() as client:
        future = client.submit(tasks.leave, 3, pure=False)
        wait(future, timeout=60)
        before = picture(client)["tasks"]
        replay = dbgkit.replay(future)
        assert (replay.failure.key, replay.failure.killed) == (future.key, True)
        assert (replay.where, replay.outcome) == ("process", "died")
        assert "SystemExit" in replay.runs[0].detail
        entered(replay, "leave", label="leaving with 3")
        assert picture(client)["tasks"] == before


def test_a_killer_is_found_from_the_exception_of_compute(mortal):
    wait_until(lambda: len(running_workers(mortal)) == 1, "a worker")
    job = dask.delayed(tasks.end_process)(5, dask_key_name="the-killer")
    with pytest.raises(Exception, match="the-killer") as caught:
        dask.delayed(tasks.inc)(job).compute(scheduler=mortal)
    wait_until(lambda: len(running_workers(mortal)) == 1, "a new worker")
    with unchanged(mortal):
        replay = dbgkit.replay(caught.value)
        assert replay.failure.key == "the-killer"
        assert (replay.outcome, replay.runs[0].detail) == ("died", "exit code 5")


def test_a_task_that_hangs_is_timed_out_with_the_line(client, failed, tmp_path):
    path = tmp_path / "there"
    path.touch()
    future = failed(tasks.hang_or_fail, str(path))
    path.unlink()
    with unchanged(client):
        replay = dbgkit.replay(future, where="process", timeout="2s")
        assert replay.failure.key == future.key
        assert replay.outcome == "timeout"
        line = tasks.hang_or_fail.__code__.co_firstlineno + 4
        assert f'hard_tasks.py", line {line} in hang_or_fail' in replay.crash


def test_a_short_timeout_does_not_count_the_childs_start(client, failed):
    """A limit on the call, below what it takes to start a child."""
    future = failed(tasks.ask_worker, 4)
    replay = dbgkit.replay(future, where="process", timeout="0.3s")
    assert replay.outcome == "same"


# -- what fails now and then, or not here --------------------------------------


@pytest.mark.parametrize("where", ["here", "process"])
def test_a_flaky_task_is_counted(client, failed, tmp_path, where):
    path = str(tmp_path / "runs")
    future = failed(tasks.fail_every_second_time, path)
    replay = replayed(
        client,
        future,
        "fail_every_second_time",
        times=4,
        where=where,
        local={"path": path},
    )
    assert replay.tally == {"passed": 2, "same": 2}
    assert [run.message for run in replay.runs] == [
        "",
        "run 3 fails",
        "",
        "run 5 fails",
    ]
    assert {run.exception_type for run in replay.runs} == {"", "ValueError"}


def test_a_flaky_task_that_passes_now_is_said_to_have_passed(client, failed, tmp_path):
    future = failed(tasks.fail_every_second_time, str(tmp_path / "runs"))
    with unchanged(client):
        replay = dbgkit.replay(future)
        assert replay.failure.key == future.key
        assert (replay.outcome, replay.exception, replay.result) == ("passed", None, 2)


@pytest.fixture
def set_there(processes_client):
    """Set environment variables on the workers only."""
    names = {"DBGKIT_TEST_MODE": "broken", "DBGKIT_TEST_PASSWORD": "hunter2"}

    def put():
        os.environ.update(names)

    def take():
        for name in names:
            os.environ.pop(name, None)

    processes_client.run(put)
    yield "DBGKIT_TEST_MODE"
    processes_client.run(take)


@pytest.mark.parametrize("where", ["here", "process"])
def test_what_differs_from_the_worker_is_said(
    processes_client, failed_there, set_there, where
):
    future = failed_there(tasks.fail_where_set, set_there)
    with unchanged(processes_client):
        replay = dbgkit.replay(future, where=where)
        assert replay.failure.key == future.key
        assert replay.outcome == "passed"
        found = {d.name: d for d in replay.differences if d.kind == "environment"}
        mode, password = found["DBGKIT_TEST_MODE"], found["DBGKIT_TEST_PASSWORD"]
        assert (mode.here, mode.there) == (None, "broken")
        assert password.here is None
        assert "hunter2" not in str(password.there)


def test_a_file_that_is_gone_makes_it_pass(client, failed, tmp_path):
    path = tmp_path / "told"
    path.write_text("value")
    future = failed(tasks.fail_as_told, str(path))
    path.write_text("well")
    with unchanged(client):
        replay = dbgkit.replay(future)
        assert replay.failure.key == future.key
        assert (replay.outcome, replay.result) == ("passed", "well")


@pytest.mark.parametrize("where", ["here", "process"])
def test_another_error_here_is_different(client, failed, tmp_path, where):
    path = tmp_path / "told"
    path.write_text("value")
    future = failed(tasks.fail_as_told, str(path))
    path.write_text("key")
    replay = replayed(
        client,
        future,
        "fail_as_told",
        outcome="different",
        where=where,
        local={"told": "key"},
    )
    assert replay.failure.exception_type == "ValueError"
    assert replay.runs[0].exception_type == "KeyError"


# -- exceptions that are lost on their way home --------------------------------


@pytest.mark.parametrize("where", ["here", "process"])
@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (tasks.raise_unimportable, "OnlyThere"),
        (tasks.raise_unpicklable, "Unpicklable"),
    ],
)
def test_class_and_text_are_put_right_from_the_scheduler(
    client, failed, monkeypatch, function, kind, where
):
    future = failed(function, 4)
    failure = dbgkit.locate(future)
    assert (failure.exception_type, failure.message) == (kind, "cannot take 4")
    replayed(client, future, function.__name__, where=where, local={"x": 4})
    monkeypatch.delitem(sys.modules, "dbgkit_test_only_there", raising=False)


@pytest.mark.parametrize("where", ["here", "process"])
@pytest.mark.parametrize(
    "function", [tasks.raise_unprintable, tasks.raise_with_own_repr]
)
def test_an_exception_with_a_repr_of_its_own(client, failed, function, where):
    future = failed(function, 4)
    replayed(client, future, function.__name__, where=where, local={"x": 4})


def test_a_class_with_a_repr_of_its_own_keeps_its_name(client, failed):
    failure = dbgkit.locate(failed(tasks.raise_with_own_repr, 4))
    assert failure.exception_type == "Sensor"


@pytest.mark.parametrize(
    "function",
    [
        tasks.raise_unimportable,
        tasks.raise_unpicklable,
        tasks.raise_unprintable,
        tasks.raise_with_own_repr,
    ],
)
def test_an_exception_of_compute_that_was_lost_is_matched_to_its_key(
    client, monkeypatch, function
):
    job = dask.delayed(function)(4, dask_key_name="the-key")
    with pytest.raises(Exception) as caught:
        dask.delayed(tasks.inc)(job).compute(scheduler=client)
    with unchanged(client):
        replay = dbgkit.replay(caught.value)
        assert (replay.failure.key, replay.outcome) == ("the-key", "same")
        entered(replay, function.__name__, x=4)
    monkeypatch.delitem(sys.modules, "dbgkit_test_only_there", raising=False)


def erred(client, key):
    """Wait until the scheduler says that a task has failed."""

    def state(dask_scheduler):
        ts = dask_scheduler.tasks.get(key)
        return ts is not None and ts.state == "erred"

    wait_until(lambda: client.run_on_scheduler(state), f"{key} to fail")


@pytest.mark.parametrize("where", ["here", "process"])
def test_a_recursion_error_that_the_client_never_hears_of(processes_client, where):
    client = processes_client
    future = client.submit(tasks.dive, "deep", pure=False)
    erred(client, future.key)
    with unchanged(client):
        failure = dbgkit.locate(future)
        assert (failure.key, failure.exception_type) == (future.key, "RecursionError")
        replay = dbgkit.replay(future, where=where)
        assert replay.outcome == "same"
        entered(replay, "dive", label="deep")


@pytest.mark.parametrize("where", ["here", "process"])
def test_a_traceback_too_deep_to_come_home(client, failed, where):
    future = failed(tasks.climb, 150, 4)
    replayed(client, future, "climb", where=where, local={"n": 0, "x": 4})


# -- kinds of tasks ------------------------------------------------------------


def test_attempts_of_a_task_with_retries_are_counted(client, failed):
    future = failed(tasks.ask_worker, 4, retries=2)
    assert dbgkit.locate(future).attempts == 3
    replayed(client, future, "ask_worker", local={"x": 4})


def shuffled_frame():
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    frame = dd.from_pandas(pd.DataFrame({"x": range(40), "y": [1, 2] * 20}), 4)
    shuffled = frame.shuffle("x", shuffle_method="p2p")
    return shuffled.map_partitions(tasks.fail_with_rows, meta=frame._meta)


def merged_frame():
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    left = dd.from_pandas(pd.DataFrame({"x": range(40), "y": 1}), 4)
    right = dd.from_pandas(pd.DataFrame({"x": range(40), "z": 2}), 4)
    merged = left.merge(right, on="x", shuffle_method="p2p")
    return merged.map_partitions(tasks.fail_with_rows, meta=merged._meta)


def rechunked_array():
    da = pytest.importorskip("dask.array")
    array = da.arange(40, chunks=10).reshape(8, 5).rechunk((4, 5))
    with dask.config.set({"array.rechunk.method": "p2p"}):
        rechunked = array.rechunk((8, 2))
    return rechunked.map_blocks(tasks.fail_with_block, dtype=int)


SHUFFLES = {
    "shuffle": (shuffled_frame, "fail_with_rows", "rows"),
    "merge": (merged_frame, "fail_with_rows", "rows"),
    "rechunk": (rechunked_array, "fail_with_block", "shape"),
}


@pytest.mark.filterwarnings("ignore:.*P2P:UserWarning")
@pytest.mark.parametrize("kind", list(SHUFFLES))
def test_the_consumer_of_a_p2p_shuffle(client, kind):
    make, function, name = SHUFFLES[kind]
    collection = client.persist(make())
    wait(collection, timeout=60)
    with unchanged(client):
        plan = dbgkit.replay(collection, dry_run=True)
        assert plan.own_keys
        assert any("under its own keys" in text for text in plan.warnings)
        told = []
        replay = dbgkit.replay(collection, notify=told.append)
        assert isinstance(told[0], Plan)
        assert told[0].own_keys == plan.own_keys
        assert replay.outcome == "same"
        assert replay.failure.key == plan.key
        assert name in own_frame(replay.exception).f_locals
        entered(replay, function)


def test_a_p2p_shuffle_of_a_compute_that_kept_nothing(client):
    with pytest.raises(ValueError, match="a bad row") as caught:
        shuffled_frame().compute(scheduler=client)
    with unchanged(client):
        replay = dbgkit.replay(caught.value)
        assert replay.plan.own_keys
        assert replay.outcome == "same"
        entered(replay, "fail_with_rows")


def test_an_actor_that_cannot_be_created(client, failed):
    future = failed(tasks.Counter, -1, actor=True)
    replayed(client, future, "__init__", local={"start": -1})


def test_a_method_of_an_actor_is_no_task(client):
    counter = client.submit(tasks.Counter, 1, actor=True).result(timeout=30)
    with pytest.raises(ValueError, match="cannot add -1") as caught:
        counter.add(-1).result(timeout=30)
    with unchanged(client):
        failure = dbgkit.locate(caught.value)
        assert failure.key is None
        assert "that is not a task" in failure.notes[0]
        with pytest.raises(errors.NoTask, match="actor"):
            dbgkit.replay(caught.value)


def test_of_a_builtin_function_one_stops_in_the_call(client, failed):
    future = failed(operator.truediv, 1, 0)
    with unchanged(client):
        replay = dbgkit.replay(future)
        assert replay.failure.key == future.key
        assert (replay.outcome, replay.args) == ("same", (1, 0))
        *_, (frame, _) = walk(replay.exception.__traceback__)
        assert frame.f_locals["function"] is operator.truediv
        assert frame.f_locals["args"] == (1, 0)


def test_of_a_builtin_function_a_child_says_the_same(client, failed):
    future = failed(operator.truediv, 1, 0)
    replay = dbgkit.replay(future, where="process")
    assert (replay.outcome, replay.failure.key) == ("same", future.key)


def test_an_input_that_cannot_be_copied_goes_to_a_fork(inproc_client):
    client = inproc_client
    lock = client.submit(tasks.make_lock, pure=False)
    future = client.submit(tasks.hold, lock, 4, pure=False)
    wait(future, timeout=30)
    with unchanged(client):
        replay = dbgkit.replay(future)
        assert (replay.failure.key, replay.outcome) == (future.key, "same")
        assert replay.where == "process"
        entered(replay, "hold", x=4, held=False)
        with pytest.raises(errors.InputNotCopyable):
            dbgkit.replay(future, where="here")


def test_a_fork_begins_while_this_process_watches_itself(inproc_client):
    """As pytest's ``faulthandler_timeout`` does: its thread is not in the fork."""
    client = inproc_client
    lock = client.submit(tasks.make_lock, pure=False)
    future = client.submit(tasks.hold, lock, 4, pure=False)
    wait(future, timeout=30)
    faulthandler.dump_traceback_later(600)
    try:
        replay = dbgkit.replay(future)
    finally:
        faulthandler.cancel_dump_traceback_later()
    assert (replay.where, replay.outcome) == ("process", "same")


def test_a_fork_that_hangs_says_where(inproc_client, tmp_path):
    client = inproc_client
    path = tmp_path / "there"
    path.touch()
    lock = client.submit(tasks.make_lock, pure=False)
    future = client.submit(tasks.hang_or_fail, str(path), lock, pure=False)
    wait(future, timeout=30)
    path.unlink()
    with unchanged(client):
        replay = dbgkit.replay(future, where="process", timeout="1s")
        assert (replay.failure.key, replay.outcome) == (future.key, "timeout")
        assert "in hang_or_fail" in replay.crash


def test_what_a_fork_has_from_its_parent_does_not_count(inproc_client):
    client = inproc_client
    lock = client.submit(tasks.make_lock, pure=False)
    future = client.submit(tasks.hold, lock, 4, pure=False)
    wait(future, timeout=30)
    failure = dbgkit.locate(future)
    limit = psutil.Process().memory_info().rss // 2
    client.run_on_scheduler(set_memory_limit, address=failure.worker, limit=limit)
    assert dbgkit.replay(future).outcome == "same"


def set_memory_limit(dask_scheduler, address, limit):
    dask_scheduler.workers[address].memory_limit = limit


@pytest.mark.parametrize("limit", ["workers", "resources"])
def test_restrictions_of_released_inputs_are_honoured(client, limit):
    address = sorted(running_workers(client))[-1]

    async def give(dask_worker):
        await dask_worker.set_resources(THING=1)

    client.run(give, workers=[address])
    options = (
        {"workers": [address]} if limit == "workers" else {"resources": {"THING": 1}}
    )
    inputs = [
        client.submit(tasks.where_it_ran, number, pure=False, **options)
        for number in range(4)
    ]
    future = client.submit(tasks.fail_with, inputs, pure=False)
    wait(future, timeout=30)
    del inputs
    wait_until(lambda: len(client.futures) == 1, "the inputs to be released")
    replay = replayed(client, future, "fail_with", local={"address": [address] * 4})
    assert len(replay.plan.recompute) == 4
