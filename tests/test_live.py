"""``dbgkit.live``: which tasks stop, for whom, how long; and what is left of it."""

from __future__ import annotations

import collections
import gc
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import dask
import pytest
from distributed import Client, wait
from live_sessions import (
    enter,
    entered,
    leftovers,
    nothing_left,
    of_scheduler,
    stop_of,
    waiting,
)
from live_tasks import (
    Counter,
    awaiting,
    doubled,
    flaky,
    looped,
    nested,
    plain,
    rejoins,
    seceded,
    secedes_later,
    slow,
    twice,
    unpaused,
    weighed,
    weighs,
)
from watching import wait_until

import dbgkit
from dbgkit.errors import NotHere, NotStopped


@pytest.fixture
def live(client):
    """A client of each of the shared clusters, where breakpoints stop."""
    with dbgkit.live():
        yield client
    nothing_left(client)


def why_passed(client):
    """How many have passed, at whatever line, by prefix and reason."""
    found = collections.Counter()
    for each in dbgkit.attach().passed:
        found[each.prefix, each.why] += each.count
    return found


# -- which tasks stop ----------------------------------------------------------------


def test_a_task_stops_and_goes_on(live):
    future = live.submit(doubled, 3, key="stops-1")
    found = waiting(live)[0]
    assert (found.key, found.prefix, found.state) == ("stops-1", "stops", "waiting")
    assert found.line.endswith(" in doubled") and found.who == ""
    assert 0 < (found.until - found.since).total_seconds() <= 601
    assert not future.done()
    said, how = enter(live, found, "p x, y", "c")
    assert "(3, 6)" in said and how == "continued"
    assert future.result(10) == 7
    assert len(dbgkit.attach()) == 0


def test_peek_sees_where_it_waits(live):
    """And undoes nothing that was assigned at the prompt."""
    future = live.submit(doubled, 3, key="peeked-1")
    found = waiting(live)[0]
    with entered(live, found) as session:
        session.type("!y = 50")
        (seen,) = dbgkit.peek("peeked-1").tasks
        # From Python 3.13 on it stops at the call, before in the line after it.
        assert seen.lines[0].text in ("breakpoint()", "return y + 1")
        assert "it is paused at a breakpoint" in " ".join(seen.notes)
        assert "50" in session.type("p y")
    assert enter(live, found, "c")[1] == "continued"
    assert future.result(10) == 51


def test_without_live_nothing_waits(processes_client):
    client = processes_client
    future = client.submit(doubled, 3, key="live-off")
    assert type(future.exception(10)).__name__ == "BdbQuit"
    assert len(dbgkit.attach()) == 0
    with pytest.raises(NotStopped, match="live is off"):
        dbgkit.attach("live-off")


def test_one_task_of_each_prefix_and_worker_stops_and_the_rest_is_counted(live):
    futures = live.map(doubled, range(30), key=[f"many-{i}" for i in range(30)])
    found = waiting(live, 2)
    assert len({each.worker for each in found}) == 2
    others = [f for f in futures if f.key not in {each.key for each in found}]
    wait(others, 10)

    def counted():
        passed = why_passed(live)
        return passed.get(("many", "as many tasks as wanted have stopped")) == 28

    wait_until(counted, "28 have passed")


def test_most_is_how_many_stop(client):
    place = [next(iter(client.scheduler_info()["workers"]))]
    with dbgkit.live(most=3):
        futures = client.map(
            doubled, range(20), key=[f"three-{i}" for i in range(20)], workers=place
        )
        stopped = {each.key for each in waiting(client, 3)}
        wait([f for f in futures if f.key not in stopped], 30)
        assert len(waiting(client, 3)) == 3
    assert client.gather(futures) == [2 * x + 1 for x in range(20)]


def test_tasks_of_another_client_run_through(live, cluster):
    with Client(cluster, set_as_default=False) as other:
        assert isinstance(other.submit(doubled, 1, key="others-1").result(10), int)
    assert len(dbgkit.attach(client=live)) == 0


def test_with_everyone_tasks_of_another_client_stop(client, cluster):
    with dbgkit.live(everyone=True), Client(cluster, set_as_default=False) as other:
        future = other.submit(doubled, 1, key="everyones-1")
        enter(client, stop_of(client, "everyones-1"), "c")
        assert future.result(10) == 3


def test_a_task_within_a_graph_is_its_clients(live):
    value = dask.delayed(doubled)(2, dask_key_name="inner-graph")
    for _ in range(30):
        value = dask.delayed(plain)(value)
    future = live.compute(value)
    enter(live, stop_of(live, "inner-graph"), "c")
    assert future.result(10) == 35


def test_fused_tasks_stop_in_each_step_that_says_so(live):
    from dask._task_spec import Task

    first = Task("fused-0", doubled, 1)
    second = Task("fused-1", plain, first.ref())
    fused = Task.fuse(first, second)
    future = live.get({"fused-1": fused}, "fused-1", sync=False)
    said, how = enter(live, stop_of(live, "fused-1"), "w", "n", "n", "n", "n", "c")
    assert "plain()" in said  # stepped on into the next step
    assert how in ("continued", "finished")
    assert future.result(10) == 4


def test_in_a_loop_and_at_a_second_breakpoint_it_stops_again(live):
    future = live.submit(looped, 0, key="looped-1")
    for count in range(3):
        found = stop_of(live, "looped-1")
        said, _ = enter(live, found, "p index", "c")
        assert str(count) in said
    assert future.result(10) == 3
    future = live.submit(twice, 0, key="twice-1")
    for value in (0, 1):
        assert f"\n{value}\n" in enter(live, stop_of(live, "twice-1"), "p x", "c")[0]
    assert future.result(10) == 1


def test_a_retry_stops_again_and_does_not_count_again(live, tmp_path):
    path = str(tmp_path / "runs")
    future = live.submit(flaky, path, key="flaky-1", retries=2)
    for _ in range(2):
        enter(live, stop_of(live, "flaky-1"), "c")
    assert future.result(10) == "at last"


def test_async_tasks_and_actors_are_listed_and_go_on(live):
    assert live.submit(awaiting, 3, key="awaiting-1").result(10) == 3
    counter = live.submit(Counter, actor=True, key="counter-1").result(10)
    assert counter.add().result(10) == 1

    def listed():
        found = " ".join(why for _, why in why_passed(live))
        return "coroutine" in found and "actor" in found

    wait_until(listed, "both are listed")
    with pytest.raises(NotStopped, match="in a coroutine"):
        dbgkit.attach("awaiting-1")


def test_outside_of_tasks_it_reaches_the_users_own_debugger(inproc_client, monkeypatch):
    reached = []
    monkeypatch.setattr(
        sys, "breakpointhook", lambda *args: reached.append(sys._getframe(1))
    )
    with dbgkit.live():
        assert type(sys.breakpointhook).__name__ == "Hook"
        breakpoint()
        here = sys._getframe()
    assert reached == [here]  # no frame of ours in between
    assert type(sys.breakpointhook).__name__ == "function"


def test_pythonbreakpoint_0_is_honoured(inproc_client, monkeypatch):
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    with dbgkit.live():
        assert inproc_client.submit(doubled, 3, key="turned-off").result(10) == 7


# -- how long ------------------------------------------------------------------------


def test_without_a_command_it_goes_on_by_itself(client):
    with dbgkit.live(limit="0.5 s"):
        future = client.submit(doubled, 3, key="limited-1")
        waiting(client)
        assert future.result(10) == 7
    log = [event["what"] for _, event in client.get_events("dbgkit-live")]
    assert "a task goes on (limit)" in log


def test_the_limit_counts_from_the_last_command(client):
    with dbgkit.live(limit="3 s"):
        future = client.submit(doubled, 3, key="limited-2")
        found = waiting(client)[0]
        with entered(client, found) as session:
            end = time.monotonic() + 4.5
            while time.monotonic() < end:
                session.type("p 1")
                time.sleep(0.2)
            assert session.ended is None and not future.done()
            said = session.type("p 2")
        assert "2" in said
        assert future.result(10) == 7


def test_off_lets_all_go_on(client):
    with dbgkit.live():
        futures = [client.submit(doubled, x, key=f"p{x}-1") for x in range(3)]
        waiting(client, 3)
    assert client.gather(futures) == [1, 3, 5]
    nothing_left(client)


def test_nested_uses_each_have_their_own_stops(client):
    place = {"workers": [next(iter(client.scheduler_info()["workers"]))]}
    with dbgkit.live():
        first = client.submit(doubled, 1, key="outer-1", **place)
        waiting(client)
        with dbgkit.live(most=2):
            second = client.submit(doubled, 2, key="outer-2", **place)
            waiting(client, 2)
        assert second.result(10) == 5
        assert not first.done()
        waiting(client)
    assert first.result(10) == 3
    nothing_left(client)


def test_it_ends_with_its_client(cluster):
    with Client(cluster, set_as_default=False) as watching:
        other = Client(cluster, set_as_default=False)
        dbgkit.live(client=other, everyone=True)
        future = watching.submit(doubled, 3, key="orphan-1")
        waiting(watching)
        other.close()
        assert future.result(10) == 7
        nothing_left(watching)


def test_workers_that_join_later_stop_too_and_a_restart_leaves_it_on(harmable):
    with harmable(n_workers=1, processes=True) as client, dbgkit.live():
        client.cluster.scale(2)
        client.wait_for_workers(2, timeout=30)
        addresses = list(client.scheduler_info()["workers"])
        futures = [
            client.submit(doubled, 3, key=f"{name}-1", workers=[address])
            for name, address in zip("ab", addresses, strict=True)
        ]
        waiting(client, 2)
        client.restart(timeout=60)
        assert len(dbgkit.attach()) == 0
        again = client.submit(doubled, 3, key="again-1")
        waiting(client)
        del futures, again


# -- a pause misleads nobody ---------------------------------------------------------


def test_the_slot_is_given_back(harmable):
    with harmable(n_workers=1, threads_per_worker=1, processes=True) as client:
        with dbgkit.live():
            paused = client.submit(doubled, 3, key="slot-1")
            waiting(client)
            others = client.map(plain, range(5))
            assert client.gather(others, direct=False) == [1, 2, 3, 4, 5]
            assert not paused.done()
            found = client.run(
                lambda dask_worker: (
                    dask_worker.active_threads,
                    dask_worker.active_keys,
                )
            )
            assert [*found.values()] == [({}, set())]
        assert paused.result(10) == 7


def test_the_pause_is_taken_out_of_all_durations(harmable):
    with harmable(n_workers=1, threads_per_worker=2, processes=True) as client:
        client.submit(unpaused, 0, key="slow-0").result(10)
        average, longest = durations(client)
        with dbgkit.live():
            future = client.submit(slow, 1, key="slow-1")
            found = waiting(client)[0]
            time.sleep(2.0)  # what is measured: the time of a pause
            assert durations(client) == (average, longest)
            enter(client, found, "c")
            future.result(10)
        now, longest_now = durations(client)
        assert now == pytest.approx(average, rel=0.02)
        assert longest_now <= max(longest, 1.1)  # as a heartbeat saw it


def durations(client):
    def look(dask_scheduler):
        prefix = dask_scheduler.task_prefixes["slow"]
        return prefix.duration_average, prefix.max_exec_time

    return client.run_on_scheduler(look)


def test_a_thread_that_rejoins_its_pool_is_one_of_it_again(live):
    future = live.submit(rejoins, 3, key="rejoins-1", pure=False)
    enter(live, stop_of(live, "rejoins-1"), "c")
    assert future.result(10) is True


@pytest.mark.parametrize("task, value", [(seceded, 3), (secedes_later, 3), (nested, 5)])
def test_it_may_secede_before_or_after(live, task, value):
    future = live.submit(task, 3, key=f"{task.__name__}-1")
    enter(live, stop_of(live, f"{task.__name__}-1"), "c")
    assert future.result(20) == value


# -- where it is refused -------------------------------------------------------------


def test_it_is_refused_where_workers_refuse_to_run(harmable):
    blocked = dask.config.set({"distributed.worker.blocked-handlers": ["run"]})
    with blocked, harmable(n_workers=1, processes=True) as client:
        with pytest.raises(NotHere, match="every worker refuses"):
            dbgkit.live()
        wait_until(
            lambda: not client.run_on_scheduler(of_scheduler), "it is gone again"
        )


def test_it_is_refused_where_the_scheduler_refuses_to_run(harmable):
    blocked = {"distributed.scheduler.blocked-handlers": ["run_function"]}
    with dask.config.set(blocked), harmable(n_workers=1, processes=False) as client:
        with pytest.raises(NotHere, match="the scheduler refuses 'run_function'"):
            dbgkit.live()
        future = client.submit(plain, 3, key="refused-1")
        assert future.result(10) == 4
        assert not any("live" in n for n in client.cluster.scheduler.plugins)


def test_what_was_done_is_logged_with_a_name(live):
    future = live.submit(doubled, 3, key="logged-1")
    enter(live, stop_of(live, "logged-1"), "p y", "p x", "c")
    future.result(10)

    def logged():
        events = [event for _, event in live.get_events("dbgkit-live")]
        return [e for e in events if e.get("key") == "logged-1"][-3:]

    wait_until(lambda: len(logged()) == 3, "all is logged")
    found = {event["what"]: event for event in logged()}
    left = found["a stop was left"]
    assert left["commands"] == 3 and "@" in left["who"] and "Client-" in left["who"]
    assert "a task goes on (continued)" in found


def test_nothing_is_left_with_two_workers_in_one_process(inproc_client):
    with dbgkit.live(), dbgkit.live():
        futures = inproc_client.map(doubled, range(8))
        stopped = {each.key for each in waiting(inproc_client, 2)}
        wait([f for f in futures if f.key not in stopped], 30)
        hooks = {each["hook"] for each in inproc_client.run(leftovers).values()}
        assert hooks == {"Hook"}
    inproc_client.gather(futures)
    nothing_left(inproc_client)


def test_two_overlapping_statements_in_one_process(inproc_client):
    with dbgkit.live(most=2):
        address = next(iter(inproc_client.scheduler_info()["workers"]))
        futures = [
            inproc_client.submit(doubled, x, key=f"both-{x}", workers=[address])
            for x in (1, 2)
        ]
        one, two = (stop_of(inproc_client, f"both-{x}") for x in (1, 2))
        out = sys.stdout
        with (
            entered(inproc_client, one) as first,
            entered(inproc_client, two) as second,
        ):
            first.type()
            second.type()
            first._send("import time; time.sleep(0.5); print('first', x)")
            second._send("import time; time.sleep(0.2); print('second', x)")
            assert second.type().strip() == "second 2"
            assert first.type().strip() == "first 1"
        assert sys.stdout is out
    inproc_client.gather(futures)


# -- what the other verbs say --------------------------------------------------------


def test_why_says_that_it_is_paused_by_whom_and_until_when(live):
    value = dask.delayed(doubled)(2, dask_key_name="paused-1")
    future = live.compute(dask.delayed(plain)(value))
    found = stop_of(live, "paused-1")
    said = dbgkit.why("paused-1")
    assert said.cause == "at-breakpoint" and not said.healthy
    assert said.summary == f"'paused-1' is paused at a breakpoint on {found.worker}"
    text = " ".join(said.evidence)
    assert "in doubled" in text and "nobody is in it" in text
    assert "goes on by itself at" in text
    assert said.advice[0].startswith("dbgkit.attach('paused-1') enters it")
    whole = dbgkit.why()
    assert whole.cause == "at-breakpoint" and "1 task cannot go on" in whole.summary
    assert dbgkit.why(future).because == "at-breakpoint"
    with entered(live, found, "alice@there") as session:
        session.type("p x")

        def named():
            return "alice@there is in it" in " ".join(dbgkit.why("paused-1").evidence)

        wait_until(named, "it is said who is in it")
        session.type("c")
    assert future.result(10) == 6


def test_a_breakpoint_that_failed_its_task_is_explained(processes_client):
    future = processes_client.submit(doubled, 3, key="unarmed-1")
    wait(future)
    for text in (dbgkit.failures(), dbgkit.locate(future)):
        assert "dbgkit.live() it stops there" in " ".join(str(text).split())


def test_values_are_let_go_without_a_garbage_collection(live):
    future = live.submit(weighs, 3, key="weighs-1")
    found = stop_of(live, "weighs-1")
    live.run(gc.disable)
    try:
        assert sum(live.run(weighed).values()) >= 1
        enter(live, found, "p value", "n", "w", "c")
        assert future.result(10) == (3, True)
        wait_until(lambda: not any(live.run(weighed).values()), "it is let go")
    finally:
        live.run(gc.enable)


def test_in_a_process_that_a_pool_has_forked_it_goes_on(harmable, capfd):
    fork = multiprocessing.get_context("fork")
    options = {"n_workers": 1, "processes": False}
    with (
        ProcessPoolExecutor(1, mp_context=fork) as pool,
        harmable(**options, executor={"pool": pool}) as client,
        dbgkit.live(),
    ):
        with dask.annotate(executor="pool"):
            future = client.submit(doubled, 3, key="forked-1")
        assert future.result(20) == 7
        assert not len(dbgkit.attach())
    assert "it has no worker, so it goes on" in capfd.readouterr().err
