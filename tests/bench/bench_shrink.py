"""Shrinking: how many runs, on how much, and what it costs where the data is."""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
from bench_kit import Figure, bench_client, median, milliseconds
from distributed import Client, wait

import dbgkit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shrink_kit import FIGURES, NO_BAR, SearchFigure, cost_of

SEEDS = 20
ROWS = 1_000_000
SENT = 100_000  # bytes
COPIES, RUNS = 8.0, 5.0  # times a run with a copy of its input; times a run


def measure(quick: bool = False) -> list[Figure]:
    """Means of twenty seeds; and a shrink on a worker ÷ one run of its task."""
    found = [each for figure in FIGURES for each in _search(figure, quick)]
    found.append(_row_and_column(quick))
    with bench_client() as client:
        return [*found, *_on_worker(client, quick)]


# --- how many runs ----------------------------------------------------------------


def _search(figure: SearchFigure, quick: bool) -> Iterator[Figure]:
    costs = []
    for seed in range(SEEDS // 4 if quick else SEEDS):
        random.seed(seed)
        costs.append(cost_of(figure.count, figure.make()))
    runs, tested = zip(*costs, strict=True)
    detail = f"mean of {len(costs)} seeds, {max(runs)} at most"
    yield Figure(
        f"culprits {figure.name}: runs", statistics.mean(runs), figure.runs, "", detail
    )
    times = statistics.mean(tested) / figure.count
    bar = None if figure.tested == NO_BAR else figure.tested
    yield Figure(f"culprits {figure.name}: tested ÷ all", times, bar)


def _row_and_column(quick: bool) -> Figure:
    runs = []
    for seed in range(2 if quick else 5):
        random.seed(seed)
        frame = pd.DataFrame({f"c{i}": np.ones(10_000) for i in range(200)})
        column = random.randrange(200)
        frame[f"c{column}"] = frame[f"c{column}"].astype(object)
        frame.iloc[random.randrange(10_000), column] = "n/a"

        try:
            dask.delayed(_refuse_texts)(frame).compute(scheduler="sync")
        except TypeError as error:
            found = dbgkit.shrink(error)
        assert [each.left for each in found.shrinkage] == [1, 1], found
        runs.append(found.runs)
    return Figure(
        "1 column of 200, 1 row of 10k: runs",
        statistics.mean(runs),
        40,
        detail=f"mean of {len(runs)} seeds, with a control and a repeat",
    )


def _refuse_texts(frame: pd.DataFrame) -> None:
    for name in frame:
        if frame[name].dtype == object and frame[name].map(type).eq(str).any():
            raise TypeError("a text among the numbers")


# --- on a worker ------------------------------------------------------------------


def _on_worker(client: Client, quick: bool) -> Iterator[Figure]:
    rows = ROWS // 5 if quick else ROWS
    frame = client.submit(_frame, rows, key="bench-shrink-frame")
    wait(frame)
    rounds = 2 if quick else 5
    (run, copy, shrink), sent = _costs(client, _as_integers, frame, rounds)
    yield Figure(
        "shrink on a worker ÷ (a run of the task + a copy of its input)",
        shrink / (run + copy),
        COPIES,
        detail=f"{milliseconds(shrink, run, copy)}; {rows:,} rows, a Python map",
    )
    (run, copy, shrink), _ = _costs(client, _to_numeric, frame, rounds)
    yield Figure(
        "shrink on a worker ÷ a run of pandas.to_numeric",
        shrink / run,
        RUNS,
        detail=f"{milliseconds(shrink, run)}; {rows:,} rows",
    )
    yield Figure("shrink on a worker: bytes sent", sent / 1_000, SENT / 1_000, "kB")


def _frame(rows: int) -> pd.DataFrame:
    texts = [str(number) for number in range(rows)]
    texts[int(rows * 0.77)] = "n/a"
    return pd.DataFrame({"text": pd.Series(texts, dtype=object)})


def _as_integers(frame: pd.DataFrame) -> Any:
    return frame.text.map(int)


def _to_numeric(frame: pd.DataFrame) -> Any:
    """As many a library does, it says nothing of where it was."""
    try:
        return pd.to_numeric(frame.text)
    except ValueError:
        raise ValueError("not a number") from None


def _costs(
    client: Client, task: Any, frame: Any, rounds: int
) -> tuple[tuple[float, float, float], int]:
    """Medians of a run, of a deep copy, and of a shrink; the bytes that one sends."""
    future = client.submit(task, frame, pure=False)
    wait(future)
    runs, copies, shrinks = [], [], []
    dbgkit.shrink(future, where="worker")  # its code is there after that
    sent = 0
    for _ in range(rounds):
        run, copy = client.submit(_one_run, task, frame, pure=False).result(120)
        start = time.perf_counter()
        with _counting() as counted:
            found = dbgkit.shrink(future, where="worker")
        shrinks.append(time.perf_counter() - start)
        assert found.verdict == "one" and found.where == "worker", found
        runs.append(run)
        copies.append(copy)
        sent = sum(counted)
    return (median(runs), median(copies), median(shrinks)), sent


def _one_run(task: Any, frame: pd.DataFrame) -> tuple[float, float]:
    start = time.perf_counter()
    copy = frame.copy(deep=True)
    copied = time.perf_counter()
    with suppress(ValueError):
        task(copy)
    return time.perf_counter() - copied, copied - start


@contextmanager
def _counting() -> Iterator[list[int]]:
    """The sizes of all that this client has workers run: ``Client._run`` pickles it."""
    import distributed.client as module

    own, sizes = module.dumps, []

    def counted(*args: Any, **kwargs: Any) -> bytes:
        data: bytes = own(*args, **kwargs)
        sizes.append(len(data))
        return data

    module.dumps = counted
    try:
        yield sizes
    finally:
        module.dumps = own
