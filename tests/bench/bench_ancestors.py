"""Ancestors: the part that leads to the failure, and no more, out of a large graph."""

from __future__ import annotations

from typing import Any

import dask
from bench_kit import Figure, bench_client, clock, interleave
from bench_kit import median as mid
from bench_kit import milliseconds as ms
from dask import delayed
from distributed import Client, wait

import dbgkit

RUNS: list[str] = []  # in each process: the tasks that ran in it


def load(number: int) -> int:
    RUNS.append("load")
    return number


def add(one: int, other: int) -> int:
    RUNS.append("add")
    return one + other


def ratio(bad: bool, *parts: int) -> float:
    RUNS.append("ratio")
    return sum(parts) / (0 if bad else 1)


def total(parts: list[int]) -> int:
    return sum(parts)


def collections(tasks: int, bad: bool = True) -> list[Any]:
    """A task with 12 ancestors that may fail, and others up to a number of tasks."""
    loads = [delayed(load, pure=False)(number) for number in range(8)]
    adds = [
        delayed(add, pure=False)(*loads[index : index + 2]) for index in (0, 2, 4, 6)
    ]
    failing = delayed(ratio, pure=False)(bad, *adds)
    others = [delayed(load, pure=False)(number) for number in range(tasks - 14)]
    return [failing, delayed(total, pure=False)(others)]


def measure(quick: bool = False) -> list[Figure]:
    tasks = 2_000 if quick else 10_000
    with bench_client() as client:
        failing, rest = client.compute(collections(tasks))
        wait([failing, rest])
        assert failing.status == "error"
        assert client.run_on_scheduler(_states) == (tasks, 1)
        dbgkit.replay(failing, scope="ancestors").close()
        before, there = len(RUNS), _runs_there(client)
        with dbgkit.replay(failing, scope="ancestors") as again:
            assert again.outcome == "same"
        ran = len(RUNS) - before + _runs_there(client) - there

        healthy = collections(tasks, bad=False)
        ours, whole = interleave(
            3 if quick else 7,
            lambda: clock(_replayed, failing),
            lambda: clock(_compute, healthy),
        )
    figures = [Figure("ancestors: tasks run", ran, 13, exact=True)]
    # The graph of the quick run is smaller: so is what it is compared with.
    bar = 0.02 * 10_000 / tasks
    figures.append(
        Figure(
            f"ancestors: replay / whole graph of {tasks:,} under sync",
            mid(ours) / mid(whole),
            bar,
            detail=ms(mid(ours), mid(whole)),
        )
    )
    return figures


def _replayed(future: Any) -> None:
    dbgkit.replay(future, scope="ancestors").close()


def _compute(graph: list[Any]) -> None:
    dask.compute(graph, scheduler="sync")


def _runs_there(client: Client) -> int:
    return sum(client.run(_run_count).values())


def _run_count() -> int:
    return len(RUNS)


def _states(dask_scheduler: Any) -> tuple[int, int]:
    """How many tasks there are, and how many of them are in memory."""
    tasks = list(dask_scheduler.tasks.values())
    return len(tasks), sum(task.state == "memory" for task in tasks)
