"""The magics in a terminal: a real IPython in a pseudo-terminal, a real cluster."""

from __future__ import annotations

import os
import re
import sys

import pexpect
import pytest
from shells import Terminal

JOBS = """
from dask import delayed
from distributed import Client, wait

def inc(x):
    return x + 1

def ratio(a, b):
    scaled = a * 100
    return scaled / b

def other(x):
    label = f"item {x}"
    raise KeyError(label)

def third():
    raise OSError("no such thing")

def kill():
    import os
    os._exit(3)
"""


@pytest.fixture(scope="module")
def ipython(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ipython")
    (folder / "magic_jobs.py").write_text(JOBS)
    shell = Terminal(folder)
    for line in ("%load_ext dbgkit", "from magic_jobs import *"):
        assert "Error" not in (said := shell.run(line)), said
    shell.run(
        "client = Client(n_workers=1, threads_per_worker=2, processes=False, "
        "dashboard_address=':0')"
    )
    yield shell
    shell.child.close(force=True)


@pytest.fixture
def futures(ipython):
    ipython.run(
        "fs = [client.submit(ratio, 7, 0, key='r-1'), "
        "client.submit(other, 5, key='o-1'), client.submit(other, 6, key='o-2'), "
        "client.submit(third, key=('t-1', 0)), client.submit(inc, 3, key='fine')]"
    )
    ipython.run("_ = wait(fs[:1]); _ = wait(fs)")
    yield
    ipython.run("del fs")


FAILS = "delayed(ratio)(7, delayed(inc)(-1)).compute()"


def test_a_failed_cell_is_hinted_at_and_opened(ipython):
    assert "%dbg opens this in the task that failed" in ipython.run(FAILS)
    out = ipython.run("%dbg", "p scaled, b", "where", "q")
    assert "(700, 0)" in out
    assert "-> 10     return scaled / b" in out
    assert "hidden frame(s)]" in out


def test_the_same_failure_can_be_opened_again(ipython):
    ipython.run(FAILS)
    for _ in range(2):
        assert "(700, 0)" in ipython.run("%dbg", "p scaled, b", "q")


def test_debug_opens_the_replayed_frames_again(ipython):
    ipython.run(FAILS)
    ipython.run("%dbg", "q")
    assert "(700, 0)" in ipython.run("%debug", "p scaled, b", "q")


def test_a_slip_of_the_pen_is_not_the_last_failure(ipython):
    ipython.run(FAILS)
    assert "UsageError: %dbg: no option --foo" in ipython.run("%dbg --foo")
    assert "UnknownKey" in ipython.run("%dbg nonsense")
    assert "(700, 0)" in ipython.run("%dbg", "p scaled, b", "q")


def test_no_prompt_prints_the_report(ipython):
    ipython.run(FAILS)
    out = ipython.run("%dbg --no-prompt")
    assert "scaled = 700" in out
    assert "ipdb>" not in out


def test_no_hint_for_what_is_not_dasks(ipython):
    assert "%dbg" not in ipython.run("[][1]")


def test_what_is_not_dasks_gets_an_ordinary_post_mortem(ipython):
    ipython.run("ratio(9, 0)")
    out = ipython.run("%dbg", "p scaled", "q")
    assert "900" in out
    assert "nothing to do with Dask" in out


def test_a_future_in_a_variable_or_an_expression(ipython, futures):
    assert "'item 5'" in ipython.run("%dbg fs[1]", "p label", "q")
    ipython.run("f = fs[2]")
    assert "'item 6'" in ipython.run("%dbg f", "p label", "q")
    ipython.run("del f")


def test_a_key_as_text(ipython, futures):
    assert "'item 6'" in ipython.run("%dbg o-2", "p label", "q")
    assert "no such thing" in ipython.run("%dbg ('t-1', 0)", "q")


def test_next_goes_through_the_root_causes(ipython, futures):
    out = ipython.run("%dbg fs", "q")
    assert "2 other root causes" in out
    seen = [out, ipython.run("%dbg next", "q"), ipython.run("%dbg next", "q")]
    for name in ("ZeroDivisionError", "KeyError", "OSError"):
        assert sum(f"{name}: " in one for one in seen) == 1
    assert "that was the last of 3 root causes" in ipython.run("%dbg next")


def test_next_says_how_many_are_left(ipython, futures):
    ipython.run("%dbg fs", "q")
    assert "1 other root cause;" in ipython.run("%dbg next", "q")


@pytest.mark.parametrize("line", ["%dbg_failures", "import dbgkit; dbgkit.failures()"])
def test_a_number_and_next_walk_the_list_that_was_shown(ipython, futures, line):
    shown = ipython.run(line)
    kinds = re.findall(r"^\d\. \d tasks? · (\w+)", shown, re.M)
    assert sorted(kinds) == ["KeyError", "OSError", "ZeroDivisionError"]
    assert f"{kinds[0]}: " in ipython.run("%dbg next", "q")
    # What is opened by its name is of no list, and leaves that as it is.
    ipython.run("%dbg fs", "q")
    assert f"{kinds[1]}: " in ipython.run("%dbg 2", "q")
    out = ipython.run("%dbg next", "q")
    assert f"{kinds[2]}: " in out and "3 of 3 listed" in out
    assert "that was the last of the 3" in ipython.run("%dbg next")
    assert "no failure 4 in the list of 3" in ipython.run("%dbg 4")
    assert kinds[0] in ipython.run("%dbg_locate 1")


def test_next_goes_on_from_a_plan(ipython, futures):
    ipython.run("plan = %dbg_replay --dry-run fs")
    assert "1 other root cause;" in ipython.run("%dbg next", "q")


def test_replay_is_shown_and_kept(ipython, futures):
    out = ipython.run("again = %dbg_replay --times 2 fs[1]")
    assert "ipdb>" not in out
    assert "('same', 2)" in ipython.run("again.outcome, len(again.runs)")
    assert "it returned 4" in ipython.run("%dbg_replay fine")


def test_replay_dry_run_gives_the_plan(ipython, futures):
    ipython.run("plan = %dbg_replay --dry-run r-1")
    assert "Plan" in ipython.run("type(plan).__name__")


def test_an_unknown_name_is_said_to_be_no_variable_either(ipython):
    out = ipython.run("%dbg futur")
    assert "variable 'futur' does not exist either" in out
    assert "Traceback" not in out


def test_a_cell_is_opened_where_it_fails(ipython):
    out = ipython.cell("", f"result = {FAILS}", "p scaled, b", "q")
    assert "(700, 0)" in out
    assert out.count("Traceback (most recent call last)") == 1
    assert "%dbg opens this" not in out
    assert "(700, 0)" in ipython.run("%dbg", "p scaled, b", "q")


def test_a_cell_that_closes_its_client_is_opened(ipython):
    code = (
        "with Client(n_workers=1, processes=False, dashboard_address=':0') as inner:\n"
        "    inner.submit(ratio, 8, inner.submit(inc, -1)).result()\n"
    )
    assert "(800, 0)" in ipython.cell("", code, "p scaled, b", "q")


def test_a_cell_that_succeeds_is_just_run(ipython):
    assert "42" in ipython.cell("", "inc(41)")


def test_the_cell_form_takes_no_target(ipython):
    assert "%%dbg takes options only" in ipython.cell("fs", "1")


def test_a_task_that_killed_its_worker_is_reported(ipython):
    ipython.run(
        "from distributed import LocalCluster; import dask; "
        "_ = dask.config.set({'distributed.scheduler.allowed-failures': 0}); "
        "other_client = Client(n_workers=1, threads_per_worker=1, "
        "dashboard_address=':0', set_as_default=False)"
    )
    ipython.run("k = other_client.submit(kill); _ = wait(k)")
    out = ipython.run("%dbg k")
    assert "died" in out
    assert "ipdb>" not in out
    ipython.run("other_client.close(); other_client.cluster.close()")


def test_the_full_screen_prompt_works_too(tmp_path):
    """IPython's own prompt, which is not that of the other tests."""
    (tmp_path / "magic_jobs.py").write_text(JOBS)
    child = pexpect.spawn(
        sys.executable,
        ["-m", "IPython", "--no-banner", "--no-confirm-exit", "--quick"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "IPYTHONDIR": str(tmp_path),
            "PROMPT_TOOLKIT_NO_CPR": "1",
        },
        cwd=tmp_path,
        encoding="utf8",
        timeout=60,
        dimensions=(50, 200),
    )
    number = re.compile(r"In \[.*?\d")
    for line in (
        "%load_ext dbgkit",
        "import magic_jobs as m; m.delayed(m.ratio)(7, 0).compute(scheduler='sync')",
        "%dbg",
    ):
        child.expect(number)
        child.send(f"{line}\r")
    for line in ("p scaled * 10", "q"):
        child.expect("ipdb>")
        child.send(f"{line}\r")
        if line != "q":
            child.expect_exact("7000")
    child.expect(number)
    child.close(force=True)
