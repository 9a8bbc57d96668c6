"""Failures that are saved: time and size of a small one, memory for a large one."""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
from typing import Any

import psutil
from bench_kit import Figure, bench_client, clock
from distributed import Client, wait

import dbgkit

MILLISECONDS = 100
KILOBYTES = 50
PEAK = 1.3
ONCE = 1.01


def measure(quick: bool = False) -> list[Figure]:
    """How long it takes to save a failure, how large its file is, and what memory."""
    with bench_client() as client, tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "failure.dbgkit")
        nbytes = 50_000_000 if quick else 200_000_000
        return [
            *_small(client, path, 4 if quick else 20),
            *_large(client, path, "array", nbytes),
            *_large(client, path, "frame", nbytes),
        ]


def _small(client: Client, path: str, times: int) -> list[Figure]:
    took: list[float] = []
    for number in range(times):
        future = client.submit(_fail, 3, [1, 2.5, "x"], key=f"bench-save-{number}")
        wait(future)
        took.append(clock(dbgkit.save, future, path))
    return [
        Figure(
            "a small failure saved",
            statistics.median(took[1:]) * 1e3,
            MILLISECONDS,
            "ms",
            detail=f"median of {times - 1}; the first took {took[0] * 1e3:.0f} ms",
        ),
        Figure(
            "the same, size of its file", os.path.getsize(path) / 1e3, KILOBYTES, "kB"
        ),
    ]


def _large(client: Client, path: str, kind: str, nbytes: int) -> list[Figure]:
    """The most that this process holds meanwhile, its input included."""
    _save_one(client, path, kind, 8_000)  # what is imported for it stays
    before, peak = _resident(), [0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.002):
            peak[0] = max(peak[0], _resident())

    thread = threading.Thread(target=watch)
    thread.start()
    took = clock(_save_one, client, path, kind, nbytes)
    ended.set()
    thread.join()
    detail = f"{nbytes / 1e6:.0f} MB in {took:.1f} s, made and pulled included"
    size = os.path.getsize(path) / nbytes
    return [
        Figure(
            f"{kind} saved: peak memory, the input included ÷ nbytes",
            (peak[0] - before) / nbytes,
            PEAK,
            detail=detail,
        ),
        Figure(f"{kind} saved: its file ÷ nbytes", size, ONCE),
    ]


def _save_one(client: Client, path: str, kind: str, nbytes: int) -> None:
    data = client.submit(_data, kind, nbytes, key=f"bench-save-{kind}-{nbytes}")
    future = client.submit(_refuse, data, key=f"bench-refuse-{kind}-{nbytes}")
    wait(future)
    dbgkit.save(future, path)


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


def _fail(x: int, values: Any) -> Any:
    return {value: 1 / (x - 3) for value in values}


def _refuse(data: Any) -> None:
    raise ValueError(f"{len(data):,} are too many")


def _data(kind: str, nbytes: int) -> Any:
    import numpy as np
    import pandas as pd

    values = np.random.default_rng(0).random(nbytes // 8)
    if kind == "array":
        return values
    return pd.DataFrame(values.reshape(-1, 10), columns=list("abcdefghij"))
