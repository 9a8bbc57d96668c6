"""Stopped tasks that are cancelled, moved, lost, or many; and clusters that go."""

from __future__ import annotations

import os
import signal
import threading
import time

import dask
import pytest
from distributed import Client, Event, LocalCluster, Scheduler, wait
from distributed.security import Security
from live_sessions import (
    Session,
    enter,
    entered,
    gone,
    nothing_left,
    stop_of,
    waiting,
)
from live_tasks import doubled, helped, plain, unpaused
from watching import keep_loop, wait_until

import dbgkit
from dbgkit.errors import DbgkitError

ONE = {"n_workers": 1, "threads_per_worker": 1, "processes": True}


@pytest.fixture
def live(processes_client):
    """A client of worker processes, where breakpoints stop."""
    with dbgkit.live(most=100):
        yield processes_client
    nothing_left(processes_client)


# -- cancelled -----------------------------------------------------------------------


def test_a_cancelled_task_goes_on(live):
    future = live.submit(doubled, 3, key="cancelled-1")
    found = stop_of(live, "cancelled-1")
    future.cancel()
    gone(live, found)
    log = [event["what"] for _, event in live.get_events("dbgkit-live")]
    assert "a task goes on (cancelled)" in log


def test_a_cancelled_task_with_somebody_in_it_waits_for_them(live):
    future = live.submit(doubled, 3, key="cancelled-2")
    found = stop_of(live, "cancelled-2")
    with entered(live, found) as session:
        session.type("p x")
        future.cancel()
        wait_until(lambda: "cancelled" in session.type("p x"), "it is told")
        wait_until(lambda: stop_of(live, "cancelled-2").cancelled, "it is listed so")
    gone(live, found)


def _heard(client):
    """All that the scheduler has told so far, as of keys that are cancelled."""
    assert client.submit(plain, 1, pure=False).result(10) == 2


def test_cancelled_and_submitted_again_it_stops_again(live):
    first = live.submit(doubled, 3, key="resubmitted-1")
    found = stop_of(live, "resubmitted-1")
    with entered(live, found) as session:
        session.type("p x")
        first.cancel()
        wait_until(lambda: "cancelled" in session.type("p x"), "it is told")
        _heard(live)
        del first
        again = live.submit(doubled, 4, key="resubmitted-1", workers=[found.worker])
        session.type("c")
    gone(live, found)
    assert "4" in enter(live, stop_of(live, "resubmitted-1"), "p x", "c")[0]
    assert again.result(10) == 9


def test_of_two_stops_of_one_key_the_free_one_is_entered(live):
    """A cancelled one that somebody is in, and the key submitted again elsewhere."""
    first, second = live.nthreads()
    future = live.submit(doubled, 3, key="both-1", workers=[first])
    found = stop_of(live, "both-1")
    with entered(live, found) as session:
        session.type("p x")
        future.cancel()
        wait_until(lambda: "cancelled" in session.type("p x"), "it is told")
        _heard(live)
        del future
        again = live.submit(doubled, 4, key="both-1", workers=[second])
        both = waiting(live, 2)
        assert {each.key for each in both} == {"both-1"}
        chosen = dbgkit.attach("both-1", client=live, prompt=False)
        assert chosen.worker == second and not chosen.cancelled
        assert "4" in enter(live, chosen, "p x", "c")[0]
        assert again.result(10) == 9
        assert session.type("p x").strip() == "3"
    gone(live, found)


# -- workers that go -----------------------------------------------------------------


@pytest.mark.parametrize("how", ["retire", "restart", "kill", "restart_workers"])
def test_a_worker_that_goes_while_somebody_is_in_it(harmable, how):
    with harmable(**ONE) as client, dbgkit.live():
        future = client.submit(doubled, 3, key=f"{how}-1")
        found = stop_of(client, f"{how}-1")
        with entered(client, found) as session:
            session.type("p x")
            if how == "retire":
                client.cluster.scale(2)
                client.wait_for_workers(2, timeout=30)
                client.retire_workers([found.worker], close_workers=True)
            elif how == "restart":
                client.restart(timeout=60)
            elif how == "restart_workers":
                client.restart_workers([found.worker], timeout=60)
            else:
                client.run(_kill, workers=[found.worker], on_error="ignore")

            def ended():
                if session.ended is None:
                    session.type("p x")
                return session.ended

            wait_until(ended, "the session ends")
            assert session.ended.how in ("lost", "closing", "ended", "off")
        gone(client, found)
        del future


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_scheduler_goes_while_somebody_is_in_it(harmable):
    with harmable(**ONE) as client:
        live = dbgkit.live()
        future = client.submit(doubled, 3, key="schedulers-1")
        found = stop_of(client, "schedulers-1")
        with entered(client, found) as session:
            session.type("p x")
            client.cluster.scheduler.loop.add_callback(client.cluster.scheduler.close)

            def ended():
                if session.ended is None:
                    session.type("p x")
                return session.ended

            wait_until(ended, "the session ends")
        with pytest.raises(DbgkitError):
            dbgkit.attach(client=client, timeout="3s")
        del live, future


# -- short of memory, and stolen -----------------------------------------------------


def test_a_worker_short_of_memory_while_somebody_is_in_it(harmable):
    """Paused, its prompts go on; ended by its nanny, the task stops on the next one."""
    settings = {
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": 0.5,
        "distributed.worker.memory.terminate": 0.9,
        "distributed.worker.memory.monitor-interval": "50ms",
    }
    with (
        dask.config.set(settings),
        harmable(**ONE, memory_limit="800 MB") as client,
        dbgkit.live(),
    ):
        future = client.submit(doubled, 3, key="short-1")
        found = stop_of(client, "short-1")
        with entered(client, found) as session:
            session.type("!held = b'x' * 400_000_000")
            wait_until(lambda: _statuses(client) == ["paused"], "it is paused")
            assert session.type("p x").strip() == "3"
            session.type("!held = None")
            wait_until(lambda: _statuses(client) == ["running"], "it runs again")
            session._send("!held = [b'x' * 100_000_000 for _ in range(20)]")
            session._until_prompt()
            assert session.ended.how == "lost"
        gone(client, found)
        again = stop_of(client, "short-1")
        assert again.worker != found.worker
        assert enter(client, again, "p x", "c")[1] == "continued"
        assert future.result(10) == 7


def _statuses(client):
    workers = client.scheduler_info()["workers"].values()
    return [each["status"] for each in workers]


def test_what_queues_behind_a_paused_task_is_stolen_and_the_task_is_not(harmable):
    with (
        dask.config.set({"distributed.scheduler.worker-saturation": "inf"}),
        harmable(n_workers=1, threads_per_worker=1, processes=False) as client,
        dbgkit.live(),
    ):
        paused = client.submit(doubled, 3, key="paused-1")
        found = stop_of(client, "paused-1")
        first = client.submit(unpaused, 0, seconds=0.1, key="unpaused-0")
        assert first.result(10) == 0  # how long they take is known
        behind = client.map(unpaused, range(40), seconds=0.1, pure=False)
        client.cluster.scale(2)
        client.wait_for_workers(2, timeout=30)
        wait(behind, 30)
        ran = {where for each in client.who_has(behind).values() for where in each}
        assert len(ran) == 2
        (still,) = waiting(client)
        assert (still.id, still.worker) == (found.id, found.worker)
        assert enter(client, found, "p x", "c")[1] == "continued"
        assert paused.result(10) == 7
        assert [*client.who_has([paused])["paused-1"]] == [found.worker]


# -- many ----------------------------------------------------------------------------


def test_a_map_of_thousands_stops_once(client):
    with dbgkit.live():
        futures = client.map(
            doubled, range(2_000), key=[f"map-{i}" for i in range(2_000)]
        )
        stopped = {each.key for each in waiting(client, 2)}
        wait([f for f in futures if f.key not in stopped], 60)

        def counted():
            passed = [p for p in dbgkit.attach().passed if p.prefix == "map"]
            return sum(each.count for each in passed) == 1_998

        wait_until(counted, "all are counted")
    assert client.gather(futures)[:2] == [1, 3]


def test_fifty_on_four_workers_are_each_entered(harmable):
    with harmable(n_workers=4, threads_per_worker=1, processes=False) as client:
        with dbgkit.live(most=50):
            futures = client.map(doubled, range(50))
            for found in waiting(client, 50):
                assert enter(client, found, "p x, y", "c")[1] == "continued"
            assert client.gather(futures) == [2 * x + 1 for x in range(50)]
        nothing_left(client)


def test_paused_tasks_cost_their_worker_no_time(harmable):
    with harmable(n_workers=1, threads_per_worker=2, processes=True) as client:
        with dbgkit.live(most=20):
            futures = client.map(
                doubled, range(20), key=[f"idle-{i}" for i in range(20)]
            )
            waiting(client, 20)
            # The thread that samples goes on to find nothing.
            found = client.run(lambda dask_worker: len(dask_worker.active_threads))
            assert [*found.values()] == [0]
        client.gather(futures)


# -- traces and threads --------------------------------------------------------------


def test_the_next_task_on_a_thread_is_not_traced(harmable):
    with harmable(**ONE) as client, dbgkit.live():
        future = client.submit(helped, 3, key="traced-1")
        enter(client, stop_of(client, "traced-1"), "b scale", "s", "s")
        with entered(client, stop_of(client, "traced-1")) as session:
            session.type("cl", "c")
        assert future.result(10) == 31
        found = client.gather([client.submit(_trace_here, i) for i in range(4)])
        assert found == [None] * 4


def _trace_here(_):
    import sys

    return sys.gettrace()


def test_resources_stay_held_and_that_is_said(harmable):
    with harmable(**ONE, resources={"GPU": 1}) as client, dbgkit.live():
        future = client.submit(doubled, 3, key="holds-1", resources={"GPU": 1})
        other = client.submit(plain, 3, key="wants-1", resources={"GPU": 1})
        found = stop_of(client, "holds-1")
        assert found.resources == {"GPU": 1}
        assert "holds     GPU: 1" in str(found)
        assert not other.done()
        enter(client, found, "c")
        assert (future.result(10), other.result(10)) == (7, 4)


def test_a_worker_with_a_paused_task_is_neither_silent_nor_idle(harmable):
    """Its heartbeats go on, and adaptive scaling spares it."""
    with (
        dask.config.set({"distributed.scheduler.worker-ttl": "2s"}),
        harmable(**ONE) as client,
        dbgkit.live(),
    ):
        future = client.submit(doubled, 3, key="spared-1")
        found = stop_of(client, "spared-1")
        client.cluster.adapt(minimum=0, maximum=1, interval="100ms", wait_count=2)
        paused = time.time()
        wait_until(
            lambda: client.run_on_scheduler(_last_heartbeat) > paused + 3, "it is heard"
        )
        assert "3" in enter(client, found, "p x", "c")[0]
        assert future.result(10) == 7


def _last_heartbeat(dask_scheduler: Scheduler):
    """When the last heartbeat came."""
    (worker,) = dask_scheduler.workers.values()
    return worker.last_seen


# -- other clusters ------------------------------------------------------------------


def test_over_tls_directly_and_through_the_scheduler(harmable):
    security = Security.temporary()
    from dbgkit.cluster.reach import reach_of

    with harmable(**ONE, security=security) as client, dbgkit.live():
        assert client.scheduler.address.startswith("tls")
        future = client.submit(doubled, 3, key="tls-1")
        found = stop_of(client, "tls-1")
        assert "3" in enter(client, found, "p x")[0]
        reach_of(client).missed.add(found.worker)
        assert enter(client, found, "p x", "c")[1] == "continued"
        assert future.result(10) == 7


async def _asynchronously(address):
    async with Client(address, asynchronous=True) as client:
        async with dbgkit.live():
            future = client.submit(doubled, 3, key="asynchronous-1")
            while not (found := await dbgkit.attach()):
                pass
            shown = await dbgkit.attach(found[0].key)
            assert shown.id == found[0].id
        return await future


def test_with_an_asynchronous_client(processes):
    import asyncio

    assert asyncio.run(_asynchronously(processes.scheduler_address)) == 7


def test_an_address_is_everyones_and_keeps_its_client_until_off(processes):
    live = dbgkit.live(client=processes.scheduler_address)
    with Client(processes, set_as_default=False) as other:
        future = other.submit(doubled, 3, key="addressed-1")
        found = stop_of(other, "addressed-1")
        live.off()
        gone(other, found)
        assert future.result(10) == 7


def test_the_preload_turns_it_on_for_everyone():
    settings = {
        "distributed.scheduler.preload": ["dbgkit.preload"],
        "dbgkit.live.always": True,
        "dbgkit.live.limit": "1 min",
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        future = client.submit(doubled, 3, key="preloaded-1")
        found = stop_of(client, "preloaded-1")
        assert 50 < (found.until - found.since).total_seconds() < 61
        enter(client, found, "c")
        assert future.result(10) == 7


def test_two_sessions_at_once_from_two_clients(processes, live):
    futures = [live.submit(doubled, x, key=f"two-{x}") for x in range(2)]
    found = waiting(live, 2)
    said = {}

    def look(stop):
        with Client(processes, set_as_default=False) as other:
            session = Session(other, stop)
            said[stop.key] = session.type("p x")
            session.close()

    threads = [threading.Thread(target=look, args=(stop,)) for stop in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {key: text.strip()[-1] for key, text in said.items()} == {
        "two-0": "0",
        "two-1": "1",
    }
    for stop in found:
        enter(live, stop, "c")
    assert live.gather(futures) == [1, 3]


def test_one_that_does_not_answer_is_not_waited_for_long(harmable, tmp_path):
    """The scheduler is asked within a second; then the task goes on."""
    with harmable(n_workers=1, threads_per_worker=1, processes=True) as client:
        live = dbgkit.live()
        kept = tmp_path / "kept"
        future = client.submit(_late, kept, key="late-1")
        assert Event("late").wait(30)  # it runs
        client.run_on_scheduler(
            lambda dask_scheduler: keep_loop(dask_scheduler, 3, kept)
        )
        assert future.result(20) == "went on"
        live.off()


def _late(kept):
    Event("late").set()
    wait_until(kept.exists, "the scheduler answers no more")
    breakpoint()
    return "went on"
