"""Dask's own tests with the recorder on: which fail that pass without it?

``python tests/soak/distributed_suite.py CHECKOUT [FILE…] [--again 2]``

CHECKOUT is a source tree of ``distributed`` at the very release that is installed
here: what is installed comes without its tests. Each file's tests run without the
recorder, and then with it in every scheduler (``dbgkit.preload``). What failed with it
alone is run again so many times, with and without, since some of these tests fail now
and then by themselves.

The exit code is 1 if a test fails with the recorder each time, and never without it,
but for those in `EXPECTED`. This is no test of pytest's, and not run by CI.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "test_client.py",
    "test_worker.py",
    "test_scheduler.py",
    "test_failed_workers.py",
    "test_nanny.py",
    "test_actor.py",
    "test_cancelled_state.py",
    "test_steal.py",
)
# They count the plugins of a worker.
EXPECTED = frozenset({"test_upload_directory"})
PRELOAD = {"DASK_DISTRIBUTED__SCHEDULER__PRELOAD": '["dbgkit.preload"]'}
LIMIT = 3 * 60 * 60  # seconds for a file


def failed(checkout: Path, tests: Iterable[str], *, recorder: bool) -> set[str] | None:
    """Ids of the tests that failed; None: none could be run."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "pytest", "-q", "--runslow", "-p", "no:dbgkit"]
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.xml"
        subprocess.run(
            [*command, "--timeout=300", f"--junitxml={told}", *tests],
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": path, **(PRELOAD if recorder else {})},
            stdout=subprocess.DEVNULL,
            timeout=LIMIT,
        )
        if not told.exists():
            return None
        cases = list(ElementTree.parse(told).iter("testcase"))
    if not cases:
        return None
    return {
        f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }


def only_with(checkout: Path, file: str, again: int) -> set[str] | None:
    """Tests of a file that fail with the recorder, each time, and never without it."""
    path = [f"distributed/tests/{file}"]
    without = failed(checkout, path, recorder=False)
    found = failed(checkout, path, recorder=True)
    if without is None or found is None:
        return None
    print(f"{file}: {len(without)} fail without, {len(found)} with it", flush=True)
    found -= without
    for _ in range(again):
        if not found:
            break
        without = failed(checkout, found, recorder=False)
        repeated = failed(checkout, found, recorder=True)
        if without is None or repeated is None:
            return None
        found &= repeated - without
    return {one for one in found if one.split("::")[-1] not in EXPECTED}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("files", nargs="*", default=list(FILES))
    parser.add_argument("--again", type=int, default=2)
    options = parser.parse_args()
    if not (options.checkout / "distributed" / "tests").is_dir():
        parser.error(f"no tests of distributed below {options.checkout}")
    print(f"distributed {version('distributed')} is installed", flush=True)
    bad = False
    for file in options.files:
        found = only_with(options.checkout, file, options.again)
        if found is None:
            print(f"{file}: could not be run")
        bad = bad or found is None or bool(found)
        for one in sorted(found or ()):
            print(f"  fails with the recorder: {one}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
