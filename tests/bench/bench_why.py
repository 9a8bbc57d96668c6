"""What a scheduler with very many tasks pays for telling why nothing moves.

Times are of the scheduler's own thread at work, as in `bench_view`.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cloudpickle
from bench_kit import Figure, interleave
from big_scheduler import TASKS, big_scheduler, one_liner, paused
from distributed import Event, Lock

import dbgkit
from dbgkit.cluster.link import Link

FEW = 100_000  # tasks of a quick run
SMALL = 10_000  # tasks of the scheduler that the time is compared with
CHAIN = 100  # tasks that wait for one another
REPEAT = 50  # questions to one measurement
LIMIT = 200_000  # bytes of an answer

# The scheduler has no copy of this module.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def measure(quick: bool = False) -> list[Figure]:
    """All figures of why: of one task, and of the whole cluster."""
    count = FEW if quick else TASKS
    with (
        tempfile.TemporaryDirectory() as small_folder,
        tempfile.TemporaryDirectory() as folder,
        big_scheduler(small_folder, SMALL, 10) as small,
        big_scheduler(folder, count, count // 1_000) as client,
    ):
        rounds = 3 if quick else 7
        for each in (small, client):
            Link(each, 60).progress([])  # installs the extension
        with deadlock(client):
            figures = [deadlock_figure(client, rounds)]
        for each in (small, client):
            each.run_on_scheduler(put_chain, length=CHAIN)
            each.run_on_scheduler(put_unrunnable)
        return [*figures, *_figures(small, client, rounds, count)]


def crossing() -> Any:
    """A task that takes two locks, the second once the other task has its first.

    A function of its own, as neither scheduler nor worker can import this module.
    """

    def cross(first: str, second: str) -> None:
        with Lock(first):
            Event(f"has-{first}").set()
            Event(f"has-{second}").wait()
            with Lock(second):
                pass

    return cross


@contextmanager
def deadlock(client: Any) -> Iterator[None]:
    """A worker whose two tasks wait for each other's lock."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker"]
    options = ["--nthreads", "2", "--no-nanny", "--no-dashboard"]
    address = client.scheduler.address
    worker = subprocess.Popen(
        [*command, address, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    futures = []
    try:
        client.wait_for_workers(1, timeout=60)
        names = ("one", "two")
        futures = client.map(crossing(), names, names[::-1], key="cross")
        end = time.monotonic() + 60
        while dbgkit.why(client=client).cause != "deadlock":
            assert time.monotonic() < end
        yield
    finally:
        client.cancel(futures)
        worker.kill()
        worker.wait(30)
        client.run_on_scheduler(wait_until_gone)


async def wait_until_gone(dask_scheduler: Any) -> None:
    while dask_scheduler.workers:
        await asyncio.sleep(0.01)


def deadlock_figure(client: Any, rounds: int) -> Figure:
    def ask() -> None:
        assert dbgkit.why(client=client).cause == "deadlock"

    one, whole = (
        statistics.median(side)
        for side in interleave(
            rounds,
            lambda: client.run_on_scheduler(one_liner),
            lambda: paused(client, ask, False).work,
        )
    )
    detail = f"{whole * 1e3:.0f} ÷ {one * 1e3:.0f} ms"
    return Figure("why() of a deadlock ÷ one-liner", whole / one, 3.0, detail=detail)


def put_chain(dask_scheduler: Any, length: int) -> None:
    """A chain of tasks, the last of which asks for what no worker has."""
    below = None
    for index in range(length):
        ts = dask_scheduler.new_task(("chain-why", index), None, "released")
        ts.state = "no-worker" if below is None else "waiting"
        if below is not None:
            ts.dependencies = {below}
            ts.waiting_on = {below}
        below = ts


def put_unrunnable(dask_scheduler: Any) -> None:
    """As the scheduler has them itself: all that are without a worker."""
    for ts in dask_scheduler.tasks.values():
        if ts.state == "no-worker":
            dask_scheduler.unrunnable[ts] = 0.0


def _figures(small: Any, client: Any, rounds: int, count: int) -> Iterator[Figure]:
    def of_key(asked: Any) -> float:
        key = ("chain-why", CHAIN - 1)

        def ask() -> None:
            for _ in range(REPEAT):
                dbgkit.why(key, client=asked)

        return paused(asked, ask, churn=False).work / REPEAT

    few, many, one, whole = (
        statistics.median(side)
        for side in interleave(
            rounds,
            lambda: of_key(small),
            lambda: of_key(client),
            lambda: client.run_on_scheduler(one_liner),
            lambda: paused(client, lambda: dbgkit.why(client=client), False).work,
        )
    )
    yield Figure(
        f"why(key): {count:,} tasks ÷ {SMALL:,}",
        many / few,
        1.5,
        detail=f"{many * 1e3:.1f} ÷ {few * 1e3:.1f} ms",
    )
    yield Figure(
        "why() ÷ one-liner",
        whole / one,
        3.0,
        detail=f"{whole * 1e3:.0f} ÷ {one * 1e3:.0f} ms",
    )
    idle = statistics.median(
        paused(client, lambda: time.sleep(0.2)).pause for _ in range(rounds)
    )
    for what, key in (("why(key)", ("chain-why", CHAIN - 1)), ("why()", None)):
        stops = [
            paused(client, lambda key=key: dbgkit.why(key, client=client))
            for _ in range(rounds)
        ]
        pause = statistics.median(stop.pause for stop in stops) - idle
        yield Figure(
            f"pause in {what}",
            max(0.0, pause) * 1e3,
            max(0.2 * one, 0.02) * 1e3,
            "ms",
            f"idle {idle * 1e3:.1f} ms",
        )
        yield Figure(f"bytes of {what}", float(sent(client, key)), LIMIT)


def sent(client: Any, key: Any) -> int:
    """Bytes of the scheduler's answer on the wire."""
    from distributed.protocol import dumps

    keys = None if key is None else [key]
    answer = Link(client, 60).question("why", {"keys": keys, "pending": []})
    return sum(map(len, dumps(answer)))
