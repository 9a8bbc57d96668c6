"""What the system, a file or a value refuses is told in one line, with code 2."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading

import pytest
import tasks
from commands import ended, environment, in_process, start
from conftest import own_cluster
from distributed import wait

import dbgkit
from dbgkit import errors, render


@pytest.fixture(scope="module")
def one():
    """A small cluster with one failure."""
    with own_cluster(processes=False, protocol="tcp", n_workers=1) as client:
        future = client.submit(tasks.boom, 1, key="bad-1")
        wait(future)
        yield client


@pytest.fixture(scope="module")
def written(one, tmp_path_factory):
    """Dumps as Dask writes them, by their kind."""
    path = tmp_path_factory.mktemp("dump") / "state"
    for kind in ("msgpack", "yaml"):
        one.dump_cluster_state(str(path), format=kind)
    return {
        "msgpack": path.with_name("state.msgpack.gz"),
        "yaml": path.with_name("state.yaml"),
    }


def told(done, *words):
    """Assert that a command has ended with code 2, and one line that says why."""
    assert done.code == 2, done
    assert "Traceback" not in done.err
    lines = [line for line in done.err.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, done.err
    for word in words:
        assert word in lines[0]


def verbs(one, written):
    """Every verb that looks, with what it looks at."""
    dump = ["--dump", written["msgpack"]]
    live = ["--scheduler", one.scheduler.address]
    return {
        "failures": dump,
        "tasks": dump,
        "story": ["bad-1", *dump],
        "why": ["bad-1", *dump],
        "deaths": dump,
        "doctor": dump,
        "report": ["-o", "-", *dump],
        "watch": ["--once", *dump],
        "locate": ["bad-1", *live],
        "replay": ["bad-1", *live],
        "debug": ["bad-1", *live],
        "record": ["on", *live],
        "recordings": live,
        "peek": live,
    }


VERBS = (
    *("failures", "tasks", "story", "why", "deaths", "doctor", "report", "watch"),
    *("locate", "replay", "debug", "record", "recordings", "peek"),
)


# -- standard output -----------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
@pytest.mark.parametrize("verb", VERBS)
def test_standard_output_is_full_or_closed(capsys, one, written, verb, monkeypatch):
    args = verbs(one, written)[verb]
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        # It is closed here, and not at the interpreter's own end.
        told(in_process(capsys, verb, *args), "cannot be written")
    monkeypatch.setattr(sys, "stdout", None)
    told(in_process(capsys, verb, *args), "standard output is closed")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
def test_what_python_would_say_of_it_at_its_end(one, written, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("print('hello')\n")
    dump = str(written["msgpack"])
    for args in (["failures", "--dump", dump], ["run", str(script)], ["--help"]):
        with open("/dev/full", "w") as full:
            run = subprocess.run(
                [sys.executable, "-m", "dbgkit", *args],
                stdout=full,
                stderr=subprocess.PIPE,
                env=environment(PYTHONUNBUFFERED=""),
                text=True,
                timeout=60,
            )
        assert run.returncode == 2
        assert run.stderr.count("\n") == 1
        assert "No space left on device" in run.stderr


@pytest.mark.parametrize("how", ["closed", "full"])
@pytest.mark.parametrize("program", ["dbgkit", "dask"])
def test_help_and_version_are_not_lost_in_silence(program, how):
    """Under ``>&-`` Python has no standard output at all."""
    if how == "full" and not os.path.exists("/dev/full"):
        pytest.skip("Linux only")
    command = ["dbgkit"] if program == "dbgkit" else ["dask", "dbgkit"]
    for args in (["--help"], ["--version"], ["failures", "-h"], ["run", "--help"]):
        to = ">&-" if how == "closed" else ">/dev/full"
        run = subprocess.run(
            [
                "sh",
                "-c",
                f'exec "$@" {to}',
                "sh",
                sys.executable,
                "-m",
                *command,
                *args,
            ],
            stderr=subprocess.PIPE,
            env=environment(),
            text=True,
            timeout=60,
        )
        assert run.returncode == 2, args
        assert run.stderr.count("\n") == 1
        told = "output is closed" if how == "closed" else "No space left on device"
        assert told in run.stderr


def test_in_python_it_is_an_error_of_ours(one, monkeypatch):
    failure = dbgkit.locate("bad-1", client=one)
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(errors.CannotWrite, match="closed"):
        render.show(failure)


# -- folders, names, encodings ---------------------------------------------------


def test_the_working_directory_was_removed(written, tmp_path):
    gone = tmp_path / "gone"
    for args, words in (
        (["report"], ["working directory was removed"]),
        (["failures", "--source", "a.py"], []),
    ):
        gone.mkdir()
        command = 'rmdir "$0"; exec "$@"'
        python = [sys.executable, "-m", "dbgkit", *args, "--dump", written["msgpack"]]
        run = subprocess.run(
            ["sh", "-c", command, gone, *python],
            cwd=gone,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (run.returncode, run.stdout) == (2, ""), run
        assert "Traceback" not in run.stderr
        for word in words:
            assert word in run.stderr


def test_there_is_no_temporary_folder(one):
    process = start(
        "replay",
        "bad-1",
        "--scheduler",
        one.scheduler.address,
        env={"TMPDIR": "/nonexistent"},
        # No file can grow, so that no folder will do.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    done = ended(process)
    assert done.code == 1
    assert done.err == ""


@pytest.mark.parametrize("verb", ["story", "locate", "replay", "debug", "recordings"])
def test_a_key_that_is_no_text(capsys, one, verb):
    address = one.scheduler.address
    told(in_process(capsys, verb, "bad\udcff", "--scheduler", address), r"'bad\udcff'")


def test_a_terminal_of_another_age(written):
    process = start(
        "story",
        "bad-1",
        "--dump",
        written["msgpack"],
        env={"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    )
    done = ended(process)
    assert done.code == 1
    assert done.err == ""
    assert "bad-1" in done.out


# -- values --------------------------------------------------------------------


def test_an_input_that_cannot_be_pickled_leads_to_what_works(processes_client):
    client = processes_client
    lock = client.submit(threading.Lock, key="lock")
    wait(lock)
    future = client.submit(tasks.ratio, lock, 0, key="locked")
    wait(future)
    for where in ("here", "process", "worker"):
        with pytest.raises(errors.DbgkitError) as caught:
            dbgkit.replay(future, where=where)
        text = str(caught.value)
        assert "cannot pickle '_thread.lock' object" in text
        assert text.endswith("if the recorder was on, look at the task's recording")
        assert "Traceback" not in text
        assert len(text) < 300
