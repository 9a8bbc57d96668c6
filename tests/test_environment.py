"""How a process differs from a worker: what somebody set, and nothing of Dask's own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dbgkit.cluster.link import Link
from dbgkit.cluster.workers import surroundings
from dbgkit.remote.worker.environment import describe_process
from dbgkit.replays.environment import compare_surroundings


def test_what_dask_itself_sets_is_no_difference(harmable, monkeypatch):
    with harmable(n_workers=0) as client:
        # Nannies of this process set them here too.
        for name in ("PYTHONHASHSEED", "__DASK_PARENT_PID", "MALLOC_TRIM_THRESHOLD_"):
            monkeypatch.delenv(name, raising=False)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "distributed.cli.dask_worker"),
                client.scheduler.address,
            ],
            env={**os.environ, "DBGKIT_TEST_MODE": "there"},
            stderr=subprocess.DEVNULL,
        )
        try:
            client.wait_for_workers(1, timeout=30)
            (address,) = client.scheduler_info()["workers"]
            there = surroundings(Link(client, 10.0), address, ())
        finally:
            process.terminate()
            process.wait()
    assert there["environment"]["PYTHONHASHSEED"] != os.environ.get("PYTHONHASHSEED")
    found = compare_surroundings(describe_process(), there)
    names = [each.name for each in found if each.kind == "environment"]
    assert names == ["DBGKIT_TEST_MODE"]


@pytest.mark.parametrize(
    ("here", "there", "differs"),
    [
        *((None, "6640", False), ("6640", None, False), ("0", "6640", False)),
        *(("1", "6640", True), (None, "1", True), ("1", "2", True)),
    ],
)
def test_a_hash_seed_that_somebody_set_is_a_difference(here, there, differs):
    sides = []
    for value in (here, there):
        described = describe_process()
        set_there = {} if value is None else {"PYTHONHASHSEED": value}
        sides.append({**described, "environment": set_there})
    assert len(list(compare_surroundings(*sides))) == differs
