"""A stopped task debugged by an editor: the Debug Adapter Protocol, by script."""

from __future__ import annotations

import socket
import sys

import pytest
from distributed import Client
from live_editors import Refused, edited, no_traces
from live_sessions import enter, entered, gone, nothing_left, stop_of, stopped
from live_tasks import fails, helped, looped, spins, weighed, weighs
from watching import wait_until

import dbgkit

pytest.importorskip("debugpy")


@pytest.fixture(scope="module", params=["processes", "inproc"])
def live(request):
    """A client of each of the shared clusters, where many may stop."""
    cluster = request.getfixturevalue(request.param)
    with Client(cluster) as client:
        with dbgkit.live(most=1_000):
            yield client
        nothing_left(client)
        no_traces(client)


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


def names(frames):
    return [(each["name"], each["line"]) for each in frames]


def test_values_steps_and_the_end(live, stop):
    with edited(live, stop) as session:
        editor = session.editor
        frames = editor.begin()
        assert editor.reason == "breakpoint"
        assert [name for name, _ in names(frames)] == ["helped"]
        assert frames[0]["source"]["path"].endswith("live_tasks.py")
        assert editor.variables()["x"] == "3"
        assert editor.evaluate("x * 7") == "21"
        assert editor.evaluate("x = 8", context="repl") == ""
        assert editor.evaluate("x") == "8"
        assert stop_of(live, stop.key).who.endswith("with debugpy")
        while editor.frames[0]["name"] == "helped":
            editor.go("stepIn")
        assert [name for name, _ in names(editor.frames)] == ["scale", "helped"]
        assert editor.variables()["factor"] == "10"
        assert editor.go("stepOut")[0]["name"] == "helped"
        editor.ask("continue", threadId=editor.thread)
        editor.event("terminated")
        assert session.how() == "finished"
    assert stop.future.result(10) == 81
    no_traces(live)


# -- how it ends ---------------------------------------------------------------------


def test_leaving_where_it_stands_returns_to_the_prompt(live, stop):
    for _ in range(2):  # a second session on the same thread
        with edited(live, stop) as session:
            assert session.editor.begin()[0]["name"] == "helped"
            session.editor.leave()
            assert session.how() == "detached"
    assert not stop.future.done()
    said, how = enter(live, stop, "p x", "n", "n", "c")
    assert "3" in said and "dbgkit" not in said and how in ("continued", "finished")
    assert stop.future.result(10) == 31


def left_in_scale(client, stop):
    """An editor steps into a function that the task calls, and leaves there."""
    with edited(client, stop) as session:
        editor = session.editor
        editor.begin()
        while editor.frames[0]["name"] != "scale":
            editor.go("stepIn")
        editor.leave()
        assert session.how() == "detached"


def test_leaving_at_a_later_stop_opens_the_prompt_there(live, stop):
    left_in_scale(live, stop)
    with entered(live, stop) as session:
        said = session.type("w", "p factor", "!factor = 2")
        assert "scale()" in said and "10" in said
    # once more, from a prompt that was opened within debugpy's own call
    with edited(live, stop) as session:
        editor = session.editor
        assert editor.begin()[0]["name"] == "scale"
        assert editor.variables()["factor"] == "2"
        line = editor.frames[0]["line"]
        assert editor.go("next")[0]["line"] == line + 1
        editor.leave()
        assert session.how() == "detached"
    assert enter(live, stop, "p product", "r", "n", "c")[1] in ("continued", "finished")
    assert stop.future.result(10) == 7


def test_abort_after_an_editor_has_left(live, stop):
    left_in_scale(live, stop)
    assert enter(live, stop, "abort enough")[1] == "aborted"
    assert "enough" in str(stop.future.exception(10))


@pytest.mark.parametrize("stop", [(looped, 0)], indirect=True)
def test_leaving_while_it_runs_lets_it_go_on(live, stop):
    with edited(live, stop) as session:
        editor = session.editor
        editor.begin()
        assert editor.evaluate("x", context="repl") == "0"
        assert editor.go("continue")[0]["name"] == "looped"  # at the next breakpoint()
        assert editor.variables()["index"] == "1"
        editor.go("continue")
        editor.send("continue", threadId=editor.thread)
        editor.event("terminated")
        assert session.how() == "finished"
    assert stop.future.result(10) == 3


@pytest.mark.parametrize("stop", [(spins, 60)], indirect=True)
@pytest.mark.parametrize("how", ["leave", "close"])
def test_an_editor_that_goes_while_it_runs(live, stop, how):
    with edited(live, stop) as session:
        editor = session.editor
        editor.begin()
        editor.ask("continue", threadId=editor.thread)
        wait_until(lambda: stop_of(live, stop.key).state == "running", "it runs")
        editor.ask("pause", threadId=editor.thread)
        assert editor.stopped()[-1]["name"] == "spins"
        editor.evaluate("end = time.monotonic() + 0.5", frame=-1, context="repl")
        editor.ask("continue", threadId=editor.thread)
        wait_until(lambda: stop_of(live, stop.key).state == "running", "it runs")
        getattr(editor, how)()
        assert session.how() == "continued"
    gone(live, stop)
    assert stop.future.result(10) is True
    no_traces(live)


def test_a_vanished_editor_leaves_the_task_at_its_prompt(live, stop):
    with edited(live, stop) as session:
        session.editor.begin()
        session.editor.close()
        assert session.how() == "detached"
    assert "3" in enter(live, stop, "p x")[0]
    with edited(live, stop, connect=False) as session:
        editor = session.connect()  # it never says anything
        editor.close()
        assert session.how() == "detached"
    assert "3" in enter(live, stop, "p x")[0]


def test_a_client_that_closes_leaves_the_task_at_its_prompt(live, stop):
    with edited(live, stop) as session:
        session.editor.begin()
        session.editor.send(
            "evaluate",
            expression="[0 for _ in iter(int, 1)]",
            frameId=session.editor.frames[0]["id"],
            context="repl",
        )
        session.talk.put("lost")
        wait_until(lambda: not stop_of(live, stop.key).who, "it was noticed")
    assert "3" in enter(live, stop, "p x")[0]


def test_ctrl_c_ends_the_session(live, stop, monkeypatch):
    with edited(live, stop) as session:
        session.editor.begin()
        talk = session.talk
        following = talk.next

        def interrupted(limit=None):
            monkeypatch.setattr(talk, "next", following)
            raise KeyboardInterrupt

        monkeypatch.setattr(talk, "next", interrupted)
        talk.put("woken")  # it waits for the next message
        assert session.how() == "detached"
    wait_until(lambda: not stop_of(live, stop.key).who, "the worker has heard of it")
    assert "3" in enter(live, stop, "p x")[0]


def test_cancelled_while_an_editor_is_in_it(live, stop):
    with edited(live, stop) as session:
        session.editor.begin()
        stop.future.cancel()
        wait_until(lambda: session.said[1:], "it is told")
        assert "cancelled" in session.said[-1]
        session.editor.leave()
        session.how()
    gone(live, stop)
    no_traces(live)


# -- others in the same process ------------------------------------------------------


def test_one_session_a_process_and_another_stop_has_its_prompt(live, stop):
    other = live.submit(
        helped, 5, key=f"{stop.key}-other", pure=False, workers=[stop.worker]
    )
    second = stop_of(live, other.key)
    with edited(live, stop) as session:
        session.editor.begin()
        with edited(live, second, connect=False) as refused:
            with pytest.raises(Refused, match="in the same process"):
                refused.connect()
            assert "without debugger=" in refused.ended.hint
        assert "5" in enter(live, second, "p x", "n", "n", "c")[0]
        assert other.result(10) == 51
        assert session.editor.evaluate("x") == "3"
        session.editor.leave()
        session.how()


def test_other_tasks_pass_the_editors_breakpoints(live, stop):
    import live_tasks

    line = live_tasks.scale.__code__.co_firstlineno + 1
    with edited(live, stop) as session:
        editor = session.editor
        editor.begin({live_tasks.__file__: [line]})
        assert editor.verified[live_tasks.__file__][0]["verified"]
        editor.go("continue")
        assert names(editor.frames)[0] == ("scale", line)
        others = live.map(
            live_tasks.scale, range(8), factor=2, pure=False, workers=[stop.worker]
        )
        assert live.gather(others) == [2 * x for x in range(8)]
        assert [each["name"] for each in editor.ask("threads")["threads"]] == [
            f"{stop.key} on {stop.worker}"
        ]
        editor.ask("continue", threadId=editor.thread)
        editor.event("terminated")
        assert session.how() == "finished"
    assert stop.future.result(10) == 31


# -- source --------------------------------------------------------------------------


def inner_by_value(x):
    doubled = x * 2
    return doubled


def outer_by_value(x):
    breakpoint()
    return inner_by_value(x) + 1


def test_code_by_value_is_of_the_clients_file(live):
    def task(x):
        breakpoint()
        y = x + 1
        return y * 2

    first = task.__code__.co_firstlineno
    future = live.submit(task, 4, key="nested-by-value", pure=False)
    found = stop_of(live, "nested-by-value")
    with edited(live, found) as session:
        editor = session.editor
        frames = editor.begin({__file__: [first + 3]})
        assert frames[0]["source"]["path"] == __file__
        assert not frames[0]["source"].get("sourceReference")
        assert editor.verified[__file__][0]["verified"]
        editor.go("continue")
        assert names(editor.frames)[0] == ("task", first + 3)
        assert editor.variables()["y"] == "5"
        editor.ask("continue", threadId=editor.thread)
        editor.event("terminated")
    assert future.result(10) == 10


def test_breakpoints_of_another_file_do_not_stop_code_by_value(live):
    def task(x):
        breakpoint()
        y = x + 1
        return y * 2

    line = task.__code__.co_firstlineno + 3
    future = live.submit(task, 4, key="other-by-value", pure=False)
    found = stop_of(live, "other-by-value")
    with edited(live, found) as session:
        editor = session.editor
        editor.begin({"/nosuch/file.py": [line]})
        editor.ask("continue", threadId=editor.thread)
        editor.event("terminated")
        assert session.how() == "finished"
    assert future.result(10) == 10


# -- what it may not do, and what does not speak the protocol ------------------------


def test_an_editor_does_not_end_the_process_nor_take_its_output(live, stop):
    with edited(live, stop) as session:
        editor = session.editor
        editor.begin(
            redirectOutput=True,
            debugOptions=["RedirectOutput"],
            autoReload={"enable": True},
            subProcess=True,
        )
        assert not editor.capabilities["supportTerminateDebuggee"]
        for command in ("setDebuggerProperty", "nosuch", "restart", "launch"):
            with pytest.raises(Refused, match="not for a worker"):
                editor.ask(command)
        assert not any("IORedirector" in each for each in live.run(_stdout).values())
        editor.ask("disconnect", terminateDebuggee=True)
        assert session.how() == "detached"
    assert "3" in enter(live, stop, "p x")[0]


def _stdout():
    return type(sys.stdout).__name__


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0" * 10_000,
        b"Content-Length: 99999999999\r\n\r\n",
        b"Content-Length: 3\r\n\r\n{x}",
        b"Content-Length: 2\r\n\r\n[]",
    ],
)
def test_what_does_not_speak_the_protocol_is_sent_away(live, stop, said):
    with edited(live, stop) as session:
        session.editor.socket.sendall(said)
        assert session.how() == "detached"
        assert "does not speak DAP" in session.ended.why
    assert "3" in enter(live, stop, "p x")[0]


def test_only_one_connection(live, stop):
    with edited(live, stop) as session:
        session.editor.begin()
        port = session.editor.socket.getpeername()[1]
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), 2)


def test_nobody_connects(live, stop, monkeypatch):
    monkeypatch.setattr("dbgkit.debugger.editor.WINDOW", 0.3)
    with edited(live, stop, connect=False) as session:
        session.how()
        assert session.ended.late and "no editor has connected" in session.ended.why
    assert "3" in enter(live, stop, "p x")[0]


def test_long_values_are_cut_on_the_worker(live, stop):
    with edited(live, stop) as session:
        session.editor.begin()
        shown = session.editor.evaluate("'y' * 5_000_000", context="clipboard")
        assert len(shown) < 250_000 and "more characters are left out" in shown
        session.editor.leave()
        session.how()


@pytest.mark.parametrize("stop", [(weighs, 3)], indirect=True)
def test_no_value_is_kept_once_it_is_over(live, stop):
    with edited(live, stop) as session:
        editor = session.editor
        editor.begin()
        assert "Weighed" in editor.variables()["value"]
        editor.evaluate("[value]")
        editor.send("continue", threadId=editor.thread)
        editor.event("terminated")
        assert session.how() == "finished"
    assert stop.future.result(10) == (3, True)
    wait_until(lambda: not any(live.run(weighed).values()), "it is let go")


def test_stops_of_break_at_are_debugged_too(live):
    with dbgkit.break_at(helped, client=live, most=5):
        future = live.submit(helped, 3, key="started-1", pure=False)
        found = stop_of(live, "started-1")
        with edited(live, found) as session:
            editor = session.editor
            assert editor.begin()[0]["name"] == "helped"
            editor.go("next")
            while editor.frames[0]["name"] != "scale":
                editor.go("stepIn")
            editor.ask("continue", threadId=editor.thread)
            editor.event("terminated")
        assert future.result(10) == 31


def inverse(x):
    return 1 / x


def test_a_task_that_has_failed_stays_with_its_prompt(live):
    with dbgkit.break_at(inverse, client=live, when="error", most=5):
        future = live.submit(inverse, 0, key="failed-1", pure=False)
        found = stop_of(live, "failed-1")
        with (
            edited(live, found, connect=False) as session,
            pytest.raises(Refused, match="it has failed"),
        ):
            session.connect()
        assert "0" in enter(live, found, "p x", "c")[0]
        assert isinstance(future.exception(10), ZeroDivisionError)


@pytest.mark.parametrize("stop", [(fails, 0)], indirect=True)
def test_it_stops_where_an_exception_is_raised(live, stop):
    with edited(live, stop) as session:
        editor = session.editor
        editor.begin()
        editor.ask("setExceptionBreakpoints", filters=["raised"])
        editor.go("continue")
        assert editor.reason == "exception"
        info = editor.ask("exceptionInfo", threadId=editor.thread)
        assert "ZeroDivisionError" in info["exceptionId"]
        editor.ask("setExceptionBreakpoints", filters=[])
        editor.ask("continue", threadId=editor.thread)
        editor.event("terminated")
    assert isinstance(stop.future.exception(10), ZeroDivisionError)


def test_nested_functions_by_value_and_conditions(live):
    line = inner_by_value.__code__.co_firstlineno + 2
    future = live.submit(outer_by_value, 4, key="outer-1", pure=False)
    found = stop_of(live, "outer-1")
    with edited(live, found) as session:
        editor = session.editor
        editor.begin()
        where = {"path": __file__}
        for condition, stops in (("doubled == 9", False), ("doubled == 8", True)):
            editor.ask(
                "setBreakpoints",
                source=where,
                breakpoints=[{"line": line, "condition": condition}],
            )
            if stops:
                assert names(editor.go("continue"))[0] == ("inner_by_value", line)
                assert editor.variables()["doubled"] == "8"
        editor.ask("continue", threadId=editor.thread)
        editor.event("terminated")
    assert future.result(10) == 9
