"""A scheduler and a worker of another release of Dask than the client's."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path

import distributed
import pytest
import tasks
from commands import dask_command
from distributed import Client, wait
from watching import wait_until

import dbgkit

OTHER = "2025.4.0"
TESTS = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def other_python(tmp_path_factory):
    """A Python of this version, with another release of Dask and no dbgkit.

    ``DBGKIT_TEST_OTHER_PYTHON`` may name one; else it is made.
    """
    if distributed.__version__ == OTHER:
        pytest.skip("the client is of that release itself")
    given = os.environ.get("DBGKIT_TEST_OTHER_PYTHON")
    if given:
        return given
    folder = tmp_path_factory.mktemp("other")
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet"]
    for command in (
        [sys.executable, "-m", "venv", folder],
        [*install, f"dask=={OTHER}", f"distributed=={OTHER}"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            pytest.skip(f"no environment with another release: {said[-1:]}")
    return str(python)


def started(python, folder, command, *options):
    """One of Dask's own commands, by another Python."""
    return dask_command([python], folder, command, *options, path=TESTS)


@pytest.fixture(scope="module")
def mixed(other_python, tmp_path_factory):
    """A client of this release; tasks that failed, one that fell, one that is stuck."""
    folder = tmp_path_factory.mktemp("mixed")
    file = folder / "scheduler.json"
    options = ["--scheduler-file", str(file)]
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mismatched versions")
        enter = stack.enter_context
        enter(
            started(
                other_python,
                folder,
                "scheduler",
                "--port=0",
                "--no-dashboard",
                *options,
            )
        )
        wait_until(file.exists, "the scheduler's file")
        enter(
            started(
                other_python,
                folder,
                "worker",
                "--nthreads=1",
                "--no-dashboard",
                *options,
            )
        )
        client = enter(Client(scheduler_file=str(file), timeout=30))
        client.wait_for_workers(1, timeout=60)
        bad = client.map(tasks.boom, range(3), key=[f"bad-{n}" for n in range(3)])
        fallen = client.submit(tasks.inc, bad[0], key="fallen-1")
        stuck = client.submit(tasks.inc, 1, key="stuck-1", resources={"GPU": 1})
        wait([*bad, fallen])
        yield client
        del stuck


def test_the_releases_differ(mixed):
    versions = mixed.get_versions()
    assert versions["scheduler"]["packages"]["distributed"] == OTHER
    assert versions["client"]["packages"]["distributed"] != OTHER


def test_failures(mixed):
    (group,) = dbgkit.failures(client=mixed).groups
    assert (group.exception_type, group.count, group.cascaded) == ("ValueError", 3, 1)
    assert group.location.endswith("in boom")
    assert group.first is not None


def test_tasks(mixed):
    table = dbgkit.tasks(client=mixed)
    assert {row.key: row.state for row in table.rows} == {
        **{f"bad-{n}": "erred" for n in range(3)},
        "fallen-1": "erred",
        "stuck-1": "no-worker",
    }
    (row,) = dbgkit.tasks(client=mixed, keys="fallen-1").rows
    assert row.blame == "bad-0"


def test_story(mixed):
    story = dbgkit.story("bad-1", client=mixed)
    sources = {moment.found_in for moment in story.moments}
    assert "scheduler" in sources
    assert any(source.startswith("tcp://") for source in sources)
    assert "processing -> erred" in [moment.what for moment in story.moments]


def test_why(mixed):
    assert dbgkit.why("stuck-1", client=mixed).cause == "resources-unmet"
    assert dbgkit.why("fallen-1", client=mixed).cause == "cascaded"
    assert dbgkit.why(client=mixed).cause == "resources-unmet"


def test_doctor_says_that_versions_differ(mixed):
    (found,) = [
        finding
        for finding in dbgkit.doctor(client=mixed).findings
        if finding.check == "versions"
    ]
    assert found.level == "problem"
    assert "distributed" in found.summary
    assert any(OTHER in line and "client" in line for line in found.evidence)


def test_a_dump_that_was_written_there_is_read_here(mixed, tmp_path):
    mixed.dump_cluster_state(str(tmp_path / "dump"))
    path = tmp_path / "dump.msgpack.gz"
    live, dumped = dbgkit.failures(client=mixed), dbgkit.failures(view=path)
    assert [group.count for group in dumped.groups] == [3]
    assert dumped.groups[0].message == live.groups[0].message
    assert dbgkit.why("stuck-1", view=path).cause == "resources-unmet"


def test_replay(mixed):
    with dbgkit.replay("bad-1", client=mixed) as replay:
        assert replay.outcome == "same"
        assert replay.kwargs == {} and replay.args == (1,)
