"""Failures of the examples, turned into tests: each that fails alike on a replay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench_kit import Figure

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
QUICK = ("ratio.py", "bag_accounts.py", "states.py")
# Runs an example, and looks at each of its failures as its client is about to close.
_RUN = """
import json, runpy, sys, time
from distributed import Client
import dbgkit

script, folder = sys.argv[1:]
leave, found = Client.__exit__, []

def leave_looked_at(self, *raised):
    for group in dbgkit.failures(client=self).groups:
        key = group.example.key
        with dbgkit.replay(key, client=self) as again:
            outcome = again.outcome
        start, error = time.perf_counter(), None
        try:
            dbgkit.to_test(key, f"{folder}/test_{len(found)}.py", client=self)
        except dbgkit.DbgkitError as refused:
            error = f"{type(refused).__name__}: {refused}"
        found.append([str(key), outcome, error, time.perf_counter() - start])
    return leave(self, *raised)

if __name__ == "__main__":
    Client.__exit__ = leave_looked_at
    sys.argv = [script]
    try:
        runpy.run_path(script, run_name="__main__")
    except Exception as error:
        print(type(error).__name__, file=sys.stderr)
    print("\\n" + json.dumps(found))
"""


def looked_at(script: Path) -> list[list[Any]]:
    """Key, outcome of a replay, error of `to_test` and its time, for each failure."""
    with tempfile.TemporaryDirectory() as folder:
        harness = Path(folder, "harness.py")
        harness.write_text(_RUN)
        done = subprocess.run(
            [sys.executable, str(harness), str(script), folder],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=240,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert done.returncode == 0, done.stderr
        found: list[list[Any]] = json.loads(done.stdout.splitlines()[-1])
        return found


def measure(quick: bool = False) -> Iterator[Figure]:
    scripts = sorted(each for each in EXAMPLES.glob("*.py"))
    if quick:
        scripts = [each for each in scripts if each.name in QUICK]
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(scripts, pool.map(looked_at, scripts), strict=True))
    rows = [row for each in found.values() for row in each]
    alike = [row for row in rows if row[1] == "same"]
    refused = [f"{key}: {error}" for key, _, error, _ in alike if error]
    longest = max(took for *_, took in alike)
    yield Figure(
        "examples turned into a verified test ÷ those that fail alike on a replay",
        (len(alike) - len(refused)) / len(alike),
        bar=1.0,
        detail="; ".join(refused)
        or f"{len(alike)} of {len(rows)} failures in "
        f"{sum(map(bool, found.values()))} of {len(scripts)} scripts; "
        f"{longest:.1f} s at most",
        exact=True,
    )
