"""The prompt: where it stops, what it leaves out, which debugger it is."""

from __future__ import annotations

import io
import json
import operator
import os
import pdb
import subprocess
import sys
import textwrap
from pathlib import Path

import dask
import pexpect
import pytest

from dbgkit.debugger import can_prompt, choose, enter, ipython, stack
from dbgkit.debugger.stops import StopsInIPython, StopsInPdb


def share(total, parts):
    doubled = total * 2
    return doubled / parts


def outer(total, parts):
    try:
        return share(total, parts)
    except ZeroDivisionError as error:
        raise ValueError("cannot share") from error


def failed(function, *args):
    """What a task raised under Dask's synchronous scheduler."""
    with pytest.raises(Exception) as caught:
        dask.compute(dask.delayed(function)(*args), scheduler="sync")
    return caught.value


@pytest.fixture
def session(monkeypatch, capsys):
    """Run a scripted debugger session; the last command has to leave it."""
    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)
    for each in (choose, ipython):
        monkeypatch.setattr(each, "running_shell", lambda: None)

    def run(exception, *commands, **options):
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(commands) + "\n"))
        enter(exception, **options)
        return capsys.readouterr().out

    return run


def test_stops_in_the_users_own_frame(session):
    out = session(failed(share, 7, 0), "p doubled", "q")
    assert "(Pdb) 14" in out
    assert "-> return doubled / parts" in out


def test_stops_above_the_library_that_the_user_called(session):
    def parse(text):
        return json.loads(text)

    out = session(failed(parse, "{bad"), "p text", "down", "q")
    assert "'{bad'" in out
    assert ")loads()" in out


def test_where_leaves_out_dask_and_says_how_many(session):
    out = session(failed(share, 7, 0), "where", "q")
    assert "[... 1 hidden]" in out
    assert "base.py" not in out


def test_up_passes_over_hidden_frames(session):
    out = session(failed(share, 7, 0), "up", "q")
    assert ")failed()" in out
    assert "base.py" not in out


def test_hidden_frames_can_be_reached(session):
    out = session(failed(share, 7, 0), "skip_hidden false", "up", "where", "q")
    assert out.count("base.py") == 2  # once for each command
    assert "hidden]" not in out


def test_up_with_a_wrong_count_says_so(session):
    assert "Invalid frame count" in session(failed(share, 7, 0), "up x", "q")


def test_skip_hidden_with_a_wrong_word_says_so(session):
    assert "Usage: skip_hidden" in session(failed(share, 7, 0), "skip_hidden 3", "q")


def test_down_at_the_innermost_frame_says_so(session):
    assert "Newest frame" in session(failed(share, 7, 0), "down", "q")


def test_stops_at_the_frame_asked_for(session):
    error = failed(share, 7, 0)
    entries = list(stack.frames.walk(error.__traceback__))
    first, lineno = entries[0]
    location = (first.f_code.co_filename, lineno, first.f_code.co_name)
    assert ")failed()" in session(error, "q", stop_at=location)


def test_without_a_frame_of_the_users_it_starts_at_the_innermost(session):
    error = failed(operator.truediv, 1, 0)
    error.__traceback__ = error.__traceback__.tb_next  # off the frame of this file
    out = session(error, "p self", "q")
    assert ")__call__()" in out
    assert "Task" in out


def test_the_cause_is_reachable(session):
    out = session(failed(outer, 7, 0), "exceptions", "exceptions 0", "p doubled", "q")
    assert "ZeroDivisionError('division by zero')" in out
    assert "(Pdb) 14" in out


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_members_of_a_group_are_reachable(session):
    def both(total):
        members = []
        for parts in (0, "x"):
            try:
                share(total, parts)
            except (ZeroDivisionError, TypeError) as error:
                members.append(error)
        raise ExceptionGroup("both", members)  # noqa: F821

    out = session(failed(both, 7), "exceptions", "exceptions 0", "p parts", "q")
    listed = [line for line in out.splitlines() if "Error(" in line]
    assert len(listed) == 3, out
    assert "ZeroDivisionError" in listed[0]
    assert "(Pdb) 0" in out


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
@pytest.mark.parametrize("mixin", [StopsInIPython, StopsInPdb])
def test_a_chain_is_listed_as_it_came_about(mixin):
    first, second, cause = ValueError("first"), ValueError("second"), KeyError("cause")
    group = ExceptionGroup("both", [first, second])  # noqa: F821
    group.__cause__, second.__context__ = cause, KeyError("context")
    found, tb = mixin._get_tb_and_exceptions(object(), group)
    assert (found[-1], tb) == (group, None)
    told = [each.args[0] for each in found]
    assert told == ["cause", "first", "context", "second", "both"]


def test_a_wrong_number_of_an_exception_says_so(session):
    out = session(failed(outer, 7, 0), "exceptions 9", "q")
    assert "No exception with that number" in out


def test_an_exception_without_frames_is_told_and_nothing_opens(session):
    out = session(KeyError("x"))
    assert "KeyError has no frames to open" in out
    assert "(Pdb)" not in out


def test_without_frames_of_its_own_the_cause_is_opened(session):
    error = RuntimeError("wrapped")
    error.__cause__ = failed(share, 7, 0)
    out = session(error, "p doubled", "q")
    assert "RuntimeError has no frames" in out
    assert "(Pdb) 14" in out


def test_a_chain_that_runs_in_circles_ends():
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    assert list(stack.chain(first)) == [first, second]


def test_the_header_comes_first_and_says_how_to_see_all(session):
    out = session(failed(share, 7, 0), "q", header="it failed")
    assert out.startswith("it failed\n[1 machinery frame hidden: `skip_hidden false`")


def test_debug_and_pm_find_the_exception_again(session):
    error = failed(share, 7, 0)
    session(error, "q")
    assert sys.last_value is error
    assert sys.last_type is ZeroDivisionError
    assert sys.last_traceback is error.__traceback__
    assert (getattr(sys, "last_exc", None) is error) == (sys.version_info >= (3, 12))


def test_pdbs_own_class_stays_as_it_was(session):
    before = dict(vars(pdb.Pdb))
    session(failed(share, 7, 0), "where", "q")
    assert dict(vars(pdb.Pdb)) == before


def test_zero_turns_the_prompt_off(session, monkeypatch):
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    assert not can_prompt()
    out = session(failed(share, 7, 0), header="it failed")
    assert out == "it failed\nno prompt: PYTHONBREAKPOINT=0 turns it off\n"


@pytest.mark.parametrize(
    ("value", "kind", "module"),
    [
        ("", "pdb", ""),
        ("0", "none", ""),
        ("pdb.set_trace", "pdb", ""),
        ("ipdb.set_trace", "ipython", "ipdb"),
        ("IPython.core.debugger.set_trace", "ipython", "IPython.core.debugger"),
        ("pdbpp.set_trace", "module", "pdbpp"),
        ("pudb.set_trace", "module", "pudb"),
        ("print", "pdb", ""),
    ],
)
def test_the_users_choice_is_read_as_python_reads_it(monkeypatch, value, kind, module):
    for each in (choose, ipython):
        monkeypatch.setattr(each, "running_shell", lambda: None)
    monkeypatch.setenv("PYTHONBREAKPOINT", value)
    assert choose.choose() == choose.Choice(kind, module)


def test_a_choice_that_cannot_be_had_falls_back(session, monkeypatch):
    monkeypatch.setenv("PYTHONBREAKPOINT", "no_such_debugger.set_trace")
    out = session(failed(share, 7, 0), "p doubled", "q")
    assert "PYTHONBREAKPOINT names 'no_such_debugger'" in out
    assert "(Pdb) 14" in out


def test_a_module_with_a_post_mortem_function_is_given_the_traceback(
    session, monkeypatch, tmp_path
):
    (tmp_path / "mydebugger.py").write_text(
        "def post_mortem(tb):\n    print('mine', tb.tb_next is not None)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONBREAKPOINT", "mydebugger.set_trace")
    assert "mine True" in session(failed(share, 7, 0))


def test_a_module_with_a_class_built_on_pdb_stops_in_the_users_frame(
    session, monkeypatch, tmp_path
):
    (tmp_path / "mypdb.py").write_text(
        "import pdb\nclass Pdb(pdb.Pdb):\n    def do_mine(self, arg):\n"
        "        print('my command')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONBREAKPOINT", "mypdb.set_trace")
    out = session(failed(share, 7, 0), "mine", "p doubled", "q")
    assert "my command" in out
    assert "14" in out


def test_pdbpp_hides_and_stops_as_pdb_does(session, monkeypatch):
    pytest.importorskip("pdbpp", reason="pdb++ is not installed")
    monkeypatch.setenv("PYTHONBREAKPOINT", "pdbpp.set_trace")
    out = session(failed(share, 7, 0), "p doubled", "skip_hidden false", "q")
    assert "14" in out
    assert "1 frame hidden" in out


@pytest.mark.parametrize("stdin", [None, io.StringIO(), "closed"])
def test_no_terminal_no_prompt(monkeypatch, stdin):
    if stdin == "closed":
        stdin = io.StringIO()
        stdin.close()
    monkeypatch.setattr(sys, "stdin", stdin)
    assert not can_prompt()


def test_no_prompt_while_pytest_captures():
    assert not can_prompt()


SCRIPT = """
    import os, sys
    from dbgkit.debugger import can_prompt, enter

    def share(total, parts):
        return total / parts

    print("prompt:", can_prompt())
    if can_prompt():
        try:
            share(7, 0)
        except ZeroDivisionError as error:
            enter(error, header="it failed")
    print("went on")
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT))
    return path


def test_prompt_in_a_terminal(script):
    child = pexpect.spawn(sys.executable, [str(script)], encoding="utf8", timeout=30)
    child.expect_exact("prompt: True")
    child.expect_exact("it failed")
    child.expect_exact("(Pdb) ")
    child.sendline("p total")
    child.expect_exact("7")
    child.expect_exact("(Pdb) ")
    child.sendline("q")
    child.expect_exact("went on")
    child.expect(pexpect.EOF)


def test_debug_within_the_prompt_leads_back_to_it(script):
    """pdb's own goes on to trace, and stops in its next command."""
    child = pexpect.spawn(sys.executable, [str(script)], encoding="utf8", timeout=30)
    child.expect_exact("(Pdb) ")
    child.sendline("debug len(str(total))")
    child.expect_exact("ENTERING RECURSIVE DEBUGGER")
    child.expect_exact("((Pdb)) ")
    child.sendline("c")
    child.expect_exact("LEAVING RECURSIVE DEBUGGER")
    for number in (50, 60):  # no further prompt in between
        child.expect_exact("\n(Pdb) ")
        child.sendline(f"p {number} + total")
        child.expect_exact(f"{number + 7}")
        assert "cmd.py" not in child.before
    child.expect_exact("(Pdb) ")
    child.sendline("q")
    child.expect_exact("went on")
    child.expect(pexpect.EOF)


def test_no_prompt_in_the_background_of_a_terminal(script):
    child = pexpect.spawn(
        "/bin/sh",
        ["-c", 'set -m; "$0" "$1" & wait', sys.executable, str(script)],
        encoding="utf8",
        timeout=30,
    )
    child.expect_exact("prompt: False")
    child.expect_exact("went on")
    child.expect(pexpect.EOF)


def test_no_prompt_with_stdin_closed(script):
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" "$1" <&-', sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == "prompt: False\nwent on\n", done.stderr


def test_the_room_is_cheap_until_it_is_entered():
    code = "import sys, dbgkit.debugger; print({'pdb', 'IPython'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "set()", done.stderr
