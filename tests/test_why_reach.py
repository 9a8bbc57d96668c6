"""A worker's host that is cut off, told from a worker that is blocked."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import contextmanager

import dask
import pytest
from distributed import default_client
from watching import keep_loop, wait_until
from why_looks import flag, why_until
from why_tasks import loop_until

import dbgkit

NAME = f"dbgkit{os.getpid() % 10_000}"
OVER_THERE = ("ip", "netns", "exec", NAME, sys.executable)
HERE, THERE = (f"10.213.{os.getpid() % 250}.{side}" for side in (1, 2))


def ip(*words):
    return subprocess.run(
        ["ip", *words], capture_output=True, timeout=10, check=True, text=True
    )


@contextmanager
def other_host():
    """A network of its own, with one cable to this one; skips where it may not be."""
    near, far = f"{NAME}a", f"{NAME}b"
    try:
        ip("netns", "add", NAME)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no network may be made here: {error}")
    try:
        ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", NAME)
        ip("addr", "add", f"{HERE}/24", "dev", near)
        ip("link", "set", near, "up")
        inside = ("-n", NAME)
        ip(*inside, "addr", "add", f"{THERE}/24", "dev", far)
        ip(*inside, "link", "set", "lo", "up")
        ip(*inside, "link", "set", far, "up")
        need_a_way()
        yield lambda: ip(*inside, "link", "set", far, "down")
    except subprocess.SubprocessError as error:
        pytest.skip(f"no network may be made here: {error}")
    finally:
        # The cable first: it stays, with its addresses, as long as a process is there.
        subprocess.run(["ip", "link", "del", near], capture_output=True, timeout=10)
        ip("netns", "del", NAME)


def need_a_way():
    """Skip where a process over there cannot run, or the cable carries nothing."""
    call = (
        "import socket, sys; socket.create_connection((sys.argv[1], sys.argv[2]), 10)"
    )
    with socket.create_server((HERE, 0)) as here:
        command = [*OVER_THERE, "-c", call, HERE, str(here.getsockname()[1])]
        tried = subprocess.run(command, capture_output=True, text=True, timeout=30)
    if tried.returncode:
        pytest.skip(f"nothing gets here from there: {tried.stderr[-300:]}")


@contextmanager
def worker_there(address, folder):
    """A worker over there, once it is known here."""
    command = [
        *(*OVER_THERE, "-m", "distributed.cli.dask_worker", address),
        *("--nthreads", "1", "--no-dashboard", "--host", THERE),
    ]
    here = os.path.dirname(__file__)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path])}
    with open(folder / "worker.log", "w+") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT
        )

        def is_there():
            assert process.poll() is None, (folder / "worker.log").read_text()
            return default_client().nthreads()

        try:
            (worker,) = wait_until(is_there, "it is there", 90)
            yield worker
        except BaseException:
            sys.stderr.write((folder / "worker.log").read_text())
            raise
        finally:
            process.terminate()
            process.wait(20)


def test_its_host_is_cut_off(harmable, tmp_path):
    with (
        other_host() as cut,
        dask.config.set({"distributed.comm.timeouts.tcp": "120s"}),
        harmable(n_workers=0, host=HERE) as client,
        worker_there(client.scheduler.address, tmp_path) as worker,
        flag(tmp_path) as path,
    ):
        future = client.submit(loop_until, path, key="far away")
        why_until("running", future)
        cut()
        found = why_until("worker-not-answering", future)
        assert found.summary == f"{worker} does not answer"
        (seen,) = (each for each in found.evidence if each.startswith("as the s"))
        assert "its nanny does not answer" in seen
        assert ("nothing comes back" in seen) or ("cannot be reached" in seen)
        assert f"the network to {THERE} comes back" in found.advice[0]
        assert "GIL" not in str(found.advice)


def test_a_blocked_event_loop_is_none(harmable, tmp_path):
    with harmable(n_workers=1) as client, flag(tmp_path) as path:
        future = client.submit(loop_until, path, key="busy")
        why_until("running", future)
        kept = tmp_path / "kept"
        client.run(lambda dask_worker: keep_loop(dask_worker, 12, kept))
        wait_until(kept.exists, "its loop is kept")
        found = why_until("worker-not-answering", future)
        (seen,) = (each for each in found.evidence if each.startswith("as the s"))
        assert seen.startswith(
            "as the scheduler sees it: its port takes connections; its nanny answers "
            "(process "
        )
        assert "GIL" in found.advice[0]
        assert not any("network" in each for each in found.advice)
        assert dbgkit.why().cause == "worker-not-answering"
