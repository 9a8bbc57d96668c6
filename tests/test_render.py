"""What a user sees of a failure, a plan and a replay."""

from __future__ import annotations

import dataclasses
import io
import operator
import re
import sys
import traceback
from datetime import datetime, timezone
from itertools import pairwise

import numpy as np
import pytest
from rich.console import Console

from dbgkit import advice, render
from dbgkit.model import (
    Difference,
    Failure,
    FrameSummary,
    InputInfo,
    Plan,
    Replay,
    Run,
    Step,
    ValueSummary,
)
from dbgkit.render.fields import Fields
from dbgkit.render.words import clip, count, duration, place, size

WHEN = datetime(2026, 11, 23, 12, 3, 4, tzinfo=timezone.utc)
TASK = Run("same", "ZeroDivisionError", "division by zero", seconds=0.0123)


def ratio(a, b):
    scale = 1.0
    return scale * a / b


def error_of(function, *args):
    try:
        function(*args)
    except Exception as error:
        return error.with_traceback(error.__traceback__.tb_next)
    raise AssertionError("it should have failed")


def a_failure(**changes):
    error = error_of(ratio, 5, 0)
    options = {
        "key": ("ratio-9f86d081", 7),
        "name": 'step "ratio" on partition 7 (of 10, counted from 0)',
        "exception_type": "ZeroDivisionError",
        "message": "division by zero",
        "traceback_text": "".join(traceback.format_tb(error.__traceback__)),
        "worker": "tcp://10.0.0.7:40001",
        "when": WHEN,
    }
    return Failure(**{**options, **changes})


def a_plan(**changes):
    options = {"key": "k", "name": "ratio", "scope": "task", "where": "here"}
    return Plan(**{**options, **changes})


def a_replay(**changes):
    options = {
        "outcome": "same",
        "failure": a_failure(),
        "plan": a_plan(),
        "runs": (TASK,),
        "exception": error_of(ratio, 5, 0),
        "function": ratio,
        "args": (5, 0),
        "inputs": {"load-a": 5, "load-b": 0},
    }
    return Replay(**{**options, **changes})


def lines(obj):
    return render.to_text(obj).splitlines()


def verdict(**changes):
    text = render.to_text(a_replay(**changes), width=400)
    return re.search(r"outcome (.*)", text)[1]


# --- failures -----------------------------------------------------------------


def test_a_failure_says_what_where_and_at_which_line():
    told = lines(a_failure(attempts=3))
    assert told[0] == "ZeroDivisionError: division by zero"
    (marked,) = (at for at, line in enumerate(told) if "❱" in line)
    assert told[marked].endswith("return scale * a / b")
    # THEN the line comes before all that is known besides
    after = told.index("")
    assert marked < after
    assert (
        "step \"ratio\" on partition 7 (of 10, counted from 0)  ('ratio-9f86d081', 7)"
        in told[after + 1]
    )
    assert told[after + 2].endswith(
        "tcp://10.0.0.7:40001 · 2026-11-23 12:03:04 UTC · tried 3 times"
    )


@pytest.mark.parametrize("key", ["[/a/b]", "[abc]", "[red]x[/red]", "[/]", ":smile:"])
def test_markup_in_keys_and_messages_survives(key):
    replay = a_replay(
        failure=a_failure(key=key, name="", message=key),
        args=(key, 0),
        inputs={key: key},
        notes=(key,),
    )
    assert render.to_text(replay).count(key) >= 4
    render.header(replay, color=True)


def test_the_line_that_ran_there_is_shown_where_the_file_here_is_another():
    text = f'  File "{__file__}", line 3, in ratio\n    return a / b  # as it was\n'
    told = render.to_text(a_failure(traceback_text=text))
    assert "❱ 3 │ return a / b  # as it was" in told
    assert "import" not in told


def test_a_failure_in_this_process_shows_its_locals():
    error = error_of(ratio, 5, 0)
    told = render.to_text(a_failure(found_in="local", exception=error, worker=None))
    assert "scale = 1.0" in told
    assert "in this process, without a cluster" in told


def test_a_long_message_is_cut_and_counted():
    told = render.to_text(a_failure(message="x" * 5000))
    assert "(3,500 more characters)" in told


def test_a_long_traceback_is_cut_and_counted():
    text = "".join(
        f'  File "/home/ann/job.py", line {n}, in f\n    g()\n' for n in range(100)
    )
    told = render.to_text(a_failure(traceback_text=text))
    assert "… 70 more frames" in told
    assert told.count("/home/ann/job.py") == 30


def test_repeated_lines_of_a_recursion_are_counted():
    text = (
        '  File "/home/ann/job.py", line 1, in f\n    f()\n'
        "  [Previous line repeated 900 more times]\n"
        '  File "/home/ann/job.py", line 2, in f\n    1 / 0\n    ~~^~~\n'
    )
    assert "… the same line 900 more times" in lines(a_failure(traceback_text=text))


def test_the_others_are_counted():
    told = render.to_text(a_failure(others=tuple(f"k{n}" for n in range(9))))
    assert "9 failed too: k0, k1, k2, …" in told


def test_secrets_in_a_message_are_hidden():
    told = render.to_text(a_failure(message="no route to pg://ann:s3cret@db"))
    assert "pg://ann:<hidden>@db" in told


# --- replays ------------------------------------------------------------------


def test_a_replay_shows_inputs_with_their_keys_and_locals():
    told = lines(a_replay())
    assert "  inputs  a = 5  load-a" in told
    assert "          b = 0  load-b" in told
    assert "    scale = 1.0" in told


def test_outcomes_are_told_apart():
    assert verdict() == "same: failed here in the same way (12.30 ms)"
    assert verdict(
        outcome="different", runs=(Run("different", "KeyError", "'x'"),)
    ) == (
        "different: failed before with ZeroDivisionError: division by zero; "
        "here with KeyError: 'x'"
    )
    assert verdict(outcome="passed", runs=(Run("passed"),), result=5) == (
        "passed: did not fail here; it returned 5"
    )
    died = Run("died", detail="signal 11 (SIGSEGV)")
    in_process = a_plan(where="process")
    assert verdict(outcome="died", runs=(died,), plan=in_process) == (
        "died: the process that ran it died: signal 11 (SIGSEGV)"
    )
    late = Run("timeout", detail="after 30 s")
    assert verdict(outcome="timeout", runs=(late,), plan=in_process) == (
        "timeout: it was not finished in time, and was stopped: after 30 s"
    )


def test_several_runs_are_counted_by_what_they_came_to():
    runs = (TASK,) * 3 + (Run("passed"),) * 5 + (Run("different", "KeyError", "'x'"),)
    assert verdict(runs=runs) == (
        "same: failed 4 of 9 times here: 3 same, 1 different (KeyError: 'x'), 5 passed"
    )
    assert verdict(outcome="passed", runs=(Run("passed"),) * 4) == (
        "passed: did not fail in 4 runs here"
    )


def test_what_differs_from_the_worker_is_shown_and_redacted():
    told = render.to_text(
        a_replay(
            outcome="passed",
            runs=(Run("passed"),),
            exception=None,
            differences=(
                Difference("environment", "DB_PASSWORD", None, "hunter2"),
                Difference("environment", "DATA_DIR", "/here", "/there"),
            ),
        )
    )
    assert re.search(r"environment +DB_PASSWORD +<hidden> +not set", told)
    assert re.search(r"environment +DATA_DIR +/there +/here", told)
    assert "hunter2" not in told
    assert "where it failed before" in told


@pytest.mark.parametrize("outcome", ["different", "died"])
def test_where_and_how_it_failed_before_is_shown(outcome):
    frame = FrameSummary("/srv/job.py", 3, "leave", ((3, "sys.exit(3)"),))
    again = a_replay(
        outcome=outcome,
        runs=(Run(outcome, "SystemExit", "3", "it raised SystemExit(3)"),),
        exception=None,
        frames=(frame,),
        plan=a_plan(where="process"),
    )
    told = render.to_text(again, width=200)
    now, before = told.index("sys.exit(3)"), told.index("where it failed before")
    assert now < before < told.index("return scale * a / b")
    assert "failed before, with ZeroDivisionError: division by zero" in told
    assert re.search(r"before +tests.test_render.py:\d+ in ratio", render.header(again))
    html = render.to_html(again)
    assert "where it failed before, with ZeroDivisionError" in html


def test_of_the_same_failure_no_other_place_is_shown():
    assert "failed before" not in render.to_text(a_replay())
    assert "before" not in render.header(a_replay())


def test_what_differs_is_said_where_class_and_message_are_as_before():
    cause = "with another cause: before KeyError: 'x', now none"
    run = Run("different", "ZeroDivisionError", "division by zero", cause)
    assert verdict(outcome="different", runs=(run,)) == (
        "different: failed here with ZeroDivisionError: division by zero as before, "
        f"but {cause}"
    )
    several = verdict(outcome="different", runs=(run, run))
    assert "2 different (ZeroDivisionError: division by zero, with another" in several


def test_a_command_that_fits_keeps_to_its_column_in_one_piece():
    command = advice.call("tasks", prefix="load-all-of-the-parts")
    fields = Fields(8)
    fields.add("advice", f"the rest of what is not shown here: {command}")
    for width, begins in ((60, " " * 9), (50, "")):
        file = io.StringIO()
        Console(width=width, file=file, color_system=None).print(fields)
        lines = [line.rstrip() for line in file.getvalue().splitlines()]
        assert f"{begins}{command}" in lines


def test_the_last_lines_of_a_process_that_died_are_shown():
    crash = 'Fatal Python error: Segmentation fault\n  File "job.py", line 12 in boom'
    replay = a_replay(
        outcome="died",
        failure=a_failure(killed=True, traceback_text=""),
        runs=(Run("died", detail="signal 11"),),
        plan=a_plan(where="process"),
        exception=None,
        crash=crash,
    )
    told = render.to_text(replay)
    assert 'File "job.py", line 12 in boom' in told
    assert "tcp://10.0.0.7:40001, which it killed" in told
    assert "died, as the worker did: signal 11" in told
    assert "last lines of the process" in told
    short = render.to_text(dataclasses.replace(replay, crash="signal 11"))
    assert short.count("signal 11") == 1  # it is not said twice


def test_frames_of_a_child_are_shown_with_what_was_left_out():
    frame = FrameSummary(
        "/home/ann/job.py",
        12,
        "boom",
        source=((11, "def boom(x):"), (12, "    1 / x")),
        locals=(("x", ValueSummary("int", "0")),),
        omitted_locals=3,
    )
    told = lines(a_replay(exception=None, frames=(frame,)))
    assert "/home/ann/job.py:12 in boom" in told
    assert "    x = 0" in told
    assert "    … 3 more locals left out" in told


def test_steps_of_a_fused_task_show_the_values_of_the_one_that_failed():
    steps = (
        Step("a", "load", "load", {}),
        Step("b", 'step "boom"', "boom", {"x": np.arange(3)}, failed=True),
    )
    told = render.to_text(a_replay(steps=steps))
    assert "load → boom" in told
    assert "x = numpy.ndarray int64 (3,), 0 to 2: [0, 1, 2]" in told


def test_a_key_is_not_claimed_for_a_value_that_may_be_another_s():
    told = render.to_text(a_replay(args=(0, 0), inputs={"load": 0}))
    assert re.search(r"inputs +a +=  ?0\n +b +=  ?0\n +load += 0  load\n", told)


def test_a_builtin_function_has_numbered_arguments():
    error = error_of(operator.truediv, 5, 0)
    told = render.to_text(
        a_replay(function=operator.truediv, exception=error, inputs={})
    )
    assert "args[0] = 5" in told


def test_many_inputs_are_counted():
    inputs = {f"k{n}": [n] for n in range(100)}
    told = render.to_text(a_replay(args=(list(inputs.values()),), inputs=inputs))
    assert "… 81 more inputs" in told  # eight are told of within the list


def test_causes_and_notes_of_the_exception_are_named():
    def fail():
        try:
            raise KeyError("amount")
        except KeyError as error:
            raise ValueError("bad record") from error

    error = error_of(fail)
    # As add_note does, which Python 3.10 lacks.
    error.__notes__ = ["in file 7"]
    told = render.to_text(a_replay(exception=error))
    assert "note: in file 7" in told
    assert "raised from KeyError('amount')" in told


def chained(*errors):
    """The first, raised from the second, and so on."""
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    return errors[0]


def followed(replay, **options):
    """What is told of the exceptions behind that of a replay, and of its notes."""
    told = re.findall(r"(?:raised|note:|sub-|… ).*", render.to_text(replay, **options))
    return [one.strip() for one in told]


def long_chain(length):
    middle = [RuntimeError(n) for n in range(length)]
    return chained(LookupError("top"), *middle, ValueError("bottom"))


def test_causes_that_are_left_out_are_counted_and_the_root_is_shown():
    told = followed(a_replay(exception=long_chain(12)))
    assert told == [
        *(f"raised from RuntimeError({n})" for n in range(11)),
        "… 1 more",
        "raised from ValueError('bottom')",
    ]


def test_of_more_causes_than_are_counted_the_root_is_shown():
    told = followed(a_replay(exception=long_chain(300)))
    assert told[-2:] == ["… at least 87 more", "raised from ValueError('bottom')"]


def test_all_causes_that_fit_are_shown():
    told = followed(a_replay(exception=long_chain(11)))
    assert len(told) == 12 and "more" not in str(told)


def test_many_notes_leave_room_for_the_root():
    error = long_chain(12)
    error.__notes__ = [f"n{n}" for n in range(20)]
    told = followed(a_replay(exception=error))
    assert told[5:8] == ["note: n5", "… 14 more notes", "raised from RuntimeError(0)"]
    assert told[-2:] == ["… 7 more", "raised from ValueError('bottom')"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_members_that_are_left_out_are_counted():
    group = ExceptionGroup("many", [ValueError(n) for n in range(20)])  # noqa: F821
    told = followed(a_replay(exception=group))
    assert told[11:] == ["sub-exception ValueError(11)", "… 8 more"]
    group.__cause__ = KeyError("root")
    told = followed(a_replay(exception=group))
    assert told[-2:] == ["… 9 more", "raised from KeyError('root')"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_the_root_of_a_member_is_shown():
    group = ExceptionGroup("one", [long_chain(20)])  # noqa: F821
    assert followed(a_replay(exception=group))[-2:] == [
        "… 10 more",
        "raised from ValueError('bottom')",
    ]


def test_a_closed_replay_still_says_what_it_came_to():
    replay = a_replay()
    replay.close()
    assert "same: failed here in the same way" in render.to_text(replay)


def test_the_report_shows_locals_of_each_own_frame():
    def outer(rows):
        return ratio(*rows)

    replay = a_replay(exception=error_of(outer, [5, 0]))
    file = io.StringIO()
    render.show(replay, whole=True, file=file)
    assert "rows = [5, 0]" in file.getvalue()
    assert "scale = 1.0" in file.getvalue()
    assert "rows = [5, 0]" not in render.to_text(replay)


# --- headers ------------------------------------------------------------------


def test_the_header_is_short_and_counts_what_is_left():
    others = ["load-1", ("load", 2), "load-3", "load-4"]
    told = render.header(a_replay(), others=others, width=100).splitlines()
    assert told[0] == "ZeroDivisionError: division by zero"
    assert told[-1].endswith(
        "4 other root causes; dbgkit.debug('load-1') opens the next"
    )
    assert len(told) == 7


def test_the_header_names_other_causes_that_nothing_can_be_asked_about():
    others = ["load-1", ("load", 2), "load-3", "load-4"]
    told = render.header(a_replay(), others=others, reachable=False, width=100)
    assert told.endswith("4 other root causes: load-1, ('load', 2), load-3, …")


def test_the_header_counts_causes_and_shows_the_root():
    told = render.header(a_replay(exception=long_chain(12)), width=100)
    told = told[told.index("cause") :].split("\n")
    assert [line.strip() for line in told if line] == [
        "cause   raised from RuntimeError(0)",
        "raised from RuntimeError(1)",
        "… 10 more",
        "raised from ValueError('bottom')",
    ]


def test_the_header_has_one_line_for_each_input():
    replay = a_replay(args=({n: "x" * 100 for n in range(10)}, 0), inputs={})
    (line,) = (
        one for one in render.header(replay, width=80).splitlines() if "a =" in one
    )
    assert line.endswith("…")
    assert len(line) == 80


def test_colours_come_when_asked_only(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in render.header(a_replay())
    assert "\x1b" not in render.to_text(a_replay())
    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" in render.header(a_replay(), color=True)


# --- plans --------------------------------------------------------------------


def test_a_plan_says_what_it_takes_the_largest_input_first():
    inputs = (
        InputInfo("a", "load a", 10, "int", "have"),
        InputInfo("b", "load b", 3 * 2**30, "numpy.ndarray", "pull"),
    )
    plan = a_plan(
        inputs=inputs,
        pull_bytes=3 * 2**30,
        recompute=("c", "d"),
        times=5,
        warnings=("it writes again",),
    )
    told = render.to_text(plan)
    assert "the task, 5 times, in this process" in told
    assert "3.00 GiB in 1 input" in told
    assert "2 tasks again on the cluster, under private keys: c, d" in told
    assert "it writes again" in told
    assert told.index("load b") < told.index("load a")


# --- forms --------------------------------------------------------------------


@pytest.fixture
def registered():
    from dbgkit.model import display

    before = dict(display._renderers)
    render.register()
    yield
    display._renderers.clear()
    display._renderers.update(before)


def test_registered_data_shows_itself(registered):
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(a_failure())
    assert console.file.getvalue().startswith("ZeroDivisionError: division by zero\n")
    bundle = a_failure()._repr_mimebundle_()
    assert bundle["text/plain"].startswith("ZeroDivisionError: division by zero\n")
    assert "\x1b" not in bundle["text/plain"]
    assert "<b>ZeroDivisionError</b>" in bundle["text/html"]


@pytest.mark.parametrize("make", [a_failure, a_replay])
def test_html_escapes_everything(make):
    evil = "<script>alert(1)</script>"
    options = {"failure": a_failure(key=evil, name=evil, message=evil, notes=(evil,))}
    if make is a_failure:
        obj = options["failure"]
    else:
        obj = a_replay(
            **options,
            args=(evil, evil),
            inputs={evil: evil},
            notes=(evil,),
            crash=evil,
            steps=(Step(evil, evil, evil, {evil: evil}, failed=True),),
            differences=(Difference(evil, evil, evil, None),),
        )
    html = render.to_html(obj)
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_html_shows_what_the_console_shows():
    html = render.to_html(a_replay())
    told = re.sub("<[^>]*>", "", html)
    for text in ("division by zero", "load-a", "scale", "return scale * a / b"):
        assert text in told
    assert html.count("<details") == html.count("</details>")
    assert "<table" not in html


def test_html_of_a_plan():
    html = render.to_html(a_plan(inputs=(InputInfo("a", "[/a]", 10, "int", "pull"),)))
    assert "[/a]" in html
    assert "pulled from a worker" in html


def test_a_file_that_cannot_hold_the_characters_gets_what_it_can():
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    render.show(a_replay(), file=file)
    file.flush()
    assert b"division by zero" in raw.getvalue()


def test_where_there_is_no_unicode_signs_are_in_ascii():
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    replay = a_replay(failure=a_failure(message="größe 日"))
    render.show(replay, file=file)
    file.flush()
    told = raw.getvalue().decode("ascii")
    assert "  > " in told and " | " in told
    assert "?" not in told
    assert "gr\\xf6\\xdfe \\u65e5" in told
    # THEN it is as it would be, but for these signs
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="utf-8")
    render.show(replay, file=file)
    file.flush()
    lines = raw.getvalue().decode("utf-8").splitlines()
    assert len(lines) == len(told.splitlines())
    assert [line for line in lines if line.isascii()] == [
        line
        for line, whole in zip(told.splitlines(), lines, strict=True)
        if whole.isascii()
    ]


# --- words --------------------------------------------------------------------


def test_words():
    assert [size(n) for n in (None, 0, 1023, 1024, 3.2 * 2**30)] == [
        "size unknown",
        "0 B",
        "1.00 kiB",
        "1.00 kiB",
        "3.20 GiB",
    ]
    assert [count(1, "task"), count(2000, "task")] == ["1 task", "2,000 tasks"]
    assert [duration(0.012), duration(3.4), duration(725)] == [
        "12.00 ms",
        "3.40 s",
        "12m 5s",
    ]
    assert clip("abc\n" * 20, lines=2) == "abc\nabc… (73 more characters)"


def test_places_are_short():
    assert place("/tmp/ipykernel_123/456.py", 3) == "notebook cell, line 3"
    assert place("<ipython-input-5-abcdef>", 3) == "Cell In[5], line 3"
    assert place("/v/lib/python3.11/site-packages/pandas/core/f.py", 1) == (
        "pandas/core/f.py:1"
    )
    assert place("/elsewhere/job.py", 1) == "/elsewhere/job.py:1"


def test_of_what_killed_its_worker_the_line_that_waited_is_not_shown():
    with pytest.raises(RuntimeError) as waited:
        raise RuntimeError("as it came home")
    failure = a_failure(killed=True, traceback_text="", exception=waited.value)
    told = render.to_text(failure)
    assert "as it came home" not in told
    assert "dbgkit.deaths() shows why its worker died" in told
    failure = a_failure(traceback_text="", exception=waited.value)
    assert "as it came home" in render.to_text(failure)
