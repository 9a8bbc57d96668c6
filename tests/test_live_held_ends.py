"""Failures that are held: how they are let go, and how holding is turned on and off."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from functools import partial

import dask
import pytest
from conftest import RECORDER_OFF
from distributed import Client, wait
from distributed.security import Security
from held_tasks import (
    blocks,
    chained,
    collecting,
    failed,
    held,
    held_of,
    how_many_blocks,
    kept_by_itself,
    late_ratio,
    let_go,
    log_of,
    many,
    ratio,
    slow_to_go,
    threads,
    without_collecting,
)
from live_sessions import Session, enter, entered, nothing_left
from watching import wait_until

import dbgkit
from dbgkit import render
from dbgkit.errors import NotHere, NotStopped

# -- how it is let go ------------------------------------------------------------------


@pytest.fixture
def uncollected(client):
    """Workers collect no garbage meanwhile."""
    client.run(without_collecting)
    yield client
    client.run(collecting)


@pytest.mark.parametrize("task", [ratio, kept_by_itself, late_ratio, chained])
def test_memory_is_back_without_a_collection(uncollected, task):
    client = uncollected
    before = blocks(client)
    arguments = (1,) if task is kept_by_itself else (1, 0)
    with dbgkit.record(keep_frames="10 min", client=client):
        key = f"memory-{task.__name__}"
        future = failed(client, task, *arguments, key=key)
        found = held_of(client, key)
        assert blocks(client) == before + 1
        enter(client, found, "p a", "exceptions", "w", "q")
        del future
    in_client = client.scheduler.address.startswith("inproc")
    if not (in_client and task is kept_by_itself):  # there frames may be the client's
        wait_until(lambda: blocks(client) <= before, "its values are gone")
    nothing_left(client)


def test_what_is_slow_to_go_keeps_nobody_waiting(client):
    with dbgkit.record(keep_frames="10 min"):
        held(client, slow_to_go, key="slow-1")
        start = time.monotonic()
    client.run(how_many_blocks)  # the worker's event loop answers
    assert time.monotonic() - start < 2


def test_drop_frees_one(client):
    with dbgkit.record(keep_frames="10 min"):
        found = held(client, ratio, 1, 0, key="dropped-1")
        kept = held(client, ratio, 1, 0, key="dropped-2")
        before = blocks(client)
        with entered(client, found) as session:
            session.type("p block", "drop")
            assert session.ended.how == "dropped"
        let_go(client, found)
        wait_until(lambda: blocks(client) < before, "its values are gone")
        assert held_of(client, "dropped-2").id == kept.id
        with pytest.raises(NotStopped):
            dbgkit.attach(found, prompt=False)


def test_time_lets_it_go_and_commands_lengthen_it(client):
    with dbgkit.record(keep_frames="1.5 s"):
        found = held(client, ratio, 1, 0, key="time-1")
        enter(client, found, "p a", "q")
        wait_until(lambda: held_of(client, "time-1").until > found.until, "more time")
        let_go(client, found)
        assert "a failure was let go (limit)" in log_of(client)


def test_only_so_many_of_a_kind(client):
    with dbgkit.record(keep_frames="10 min", most=2):
        where = [next(iter(client.scheduler_info()["workers"]))]
        futures = [
            failed(client, ratio, 1, 0, key=f"kind-{i}", workers=where)
            for i in range(4)
        ]
        other = failed(client, chained, 1, 0, key="kind-other")
        held_of(client, "kind-other")
        keys = [each.key for each in dbgkit.attach().held]
        assert sorted(map(str, keys)) == ["kind-0", "kind-1", "kind-other"]
        del futures, other


def test_a_hundred_kinds_are_held_and_no_more(inproc_client):
    client = inproc_client
    where = [next(iter(client.scheduler_info()["workers"]))]
    with dbgkit.record(keep_frames="10 min", client=client):
        futures = client.map(many, range(104), key="kinds", workers=where)
        wait(futures, timeout=60)

        def held_now():
            return len(dbgkit.attach(client=client).held) == 100

        wait_until(held_now, "a hundred are held")
        assert log_of(client).count("a failure was let go (number)") == 4


def test_a_cancelled_tasks_failure_is_not_held(client, tmp_path):
    from recorder_tasks import fails_when_there

    with dbgkit.record(keep_frames="10 min"):
        there = tmp_path / "there"
        future = client.submit(fails_when_there, there, key="cancelled-held")
        wait_until(
            lambda: any(
                "cancelled-held" in map(str, each)
                for each in client.processing().values()
            ),
            "it runs",
        )
        future.cancel()

        def is_cancelled(dask_worker):
            ts = dask_worker.state.tasks.get("cancelled-held")
            return ts is not None and ts.state == "cancelled"

        # Else it may fail before its worker has heard that nobody wants it any more.
        wait_until(lambda: any(client.run(is_cancelled).values()), "it is cancelled")
        there.write_text("")
        after = failed(client, ratio, 1, 0, key="after-it")
        held_of(client, "after-it")

        def done():
            return not any(client.processing().values())

        wait_until(done, "it has ended")
        assert "cancelled-held" not in [each.key for each in dbgkit.attach().held]
        del after


def test_two_uses_of_one_client(client):
    with dbgkit.record(keep_frames="10 min"):
        found = held(client, ratio, 1, 0, key="uses-1")
        with dbgkit.record(keep_frames="5 min", most=1):
            pass
        assert held_of(client, "uses-1").id == found.id
    assert not dbgkit.attach().held
    nothing_left(client)


def test_live_off_lets_nothing_go(client):
    with dbgkit.record(keep_frames="10 min"):
        found = held(client, ratio, 1, 0, key="live-off-1")
        with dbgkit.live():
            pass
        from dbgkit.api.live import live_off

        assert str(live_off()) == "live is off."
        assert held_of(client, "live-off-1").id == found.id


def test_it_outlives_the_client_and_another_ends_it(processes):
    with Client(processes) as first:
        dbgkit.record(keep_frames="10 min", client=first)
        failed(first, ratio, 1, 0, key="outlives-1")
        held_of(first, "outlives-1")
    with Client(processes) as second:
        found = held_of(second, "outlives-1")
        assert "1" in enter(second, found, "p a", "q")[0]
        from dbgkit.api.record import record_off

        record_off(client=second)
        assert not dbgkit.attach(client=second).held
        nothing_left(second)


def statuses(client):
    def look(dask_scheduler):
        return [each.status.name for each in dask_scheduler.workers.values()]

    return client.run_on_scheduler(look)


def test_short_memory_lets_the_oldest_go(harmable):
    limit = {"memory_limit": "700 MB", "n_workers": 1, "threads_per_worker": 1}
    with harmable(**limit) as client, dbgkit.record(keep_frames="10 min", most=10):
        first = held(client, ratio, 1, 0, 120_000_000, key="short-1")
        with entered(client, first) as session:
            session.type("p a")
            futures = [
                failed(client, ratio, 1, 0, 120_000_000, key=f"short-{i}")
                for i in range(2, 8)
            ]
            wait_until(
                lambda: "a failure was let go (memory)" in log_of(client),
                "one was let go",
            )
            held_now = {each.key for each in dbgkit.attach().held}
            assert "short-1" in held_now  # somebody is in it
            assert "short-2" not in held_now
            assert "1" in session.type("p a")
        wait_until(lambda: statuses(client) == ["running"], "it is not paused for long")
        del futures


def test_a_worker_that_goes_takes_it_along(harmable):
    with harmable(n_workers=1) as client, dbgkit.record(keep_frames="10 min"):
        found = held(client, ratio, 1, 0, key="goes-1")
        with entered(client, found) as session:
            session.type("p a")
            client.restart_workers([found.worker], timeout=60)

            def ended():
                if session.ended is None:
                    session.type("p a")
                return session.ended

            wait_until(ended, "the session ends")
        let_go(client, found)
        again = failed(client, ratio, 1, 0, key="goes-2")
        held_of(client, "goes-2")  # the worker that came in its place holds too
        del again


def test_in_this_process_the_users_own_frames_are_left_alone(inproc_client):
    with dbgkit.record(keep_frames="10 min"):
        future = failed(inproc_client, ratio, 1, 0, key="mine-1")
        held_of(inproc_client, "mine-1")
        with pytest.raises(ZeroDivisionError) as caught:
            future.result()
        frames = [each.frame.raw for each in caught.traceback]
    mine = [each for each in frames if each.f_code.co_name == "ratio"]
    # Where Dask hands the frames themselves on, they still have their values.
    assert not mine or not mine[0].f_locals or mine[0].f_locals["a"] == 1


# -- where it is turned on ------------------------------------------------------------


def test_a_cluster_that_refuses_to_run_code_refuses_to_hold(harmable):
    blocked = {"distributed.scheduler.blocked-handlers": ["run_function"]}
    with (
        dask.config.set({**blocked, **RECORDER_OFF}),
        harmable(n_workers=1, processes=False) as client,
    ):
        with pytest.raises(NotHere, match="blocked_handlers"):
            dbgkit.record(keep_frames="10 min")
        assert not dbgkit.recordings().since  # it is not half on
        del client


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep_frames": "soon"}, "keep_frames='soon': a time such as 10min, or 0"),
        ({"keep_frames": True}, "keep_frames=True: a time such as 10min, or 0"),
        ({"keep_frames": "1 min", "most": 0}, "most=0: a number of failures"),
        ({"keep_frames": 0, "most": 3}, "most=3: it goes with keep_frames"),
        ({"most": 3}, "most=3: it goes with keep_frames"),
    ],
)
def test_settings_that_are_none(inproc_client, options, said):
    with pytest.raises(ValueError, match=said):
        dbgkit.record(**options)


def test_with_settings_of_dask_and_the_preload(harmable):
    wanted = {
        "dbgkit.record.keep-frames": "7 min",
        "dbgkit.record.most": 5,
        "distributed.scheduler.preload": ["dbgkit.preload"],
    }
    with dask.config.set(wanted), harmable(n_workers=1, processes=False) as client:
        found = held(client, ratio, 1, 0, key="preloaded-1")
        assert "1" in enter(client, found, "p a", "q")[0]
        (armed,) = dbgkit.attach().armed
        assert (armed.most, armed.limit, armed.holds) == (5, 420.0, True)
        from dbgkit.api.record import record_off

        record_off()  # as it turns the recorder of a preload off
        assert not (dbgkit.attach().armed or dbgkit.attach().held)


def test_over_tls(harmable):
    security = Security.temporary()
    with (
        harmable(n_workers=1, security=security) as client,
        dbgkit.record(keep_frames="10 min"),
    ):
        found = held(client, ratio, 1, 0, key="tls-1")
        assert "1" in enter(client, found, "p a", "q")[0]


async def _asynchronously(address):
    async with Client(address, asynchronous=True) as client:  # noqa: SIM117
        async with dbgkit.record(keep_frames="10 min", client=client):
            future = client.submit(ratio, 1, 0, key="asynchronous-1")
            await wait(future)
            for _ in range(200):
                found = await dbgkit.attach(client=client)
                if found.held:
                    break
                await asyncio.sleep(0.05)
            (one,) = found.held
            session = Session(client, one)
            said = await asyncio.to_thread(session.type, "p a", "q")
            session.close()
            return said


def test_with_an_asynchronous_client(processes):
    assert "1" in asyncio.run(_asynchronously(processes.scheduler_address))


def test_the_commands(processes_client):
    address = processes_client.scheduler.address
    run = partial(
        subprocess.run, capture_output=True, text=True, timeout=60, check=False
    )
    dbgkit_ = [sys.executable, "-m", "dbgkit"]
    at = ["--scheduler", address]
    on = run([*dbgkit_, "record", "on", "--keep-frames", "10min", "--most", "2", *at])
    assert on.returncode == 0, on.stderr
    assert "dbgkit attach" in on.stdout and "lists failures that are held" in on.stdout
    wrong = run([*dbgkit_, "record", "on", "--most", "2", *at])
    assert wrong.returncode == 2
    assert "most=2: it goes with keep_frames" in wrong.stderr
    failed(processes_client, ratio, 1, 0, key="command-1")
    held_of(processes_client, "command-1")
    listed = run([*dbgkit_, "attach", "--json", *at])
    assert listed.returncode == 1, listed.stderr
    (one,) = json.loads(listed.stdout)["held"]
    assert (one["key"], one["state"]) == ("command-1", "held")
    shown = run([*dbgkit_, "attach", "command-1", *at], stdin=subprocess.DEVNULL)
    assert "ZeroDivisionError: division by zero" in shown.stdout
    off = run([*dbgkit_, "record", "off", *at])
    assert off.returncode == 0, off.stderr
    nothing_left(processes_client)


def test_what_is_shown(processes_client):
    with dbgkit.record(keep_frames="10 min"):
        found = held(processes_client, ratio, 1, 0, key="shown-1")
        listed = dbgkit.attach()
        text = render.to_text(listed)
        assert text.startswith("1 failure is held with its frames; no task waits")
        assert "without a command it is let go in" in text
        assert "failures are held for" in text
        html = render.to_html(listed)
        assert "shown-1" in html and "division by zero" in html
        assert repr(listed) == "<Stops: 0 waiting, 1 held>"
        del found
    assert not client_threads(processes_client)


def client_threads(client):
    wait_until(lambda: not any(client.run(threads).values()), "no thread is left")
    return sum(client.run(threads).values())
