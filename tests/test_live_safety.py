"""Live sessions at unlucky moments, and with whoever says what nobody should."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest
from distributed import Client, Event
from distributed.threadpoolexecutor import threads_lock
from live_sessions import entered, gone, nothing_left, stop_of, waiting
from live_tasks import doubled, helped, plain
from watching import wait_until

import dbgkit
from dbgkit.cluster.reach import reach_of


def threads_in(name):
    """How many threads of this process are in a function of this name."""
    found = 0
    for frame in sys._current_frames().values():
        while frame is not None:
            found += frame.f_code.co_name == name
            frame = frame.f_back
    return found


# -- unlucky moments -----------------------------------------------------------------


def test_a_task_that_stops_as_live_is_turned_off_goes_on(inproc_client, inproc):
    worker = next(iter(inproc.workers.values()))
    live = dbgkit.live()
    with threads_lock:  # it has been allowed to stop, and is about to
        future = inproc_client.submit(
            doubled, 3, key="about-1", workers=[worker.address]
        )
        wait_until(lambda: threads_in("secede"), "it is about to stop")
        live.off()
        wait_until(lambda: not worker.plugins.keys() & {live_name()}, "it is off")
    assert future.result(10) == 7
    nothing_left(inproc_client)


def live_name():
    from dbgkit.cluster.shipping import live_name

    return live_name()


def comes_late(name):
    Event(f"{name}-runs").set()
    Event(f"{name}-goes").wait(30)
    breakpoint()
    return name


def test_a_task_that_was_cancelled_before_it_came_there_goes_on(processes_client):
    with dbgkit.live(everyone=True):
        future = processes_client.submit(comes_late, "early", key="early-1")
        assert Event("early-runs").wait(30)
        future.cancel()
        wait_until(lambda: not processes_client.run_on_scheduler(_tasks), "forgotten")
        Event("early-goes").set()
        wait_until(lambda: not any(processes_client.run(_runs).values()), "it ends")
        assert "early" not in {each.prefix for each in dbgkit.attach()}


def _tasks(dask_scheduler):
    return "early-1" in dask_scheduler.tasks


def _runs(dask_worker):
    """Whether a worker runs it, paused or not."""
    running = dask_worker.active_threads.values()
    return "early-1" in running or "early-1" in dask_worker.state.tasks


ALLOWED = {"others": threading.Event(), "mine": threading.Event()}
ASLEEP, AWAKE = threading.Event(), threading.Event()


def allowed(whose):
    ALLOWED[whose].wait(30)
    breakpoint()
    return whose


def _sleep(dask_scheduler):
    dask_scheduler.loop.call_later(0.01, lambda: (ASLEEP.set(), AWAKE.wait(5)))


def test_a_task_that_is_not_wanted_takes_nobodys_place(inproc_client, inproc):
    """As one of another client's asks whether it is wanted, mine comes there too."""
    place = {"workers": [next(iter(inproc.workers.values())).address]}
    with dbgkit.live(), Client(inproc, set_as_default=False) as other:
        others = other.submit(allowed, "others", key="allowed-1", **place)
        mine = inproc_client.submit(allowed, "mine", key="allowed-2", **place)
        wait_until(lambda: threads_in("allowed") == 2, "both run")
        inproc_client.run_on_scheduler(_sleep)
        assert ASLEEP.wait(10)
        ALLOWED["others"].set()
        wait_until(lambda: threads_in("ask_scheduler") == 1, "one asks")
        ALLOWED["mine"].set()
        wait_until(lambda: threads_in("allowed") - threads_in("reached") == 0, "both")
        AWAKE.set()
        assert [each.key for each in waiting(inproc_client)] == ["allowed-2"]
        assert others.result(10) == "others"
    assert mine.result(10) == "mine"
    nothing_left(inproc_client)


@pytest.mark.parametrize("through", [False, True])
def test_a_session_that_comes_as_live_is_off_is_refused(processes_client, through):
    live = dbgkit.live()
    future = processes_client.submit(doubled, 3, key="late-1")
    found = stop_of(processes_client, "late-1")
    live.off()
    nothing_left(processes_client)
    missed = reach_of(processes_client).missed
    missed.update({found.worker} if through else ())
    with entered(processes_client, found) as session:
        session.type()
        assert session.ended.how == "refused" and session.ended.gone
        assert session.talk.through == through
    missed.clear()
    assert future.result(10) == 7


def _log_much(dask_scheduler, name, minutes):
    part = dask_scheduler.plugins[name]
    for number in range(1_500):
        part.log(f"event {number}", "")
    part.logging_since -= 60 * minutes + 1
    return len(dask_scheduler.get_events("dbgkit-live"))


def test_after_many_events_it_goes_on_to_be_logged_and_told(processes_client, capsys):
    with dbgkit.live():
        there = {"name": live_name(), "minutes": 1}
        assert processes_client.run_on_scheduler(_log_much, **there) <= 1_000
        future = processes_client.submit(doubled, 3, key="logged-1")
        stop_of(processes_client, "logged-1")
        told = []

        def is_told():
            told.append("".join(capsys.readouterr()))
            return "'logged-1' waits at its breakpoint" in "".join(told)

        wait_until(is_told, "it is told")
    assert future.result(10) == 7


# -- what nobody should say ----------------------------------------------------------


MALFORMED = [
    {"op": "complete"},
    {"op": "complete", "text": "", "line": "", "begin": "x", "end": 0, "number": 1},
    {"op": "do"},
    {"op": "do", "line": ["c"]},
    {"op": "input", "text": 5},
    {"op": "sources"},
]


def test_what_is_malformed_ends_the_session_and_not_the_task(processes_client):
    with dbgkit.live():
        future = processes_client.submit(helped, 3, key="malformed-1")
        found = stop_of(processes_client, "malformed-1")
        for each in MALFORMED:
            with entered(processes_client, found) as session:
                session.type("p x")
                session.talk.send(**each)
                session.type("p x")
                assert session.ended.how == "lost", each
            wait_until(lambda: not stop_of(processes_client, found.key).who, "left")
        with entered(processes_client, found) as session:
            session.type("c")
        gone(processes_client, found)
        assert future.result(10) == 31


def test_source_that_is_none_is_taken_for_none(processes_client):
    with dbgkit.live():
        future = processes_client.submit(_by_value(), 3, key="sourceless-1")
        found = stop_of(processes_client, "sourceless-1")
        for wrong in ([5], [{"lines": 3}], ["x"], [{"lines": [], "file": 1}]):
            with entered(processes_client, found) as session:
                session.prompt.source = lambda _, wrong=wrong: wrong[0]
                assert session.type("l", "p x").strip().endswith("3")
        with entered(processes_client, found) as session:
            session.type("c")
        assert future.result(10) == 3


def _by_value():
    space = {}
    exec("def sourceless(x):\n    breakpoint()\n    return x\n", space)
    return space["sourceless"]


def test_more_messages_than_anybody_types_end_the_session(processes_client):
    with dbgkit.live():
        future = processes_client.submit(helped, 3, key="flooded-1")
        found = stop_of(processes_client, "flooded-1")
        with entered(processes_client, found) as session:
            session.type()
            for line in ("while True: pass", *["p x"] * 2_000):
                session.talk.send("do", line=line)
            session._asked = None
            session._sent += 3_000
            session._until_prompt()
            assert session.ended.how == "lost"
        wait_until(lambda: not stop_of(processes_client, found.key).who, "it is left")
        with entered(processes_client, found) as session:
            assert session.type("p x").strip().endswith("3")
            session.type("c")
        gone(processes_client, found)
        assert future.result(10) == 31


def _connections(dask_scheduler):
    return dask_scheduler.rpc.active


def test_sessions_through_the_scheduler_give_their_connections_back(processes_client):
    """Its pool of them has a limit, past which it reaches no worker any more."""
    with dbgkit.live():
        future = processes_client.submit(helped, 3, key="pooled-1")
        found = stop_of(processes_client, "pooled-1")
        missed = reach_of(processes_client).missed
        missed.add(found.worker)
        before = processes_client.run_on_scheduler(_connections)
        for line in ("p x", "p x", "c"):
            with entered(processes_client, found) as session:
                assert session.talk.through
                session.type(line)
        missed.discard(found.worker)
        assert future.result(10) == 31
        wait_until(
            lambda: processes_client.run_on_scheduler(_connections) <= before,
            "none is left",
        )
        assert processes_client.submit(plain, 1).result(10) == 2


def test_each_line_of_interact_has_output_of_its_own(processes_client):
    with dbgkit.live():
        future = processes_client.submit(helped, 3, key="talkative-1")
        found = stop_of(processes_client, "talkative-1")
        with entered(processes_client, found) as session:
            said = session.type("interact", "print('y' * 300_000)", "print(x * 7)")
            assert "more characters are left out]\n" in said
            assert said.rstrip().endswith("21")
            session.type("exit()", "c")
        assert future.result(10) == 31


def _stdin_is_closed():
    return getattr(sys.stdin, "closed", None)


def test_exit_and_help_are_the_sessions_own(processes_client):
    """Python's own close the process's stdin, and open a pager."""
    with dbgkit.live():
        future = processes_client.submit(helped, 3, key="exits-1")
        found = stop_of(processes_client, "exits-1")
        before = processes_client.run(_stdin_is_closed)
        for line in ("exit()", "!exit()", "quit()", "p quit()"):
            with entered(processes_client, found) as session:
                session.type(line)
                assert session.ended.how == "detached"
            wait_until(lambda: not stop_of(processes_client, found.key).who, "left")
        assert processes_client.run(_stdin_is_closed) == before
        with entered(processes_client, found) as session:
            assert "scale(x: " in session.type("!help(scale)")
            session.type("c")
        assert future.result(10) == 31


NONSENSE = [
    {"op": 5},
    {"op": "output", "text": 5},
    {"op": "prompt", "prompt": "(Pdb) "},
    {"op": "prompt", "prompt": "(Pdb) ", "answered": "x"},
    {"op": "here", "stop": {"id": "x"}},
    {"op": "sources", "codes": ["x"]},
    {"op": "completions"},
    {"op": "ended", "how": "continued", "until": "soon"},
    "nothing",
]


def _say(dask_worker, name, messages):
    """Answer each session with one of some messages; gives what did so before."""
    left = list(messages)

    async def session(comm, stop, who):
        await comm.write(left.pop(0))
        await asyncio.sleep(30)

    dask_worker.handlers[name], before = session, dask_worker.handlers[name]
    dask_worker.dbgkit_before = before


def _say_no_more(dask_worker, name):
    dask_worker.handlers[name] = dask_worker.__dict__.pop("dbgkit_before")


def test_a_worker_that_talks_nonsense_ends_the_session(processes_client):
    with dbgkit.live():
        future = processes_client.submit(helped, 3, key="nonsense-1")
        found = stop_of(processes_client, "nonsense-1")
        there = {"name": f"{live_name()}-session", "workers": [found.worker]}
        processes_client.run(_say, messages=NONSENSE, **there)
        try:
            for _ in NONSENSE:
                with entered(processes_client, found) as session:
                    session.type()
                    assert session.ended.how == "lost"
        finally:
            processes_client.run(_say_no_more, **there)
        with entered(processes_client, found) as session:
            session.type("c")
        assert future.result(10) == 31
