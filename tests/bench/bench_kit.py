"""What the figures share: a figure, clusters, clocks and counters."""

from __future__ import annotations

import gc
import logging
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
from distributed import Client, LocalCluster, wait


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes
    ----------
    name : str
    value : float
    bar : float or None
        The most that it may be; None for what is only reported.
    unit : str
        Empty for a ratio.
    detail : str
        What it was made of.
    exact : bool
        Whether noise cannot excuse it, as of a count.
    """

    name: str
    value: float
    bar: float | None = None
    unit: str = ""
    detail: str = ""
    exact: bool = False

    def within(self, slack: float = 1.0) -> bool:
        """Whether it holds its bar, times a slack; always if it has none."""
        if self.bar is None:
            return True
        if self.exact:
            return self.value == self.bar
        return self.value <= self.bar * slack


@contextmanager
def bench_client(n_workers: int = 1) -> Iterator[Client]:
    """A client of an own cluster of worker processes, one thread each."""
    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def clock(function: Callable[..., Any], *args: Any) -> float:
    """Seconds of one call, with the garbage of what was before collected first."""
    gc.collect()
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def interleave(
    count: int, *sides: Callable[[], float | tuple[float, ...]]
) -> list[list[Any]]:
    """Call each side ``count`` times, in turn, every other round backwards."""
    results: list[list[Any]] = [[] for _ in sides]
    order = list(range(len(sides)))
    for _ in range(count):
        for index in order:
            results[index].append(sides[index]())
        order.reverse()
    return results


def median(values: list[float]) -> float:
    return statistics.median(values)


def milliseconds(*values: float) -> str:
    """``"3.1 ms, 2.9 ms"``."""
    return ", ".join(f"{value * 1e3:.3g} ms" for value in values)


def loopback_bytes() -> int:
    """Bytes that went over the loopback device so far; 0 where it has no counter."""
    counters = psutil.net_io_counters(pernic=True)
    return sum(
        found.bytes_recv for name, found in counters.items() if name.startswith("lo")
    )


def failed(client: Client, function: Callable[..., Any], *args: Any) -> Any:
    """A future that has failed."""
    future = client.submit(function, *args, pure=False)
    wait(future)
    assert future.status == "error", future.status
    return future


def until_forgotten(client: Client, limit: float = 120.0) -> None:
    """Wait until the scheduler knows no task any more."""
    start = time.monotonic()
    while client.run_on_scheduler(_task_count):
        assert time.monotonic() - start < limit, "the scheduler still holds tasks"
        time.sleep(0.05)


def _task_count(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)
