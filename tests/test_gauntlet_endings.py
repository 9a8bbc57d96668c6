"""How scripts end because of a task: ``dbgkit run`` and ``debugging()`` miss none."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading

import pytest
from dask import delayed

import dbgkit

HEAD = """
import asyncio, sys, threading
from dask import delayed
from distributed import Client

def ratio(a, b):
    return a / b

def cancelled(x):
    raise asyncio.CancelledError("upstream went away")

def client():
    return Client(n_workers=1, processes=False, dashboard_address=":0")

def failing():
    return delayed(ratio)(1, 0).compute()

if __name__ == "__main__":
"""

# What the script does; its exit code; in what the report leads to.
ENDINGS = {
    "exit from": (
        """
        with client():
            try:
                failing()
            except ZeroDivisionError as error:
                raise SystemExit(3) from error
        """,
        3,
        "ratio",
    ),
    "exit in an except block": (
        """
        with client():
            try:
                failing()
            except ZeroDivisionError:
                sys.exit("the job failed")
        """,
        1,
        "ratio",
    ),
    "exit that hides it": (
        """
        with client():
            try:
                failing()
            except ZeroDivisionError:
                raise SystemExit(4) from None
        """,
        4,
        None,
    ),
    "a good end": (
        """
        with client():
            try:
                failing()
            except ZeroDivisionError:
                sys.exit(0)
        """,
        0,
        None,
    ),
    "exit because of something else": (
        """
        try:
            int("seven")
        except ValueError:
            sys.exit(2)
        """,
        2,
        None,
    ),
    "a thread": (
        """
        with client():
            thread = threading.Thread(target=failing, name="the-thread")
            thread.start()
            thread.join()
        """,
        0,
        "ratio",
    ),
    "a thread that fails because of something else": (
        """
        thread = threading.Thread(target=int, args=("seven",))
        thread.start()
        thread.join()
        """,
        0,
        None,
    ),
    "no Exception": (
        """
        async def main():
            async with Client(
                n_workers=1, processes=False, dashboard_address=":0", asynchronous=True
            ) as client:
                await client.submit(cancelled, 1)

        asyncio.run(main())
        """,
        1,
        "cancelled",
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_script_that_a_task_ended(tmp_path, ending):
    body, code, function = ENDINGS[ending]
    text = HEAD + textwrap.indent(textwrap.dedent(body), "    ")
    (tmp_path / "job.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "dbgkit", "run", "job.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=90,
        stdin=subprocess.DEVNULL,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "DASK_LOGGING__DISTRIBUTED": "critical",
        },
    )
    assert done.returncode == code
    if function is None:
        assert done.stdout == ""
        return
    (line,) = [
        n for n, line in enumerate(text.splitlines(), 1) if f"def {function}" in line
    ]
    assert f"job.py:{line + 1} in {function}" in done.stdout
    assert "outcome same" in done.stdout
    assert "<dynamic-code>" not in done.stderr
    if ending == "a thread":
        assert "dbgkit: the-thread failed: ZeroDivisionError" in done.stderr
        assert "Exception in thread the-thread:" in done.stderr


def ratio(a, b):
    return a / b


def test_an_exit_ends_a_debugging_block(processes_client, capsys):
    with pytest.raises(SystemExit), dbgkit.debugging():
        try:
            delayed(ratio)(1, 0).compute()
        except ZeroDivisionError:
            sys.exit(1)
    assert "outcome same" in capsys.readouterr().out


def test_an_exit_with_nothing_behind_it_is_left_alone(capsys):
    with pytest.raises(SystemExit), dbgkit.debugging():
        sys.exit(1)
    assert capsys.readouterr().out == ""


def test_the_hook_for_threads_is_put_back(tmp_path, monkeypatch):
    from dbgkit.api.debugging import capture
    from dbgkit.frontends.cli.threads import ThreadFailures

    before, seen = threading.excepthook, []
    with capture() as kept, ThreadFailures(kept):
        assert threading.excepthook is not before
    assert threading.excepthook is before
    with capture() as kept, ThreadFailures(kept):
        threading.excepthook = seen.append
    assert threading.excepthook == seen.append  # another one's stays
    monkeypatch.setattr(threading, "excepthook", before)
