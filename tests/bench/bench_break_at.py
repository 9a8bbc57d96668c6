"""``break_at``: what it costs tasks that it is not for, and the code around a line."""

from __future__ import annotations

import itertools
import sys
import time
import timeit
from collections.abc import Callable, Iterator
from typing import Any

from bench_kit import Figure, bench_client, interleave
from bench_kit import median as mid
from distributed import Client, wait

import dbgkit
from dbgkit.cluster.shipping import live_name

TASKS = 1_000
PARTS = 2  # of so many tasks
WORK = 20_000  # rounds of a task: a slower loop takes longer


def measure(quick: bool = False) -> list[Figure]:
    """All figures, on a cluster of one worker process."""
    with bench_client() as client:
        return [*_directly(client), *_figures(client, quick)]


def busy(number: int, job: int) -> int:
    """A task of about a millisecond, with a line that is never run."""
    for step in range(WORK):
        number += step
    if job < 0:
        number = 0  # the line
    return number


LINE = busy.__code__.co_firstlineno + 5

_jobs = itertools.count()


def _figures(client: Client, quick: bool) -> Iterator[Figure]:
    rounds = 5 if quick else 15
    arms: dict[str, tuple[Callable[[], Any], float]] = {
        "armed for another prefix": (lambda: dbgkit.break_at("another"), 1.03),
    }
    if sys.version_info >= (3, 12):
        arms["armed at a line"] = lambda: dbgkit.break_at(busy, when=LINE), 1.05
    for name, (arm, bar) in arms.items():
        plain, armed = _rounds(client, rounds, arm)
        ratios = sorted(on / off for on, off in zip(armed, plain, strict=True))
        yield Figure(
            f"{TASKS:,} tasks of 1 ms, {name} ÷ not armed",
            mid(ratios),
            bar,
            detail=(
                f"CPU time of the worker, {rounds} pairs, {ratios[0]:.3f} to "
                f"{ratios[-1]:.3f}; {mid(plain):.2f} s not armed"
            ),
        )


def _directly(client: Client) -> Iterator[Figure]:
    """What the figures of whole jobs are made of: these have more noise than that."""
    with dbgkit.break_at("another", client=client):
        (added,) = client.run(path_cost, name=live_name()).values()
    yield Figure(
        "armed for another prefix: on the path of a task",
        added * 1e6,
        10,
        unit="µs",
        detail="its hook of a task's states; 1 ms of work is not in it",
    )
    if sys.version_info < (3, 12):
        return
    plain, armed = [], []
    for _ in range(9):
        plain += client.run(loop_cost, busy).values()
        with dbgkit.break_at(busy, when=LINE, client=client):
            armed += client.run(loop_cost, busy).values()
    yield Figure(
        "a function of a millisecond, armed at a line of it ÷ not armed",
        min(armed) / min(plain),
        1.05,
        detail=f"on the worker; {min(plain) * 1e3:.2f} ms not armed",
    )


def path_cost(dask_worker: Any, name: str) -> float:
    """Seconds that the worker's part takes for the states of a task; runs there."""
    part = dask_worker.plugins[name]
    steps = ("released", "waiting", "ready", "executing", "memory", "released")

    def run() -> None:
        for start, finish in itertools.pairwise(steps):
            part.transition("busy-1", start, finish, stimulus_id="bench")

    return min(timeit.repeat(run, number=1_000, repeat=9)) / 1_000


def loop_cost(function: Callable[[int, int], int]) -> float:
    """Seconds of a function, at best; runs on the worker."""
    return min(timeit.repeat(lambda: function(1, 1), number=20, repeat=9)) / 20


def _rounds(
    client: Client, rounds: int, arm: Callable[[], Any]
) -> tuple[list[float], list[float]]:
    """Seconds of CPU time of jobs, not armed and armed.

    In parts, in turn: the machine may be faster at one time than at another.
    """

    def armed() -> float:
        with arm():
            return _job(client)

    def plain() -> float:
        return _job(client)

    armed(), plain()
    found = [interleave(PARTS, plain, armed) for _ in range(rounds)]
    return [sum(each[0]) for each in found], [sum(each[1]) for each in found]


def _job(client: Client) -> float:
    _run(client, 50)  # what is done once, as it is armed
    before = _cpu(client)
    _run(client, TASKS // PARTS)
    return _cpu(client) - before


def _run(client: Client, count: int) -> None:
    futures = client.map(busy, range(count), job=next(_jobs), pure=False)
    wait(futures)


def _cpu(client: Client) -> float:
    (found,) = client.run(time.process_time).values()
    return float(found)
