"""Tests that ``to_test`` writes of a script's tasks: each fails alike, until mended."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import environment
from to_test_runs import mend, run_tests

JOB = Path(__file__).with_name("to_test_job.py")
REFUSED = {
    "by_chance": r"NotVerified: .* passes when it is run again",
    "asks_worker": r"NotVerified: .*ValueError: No worker found; it needs its worker",
    "with_password": r"NotHere: the value of 'password' looks like a secret.*"
    r"confidential=True",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of the tests of a job; for each its error, and what mends it."""
    folder = tmp_path_factory.mktemp("to_test")
    done = subprocess.run(
        [sys.executable, str(JOB), str(folder)],
        capture_output=True,
        text=True,
        timeout=180,
        env=environment(),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    return folder, told["errors"], told["mends"]


def test_each_that_can_be_is_written(written):
    _, errors, _ = written
    refused = {name: error for name, error in errors.items() if error}
    assert {*refused} == {*REFUSED}, refused
    for name, error in refused.items():
        assert re.match(REFUSED[name], error)


def test_each_fails_and_passes_once_it_is_mended(written):
    # GIVEN the tests of all failures
    folder, errors, mends = written
    names = [f"test_{name}" for name, error in errors.items() if not error]
    # WHEN they are run as they are
    outcomes, _ = run_tests(folder)
    # THEN each fails
    assert outcomes == dict.fromkeys(names, "FAILED")
    # WHEN the function is mended, as by an edit
    for name in names:
        mend(folder / f"{name}.py", *mends[name.removeprefix("test_")])
    # THEN each passes
    outcomes, said = run_tests(folder)
    assert outcomes == dict.fromkeys(names, "PASSED"), said
    for name in names:  # it stands on its own
        assert "import dbgkit" not in (folder / f"{name}.py").read_text("utf-8")


def test_lines_are_no_longer_than_people_read(written):
    folder, errors, _ = written
    for name, error in errors.items():
        if error:
            continue
        lines = (folder / f"test_{name}.py").read_text("utf-8").splitlines()
        assert max(map(len, lines)) <= 88, lines
