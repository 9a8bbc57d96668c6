"""At the prompt of a stopped task: what is typed, shown, interrupted, and left."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from functools import partial

import pytest
from distributed import Client
from live_sessions import Session, enter, entered, nothing_left, stop_of, stopped
from live_tasks import hangs_shown, helped, looped, spoken
from watching import wait_until

import dbgkit
from dbgkit.errors import NotStopped


@pytest.fixture(scope="module", params=["processes", "inproc"])
def live(request):
    """A client of each of the shared clusters, where many may stop."""
    cluster = request.getfixturevalue(request.param)
    with Client(cluster) as client:
        with dbgkit.live(most=1_000):
            yield client
        nothing_left(client)


@pytest.fixture
def stop(live, request):
    call = getattr(request, "param", (helped, 3))
    with stopped(live, f"{request.node.name}-1", *call) as found:
        yield found


def by_value(x):
    local = x + 1
    breakpoint()
    after = local * 2
    return after


# -- values --------------------------------------------------------------------------


def test_values_are_read_and_assigned(live, stop):
    said, how = enter(
        live, stop, "p x", "!x = 8", "w", "p x", "x += 1", "p [x for _ in 'ab']",
        "(z := 5)", "p z", "c",
    )  # fmt: skip
    assert "3\n" in said or "\n3" in said
    assert "[9, 9]" in said
    assert how == "continued"
    assert stop.future.result(10) == 91


def test_statements_of_several_lines_and_errors(live, stop):
    said, _ = enter(
        live, stop, "for i in range(2):", "  print('line', i)", "", "1/0",
        "p nosuch", "p 1 +", "raise SystemExit", "!raise KeyboardInterrupt", "p x",
    )  # fmt: skip
    assert "line 0\nline 1\n" in said
    assert "ZeroDivisionError: division by zero" in said
    assert "NameError: name 'nosuch' is not defined" in said
    assert (
        "SyntaxError" in said and "SystemExit" in said and "KeyboardInterrupt" in said
    )
    assert said.rstrip().endswith("3")


def test_print_input_and_interact_are_the_sessions_own(live, stop, capfd):
    with entered(live, stop) as session:
        said = session.type("print('to', 'me', x)", "print(input('who? '))", "bob")
        assert "to me 3\n" in said and "bob\n" in said
        said = session.type("interact", "print(x)", "x = 4", "x", "1/0", "exit()")
        assert "\n4\n" in said or "4\n" in said
        assert "ZeroDivisionError" in said and "end of interactive" in said
        # of a copy of the names, as pdb's own
        assert session.type("p x").strip() == "3"
    out, err = capfd.readouterr()
    assert "to me" not in out + err


def test_stepping_listing_and_the_stack(live, stop):
    said, how = enter(
        live, stop, "l", "s", "s", "n", "w", "ll", "up", "p x", "down", "a", "r", "n",
        "c",
    )  # fmt: skip
    assert "scaled = scale(x, 10)" in said
    assert "scale()" in said and "helped()" in said
    assert "dask" not in said and "distributed" not in said  # machinery is left out
    assert "product = x * factor" in said
    assert how in ("continued", "finished")
    assert stop.future.result(10) == 31


@pytest.mark.parametrize("stop", [(by_value, 3)], indirect=True)
def test_source_of_code_by_value_is_the_clients_own(live, stop):
    said, _ = enter(live, stop, "l", "n", "ll", "b 37", "p local")
    assert "local = x + 1" in said and "after = local * 2" in said
    assert "test_live_sessions.py" in said


@pytest.mark.parametrize("stop", [(looped, 0)], indirect=True)
def test_breakpoints_are_the_sessions_own(live, stop):
    with entered(live, stop) as session:
        number = session.type("b scale").split()[-3]
        assert "Num Type" in session.type("tbreak 44", "b")
        assert "Deleted" in session.type(f"cl {number}")
        assert "scale" not in session.type("b")
        session.type("cl")
        assert session.type("b") == ""


def test_a_breakpoint_is_hit_in_a_function_that_is_called(live, stop):
    said, _ = enter(live, stop, "b scale", "c", "p factor", "cl", "c")
    assert "scale()" in said and "10\n" in said
    assert stop.future.result(10) == 31


def test_commands_of_a_breakpoint_run_at_the_prompt(live, stop):
    said, how = enter(
        live, stop, "b scale", "commands", "p factor * 7", "end", "c", "p x", "cl", "c"
    )
    assert "70\n" in said and how == "continued"
    assert stop.future.result(10) == 31


def test_jump_goes_where_pdb_can(live, stop):
    said, _ = enter(live, stop, "n", "!scaled = 1", "n", "j 26", "p scaled", "c")
    if sys.version_info < (3, 13):
        assert "scaled = scale(x, 10)" in said
    assert isinstance(stop.future.result(10), int)


def test_run_restart_and_debug_are_refused(live, stop):
    said, _ = enter(live, stop, "run", "restart a b", "debug x", "p x")
    assert said.count("not at this prompt") == 3
    assert not stop.future.done()


def test_completion_is_asked_in_the_stopped_thread(live, stop):
    with entered(live, stop) as session:
        session.type()
        prompt = session.prompt
        assert "bit_length" in " ".join(prompt._complete("x.bit_l", "p x.bit_l", 2, 9))
        assert "longlist" in prompt._complete("longl", "longl", 0, 5)
        assert prompt._complete("nosuch", "p nosuch", 2, 8) == []


# -- ends ----------------------------------------------------------------------------


def test_leaving_lets_it_wait(live, stop):
    for word in ("q", "exit", "EOF", "detach"):
        assert enter(live, stop, "p x", word)[1] == "detached"
    assert not stop.future.done()
    assert enter(live, stop, "p x")[1] is None  # closed without a word
    wait_until(lambda: stop_of(live, stop.key).who == "", "it was noticed")


def test_abort_fails_the_task_by_an_exception_of_ours(live, stop):
    _, how = enter(live, stop, "abort no more of this")
    assert how == "aborted"
    error = stop.future.exception(10)
    assert type(error).__name__ == "Aborted" and isinstance(error, RuntimeError)
    assert "no more of this" in str(error) and "@" in str(error)
    frames = stop.future.traceback(10)
    assert "/pdb.py" not in "".join(traceback.format_tb(frames))
    assert dbgkit.failures(client=live).total >= 1


def test_stepping_past_the_end_of_the_task_ends_the_session(live, stop):
    with entered(live, stop) as session:
        for _ in range(20):
            if session.ended is None:
                session.type("n")
        assert session.ended.how in ("finished", "continued")
    assert stop.future.result(10) == 31


# -- two, or none --------------------------------------------------------------------


def test_two_users_on_one_stop(live, stop):
    with entered(live, stop, "alice@there") as first:
        first.type("p x")
        wait_until(lambda: stop_of(live, stop.key).who == "alice@there", "it is listed")
        with entered(live, stop, "bob@here") as second:
            second.type()
            assert second.ended.how == "refused"
            assert "alice@there is in it" in second.ended.why
        assert first.type("p x + 1").strip() == "4"
    with entered(live, stop, "bob@here") as second:
        wait_until(lambda: second.type("p x").strip() == "3", "bob is in it")


def test_a_client_that_is_gone_is_noticed_and_the_stop_entered_again(live, stop):
    session = Session(live, stop)
    session.type("p x")
    start = time.monotonic()
    session.talk._call(_cut(session.talk), 5)  # no word of a goodbye
    wait_until(lambda: stop_of(live, stop.key).who == "", "it is noticed")
    assert time.monotonic() - start < 2
    assert "3" in enter(live, stop, "p x")[0]
    session.close()


async def _cut(talk):
    talk._comm.abort()


def test_what_it_has_run_is_interrupted_as_a_client_goes(live, stop):
    session = Session(live, stop)
    session.type()
    session._send("while True: pass")
    session.talk._call(_cut(session.talk), 5)
    session.close()

    def enters():
        try:
            return "3" in enter(live, stop, "p x")[0]
        except AssertionError:
            return False

    wait_until(enters, "it can be entered again")


def test_through_the_scheduler_alone(live, stop):
    from dbgkit.cluster.reach import reach_of

    reach = reach_of(live)
    reach.missed.add(stop.worker)
    try:
        with entered(live, stop) as session:
            assert session.talk.through
            assert session.type("p x").strip().endswith("3")
            session._send("while True: pass")
            session.talk.send("interrupt")
            said = session.type()
            assert "nterrupt" in said
        wait_until(lambda: stop_of(live, stop.key).who == "", "it is noticed there too")
        assert enter(live, stop, "c")[1] == "continued"
    finally:
        reach.missed.discard(stop.worker)
    assert stop.future.result(10) == 31


# -- hostile -------------------------------------------------------------------------


def test_ctrl_c_ends_a_loop_at_the_prompt_and_not_the_worker(live, stop):
    with entered(live, stop) as session:
        session.type()
        for _ in range(3):
            session._send("exec('print(1, 2, flush=True)\\nwhile True: pass')")
            session.hear("1 2\n")
            session.talk.send("interrupt")
            assert "nterrupt" in session.type()
        assert session.type("p x").strip() == "3"
        assert session.type("c") is not None and session.ended.how == "continued"
    assert stop.future.result(10) == 31


STARTS = """
import threading, time

class Slow(threading.Event):
    def wait(self, timeout=None):
        print("it starts", flush=True)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            pass
        return super().wait(timeout)

thread = threading.Thread(target=time.sleep, args=(0,))
thread._started = Slow()
thread.start()
print("it has started", flush=True)
while True:
    pass
"""


def test_what_starts_a_thread_is_interrupted_once_it_has(live, stop):
    """Before Python 3.12 the new thread could be, and the other wait for good."""
    with entered(live, stop) as session:
        session.type()
        session._send(f"exec({STARTS!r})")
        session.hear("it starts")
        session.talk.send("interrupt")
        said = session.type()
        assert "it has started" in said and "nterrupt" in said
        assert session.type("p x").strip() == "3"


@pytest.mark.parametrize("stop", [(hangs_shown, 3)], indirect=True)
def test_a_repr_that_hangs_is_interrupted(live, stop):
    with entered(live, stop) as session:
        session.type()
        session._send("p print('it', 'runs', flush=True) or value")
        session.hear("it runs")
        session.talk.send("interrupt")
        session.type()
        assert session.type("p x").strip() == "3"


def test_ctrl_c_at_the_moment_of_going_on(live):
    for number in range(10):
        key = f"moment-{number}"
        future = live.submit(helped, 3, key=key, pure=False)
        found = stop_of(live, key)
        with entered(live, found) as session:
            session.type()
            session._send("c")
            for _ in range(number):
                session.talk.send("interrupt")
            session.type()
        wait_until(partial(_has_gone_on, live, future), "it goes on")
        assert future.result(10) == 31


def _has_gone_on(client, future):
    """An interrupt that comes after going on halts the task: it is let go again."""
    for found in dbgkit.attach(client=client):
        if found.key == future.key:
            with entered(client, found) as session:
                session.type("c")
    return future.done()


def test_much_output_is_cut_on_the_worker_and_counted(live, stop):
    with entered(live, stop) as session:
        said = session.type("p 'x' * 30_000_000", "p x")
        assert len(said) < 250_000
        assert "29,800,00" in said and "more characters are left out" in said
        assert said.rstrip().endswith("3")


def test_prints_of_other_tasks_do_not_come_into_a_session(live, stop):
    others = live.map(spoken, [1.0] * 4, pure=False)
    with entered(live, stop) as session:
        said = ""
        while not all(each.done() for each in others):
            said += session.type("!print('mine', x)")
    assert "mine 3" in said and "another task" not in said


def test_a_breakpoint_within_a_command_is_passed(live, stop):
    assert "21" in enter(live, stop, "p __import__('live_tasks').doubled(10)")[0]


def test_a_target_that_does_not_wait_is_an_error(live):
    with pytest.raises(NotStopped, match="does not wait"):
        dbgkit.attach("nosuch", client=live)


def test_without_a_terminal_the_stop_is_shown(live, stop, capsys):
    found = dbgkit.attach(stop.key, client=live)
    assert found.id == stop.id and found.how == ""
    assert stop.key in capsys.readouterr().out


def test_threads_of_sessions_end(live, stop):
    before = threading.active_count()
    for _ in range(5):
        enter(live, stop, "p x", "q")
    wait_until(lambda: threading.active_count() <= before + 1, "threads have ended")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="pdb has no $_frame")
def test_convenience_variables_stay_out_of_the_users_module(live, stop):
    said, _ = enter(
        live, stop, "$mine = 17", "p $mine + 1", "p $_frame.f_code.co_name", "c"
    )
    assert "18" in said and "'helped'" in said
    left = live.run(_names_of_pdb)
    assert not any(left.values())


def _names_of_pdb(dask_worker):
    import live_tasks

    return [name for name in vars(live_tasks) if "pdb" in name]
