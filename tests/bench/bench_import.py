"""What ``import dbgkit`` adds to the start of Python."""

from __future__ import annotations

import os
import subprocess
import sys

from bench_kit import Figure, clock, interleave
from bench_kit import median as mid
from bench_kit import milliseconds as ms

_HEAVY = "{'dask', 'distributed', 'IPython', 'rich'}"


def run(code: str) -> str:
    """Run code in a fresh Python that finds what this one finds."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def measure(quick: bool = False) -> list[Figure]:
    heavy = run(
        "import sys; before = set(sys.modules); import dbgkit; "
        f"print(len((set(sys.modules) - before) & {_HEAVY}))"
    )
    with_it, bare = interleave(
        15 if quick else 31,
        lambda: clock(run, "import dbgkit"),
        lambda: clock(run, "pass"),
    )
    added = mid([one - other for one, other in zip(with_it, bare, strict=True)])
    return [
        Figure(
            "import dbgkit over bare Python",
            added * 1e3,
            30,
            unit="ms",
            detail=ms(mid(with_it), mid(bare)),
        ),
        Figure(
            "import dbgkit: of dask, distributed, IPython, rich imported",
            int(heavy),
            0,
            exact=True,
        ),
    ]
