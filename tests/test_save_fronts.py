"""Files of failures from the command line, at a terminal, in IPython and in Jupyter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from bundle_tasks import ratio
from commands import beside, ended, in_process, start
from distributed import wait
from pythons import OTHERS, needs_others
from shells import Kernel, run_cell, shell_of_its_own, uncoloured

import dbgkit

ROOT = Path(__file__).resolve().parent.parent
JOB = """
from distributed import Client, LocalCluster

LIMIT = 3


def check(values):
    return [10 / (value - LIMIT) for value in values]


def main():
    with (
        LocalCluster(n_workers=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        client.submit(check, [1, 3], key="check-1").result()


if __name__ == "__main__":
    main()
"""


CELL = """
import dask

@dask.delayed
def ratio(a, b):
    return a / b
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "failure.dbgkit"


@pytest.fixture
def file(inproc_client, path):
    """A failure that was saved."""
    future = inproc_client.submit(ratio, 3, y=2, key="ratio-of-a-file")
    wait(future, timeout=60)
    dbgkit.save(future, path)
    return path


def terminal(*args):
    return pexpect.spawn(
        sys.executable,
        ["-m", "dbgkit", *map(str, args)],
        encoding="utf8",
        timeout=60,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "NO_COLOR": "1",
        },
    )


# -- the command line ------------------------------------------------------------------


def test_a_task_is_saved_from_another_terminal(capsys, client, path):
    future = client.submit(ratio, 3, key="ratio-from-a-terminal")
    wait(future, timeout=60)
    command = beside(capsys, client)
    done = command("save", future.key, "-o", path)
    assert done.code == 0, done
    assert "ZeroDivisionError" in done.out and str(path) in done.out.replace("\n", "")
    saved = dbgkit.load(path)
    assert saved.failure.key == future.key
    assert [(one.name, one.text) for one in saved.inputs] == [("x", "3")]
    done = command("save", future.key, "-o", path, "--no-inputs", "--json")
    assert json.loads(done.out)["inputs"] == []


def test_a_script_is_saved_as_its_client_closes(tmp_path, path):
    job = tmp_path / "job.py"
    job.write_text(JOB)
    done = ended(start("run", "--save", path, job), 120)
    assert done.code == 1
    assert f"saved {str(path)!r}" in done.err
    assert "ZeroDivisionError" in done.out  # the report, as ever
    bundle = dbgkit.load(path, trust=True)
    assert [(one.name, one.text) for one in bundle.inputs] == [("values", "[1, 3]")]
    assert dbgkit.replay(bundle).outcome == "same"


def test_what_a_script_cannot_save_is_said_and_its_exit_code_stays(tmp_path):
    job = tmp_path / "job.py"
    job.write_text("1 / 0\n")
    done = ended(start("run", "--save", "/nonexistent/a.dbgkit", job))
    assert done.code == 1 and "not saved: cannot write" in done.err


def test_a_file_is_printed_where_there_is_no_terminal(capsys, file):
    done = in_process(capsys, "open", file)
    assert done.code == 1
    assert "ZeroDivisionError" in done.out and "return y / (x - 3)" in done.out
    done = in_process(capsys, "open", file, "--json")
    told = json.loads(done.out)
    assert told["failure"]["key"] == "ratio-of-a-file" and told["trusted"] is False


def test_with_trust_a_file_is_replayed(capsys, file):
    done = in_process(capsys, "open", file, "--trust")
    assert done.code == 1 and "failed in a process of its own" in done.out
    done = in_process(capsys, "open", file, "--trust", "--where", "here", "--json")
    assert json.loads(done.out)["outcome"] == "same"
    done = in_process(capsys, "open", file, "--where", "here")
    assert done.code == 2 and "--trust" in done.err


def test_no_file_is_one_line_and_code_2(capsys, tmp_path):
    done = in_process(capsys, "open", tmp_path / "nothing.dbgkit")
    assert done.code == 2 and len(done.err.strip().splitlines()) == 1


def test_a_terminal_opens_the_debugger_on_what_was_saved(file):
    child = terminal("open", file)
    child.expect_exact("(Pdb) ")
    assert "-> return y / (x - 3)" in child.before
    for command, answer in (("p x, y", "(3, 2)"), ("ll", "def ratio(x, y=1):")):
        child.sendline(command)
        child.expect_exact(answer)
        child.expect_exact("(Pdb) ")
    child.sendline("q")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1


def test_a_terminal_opens_the_debugger_in_a_replay_with_trust(file):
    child = terminal("open", file, "--trust", "--where", "here")
    child.expect_exact("(Pdb) ")
    child.sendline("p x * 1000")
    child.expect_exact("3000")
    child.expect_exact("(Pdb) ")
    child.sendline("q")
    child.expect(pexpect.EOF)
    child.close()


# -- IPython and Jupyter ---------------------------------------------------------------


def test_magics_save_and_load(inproc_client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    future = inproc_client.submit(ratio, 3, key="ratio-of-a-magic")
    wait(future, timeout=60)
    with shell_of_its_own(tmp_path) as shell:
        shell.extension_manager.load_extension("dbgkit")
        shell.user_ns["future"] = future
        saved = shell.run_line_magic("dbg_save", "future --output my.dbgkit")
        assert saved.failure.key == future.key
        shell.user_ns["bundle"] = shell.run_line_magic("dbg_load", "--trust my.dbgkit")
        assert shell.user_ns["bundle"].trusted
        assert shell.run_line_magic("dbg_replay", "bundle").outcome == "same"


def test_a_failure_of_a_notebook_is_saved_and_shown(tmp_path, path):
    kernel = Kernel(tmp_path)
    try:
        run_cell(kernel, "%load_ext dbgkit")
        run_cell(kernel, CELL)
        status, _ = kernel.run("ratio(1, 0).compute(scheduler='sync')")
        assert status == "error"
        status, said = kernel.run_parts(f"%dbg_save --output {path}")
        assert status == "ok"
        html = uncoloured(dict(said)["text/html"])
        assert "ZeroDivisionError" in html and "return a / b" in html
        run_cell(kernel, f"bundle = %dbg_load {path}")
        assert "return a / b" in run_cell(kernel, "%dbg bundle", "q")
    finally:
        kernel.stop()
    again = dbgkit.replay(dbgkit.load(path, trust=True))
    assert (again.outcome, again.frames[-1].lineno) == ("same", 5)


@needs_others
def test_a_file_of_a_script_is_run_again_by_other_pythons(tmp_path, path):
    job = tmp_path / "job.py"
    job.write_text(JOB)
    ended(start("run", "--save", path, job), 120)
    running = [
        subprocess.Popen(
            [python, "-m", "dbgkit", "open", path, "--trust", "--json"],
            stdout=subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for python in OTHERS
    ]
    for each in running:
        told = json.loads(each.communicate(timeout=120)[0])
        assert told["outcome"] == "same"
        assert "Python" in " ".join(told["notes"])
