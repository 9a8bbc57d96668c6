"""What newcomers met in the front ends: said once, in place, and never lost."""

from __future__ import annotations

import inspect
import json
import re
import sys
import textwrap

import pexpect
import pytest
from cells import WITH_PATHS
from commands import environment, in_process
from shells import Kernel, Terminal, shell_of_its_own
from watching import clear_history

import dbgkit
from dbgkit.frontends.cli.main import cli
from dbgkit.frontends.verbs import MAGIC_VERBS

JOBS = """
import dbgkit
from distributed import Client

def unlike(number):
    return None if number == 73 else 15 + number


def look_up(table):
    # two lines below

    return table["XYZ"]

client = Client(
    n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
)
_ = dbgkit.record()
"""
FAILS = "client.submit(look_up, {1: 2}, key='look-1').result()"
LINE = 'return table["XYZ"]'


@pytest.fixture(scope="module", params=["terminal", "kernel"])
def run(request, tmp_path_factory):
    """Runs a cell in IPython, or in a kernel that nobody types into: what it said."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "terminal":
        shell = Terminal(folder)

        def run(code):
            return shell.run(f"get_ipython().run_cell({code!r});")

        end = shell.child.close
        one_line = shell.run
    else:
        shell = Kernel(folder)

        def run(code):
            return shell.run(code)[1]

        end = shell.stop
        one_line = run
    one_line("%load_ext dbgkit")
    run(JOBS)
    yield one_line
    one_line("client.close(); client.cluster.close()")
    end()


# -- once -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "times"),
    [
        ("dbgkit.debug(prompt=False)", 1),
        ("dbgkit.debug(using='recording', prompt=False)", 1),
        ("%dbg --no-prompt", 1),
        ("%dbg --no-prompt --using recording", 1),
        ("%dbg_debug --no-prompt", 1),
        ("dbgkit.replay()", 1),
        ("%dbg_replay", 1),
        ("dbgkit.locate()", 1),
        ("%dbg_locate", 1),
        ("dbgkit.failures()", 1),
        ("%dbg_failures", 1),
        ("dbgkit.recordings('look-1')[0]", 1),
        ("again = dbgkit.replay()", 0),
        ("again = dbgkit.debug(prompt=False)", 1),
    ],
)
def test_a_report_is_shown_once(run, cell, times):
    run(FAILS)
    said = run(cell).removeprefix(f"{cell}\n")
    # In Jupyter the text comes along with the page, which is what is shown.
    if "<div" in said:
        said = said[: said.index("<div")]
    assert said.count(LINE) == times, said


def test_what_was_printed_is_shown_whole_in_the_next_cell(run):
    run(FAILS)
    run("again = dbgkit.debug(prompt=False)")
    assert LINE in run("again")


# -- in place ---------------------------------------------------------------------


@pytest.mark.skipif(WITH_PATHS, reason="code keeps its file, which IPython shows")
def test_the_hint_says_where(run):
    said = run(FAILS)
    assert "%dbg opens this in the task that failed" in said
    hint = said[said.index("%dbg opens") :].splitlines()[0]
    assert "in look_up" in hint and "Cell In[" in hint


@pytest.mark.parametrize("where", ["%dbg_failures", "%dbg_why", "dbgkit.recordings()"])
def test_exceptions_are_told_as_python_prints_them(run, where):
    run(FAILS)
    said = run(where)
    assert "KeyError: 'XYZ'" in said or "KeyError: &#39;XYZ&#39;" in said
    assert "KeyError: XYZ" not in said


# -- never lost -------------------------------------------------------------------


@pytest.mark.parametrize(
    "refused",
    [
        "%dbg --no-prompt no-such-key",
        "%dbg --no-prompt --where nowhere",
        "%dbg --no-prompt --max-bytes 0 --timeout 1x",
        "%dbg --no-prompt --client tcp://127.0.0.1:1 --timeout 100ms look-1",
        "%dbg_why no-such-key --bogus",
        "%dbg next",
    ],
)
@pytest.mark.parametrize("before", ["", "%dbg --no-prompt"])
def test_after_an_error_the_failure_is_there_still(run, refused, before):
    run(FAILS)
    if before:
        run(before)
    run(refused)
    assert "KeyError: 'XYZ'" in run("%dbg --no-prompt")


def test_after_a_refusal_the_failure_is_there_still(run):
    run(FAILS)
    run("from dbgkit.api import debug; whole = debug.debug")
    run(
        "def declines(*args, **options): "
        "return whole(*args, **options, notify=lambda event: False)"
    )
    run("debug.debug = declines")
    said = run("%dbg --no-prompt --where process")
    run("debug.debug = whole")
    assert "Declined" in said
    assert "KeyError: 'XYZ'" in run("%dbg --no-prompt")


def test_after_ctrl_c_the_failure_is_there_still(run):
    run(FAILS)
    run("from dbgkit.api import debug; whole = debug.debug")
    run("def stopped(*args, **options): raise KeyboardInterrupt")
    run("debug.debug = stopped")
    run("%dbg")
    run("debug.debug = whole")
    assert "KeyError: 'XYZ'" in run("%dbg --no-prompt")


# -- a script that has ended --------------------------------------------------------

SCRIPT = """
    import dask.bag as db
    from distributed import Client

    def look_in(table):
        return table["XYZ"]

    with Client(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as inner:
        {fails}
"""


@pytest.mark.parametrize(
    "fails",
    [
        "inner.submit(look_in, inner.scatter({1: 2})).result()",
        "db.from_sequence([{1: 2}], npartitions=1).persist().map(look_in).compute()",
    ],
    ids=["future", "persisted"],
)
def test_of_a_script_whose_cluster_is_closed_it_is_said_what_works(
    run, fails, tmp_path
):
    script = tmp_path / "job.py"
    script.write_text(textwrap.dedent(SCRIPT).format(fails=fails))
    run(f"%run {script}")
    for _ in range(2):
        (said,) = [each for each in run("%dbg").splitlines() if "dbgkit run" in each]
        assert "closed before" in said
        assert "dbgkit.debugging()" in said
        assert "keep client and cluster open" in said
        assert "scatter it again" not in said and "connect a new Client" not in said


def test_a_script_below_the_cell_magic_is_opened_as_it_fails(run, tmp_path):
    script = tmp_path / "below.py"
    fails = "held = inner.scatter({1: 2}); inner.submit(look_in, held).result()"
    script.write_text(textwrap.dedent(SCRIPT).format(fails=fails))
    call = "get_ipython().run_cell_magic('dbg', '--no-prompt', {!r})"
    said = run(call.format(f"%run {script}"))
    assert "outcome same" in said and LINE in said


# -- one list -----------------------------------------------------------------------

VERBS = sorted(
    name
    for name in dbgkit.__all__
    if inspect.isfunction(getattr(dbgkit, name)) and "ipython" not in name
)


def test_there_are_verbs():
    assert {"debug", "doctor", "locate", "record", "recordings", "why"} <= {*VERBS}
    assert len(VERBS) >= 11


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_its_magic_and_its_command(verb):
    assert f"dbg_{verb}" in MAGIC_VERBS
    command = "open" if verb == "load" else verb.replace("_", "-")
    assert command in cli.commands


def test_each_magic_is_there_in_the_shell(run):
    said = run("print(*sorted(get_ipython().magics_manager.magics['line']), sep=' | ')")
    assert {f"dbg_{verb}" for verb in VERBS} <= {*said.split()}


# -- as JSON ------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["failures", "locate", "replay"])
def test_tracebacks_in_json_have_their_files_and_lines(processes_client, capsys, verb):
    def look_up(table):
        return table["XYZ"]

    processes_client.run_on_scheduler(clear_history)  # failures of other tests
    future = processes_client.submit(look_up, {}, key="json-1")
    future.exception()
    there = processes_client.scheduler.address
    args = [verb, "--json", "--scheduler", there, "--source", __file__]
    done = in_process(capsys, *args, *([] if verb == "failures" else ["json-1"]))
    assert done.code == 1, done
    document = json.dumps(json.loads(done.out))
    assert "<dynamic-code>" not in document
    assert LINE in document.replace('\\"', '"').replace('\\"', '"')
    assert "Traceback (most recent call last)" not in done.out
    assert done.err == ""


# -- IPython's own traceback ----------------------------------------------------------


@pytest.mark.skipif(WITH_PATHS, reason="code keeps its file, which IPython shows")
def test_ipythons_own_traceback_has_the_line(run):
    said = run(FAILS)
    own = said[: said.index("%dbg opens")]
    assert "<dynamic-code>" not in own.split("Traceback (most recent call last)")[-1]
    assert LINE in own and "return None" not in own
    assert "in look_up()" in own
    assert "Could not get source" not in own


def test_the_exception_keeps_its_own_traceback(run):
    run(FAILS)
    run("import sys, traceback")
    said = run("print(*(f.name for f in traceback.extract_tb(sys.last_traceback)))")
    assert "look_up" in said
    said = run("print(sys.last_value.__traceback__ is sys.last_traceback)")
    assert "True" in said


@pytest.mark.skipif(WITH_PATHS, reason="code keeps its file, which IPython shows")
def test_causes_and_members_have_their_lines_too(run):
    run(
        "exec('def wraps(table):\\n    try:\\n        look_up(table)\\n    "
        "except KeyError as error:\\n        raise ValueError(1) from error')"
    )
    said = run("client.submit(wraps, {}, key='wraps-1').result()")
    assert LINE in said and "ValueError: 1" in said


def test_other_errors_are_shown_as_ever(run):
    assert "ZeroDivisionError: division by zero" in run("1 / 0")
    assert "NameError" in run("no_such_name")
    assert "SyntaxError" in run("compile('a b', 'x', 'exec')")
    assert "SyntaxError" in run("a b")


def test_a_handler_of_the_users_own_is_left_alone(tmp_path):
    with shell_of_its_own(tmp_path) as shell:
        seen = []
        shell.set_custom_exc((KeyError,), lambda *told, **options: seen.append(told))
        dbgkit.load_ipython_extension(shell)
        shell.run_cell("{}['x']")
        dbgkit.unload_ipython_extension(shell)
        assert len(seen) == 1 and shell.custom_exceptions == (KeyError,)


def test_unloaded_nothing_is_shown_in_another_way(tmp_path):
    with shell_of_its_own(tmp_path) as shell:
        dbgkit.load_ipython_extension(shell)
        assert shell.custom_exceptions
        dbgkit.unload_ipython_extension(shell)
        assert shell.custom_exceptions == ()


# -- a log's text ---------------------------------------------------------------------


def test_the_story_names_the_file_in_what_a_worker_logged(processes_client, capsys):
    def look_up(table):
        return table["XYZ"]

    future = processes_client.submit(look_up, {}, key="logged-1")
    future.exception()
    there = processes_client.scheduler.address
    args = ["--scheduler", there, "--source", __file__, "logged-1"]
    done = in_process(capsys, "story", *args)
    assert done.code == 1, done
    assert "<dynamic-code>" not in done.out
    assert "test_gauntlet_fronts.py" in done.out


def test_the_command_for_the_next_root_cause_stands_above_the_prompt(
    processes_client, tmp_path
):
    def look_up(table):
        return 1 / table["XYZ"]

    tables = [{"XYZ": 0}, {}]
    held = processes_client.map(look_up, tables, key=["cause-1", "cause-2"])
    for future in held:
        future.exception()
    there = processes_client.scheduler.address
    child = pexpect.spawn(
        sys.executable,
        ["-m", "dbgkit", "debug", "--scheduler", there],
        env={**environment(), "TERM": "dumb", "NO_COLOR": "1"},
        cwd=tmp_path,
        encoding="utf8",
        timeout=60,
        dimensions=(50, 200),
    )
    child.expect_exact("(Pdb) ")
    said = child.before
    child.sendline("q")
    child.expect(pexpect.EOF)
    told = " ".join(said.split())
    command = rf"python -m dbgkit debug --scheduler {there} cause-[12]"
    assert re.search(rf"1 other root cause; {command} opens the next", told)
    assert "%dbg" not in said
