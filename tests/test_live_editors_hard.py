"""Editors of stopped tasks on clusters that are harmed, or reached otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from distributed import Client
from distributed.security import Security
from live_editors import Editor, edited, invited, no_traces
from live_sessions import enter, gone, nothing_left, stop_of
from live_tasks import helped, is_untraced, nested, spins
from watching import wait_until

import dbgkit
from dbgkit.cluster.reach import reach_of
from dbgkit.errors import NotHere
from dbgkit.remote.worker.live_source import place_in
from dbgkit.source import naming_sources, read_sources
from dbgkit.source.stopped import Stopped

pytest.importorskip("debugpy")

ONE = {"n_workers": 1, "threads_per_worker": 1, "processes": True}


@pytest.mark.parametrize("standing", [True, False])
def test_off_and_the_limit_let_it_go_on(client, standing):
    with dbgkit.live(limit="1s") as live:
        future = client.submit(spins, 0.5 if standing else 1.5, pure=False)
        found = stop_of(client, future.key)
        with edited(client, found) as session:
            editor = session.editor
            editor.begin()
            if standing:
                assert session.how() == "limit"
            else:
                editor.ask("continue", threadId=editor.thread)
                wait_until(
                    lambda: stop_of(client, found.key).state == "running", "it runs"
                )
                live.off()
                assert session.how() in ("off", "finished")
        assert future.result(10) is True
    nothing_left(client)
    no_traces(client)


@pytest.mark.parametrize("through", [False, True])
def test_over_tls_directly_and_through_the_scheduler(harmable, through):
    with harmable(**ONE, security=Security.temporary()) as client, dbgkit.live():
        future = client.submit(helped, 3, key="tls-1")
        found = stop_of(client, "tls-1")
        if through:
            reach_of(client).missed.add(found.worker)
        with edited(client, found) as session:
            assert session.talk.through is through
            editor = session.editor
            editor.begin()
            assert editor.variables()["x"] == "3"
            while editor.frames[0]["name"] != "scale":
                editor.go("stepIn")
            editor.leave()
            assert session.how() == "detached"
        assert "10" in enter(client, found, "p factor", "c")[0]
        assert future.result(10) == 31
        no_traces(client)


# Runs an editor against a stop, and waits to be killed.
CLIENT = """
import sys, time
sys.path[:0] = sys.argv[3:]
from distributed import Client
from live_editors import Edited
import dbgkit
client = Client(sys.argv[1], set_as_default=False)
found = [e for e in dbgkit.attach(client=client) if e.key == sys.argv[2]][0]
session = Edited(client, found)
editor = session.connect()
editor.begin()
if sys.argv[2] == "killed-running":
    editor.ask("continue", threadId=editor.thread)
print("in", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("key", ["killed-standing", "killed-running"])
def test_a_killed_client(processes_client, key):
    client = processes_client
    with dbgkit.live():
        future = client.submit(spins, 60 if key == "killed-standing" else 1, key=key)
        found = stop_of(client, key)
        path = [entry for entry in sys.path if entry]
        with subprocess.Popen(
            [sys.executable, "-c", CLIENT, client.scheduler.address, key, *path],
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout.readline() == "in\n"
            child.send_signal(signal.SIGKILL)
        if key == "killed-standing":
            wait_until(lambda: not stop_of(client, key).who, "it is noticed")
            assert "60" in enter(client, found, "p seconds", "!seconds = 0", "c")[0]
        assert future.result(20) is True
    nothing_left(client)
    no_traces(client)


@pytest.mark.parametrize("how", ["kill", "restart"])
def test_a_worker_that_goes(harmable, how):
    with harmable(**ONE) as client, dbgkit.live():
        future = client.submit(helped, 3, key="goes-1")
        found = stop_of(client, "goes-1")
        with edited(client, found) as session:
            session.editor.begin()
            if how == "restart":
                client.restart(timeout=60)
            else:
                client.run(_kill, workers=[found.worker], on_error="ignore")
            assert session.how() in ("lost", "closing", "off", "ended")
            with pytest.raises(EOFError):
                session.editor.event("nosuch")
        gone(client, found)
        del future


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_without_debugpy_says_what_to_install(harmable):
    with harmable(**ONE) as client, dbgkit.live():
        client.run(_hide)
        future = client.submit(helped, 3, key="without-1")
        found = stop_of(client, "without-1")
        with pytest.raises(NotHere, match="cannot import debugpy") as raised:
            dbgkit.attach(found, debugger="debugpy")
        assert "pip install -U debugpy" in str(raised.value)
        assert "3" in enter(client, found, "p x", "c")[0]
        assert future.result(10) == 31


def _hide():
    sys.modules["debugpy"] = None


def test_an_old_debugpy_is_named(harmable):
    with harmable(**ONE) as client, dbgkit.live():
        client.run(_age)
        future = client.submit(helped, 3, key="old-1")
        with pytest.raises(NotHere, match=r"version 1\.6\.7, and 1\.8\.17 is needed"):
            dbgkit.attach(stop_of(client, "old-1"), debugger="debugpy")
        del future


def _age():
    import debugpy

    debugpy.__version__ = "1.6.7"


def test_a_failure_that_is_held_has_pdb(harmable):
    with harmable(**ONE) as client, dbgkit.record(keep_frames="1 min"):
        future = client.submit(inverse, 0, key="held-1")
        assert isinstance(future.exception(10), ZeroDivisionError)
        found = stop_of(client, "held-1")
        assert found.state == "held"
        with pytest.raises(NotHere, match="is held: nothing runs"):
            dbgkit.attach(found, debugger="debugpy")


def inverse(x):
    return 1 / x


def test_a_process_that_is_debugged_already_is_left_alone(harmable):
    with harmable(**ONE) as client, dbgkit.live():
        client.run(_use_debugpy)
        future = client.submit(helped, 3, key="used-1")
        found = stop_of(client, "used-1")
        with pytest.raises(NotHere, match="debugged by debugpy already"):
            dbgkit.attach(found, debugger="debugpy")
        assert "3" in enter(client, found, "p x", "c")[0]
        assert future.result(10) == 31


def _use_debugpy():
    hook = sys.breakpointhook
    import debugpy.server  # noqa: F401
    import pydevd

    sys.breakpointhook = hook
    pydevd.set_global_debugger(object())


def test_a_session_of_a_thread_that_is_used_again(harmable):
    """After a task that has come back to the pool."""
    with harmable(**ONE) as client, dbgkit.live(most=5):
        for number in range(3):
            future = client.submit(nested, number, key=f"again-{number}")
            found = stop_of(client, future.key)
            with edited(client, found) as session:
                editor = session.editor
                editor.begin()
                assert editor.variables()["x"] == str(number)
                editor.ask("next", threadId=editor.thread)
                assert editor.stopped()[0]["name"] == "nested"
                editor.ask("continue", threadId=editor.thread)
                editor.event("terminated")
                assert session.how() == "finished"
            assert future.result(20) == number + 2
            assert client.submit(is_untraced, pure=False).result(10)
        no_traces(client)


def test_the_pause_counts_in_no_duration(harmable):
    with harmable(**ONE) as client, dbgkit.live():
        future = client.submit(spins, 0.5, key="paused-1")
        found = stop_of(client, "paused-1")
        with edited(client, found) as session:
            editor = session.editor
            editor.begin()
            time.sleep(1.0)  # the pause
            editor.go("next")
            time.sleep(1.0)
            editor.evaluate("end = time.monotonic() + 0.5", context="repl")
            editor.ask("continue", threadId=editor.thread)
            editor.event("terminated")
        future.result(10)
        assert 0.4 < client.run_on_scheduler(_duration) < 0.9


def _duration(dask_scheduler):
    return dask_scheduler.task_prefixes["paused"].duration_average


def test_off_while_nobody_has_connected(harmable):
    with harmable(**ONE) as client:
        live = dbgkit.live()
        future = client.submit(helped, 3, key="unconnected-1")
        found = stop_of(client, "unconnected-1")
        with edited(client, found, connect=False) as session:
            assert session.port.get(timeout=20)
            live.off()
            assert session.how() == "off"
        assert future.result(10) == 31
        nothing_left(client)
        no_traces(client)


async def _edited_asynchronously(address, out):
    async with Client(address, asynchronous=True) as client, dbgkit.live():
        future = client.submit(helped, 3, key="asynchronous-editor")
        while not (found := await dbgkit.attach()):
            pass
        with out.open("w") as file, contextlib.redirect_stdout(file):
            left = await dbgkit.attach(found[0], debugger="debugpy")
        return left.how, await future


def test_with_an_asynchronous_client(processes, tmp_path):
    out = tmp_path / "out"
    with ThreadPoolExecutor() as pool:
        debugged = pool.submit(_go_on, out)
        ended = asyncio.run(_edited_asynchronously(processes.scheduler_address, out))
        assert debugged.result(20) == "3"
    assert ended == ("finished", 31)


def _go_on(out):
    with contextlib.closing(Editor(invited(out)["connect"]["port"])) as editor:
        editor.begin()
        found = editor.variables()["x"]
        editor.ask("continue", threadId=editor.thread)
        editor.event("terminated")
        return found


def test_folders_of_the_same_files_are_mapped(tmp_path):
    here = tmp_path / "project" / "package" / "module.py"
    here.parent.mkdir(parents=True)
    here.write_text("def work(x):\n    return x\n")
    code = compile(here.read_text(), "/srv/app/package/module.py", "exec").co_consts[0]
    space = {"__name__": "package.module", "__file__": "/srv/app/package/module.py"}
    place = place_in(code, space, 2)
    with naming_sources(read_sources(str(tmp_path))):
        found = Stopped().mapping(place)
    assert found == (str(tmp_path / "project"), "/srv/app")
    assert Stopped().mapping({**place, "file": str(here)}) is None
