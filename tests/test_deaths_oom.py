"""A worker that the system kills as memory runs out: a real control group's limit.

Needs a system where this process may make control groups; skipped elsewhere.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import dask
import pytest
from commands import dask_command
from conftest import own_cluster
from deaths_tasks import running
from distributed import wait
from watching import wait_until

import dbgkit

LIMIT = 600_000_000  # bytes, of the worker and its nanny together
ROOT = Path("/sys/fs/cgroup")


def swell(go):
    """Once there is a file, take memory until the system kills the process."""
    while not os.path.exists(go):
        time.sleep(0.01)
    held = []
    while True:
        held.append(b"x" * 20_000_000)
        time.sleep(0.05)  # all of it takes longer than between two samples


@contextmanager
def control_group():
    """A folder of the system's: processes in it share `LIMIT` bytes of memory."""
    first = (ROOT / "memory").is_dir()  # of the first version of control groups
    parent = ROOT / "memory" if first else ROOT
    names = ("memory.limit_in_bytes",) if first else ("memory.max", "memory.swap.max")
    folder = parent / f"dbgkit-test-{os.getpid()}"
    try:
        if not first:
            (parent / "cgroup.subtree_control").write_text("+memory")
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        for name, value in zip(names, (LIMIT, 0), strict=False):
            if not (folder / name).exists():
                pytest.skip(f"control groups have no {name} here")
            (folder / name).write_text(str(value))
        yield folder
    finally:
        with suppress(OSError):  # whoever still runs in it moves out
            for pid in (folder / "cgroup.procs").read_text().split():
                (parent / "cgroup.procs").write_text(pid)
        folder.rmdir()


def test_a_kill_by_the_system_is_out_of_memory(tmp_path):
    within = ["sh", "-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"']
    with (
        control_group() as folder,
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        own_cluster(n_workers=1, threads_per_worker=1) as client,
        dask_command(
            [*within, str(folder), sys.executable],
            tmp_path,
            *("worker", client.scheduler.address, "--name", "small"),
            *("--nthreads", "1", "--memory-limit", "0"),
            path=Path(__file__).parent,
        ),
        dbgkit.record(client=client),
    ):
        client.wait_for_workers(2, timeout=60)
        go = tmp_path / "go"
        future = client.submit(swell, str(go), workers=["small"], key="swell")
        running(client, "swell")
        go.touch()
        wait(future, timeout=60)

        (death,) = wait_until(lambda: dbgkit.deaths(client=client).deaths, "a death")
        assert death.verdict == "out-of-memory"
        assert death.signal == "SIGKILL"
        assert "of its control group rose by 1" in " ".join(death.evidence)
        (ran,) = death.ran
        assert ran.key == "swell"
        assert "in swell" in ran.line
        assert death.memory > LIMIT / 3
        (explained,) = dbgkit.failures(client=client).groups
        assert "memory" in str(explained)
