"""Deaths on clusters of their own: limits, closing, the recorder on and off."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import socket
import warnings
from contextlib import suppress
from pathlib import Path

import dask
import psutil
from conftest import RECORDER_OFF, own_cluster
from deaths_tasks import (
    PATIENT,
    boxes_of,
    fill_memory,
    gone,
    leave,
    loop,
    pooled,
    recorded,
    running,
    touch_and_loop,
    workers,
)
from distributed import Client, LocalCluster, Nanny, Scheduler, wait
from watching import wait_until

import dbgkit
from dbgkit.remote.common.boxes import read_box


def test_what_ran_in_a_process_pool_is_told(tmp_path):
    started, never = str(tmp_path / "started"), str(tmp_path / "never")
    with pooled() as client:
        ((worker, pid),) = workers(client).items()
        with dask.annotate(executor="pool"):
            before = dask.delayed(os.path.exists)(never, dask_key_name="before")
            task = dask.delayed(touch_and_loop)(started, never, dask_key_name="pooled")
        assert not client.compute(before, optimize_graph=False).result()
        future = client.compute(task, optimize_graph=False)
        wait_until(lambda: os.path.exists(started), "it runs")
        children = psutil.Process(pid).children(recursive=True)
        os.kill(pid, signal.SIGKILL)
        for child in children:  # the pool's outlive it
            with suppress(psutil.NoSuchProcess):
                child.kill()
        wait(future)
        (ended,) = gone(client, worker).ran
        assert (ended.key, ended.line, ended.crashed) == ("pooled", "", False)


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
        wait_until(lambda: watch.boxes, "the nanny knows of the box")

        def cut(dask_scheduler):
            dask_scheduler.stream_comms[worker].comm.abort()

        client.run_on_scheduler(cut)
        wait_until(lambda: len(dbgkit.deaths()), "it is gone")
        wait_until(lambda: dbgkit.deaths()[0].exit_code == 0, "its nanny tells how")
        (death,) = dbgkit.deaths()
        assert death.verdict == "lost-connection"


def test_inproc_has_no_black_box_and_no_faulthandler():
    import faulthandler

    before = faulthandler.is_enabled()
    with own_cluster(n_workers=2, processes=False) as client, dbgkit.record():
        assert faulthandler.is_enabled() == before
        assert not boxes_of(os.getpid())
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


async def _closed_by_its_scheduler():
    """What Dask logs of connections as a scheduler with the recorder closes."""
    log, logger = io.StringIO(), logging.getLogger("distributed.comm")
    handler, level = logging.StreamHandler(log), logger.level
    async with (
        Scheduler(port=0, dashboard=False) as scheduler,
        Nanny(scheduler.address, nthreads=1) as nanny,
    ):
        own = nanny.close_gracefully
        hooked = nanny.handlers["close_gracefully"]
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        try:
            await scheduler.close()
            await asyncio.wait_for(nanny.finished(), 30)
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
        assert hooked != own == nanny.handlers["close_gracefully"]
    return log.getvalue()


def test_a_scheduler_that_closes_is_not_asked_for():
    with (
        dask.config.set({"distributed.scheduler.preload": ["dbgkit.preload"]}),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        assert "retrying" not in asyncio.run(_closed_by_its_scheduler())


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
            (box,) = boxes_of(pid)
            wait_until(lambda: len(read_box(box)["tasks"]) == 1, "one has ended")
            os.kill(pid, signal.SIGKILL)
            wait(stays)
            (task,) = gone(client, worker).ran
            assert (task.key, task.line, task.ended) == ("stays", "", False)
            client.wait_for_workers(1, timeout=60)


def crashes_watched():
    import faulthandler

    return faulthandler.is_enabled()


def test_off_leaves_no_trace(tmp_path):
    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        ((worker, pid),) = workers(client).items()
        nanny = next(iter(client.cluster.workers.values()))
        recorder = dbgkit.record()
        assert len(boxes_of(pid)) == 1
        assert client.run(crashes_watched) == {worker: True}
        assert "_on_worker_exit_sync" in vars(nanny)
        recorder.off()
        assert not boxes_of(pid)
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


def test_a_worker_that_is_there_has_not_gone_whoever_says_so():
    with own_cluster(n_workers=1) as client:
        (worker,) = workers(client)
        client.log_event("all", {"action": "remove-worker", "worker": worker})
        assert not dbgkit.deaths(client=client).deaths
