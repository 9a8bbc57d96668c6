"""Failures that are held on their workers with their live frames."""

from __future__ import annotations

import threading

import pytest
from distributed import Client
from held_tasks import (
    chained,
    fails_unless,
    half_of_a_pair,
    held,
    held_of,
    late_ratio,
    raised_again,
    ratio,
    secret,
    stops_after_failing,
)
from live_sessions import enter, entered, nothing_left
from watching import wait_until

import dbgkit
from dbgkit import render
from dbgkit.errors import NotStopped


@pytest.fixture(scope="module", params=["processes", "inproc"])
def holding(request):
    """A client of each of the shared clusters, where failures are held."""
    cluster = request.getfixturevalue(request.param)
    with Client(cluster) as client:
        with dbgkit.record(keep_frames="10 min", most=100):
            yield client
        nothing_left(client)


# -- what is held, and its prompt ------------------------------------------------------


def test_values_are_whole_and_nothing_waits(holding):
    found = held(holding, ratio, 1, 0, 3_000_000, key="whole-1")
    assert found.state == "held"
    assert found.exception == "ZeroDivisionError: division by zero"
    assert "in ratio" in found.line
    assert found.source == "return scaled(a, block) / b"
    said, how = enter(
        holding, found, "p len(block.data), a, b", "__exception__", "ll", "q"
    )
    assert how == "detached"
    assert "(3000000, 1, 0)" in said
    assert "ZeroDivisionError('division by zero')" in said
    assert "return scaled(a, block) / b" in said
    wait_until(lambda: held_of(holding, "whole-1").commands == 4, "they are counted")
    with pytest.raises(ZeroDivisionError):
        found.future.result()


def test_what_it_came_from_has_frames_too(holding):
    found = held(holding, chained, 1, 0, key="chained-1")
    said, _ = enter(
        holding, found, "exceptions", "exceptions 1", "p block", "exceptions 7",
        "exceptions 0", "p a", "q",
    )  # fmt: skip
    assert ">  0 ValueError: no ratio of 1" in said
    assert "1 ZeroDivisionError: division by zero" in said
    assert "Block object" in said
    assert "exceptions without a number lists them" in said


def test_up_and_down_leave_out_machinery(holding):
    found = held(holding, chained, 1, 0, key="machinery-1")
    said, _ = enter(holding, found, "exceptions 1", "up", "up", "w", "q")
    assert "chained()" in said
    assert "Oldest frame" in said
    assert "distributed" not in said


def test_nothing_runs_there(holding):
    found = held(holding, ratio, 1, 0, key="nothing-1")
    steps = ["n", "s", "r", "until", "jump 3", "b 3", "tbreak 3", "abort"]
    said, how = enter(holding, found, *steps, "run", "c")
    assert said.count("nothing of it runs any more") == len(steps)
    assert "not at this prompt" in said
    assert how == "detached"
    assert held_of(holding, "nothing-1")


def test_what_runs_at_its_prompt_knows_its_worker(holding):
    found = held(holding, ratio, 1, 0, key="worker-1")
    said, _ = enter(
        holding, found, "from held_tasks import address", "address()",
        "(lambda: breakpoint())()", "p a", "q",
    )  # fmt: skip
    assert repr(found.worker) in said
    assert said.rstrip().endswith("1")


def test_assignments_stay_from_one_session_to_the_next(holding):
    found = held(holding, ratio, 1, 0, key="assigned-1")
    enter(holding, found, "block.mark = 'mine'", "q")
    assert "'mine'" in enter(holding, found, "p block.mark", "q")[0]


def test_an_endless_loop_at_its_prompt_is_interrupted(holding):
    found = held(holding, ratio, 1, 0, key="endless-1")
    with entered(holding, found) as session:
        session.type("p a")
        timer = threading.Timer(0.3, session.talk.send, ["interrupt"])
        timer.start()
        assert "interrupted" in session.type("while True: pass")
        assert "1" in session.type("p a")


def test_one_that_leaves_amid_a_loop_can_come_back(holding):
    found = held(holding, ratio, 1, 0, key="amid-1")
    with entered(holding, found) as session:
        session.type("p a")
        session._send("while True: pass")
        wait_until(lambda: held_of(holding, "amid-1").commands >= 2, "it runs")

    def again():
        said, how = enter(holding, found, "p a", "q")
        return how == "detached" and said

    assert "1" in wait_until(again, "the loop has been interrupted")


def test_two_users_of_one_failure(holding):
    found = held(holding, ratio, 1, 0, key="two-1")
    with entered(holding, found, who="ada@there") as session:
        session.type("p a")
        _, how = enter(holding, found)
        assert how == "refused"
        wait_until(lambda: held_of(holding, "two-1").who == "ada@there", "listed so")
    wait_until(lambda: not held_of(holding, "two-1").who, "she has left")
    assert enter(holding, found, "q")[1] == "detached"


def test_a_coroutine_is_held_too(holding):
    found = held(holding, late_ratio, 1, 0, key="late-1")
    assert "Block object" in enter(holding, found, "p block", "q")[0]


def test_only_through_the_scheduler(holding):
    from dbgkit.cluster.reach import reach_of

    found = held(holding, ratio, 1, 0, key="tunnel-1")
    reach = reach_of(holding)
    reach.missed.add(found.worker)
    try:
        with entered(holding, found) as session:
            assert session.talk.through
            assert "1" in session.type("p a")
    finally:
        reach.missed.discard(found.worker)


def test_an_attempt_that_was_tried_again_is_held(holding, tmp_path):
    future = holding.submit(fails_unless, tmp_path / "x", key="again-1", retries=1)
    assert future.result(30) == "done"
    found = held_of(holding, "again-1")
    assert found.exception == "OSError: the first attempt"
    assert "True" in enter(holding, found, "p first", "q")[0]


def test_a_task_that_waits_comes_before_a_failure_of_its_own(holding, tmp_path):
    with dbgkit.live(client=holding):
        there = tmp_path / "there"
        future = holding.submit(stops_after_failing, there, key="both-1", retries=1)
        wait_until(lambda: dbgkit.attach(client=holding).stops, "it waits")
        assert held_of(holding, "both-1").exception == "OSError: the first attempt"
        chosen = dbgkit.attach("both-1", client=holding, prompt=False)
        assert chosen.state == "waiting"
        assert {e.state for e in dbgkit.attach(client=holding)} == {"waiting", "held"}
    assert future.result(30) == "done"


def test_an_exception_that_many_raise_shows_each_its_own_frames(holding):
    where = {"workers": [next(iter(holding.scheduler_info()["workers"]))]}
    found = [
        held(holding, raised_again, number, key=f"raised-{number}", **where)
        for number in range(3)
    ]
    for number, each in enumerate(found):
        said, _ = enter(holding, each, "p number", "w", "q")
        assert f"\n{number}\n" in said
        assert said.count("-> raise _ONE") == 2


def test_what_cannot_be_sent_is_escaped(holding):
    found = held(holding, half_of_a_pair, key="half-1")
    said, how = enter(holding, found, "__exception__", "p '\\udcff'", "q")
    assert how == "detached"
    assert "\\ud800" in said and "\\udcff" in said


def test_secrets_are_hidden_in_the_list(holding):
    found = held(holding, secret, "hunter2", key="secret-1")
    shown = render.to_text(dbgkit.attach(client=holding))
    assert "hunter2" not in found.exception + shown
    assert "secret-1" in shown


def test_the_log_says_who_entered(holding):
    found = held(holding, ratio, 1, 0, key="log-1")
    enter(holding, found, "p a", "q")

    def left():
        events = [each for _, each in holding.get_events("dbgkit-live")]
        mine = [each for each in events if each.get("key") == "log-1"]
        return mine if mine[-1]["what"] == "a stop was left" else None

    first, second, last = wait_until(left, "it is logged")
    assert first["what"] == "a failure is held"
    assert second["what"] == "a stop was entered" and second["who"]
    assert last["commands"] == 2


def test_what_is_held_is_a_target_by_key_future_and_number(holding):
    found = held(holding, ratio, 1, 0, key="target-1")
    for target in ("target-1", found.future, found):
        assert dbgkit.attach(target, client=holding, prompt=False).id == found.id
    listed = dbgkit.attach(client=holding)
    assert listed[len(listed) - 1].id == found.id
    with pytest.raises(NotStopped, match="nor is its failure held"):
        dbgkit.attach("no-such-key", client=holding, prompt=False)
