"""Deaths of workers, for real: why, and what ran there."""

from __future__ import annotations

import asyncio
import ctypes
import json
import multiprocessing
import os
import signal
import socket
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dask
import msgpack
import pytest
from conftest import RECORDER_OFF, own_cluster
from distributed import Client, LocalCluster, wait
from watching import wait_until

import dbgkit
from dbgkit.cluster.link import Link
from dbgkit.cluster.view import LiveView
from dbgkit.diagnose.deaths import deaths_of, tell_of
from dbgkit.model import Deaths
from dbgkit.remote.boxes import boxes_in, folder_in, read_box

pytestmark = pytest.mark.core


def leave(status=3):
    end = time.monotonic() + 0.5  # longer than between two samples
    while time.monotonic() < end:
        time.sleep(0.01)
    os._exit(status)


def touch_and_loop(started, *args):
    Path(started).touch()
    loop(*args)


def crash():
    ctypes.string_at(0)


def loop(path, *inputs):
    """Run until a file is there."""
    while not os.path.exists(path):
        time.sleep(0.01)


async def hang(path):
    while not os.path.exists(path):
        await asyncio.sleep(0.01)


async def crash_later():
    await asyncio.sleep(0.5)  # longer than between two samples
    crash()


def fill_memory(path):
    held = b"x" * 2**30
    loop(path)
    return len(held)


# A nanny that takes long to start its worker again is not given up.
PATIENT = {
    "distributed.scheduler.allowed-failures": 0,
    "distributed.deploy.lost-worker-timeout": "120s",
}
KEY = ("<b>[/a]", "é'\n")


@contextmanager
def recorded(**options):
    """A cluster whose workers may die, the recorder on; a death is final."""
    options = {"n_workers": 2, "threads_per_worker": 1, **options}
    with (
        dask.config.set(PATIENT),
        own_cluster(**options) as client,
        dbgkit.record(client=client),
    ):
        yield client
        # It cannot close while a nanny starts a worker.
        client.wait_for_workers(options["n_workers"], timeout=60)


@pytest.fixture(scope="module")
def shared():
    with recorded(threads_per_worker=2) as client:
        yield client


@pytest.fixture
def client(shared):
    """A cluster with both workers there."""
    shared.wait_for_workers(2, timeout=60)
    return shared


def workers(client):
    """Address -> process id."""
    return client.run(os.getpid)


def running(client, *keys):
    """The worker that runs some tasks, once it has seen in which lines."""

    def found(dask_worker):
        plugins = dask_worker.plugins.values()
        (box,) = [each.box for each in plugins if hasattr(each, "box")]
        tasks = __import__("sys").modules[type(box).__module__].read_box(box.path)
        return [task["text"] or task["key"] for task in tasks["tasks"] if task["line"]]

    packed = {msgpack.packb(key) for key in keys}

    def where():
        seen = client.run(found).items()
        return [each for each, tasks in seen if packed <= set(tasks)]

    return wait_until(where, f"{keys} run")[0]


def gone(client, worker):
    """The death of a worker."""
    return next(each for each in dbgkit.deaths(client=client) if each.worker == worker)


def die(client, function, *args, key):
    """Run what kills its worker; returns the failed future, and that death."""
    client.wait_for_workers(2, timeout=60)
    before = set(workers(client))
    future = client.submit(function, *args, key=key, pure=False)
    wait(future)
    (death,) = (each for each in dbgkit.deaths(client=client) if key in each.keys)
    assert death.worker in before
    return future, death


# -- each way to die, under a nanny --------------------------------------------------


@pytest.fixture(scope="module")
def left(shared):
    """A death by exit status 3, of a task with a key that breaks markup."""
    return die(shared, leave, key=KEY)[1]


@pytest.fixture(scope="module")
def crashed(shared):
    """A future that failed as its worker crashed, and that death."""
    return die(shared, crash, key="crash-1")


@pytest.fixture(scope="module")
def killed(shared, tmp_path_factory):
    """A death by SIGKILL, with two tasks that ran and five that did not."""
    never = str(tmp_path_factory.mktemp("killed") / "never")
    shared.wait_for_workers(2, timeout=60)
    worker, pid = next(iter(workers(shared).items()))
    block = shared.submit(bytes, 5_000_000, key="block", workers=[worker])
    futures = [
        shared.submit(loop, never, block, key="loop-1", workers=[worker]),
        shared.submit(hang, never, key="hang-1", workers=[worker]),
    ]
    assert running(shared, "loop-1", "hang-1") == worker
    futures += [
        shared.submit(loop, never, key=("queued", n), workers=[worker])
        for n in range(5)
    ]
    wait_until(lambda: len(shared.processing()[worker]) == 7, "all are there")
    os.kill(pid, signal.SIGKILL)
    wait(futures)
    death = gone(shared, worker)
    assert death.pid == pid
    return death


def ran(death, key):
    """One of the tasks that ran."""
    return next(task for task in death.ran if task.key == key)


def test_an_exit(left):
    assert (left.verdict, left.exit_code, left.signal) == ("exit", 3, "")
    assert "status 3" in left.evidence[0]
    assert left.memory > 2**20 and left.pid and left.nanny


def test_a_task_that_ran_is_told_with_its_line(left):
    (task,) = left.ran
    assert task.key == KEY
    assert task.line.endswith("in leave")


def test_an_exit_with_status_0_is_no_closing(client):
    _, death = die(client, leave, 0, key="leave-0")
    assert (death.verdict, death.exit_code) == ("exit", 0)


def test_a_crash_leaves_its_stack(crashed):
    _, death = crashed
    assert (death.verdict, death.signal) == ("signal", "SIGSEGV")
    assert "Segmentation fault" in death.stack
    (task,) = death.ran
    assert task.crashed
    assert task.line.startswith(__file__) and task.line.endswith("in crash")


def test_what_ran_in_a_process_pool_is_told(tmp_path):
    started, never = str(tmp_path / "started"), str(tmp_path / "never")

    def add_pool(dask_worker):
        spawn = multiprocessing.get_context("spawn")
        dask_worker.executors["pool"] = ProcessPoolExecutor(1, mp_context=spawn)

    # Workers that are daemons may have no processes of their own.
    daemons = dask.config.set({"distributed.worker.daemon": False})
    with daemons, recorded(n_workers=1) as client:
        ((worker, pid),) = workers(client).items()
        client.run(add_pool)
        with dask.annotate(executor="pool"):
            before = dask.delayed(os.path.exists)(never, dask_key_name="before")
            task = dask.delayed(touch_and_loop)(started, never, dask_key_name="pooled")
        assert not client.compute(before, optimize_graph=False).result()
        future = client.compute(task, optimize_graph=False)
        wait_until(lambda: os.path.exists(started), "it runs")
        os.kill(pid, signal.SIGKILL)
        wait(future)
        (ended,) = gone(client, worker).ran
        assert (ended.key, ended.line, ended.crashed) == ("pooled", "", False)
    Path(never).touch()  # the pool's process ends with its task


def test_failures_tell_the_death(client, crashed):
    future, death = crashed
    groups = dbgkit.failures(client=client).groups
    (group,) = (each for each in groups if future.key in each.keys)
    assert "SIGSEGV" in group.message and "while running it" in group.message
    assert group.location.endswith("in crash")
    assert [each.worker for each in group.deaths] == [death.worker]
    assert json.dumps(dbgkit.failures(client=client).to_json())


def test_failures_tell_the_death_of_what_is_forgotten(client):
    future, death = die(client, leave, 5, key="leave-forgotten")
    future.release()
    wait_until(
        lambda: (
            not client.run_on_scheduler(
                lambda dask_scheduler: "leave-forgotten" in dask_scheduler.tasks
            )
        ),
        "the scheduler forgets it",
    )
    groups = dbgkit.failures(client=client).groups
    (group,) = (each for each in groups if "leave-forgotten" in each.keys)
    assert group.exception_type == "KilledWorker"
    assert "status 5" in group.message and "while running it" in group.message
    assert [each.worker for each in group.deaths] == [death.worker]


def test_why_tells_the_death(client, crashed):
    future, _ = crashed
    told = dbgkit.why(future, client=client)
    assert told.cause == "failed"
    assert "SIGSEGV" in " ".join(told.evidence)


def test_a_kill_from_outside(killed):
    assert (killed.verdict, killed.signal) == ("signal", "SIGKILL")


def test_what_only_was_queued_is_told_from_what_ran(killed):
    assert set(killed.keys) == {"loop-1", "hang-1"}
    assert set(killed.queued) == {("queued", n) for n in range(5)}
    assert killed.queued_count == 5


def test_what_failed_while_it_was_queued_is_told_so(client, killed):
    found = deaths_of(LiveView(Link(client, 30)), [("queued", 3)])
    told = tell_of(("queued", 3), found[("queued", 3)])
    assert "had it queued, but was running" in told and "'loop-1'" in told


def test_an_asynchronous_task_has_its_line(killed):
    assert ran(killed, "hang-1").line.endswith("in hang")


def test_of_several_coroutines_none_is_blamed_for_a_crash(client, tmp_path):
    worker = next(iter(workers(client)))
    never = str(tmp_path / "never")
    waits = client.submit(hang, never, key="turn-hang", workers=[worker])
    assert running(client, "turn-hang") == worker
    crashes = client.submit(crash_later, key="turn-crash", workers=[worker])
    wait([waits, crashes])
    death = gone(client, worker)
    assert set(death.keys) == {"turn-hang", "turn-crash"}
    assert not any(task.crashed for task in death.ran)
    assert ran(death, "turn-hang").line.endswith("in hang")
    assert any("in crash, in one of several tasks" in note for note in death.notes)


def test_a_coroutine_that_waits_is_not_where_a_crash_was(client, tmp_path):
    future = client.submit(hang, str(tmp_path / "never"), key="waits")
    worker = running(client, "waits")
    os.kill(workers(client)[worker], signal.SIGSEGV)  # in the thread of the loop
    wait(future)
    death = gone(client, worker)
    assert death.signal == "SIGSEGV" and "Segmentation fault" in death.stack
    (task,) = death.ran
    assert not task.crashed and task.line.endswith("in hang")


def test_inputs_are_counted(killed):
    assert ran(killed, "loop-1").inputs >= 5_000_000
    assert ran(killed, "hang-1").inputs == 0


def test_two_that_die_at_once_are_told_apart(client, tmp_path):
    never = str(tmp_path / "never")
    pids = workers(client)
    expected = {each: (f"pair-{n}",) for n, each in enumerate(pids)}
    futures = [
        client.submit(loop, never, key=key, workers=[each])
        for each, (key,) in expected.items()
    ]
    for each, (key,) in expected.items():
        assert running(client, key) == each
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    wait(futures)
    deaths = [each for each in dbgkit.deaths(client=client) if each.worker in pids]
    assert {each.worker: each.keys for each in deaths} == expected
    assert {each.worker: each.pid for each in deaths} == pids


def test_a_restart_was_wanted(client):
    worker, _ = workers(client)
    client.restart_workers([worker], timeout=60)
    death = gone(client, worker)
    assert death.verdict == "closed-on-purpose" and death.expected
    assert not death.ran


def test_what_is_left_out_is_counted(client, left, killed):
    deaths = dbgkit.deaths(client=client, limit=1)
    assert len(deaths) == 1
    assert deaths.omitted == deaths.total - 1 > 0


def test_of_those_that_are_alike_the_newest_is_shown(left):
    earlier = [replace(left, when=left.when - timedelta(hours=n)) for n in (1, 2)]
    other = replace(left, exit_code=4, evidence=("another status",))
    told = str(Deaths((left, *earlier, other), total=4))
    assert told.count("2 more ended in the same way, the first at") == 1
    assert told.count(str(left.pid)) < 2 * str(left).count(str(left.pid)) + 2
    assert "another status" in told and told.startswith("4 workers went away")


def test_json_text_and_html(left):
    told = json.loads(json.dumps(Deaths((left,), 1).to_json()))
    assert told["deaths"][0]["verdict"] == "exit"
    for shown in (left, Deaths((left,), 1)):
        bundle = shown._repr_mimebundle_()
        assert "status 3" in bundle["text/plain"] and "[/a]" in bundle["text/plain"]
        assert "&lt;b&gt;" in bundle["text/html"]
        assert "<b>[/a]" not in bundle["text/html"]


# -- clusters of their own -----------------------------------------------------------


def test_memory_over_the_limit(tmp_path):
    memory = {
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.spill": False,
    }
    with (
        dask.config.set(memory),
        recorded(n_workers=1, memory_limit="600 MB") as client,
    ):
        wait(client.submit(fill_memory, str(tmp_path / "never"), key="fill-1"))
        (death,) = dbgkit.deaths()
        assert (death.verdict, death.signal) == ("out-of-memory", "SIGTERM")
        assert death.keys == ("fill-1",)
        assert death.memory > 500_000_000


def test_a_retired_worker_went_on_purpose():
    with own_cluster(n_workers=2, threads_per_worker=1) as client, dbgkit.record():
        first = next(iter(workers(client)))
        client.retire_workers([first])
        (death,) = dbgkit.deaths()
        assert (death.worker, death.verdict) == (first, "closed-on-purpose")
        assert dbgkit.deaths().healthy


def test_a_reason_that_came_after_the_removal_is_told():
    with own_cluster(n_workers=1, lifetime="2s") as client, dbgkit.record():
        wait_until(
            lambda: "worker-lifetime-reached" in str(dbgkit.deaths()), "the reason"
        )
        (death,) = dbgkit.deaths()
        assert death.verdict == "closed-on-purpose"
        client.cluster.scale(0)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_an_address_that_is_used_again(tmp_path):
    """What is known of one worker is not told of another one with its port."""
    with (
        dask.config.set({**PATIENT, **RECORDER_OFF}),
        own_cluster(n_workers=1, worker_port=free_port()) as client,
    ):
        recorder = dbgkit.record()
        (worker,) = workers(client)
        client.restart_workers([worker], timeout=60)
        future = client.submit(loop, str(tmp_path / "never"), key="between")
        assert running(client, "between") == worker
        os.kill(workers(client)[worker], signal.SIGKILL)
        wait(future)
        client.wait_for_workers(1, timeout=60)
        client.restart_workers([worker], timeout=60)
        told = dbgkit.deaths()
        assert {each.worker for each in told} == {worker}
        verdicts = [each.verdict for each in told]
        assert verdicts == ["closed-on-purpose", "signal", "closed-on-purpose"]
        recorder.off()  # and by what Dask has logged
        assert [each.expected for each in dbgkit.deaths()] == [True, False, True]


def test_a_connection_that_broke_is_lost():
    with own_cluster(n_workers=1) as client, dbgkit.record():
        (worker,) = workers(client)
        (nanny,) = client.cluster.workers.values()
        (watch,) = nanny.plugins.values()
        wait_until(lambda: watch.box, "the nanny knows of the box")

        def cut(dask_scheduler):
            dask_scheduler.stream_comms[worker].comm.abort()

        client.run_on_scheduler(cut)
        wait_until(lambda: len(dbgkit.deaths()), "it is gone")
        (death,) = dbgkit.deaths()
        assert (death.verdict, death.exit_code) == ("lost-connection", 0)


def test_inproc_has_no_black_box_and_no_faulthandler():
    import faulthandler

    before = faulthandler.is_enabled()
    with own_cluster(n_workers=2, processes=False) as client, dbgkit.record():
        assert faulthandler.is_enabled() == before
        assert not _boxes_of(os.getpid())
        first = next(iter(client.scheduler_info(n_workers=-1)["workers"]))
        client.retire_workers([first])
        (death,) = dbgkit.deaths()
        assert death.verdict == "closed-on-purpose"


def test_an_asynchronous_client():
    async def job():
        async with (
            LocalCluster(
                n_workers=1, processes=False, dashboard_address=":0", asynchronous=True
            ) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            (first,) = (await client.scheduler.identity())["workers"]
            await client.retire_workers([first])
            return await dbgkit.deaths(client=client)

    assert asyncio.run(job())[0].verdict == "closed-on-purpose"


def test_what_ran_before_the_recorder_was_on_is_told(tmp_path):
    started, go, never = (str(tmp_path / name) for name in ("started", "go", "never"))
    with (
        dask.config.set({**PATIENT, **RECORDER_OFF}),
        own_cluster(n_workers=1, threads_per_worker=2) as client,
    ):
        ends = client.submit(loop, go, key="ends")
        stays = client.submit(touch_and_loop, started, never, key="stays")
        wait_until(lambda: os.path.exists(started), "it runs")
        with dbgkit.record():
            Path(go).touch()
            assert ends.result() is None
            ((worker, pid),) = workers(client).items()
            (box,) = _boxes_of(pid)
            wait_until(lambda: len(read_box(box)["tasks"]) == 1, "one has ended")
            os.kill(pid, signal.SIGKILL)
            wait(stays)
            (task,) = gone(client, worker).ran
            assert (task.key, task.line, task.ended) == ("stays", "", False)
            client.wait_for_workers(1, timeout=60)


# -- on and off ----------------------------------------------------------------------


def _boxes_of(pid):
    folder = folder_in(tempfile.gettempdir())
    return [b for b in boxes_in([folder]) if os.path.basename(b).startswith(f"{pid}-")]


def crashes_watched():
    import faulthandler

    return faulthandler.is_enabled()


def test_off_leaves_no_trace(tmp_path):
    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        ((worker, pid),) = workers(client).items()
        nanny = next(iter(client.cluster.workers.values()))
        recorder = dbgkit.record()
        assert len(_boxes_of(pid)) == 1
        assert client.run(crashes_watched) == {worker: True}
        assert "_on_worker_exit_sync" in vars(nanny)
        recorder.off()
        assert not _boxes_of(pid)
        assert client.run(crashes_watched) == {worker: False}
        assert "_on_worker_exit_sync" not in vars(nanny)
        assert nanny.process.on_exit == nanny._on_worker_exit_sync
        assert not nanny.plugins
        left = client.run_on_scheduler(
            lambda dask_scheduler: [
                name
                for names in (
                    dask_scheduler.handlers,
                    dask_scheduler.plugins,
                    dask_scheduler.nanny_plugins,
                    dask_scheduler._broker._topics,
                )
                for name in names
                if "deaths" in name
            ]
        )
        assert left == []


def test_a_faulthandler_of_the_users_own_is_left_alone():
    with (
        dask.config.set({**PATIENT, **RECORDER_OFF}),
        own_cluster(n_workers=1) as client,
    ):

        def enable():
            import faulthandler

            faulthandler.enable()

        client.run(enable)
        with dbgkit.record():
            wait(client.submit(os._exit, 1, key="leave-2"))
            (death,) = dbgkit.deaths()
            assert any("faulthandler" in note for note in death.notes)
            client.wait_for_workers(1, timeout=60)


def test_a_worker_that_joined_later_is_watched():
    with recorded(n_workers=1) as client:
        (first,) = workers(client)
        client.cluster.scale(2)
        client.wait_for_workers(2, timeout=60)
        (late,) = set(workers(client)) - {first}
        wait(client.submit(leave, key="late", workers=[late]))
        (death,) = dbgkit.deaths()
        assert (death.worker, death.exit_code, death.keys) == (late, 3, ("late",))
        client.wait_for_workers(2, timeout=60)


# -- without the recorder -------------------------------------------------------------


def test_without_the_recorder_there_is_what_dask_logged():
    with (
        dask.config.set({**PATIENT, **RECORDER_OFF}),
        own_cluster(n_workers=1) as client,
    ):
        (worker,) = workers(client)
        wait(client.submit(os._exit, 3, key="leave-3"))
        client.wait_for_workers(1, timeout=60)
        deaths = dbgkit.deaths()
        assert not deaths.recorded
        assert "the recorder is off" in deaths.notes[0]
        (death,) = deaths
        assert death.worker == worker
        assert death.queued == ("leave-3",) and not death.ran_known
        assert (death.verdict, death.exit_code) == ("exit", 3)
        assert any("its time alone" in note for note in death.notes)


def test_a_task_that_kills_again_and_again_is_told_without_the_recorder():
    settings = {**PATIENT, **RECORDER_OFF, "distributed.scheduler.allowed-failures": 2}
    with dask.config.set(settings), own_cluster(n_workers=1) as client:
        wait(client.submit(leave, 3, key="leave-again"))
        client.wait_for_workers(1, timeout=60)
        deaths = dbgkit.deaths()
        assert [(each.verdict, each.exit_code) for each in deaths] == [("exit", 3)] * 3
        assert len({each.pid for each in deaths}) == 3


def test_a_dump_holds_no_deaths(tmp_path):
    with own_cluster(n_workers=1, processes=False) as client:
        client.dump_cluster_state(str(tmp_path / "dump"))
    deaths = dbgkit.deaths(view=str(tmp_path / "dump.msgpack.gz"))
    assert not deaths.deaths
    assert "dump" in deaths.notes[0]
