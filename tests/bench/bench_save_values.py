"""Saving large values: how often their bytes are written, and what memory it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from bench_kit import Figure

MEGABYTES = 200
FORMS = ("a DataFrame", "an array", "a DataFrame by rows")


def measure(quick: bool = False) -> list[Figure]:
    """Bytes of the file ÷ bytes of the value, and the peak beyond what was there."""
    nbytes = MEGABYTES * 10**6 // (4 if quick else 1)
    figures = []
    for form in FORMS:
        found = _in_process(form, nbytes)
        figures.append(
            Figure(
                f"bytes written of {form} of {nbytes // 10**6} MB ÷ its own",
                found["written"] / nbytes,
                1.01,
                detail=f"{found['seconds']:.2f} s",
            )
        )
        figures.append(
            Figure(
                f"memory at its peak as {form} is saved ÷ its own",
                1 + found["peak"] / nbytes,
                1.3 if not quick else None,  # what is fixed counts more then
                detail=f"{found['peak'] / 1e6:.0f} MB beyond what was there",
            )
        )
    return figures


def _in_process(form: str, nbytes: int) -> Any:
    """In a process of its own: a high-water mark never falls."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, __file__, form, str(nbytes)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        check=True,
        timeout=300,
    )
    return json.loads(done.stdout)


def _main(form: str, nbytes: int) -> None:
    import time

    import numpy
    import pandas
    from bench_peak import Peak

    from dbgkit.bundles.calls import write_call

    def made(size: int) -> Any:
        numbers = numpy.random.default_rng(0).random(size // 8)
        if form == "an array":
            return numbers
        if form == "a DataFrame by rows":
            return pandas.DataFrame(numbers.reshape(-1, 10), copy=False)
        columns = numbers.reshape(10, -1)
        return pandas.DataFrame(dict(enumerate(columns)), copy=False)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "call.zip")
        # Modules and buffers that any value needs are not this one's.
        with zipfile.ZipFile(path, "w") as archive:
            write_call(archive, print, (made(80_000),), {})
        value = made(nbytes)
        start = time.perf_counter()
        with Peak() as seen, zipfile.ZipFile(path, "w") as archive:
            write_call(archive, print, (value,), {})
        seconds = time.perf_counter() - start
        written = path.stat().st_size
    peak = seen.peak - seen.before
    print(json.dumps({"written": written, "peak": peak, "seconds": seconds}))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
