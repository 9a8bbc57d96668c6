"""Large inputs: time against stock Dask, bytes on the wire, memory of the client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench_kit import Figure, bench_client, clock, failed, interleave, loopback_bytes
from bench_kit import median as mid
from bench_kit import milliseconds as ms
from distributed import Client, wait

import dbgkit

MB = 1_000_000


def array(nbytes: int) -> Any:
    return np.random.default_rng(0).random(nbytes // 8)


def some_bytes(nbytes: int) -> bytes:
    return np.random.default_rng(0).bytes(nbytes)


def floats(nbytes: int) -> list[float]:
    return array(nbytes // 4).tolist()  # 8 bytes of pointer and 24 of float each


def object_frame(nbytes: int) -> Any:
    import pandas as pd

    values = [f"value {number}" for number in range(nbytes // 70)]
    return pd.DataFrame({"a": pd.Series(values, dtype=object)})


def fail(value: Any) -> None:
    raise ValueError(f"bad {type(value).__name__}")


def measure(quick: bool = False) -> list[Figure]:
    figures = []
    with bench_client() as client:
        # Imports and connections of both sides are not what is measured; nor is that
        # the system takes up to ten times as long to give out memory at first.
        _sides(client, array, MB, 1)
        _sides(client, array, 200 * MB, 3)
        figures += _figures(client, "200 MB array", array, 200 * MB, 5 if quick else 9)
        if not quick:
            for name, make, nbytes in (
                ("20 MB bytes", some_bytes, 20 * MB),
                # Dask sends a list element by element, some 30 µs each.
                ("1 MB list of floats", floats, MB),
                ("10 MB object frame", object_frame, 10 * MB),
            ):
                figures += _figures(client, name, make, nbytes, 3, barred=False)
    return figures


def _figures(
    client: Client,
    name: str,
    make: Callable[[int], Any],
    nbytes: int,
    count: int,
    barred: bool = True,
) -> list[Figure]:
    size, ours, stock, wire = _sides(client, make, nbytes, count)
    bars = (0.6, 1.05, 1.3) if barred else (None, None, None)
    growth, seen = _peak(client, make, nbytes)
    figures = []
    if stock:
        figures.append(
            Figure(
                f"{name}: replay / stock",
                mid(ours) / mid(stock),
                bars[0],
                detail=ms(mid(ours), mid(stock)),
            )
        )
    if wire and min(wire):
        # Others only ever add to the counter of the device.
        pulled = min(wire) / size
        figures.append(Figure(f"{name}: bytes pulled / nbytes", pulled, bars[1]))
    figures.append(
        Figure(
            f"{name}: client's peak memory / nbytes",
            growth / size,
            bars[2],
            detail=seen,
        )
    )
    return figures


def _sides(
    client: Client, make: Callable[[int], Any], nbytes: int, count: int
) -> tuple[int, list[float], list[float], list[int]]:
    """Size of the input, seconds of either side, bytes that ours pulled.

    Stock Dask spoils the future of the input, so each call has fresh ones.
    """
    sizes: list[int] = []
    wire: list[int] = []

    def prepared() -> tuple[Any, Any]:
        held = client.submit(make, nbytes, pure=False)
        wait(held)
        sizes.append(client.nbytes(keys=[held.key], summary=False)[held.key])
        return held, failed(client, fail, held)

    def ours() -> float:
        _held, future = prepared()
        before = loopback_bytes()
        seconds = clock(_replayed, future)
        wire.append(loopback_bytes() - before)
        return seconds

    def stock() -> float:
        _held, future = prepared()
        return clock(_stock, client, future)

    first, second = interleave(count, ours, stock)
    return sizes[0], first, second, wire


def _replayed(future: Any) -> None:
    with dbgkit.replay(future) as again:
        assert again.outcome == "same", again.outcome


def _stock(client: Client, future: Any) -> None:
    try:
        client.recreate_error_locally(future)
    except ValueError:
        return
    raise AssertionError("the task did not fail")


def _peak(client: Client, make: Callable[[int], Any], nbytes: int) -> tuple[float, str]:
    """Growth of a fresh client's peak memory as it replays, in bytes."""
    small = client.submit(make, 1000, pure=False)
    large = client.submit(make, nbytes, pure=False)
    wait([small, large])
    first, second = failed(client, fail, small), failed(client, fail, large)
    here = Path(__file__).parent
    roots = [str(here), str(here.parent.parent), *sys.path]
    done = subprocess.run(
        [
            sys.executable,
            str(here / "bench_peak.py"),
            client.scheduler.address,
            first.key,
            second.key,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, roots))},
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    growth = seen["peak"] - seen["before"]
    return growth, f"{seen['before'] / MB:.0f} MB before, {seen['peak'] / MB:.0f} peak"
