"""What is said while a replay is under way, with and without a terminal."""

from __future__ import annotations

import io
import os
import sys
import textwrap
import threading

import pytest

from dbgkit.model import InputInfo, Notice, Plan, Progress
from dbgkit.render import ASK_ABOVE_BYTES, ASK_ABOVE_TASKS, Notifier

PLAN = Plan(
    "ratio-[1]",
    'step "ratio"',
    "task",
    "here",
    inputs=(InputInfo("a", "a", ASK_ABOVE_BYTES + 1, "int", "pull"),),
    pull_bytes=ASK_ABOVE_BYTES + 1,
    warnings=("what it does to the outside world, it does again",),
)


def test_without_a_terminal_the_plan_is_said_and_nothing_asked():
    file = io.StringIO()
    with Notifier(file=file) as notify:
        assert notify(PLAN) is None
    assert file.getvalue().splitlines() == [
        'dbgkit: replaying step "ratio" [ratio-[1]]: runs the task, in this process; '
        "pulls 256.00 MiB in 1 input",
        "dbgkit: what it does to the outside world, it does again",
    ]


def test_without_a_terminal_progress_is_quiet():
    file = io.StringIO()
    with Notifier(file=file) as notify:
        for done in (0, 50, 100):
            notify(Progress("run", done, 100))
    assert file.getvalue() == ""


def test_colours_asked_for_make_no_terminal_of_a_file(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as Jupyter's kernels and CI do
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("dbgkit.render.progress.SLOW", 0)
    file = io.StringIO()
    with Notifier(file=file) as notify:
        notify(Progress("times", 0, 1))
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer):  # would have it appear
                thread.join(10)
    assert file.getvalue() == ""


def test_notices_are_lines_and_no_markup():
    file = io.StringIO()
    with Notifier(file=file) as notify:
        notify(Notice("waits for [/a/b]"))
    assert file.getvalue() == "dbgkit: waits for [/a/b]\n"


def test_standard_error_is_the_default(capsys):
    with Notifier() as notify:
        notify(Notice("hello"))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "dbgkit: hello\n")


SCRIPT = """
    from dbgkit.model import Plan, Progress
    from dbgkit.render import Notifier, {name}
    plan = Plan("k", "ratio", "task", "here", {much})
    with Notifier() as notify:
        print("answer:", notify(plan))
        for done in (0, 60, 120):
            notify(Progress("recompute", done, 120))
    print("end")
"""


def spawn(much="pull_bytes=ASK_ABOVE_BYTES + 1", name="ASK_ABOVE_BYTES"):
    pexpect = pytest.importorskip("pexpect")
    code = textwrap.dedent(SCRIPT.format(much=much, name=name))
    return pexpect.spawn(
        sys.executable, ["-c", code], encoding="utf-8", timeout=60, dimensions=(24, 200)
    )


@pytest.mark.parametrize(
    ("typed", "answer"), [("y", "True"), ("n", "False"), ("", "False")]
)
def test_at_a_terminal_much_is_asked_for(typed, answer):
    child = spawn()
    child.expect_exact("Continue? (256.00 MiB to pull) [y/N] ")
    child.sendline(typed)
    child.expect_exact(f"answer: {answer}")
    child.expect_exact("end")
    child.close()


def test_at_a_terminal_many_tasks_are_asked_for():
    child = spawn("recompute=('a',) * (ASK_ABOVE_TASKS + 1)", "ASK_ABOVE_TASKS")
    child.expect_exact(f"({ASK_ABOVE_TASKS + 1} tasks to compute again) [y/N] ")
    child.sendeof()
    child.expect_exact("answer: False")
    child.expect_exact("end")
    child.close()


MOVING = """
    import sys
    from dbgkit.model import Plan, Progress
    from dbgkit.render import Notifier
    with Notifier() as notify:
        notify(Plan("k", "ratio", "task", "process"))
        for stage, done, total in {events}:
            notify(Progress(stage, done, total))
        {then}
    print("end")
"""


def moving(events, then="sys.stdin.readline()", **options):
    pexpect = pytest.importorskip("pexpect")
    code = textwrap.dedent(MOVING.format(events=events, then=then))
    return pexpect.spawn(
        sys.executable,
        ["-c", code],
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 100),
        **options,
    )


def test_at_a_terminal_a_line_moves_while_a_task_runs_and_then_is_gone():
    child = moving([("times", 0, 1)])
    child.expect_exact("running the task again in a process of its own")
    child.expect_exact("0:00:01")  # it moves although nothing is reported
    child.sendline("")
    child.expect_exact("\x1b[2K")  # the line is taken off
    child.expect_exact("end")
    child.close()


def test_of_several_there_is_one_line_with_a_bar():
    child = moving([("pull", 1, 9), ("recompute", 0, 120), ("recompute", 60, 120)])
    child.expect("computing inputs again[^\n]* 60/120")
    assert "pulling" not in child.before
    child.sendline("")
    child.expect_exact("end")
    child.close()


def test_what_is_done_at_once_shows_nothing():
    child = moving([("recompute", 0, 120), ("recompute", 120, 120)], "pass")
    child.expect_exact("end")
    assert "computing" not in child.before
    child.close()


def test_on_a_dumb_terminal_nothing_moves():
    child = moving([("times", 0, 1)], env={**os.environ, "TERM": "dumb"})
    child.sendline("")
    child.expect_exact("end")
    assert "running the task again" not in child.before
    child.close()


# As the line appears, a breakpoint has to take it off.
APPEARED = """import time
        while sys.breakpointhook is sys.__breakpointhook__:
            time.sleep(0.01)
"""


def test_a_breakpoint_in_the_task_has_the_terminal_to_itself():
    child = moving([("times", 0, 1)], f"{APPEARED}        breakpoint()\n        notify")
    child.expect_exact("running the task again")
    child.expect_exact("(Pdb) ")
    child.sendline("p sys.breakpointhook is sys.__breakpointhook__")
    child.expect_exact("True")
    child.expect_exact("(Pdb) ")
    child.sendline("c")
    child.expect_exact("end")
    child.close()


def test_a_hook_that_the_task_sets_stays():
    then = f"{APPEARED}        sys.breakpointhook = print"
    child = moving([("times", 0, 1)], f"{then}\n    print(sys.breakpointhook is print)")
    child.expect_exact("True")
    child.expect_exact("end")
    child.close()


def test_a_line_of_progress_is_one_line_whatever_it_says():
    child = moving([("no\nsuch \x1b[31m stage " * 40, 0, 0)])
    child.expect_exact("no\\nsuch \\x1b[31m stage")
    child.expect_exact("…")
    child.sendline("")
    child.expect_exact("end")
    child.close()
