"""The recorder: what a worker saw of a task at the moment it failed."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import operator
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import dask
import pytest
from conftest import own_cluster
from distributed import Client, Reschedule, wait
from recorder_tasks import (
    Counter,
    doubled,
    fails_at_first,
    fails_when_there,
    late_ratio,
    only,
    ratio,
    running,
    told,
    total,
    waits_for,
)
from watching import forgotten, wait_until

import dbgkit
from dbgkit.remote.common.boxes import read_box

pytestmark = pytest.mark.usefixtures("recorder_off")


def calling(a):
    doubled = a * 2
    try:
        return ratio(doubled, 0)
    except ZeroDivisionError as error:
        raise ValueError(f"no ratio for {doubled}") from error


def test_a_failure_is_recorded_with_its_locals(recorded):
    wait(recorded.submit(ratio, 1, 0, key="ratio-1"))
    recording = only()
    assert recording.key == "ratio-1"
    assert (recording.exception_type, recording.message) == (
        "ZeroDivisionError",
        "division by zero",
    )
    assert told(recording, "ratio") == {
        "a": "1",
        "b": "0",
        "password": "<hidden>",
        "pair": "[1, 0]",
    }


def test_dask_and_the_recorder_have_no_frames_in_it(recorded):
    wait(recorded.submit(calling, 3))
    assert [frame.function for frame in only().frames] == ["calling"]


def test_what_it_was_raised_from_is_recorded(recorded):
    wait(recorded.submit(calling, 3))
    (cause,) = only().causes
    assert (cause.how, cause.exception_type) == ("cause", "ZeroDivisionError")
    assert [frame.function for frame in cause.frames] == ["ratio"]


def test_small_values_come_along_whole_and_secrets_do_not(recorded):
    wait(recorded.submit(ratio, 1, 0))
    (values,) = only().values.values()
    assert values == {"a": 1, "b": 0, "pair": [1, 0]}


def test_async_tasks_are_recorded(recorded):
    wait(recorded.submit(late_ratio, 4, 0))
    assert told(only(), "late_ratio") == {"a": "4", "b": "0", "half": "2.0"}


def test_a_recording_is_there_as_soon_as_the_failure_is_seen(recorded):
    for number in range(30):
        future = recorded.submit(ratio, number, 0, key=f"ratio-{number}")
        wait(future)
        assert len(dbgkit.recordings(future)) == 1, number


def test_it_outlives_the_future(recorded):
    future = recorded.submit(ratio, 1, 0, key="ratio-gone")
    wait(future)
    del future
    forgotten(recorded)
    assert only().key == "ratio-gone"


def test_healthy_tasks_leave_nothing(recorded):
    assert recorded.submit(ratio, 1, 2).result() == 0.5
    assert dbgkit.recordings().failures == 0


def sometimes(path):
    if not os.path.exists(path):
        open(path, "w").close()
        raise Reschedule
    return "done"


def test_a_task_that_reschedules_itself_has_not_failed(recorded, tmp_path):
    future = recorded.submit(sometimes, str(tmp_path / "seen"))
    assert future.result(timeout=20) == "done"
    assert dbgkit.recordings().failures == 0


def test_an_attempt_that_a_retry_heals_is_recorded(recorded, tmp_path):
    future = recorded.submit(fails_at_first, str(tmp_path / "tried"), retries=2)
    assert future.result(timeout=20) == 1.0
    assert told(only(), "fails_at_first")["first"] == "True"


def test_tuple_keys_are_found_in_both_spellings(recorded):
    future = recorded.get({("part", 1): (ratio, 1, 0)}, ("part", 1), sync=False)
    wait(future)
    assert len(dbgkit.recordings(("part", 1))) == 1
    assert len(dbgkit.recordings("('part', 1)")) == 1


def test_the_traceback_at_home_is_that_without_the_recorder(client):
    texts = []
    for on in (False, True):
        recorder = dbgkit.record() if on else None
        future = client.submit(calling, 3, pure=False)
        wait(future)
        texts.append(dbgkit.locate(future).traceback_text)
        if recorder is not None:
            recorder.off()
        del future
        forgotten(client)
    assert texts[0] == texts[1]


class Ended(BaseException):
    pass


def raises(kind):
    told = kind.__name__
    raise kind(told)


async def raises_later(kind):
    await asyncio.sleep(0)
    told = kind.__name__
    raise kind(told)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (raises, Ended),
        (raises, asyncio.CancelledError),
        (raises, GeneratorExit),
        (raises_later, Ended),
        (raises_later, asyncio.CancelledError),
    ],
)
def test_whatever_dask_takes_for_a_failure_is_recorded(recorded, function, kind):
    wait(recorded.submit(function, kind, pure=False))
    assert told(only(), function.__name__)["told"] == repr(kind.__name__)


def test_a_task_that_had_begun_before_is_a_gap_that_says_so(client, tmp_path):
    future = client.submit(fails_when_there, str(tmp_path / "go"), pure=False)
    wait_until(lambda: running(client), "the task runs")
    with dbgkit.record():
        (tmp_path / "go").touch()
        wait(future)
        assert only().gap == "it had begun before the recorder was turned on"


def seen_running(dask_worker):
    """Keys of the tasks that run, as a worker's black box has them."""
    (recorder,) = [
        plugin
        for name, plugin in dask_worker.plugins.items()
        if name.startswith("dbgkit-recorder")
    ]
    return [task["key"] for task in read_box(recorder.box.path)["tasks"]]


def test_a_task_that_was_cancelled_is_no_failure_but_runs_to_its_end(
    processes_client, tmp_path
):
    def boxes():
        return [key for keys in client.run(seen_running).values() for key in keys]

    client = processes_client
    with dbgkit.record():
        future = client.submit(fails_when_there, str(tmp_path / "go"), pure=False)
        wait_until(boxes, "the task runs")
        future.cancel()
        forgotten(client)
        # It could still take its worker along.
        assert len(boxes()) == 1
        (tmp_path / "go").touch()
        wait_until(lambda: not boxes(), "the task ended")
        assert dbgkit.recordings().failures == 0


def test_methods_of_actors_are_not_covered(recorded):
    counter = recorded.submit(Counter, actor=True).result()
    with pytest.raises(RuntimeError):
        counter.fail().result()
    assert dbgkit.recordings().failures == 0


def in_pool(method):
    """A failed task of a process pool on a worker, as it was recorded."""
    context = multiprocessing.get_context(method)
    with (
        ProcessPoolExecutor(1, mp_context=context) as pool,
        own_cluster(n_workers=1, processes=False, executor={"pool": pool}) as client,
        dbgkit.record(),
    ):
        with dask.annotate(executor="pool"):
            assert client.submit(operator.add, 1, 2).result(timeout=30) == 3
            future = client.submit(operator.truediv, 1, 0, key="in-a-pool")
        wait(future)
        return only()


@pytest.mark.filterwarnings("ignore:.*use of fork")
def test_a_child_of_a_process_pool_records_where_it_has_the_code():
    recording = in_pool("fork")
    assert recording.exception_type == "ZeroDivisionError"
    assert not recording.gap


def test_a_child_of_a_process_pool_without_the_code_is_a_marked_gap():
    recording = in_pool("spawn")
    assert recording.exception_type == "ZeroDivisionError"
    assert "process pool" in recording.gap


def raises_in_pool(number):
    raise ValueError(number)


@pytest.mark.filterwarnings("ignore:.*use of fork")
def test_a_process_pool_runs_where_no_folder_can_be_made(monkeypatch, tmp_path):
    context = multiprocessing.get_context("fork")
    with (
        ProcessPoolExecutor(1, mp_context=context) as pool,
        own_cluster(n_workers=1, processes=False, executor={"pool": pool}) as client,
        dbgkit.record(),
        dask.annotate(executor="pool"),
    ):
        (worker,) = client.cluster.workers.values()
        monkeypatch.setattr(worker, "local_directory", str(tmp_path / "missing"))
        assert client.submit(operator.add, 1, 2).result(timeout=30) == 3
        future = client.submit(raises_in_pool, 1)
        assert isinstance(future.exception(timeout=30), ValueError)
        assert "making a folder" in only().gap


@pytest.mark.filterwarnings("ignore:.*use of fork")
def test_what_a_process_pool_is_sent_after_it_was_turned_off_leaves_nothing(tmp_path):
    go = tmp_path / "go"
    context = multiprocessing.get_context("fork")
    with (
        ProcessPoolExecutor(1, mp_context=context) as pool,
        own_cluster(n_workers=1, processes=False, executor={"pool": pool}) as client,
        dask.annotate(executor="pool"),
    ):
        # A pool is sent a few calls ahead: the task has to wait for these.
        ahead = [pool.submit(waits_for, str(go)) for _ in range(4)]
        with dbgkit.record():
            future = client.submit(waits_for, str(go))
            wait_until(lambda: running(client), "the task waits for the pool")
        go.touch()
        assert future.result(timeout=30) == str(go)
        assert all(each.done() for each in ahead)
        (worker,) = client.cluster.workers.values()
        assert not list(Path(worker.local_directory).glob("dbgkit-recorder-*"))


def not_utf_8(path):
    raise FileNotFoundError(os.fsdecode(path))


def test_a_message_that_is_no_utf_8_comes_home():
    """A worker's stream to its scheduler would break on it, and the job hang."""
    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        dbgkit.record()
        future = client.submit(not_utf_8, b"table-\xff.csv")
        assert isinstance(future.exception(timeout=20), FileNotFoundError)
        assert "table-" in only().message


def test_workers_that_join_later_record_too():
    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        dbgkit.record()
        dbgkit.record(secret_names=["pair"])
        client.cluster.scale(2)
        client.wait_for_workers(2, timeout=30)
        late = list(client.scheduler_info()["workers"])[-1]
        wait(client.submit(ratio, 1, 0, workers=[late], key="late"))
        assert only().worker == late
        assert told(only(), "ratio")["pair"] == "<hidden>"


def test_it_survives_a_restart_of_the_workers():
    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        dbgkit.record(keep_inputs="1 MB")
        failed = client.submit(total, client.submit(doubled, 3))
        wait(failed)
        assert dbgkit.recordings().kept_inputs == 1
        client.restart()
        assert dbgkit.recordings().kept_inputs == 0
        wait(client.submit(ratio, 1, 0))
        assert told(dbgkit.recordings()[0], "ratio")["pair"] == "[1, 0]"


def test_it_survives_the_death_of_its_worker():
    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        dbgkit.record()
        wait(client.submit(ratio, 1, 0, key="before"))
        first = client.scheduler_info()["workers"]
        client.restart_workers(list(first), timeout=30)
        assert only().key == "before"


def test_what_is_held_is_bounded():
    with own_cluster(n_workers=1, processes=False) as client:
        dbgkit.record(hold=8_000)
        wait(client.map(ratio, range(40), [0] * 40))
        held = dbgkit.recordings(limit=100)
        assert held.held <= 8_000
        assert held.failures == 40 == len(held) + held.dropped
        assert held.dropped
        assert held[0].short


def test_an_asynchronous_client():
    async def job():
        async with (
            Client(
                processes=False, n_workers=1, dashboard_address=":0", asynchronous=True
            ) as client,
            dbgkit.record(client=client),
        ):
            await wait(client.submit(ratio, 1, 0))
            return await dbgkit.recordings(client=client)

    assert told(asyncio.run(job())[0], "ratio")["pair"] == "[1, 0]"
    gc.collect()


def test_a_secured_cluster():
    from distributed.security import Security

    with own_cluster(
        n_workers=1, protocol="tls://", security=Security.temporary()
    ) as client:
        with dbgkit.record():
            wait(client.submit(ratio, 1, 0))
            recording = only()
        assert recording.worker.startswith("tls://")
        assert told(recording, "ratio")["pair"] == "[1, 0]"


def fails_and_dies(numbers):
    """Its process ends while it is being recorded, or just before or after that."""
    threading.Timer(0.001 * numbers[0], os._exit, [3]).start()
    return ratio(numbers, 0)


def test_a_worker_that_dies_while_it_records():
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        own_cluster(n_workers=2, threads_per_worker=1) as client,
    ):
        dbgkit.record()
        futures = [client.submit(fails_and_dies, [n], key=f"d-{n}") for n in (1, 3)]
        wait(futures, timeout=60)
        assert {future.status for future in futures} == {"error"}
        # Whatever came of it, the recorder answers, and goes on recording.
        dbgkit.recordings()
        client.wait_for_workers(2, timeout=60)
        future = client.submit(ratio, 1, 0, key="after")
        wait(future, timeout=60)
        assert told(only(target=future), "ratio")["pair"] == "[1, 0]"
