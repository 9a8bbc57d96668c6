"""The recorder: what it costs healthy tasks, failed ones, and the cluster's memory."""

from __future__ import annotations

import gc
import itertools
import random
import statistics
import string
import sys
import timeit
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import psutil
from bench_kit import Figure, bench_client, clock, interleave
from bench_kit import median as mid
from distributed import Client, wait

import dbgkit
from dbgkit.cluster.recordings import recorder_name
from dbgkit.remote.recording.packing import pack
from dbgkit.remote.recording.take import Limits, take

HELD = 64_000_000  # bytes, of a worker and of the scheduler
WIRE = 256_000


def measure(quick: bool = False) -> list[Figure]:
    """All figures of the recorder, on a cluster and in this process."""
    figures = list(_captures())
    with bench_client() as client:
        figures += list(_healthy(client, quick))
        figures += list(_failing(client, quick))
        figures += list(_held(client, quick))
    with bench_client() as client:
        figures.append(_memory(client, 8 if quick else 100))
    return figures


# --- one capture --------------------------------------------------------------


def hold(value: Any) -> None:
    raise ValueError("bad value")


def deep(depth: int) -> None:
    """Thirty frames full of texts that do not compress."""
    texts = ["".join(random.choices(string.ascii_letters, k=2_000)) for _ in range(80)]
    a, b, c, d, e, f, g, h = (texts[n::8] for n in range(8))
    if depth:
        deep(depth - 1)
    raise ValueError(len([a, b, c, d, e, f, g, h]))


GIANTS: dict[str, Callable[[], Any]] = {
    "1M x 10 frame": lambda: pd.DataFrame(np.random.rand(1_000_000, 10)),
    "80 MB array": lambda: np.random.rand(10_000_000),
    "dict of 1M": lambda: dict.fromkeys(range(1_000_000)),
    "list of 10,000 dicts": lambda: [{"a": n, "b": str(n)} for n in range(10_000)],
}


def _captures() -> Iterator[Figure]:
    """Time and memory of a recording of each giant local, and of a full one."""
    for name, make in GIANTS.items():
        error = _error(hold, make())
        took, added = _capture(error)
        yield Figure(f"capture of a {name}", took * 1e3, 100, unit="ms")
        yield Figure(f"capture of a {name}: memory added", added / 1e6, 5, unit="MB")
    error = _error(deep, 29)
    # With all the time that it needs, as a slow machine would record less.
    packed, left_out = pack(take(error, Limits(seconds=5), short=False), WIRE)
    yield Figure(
        "a recording on the wire, without its header",
        len(packed) / 1e3,
        WIRE / 1e3,
        unit="kB",
        detail=f"30 frames of random texts; {left_out:,} values left out",
    )


def _error(function: Callable[[Any], None], argument: Any) -> BaseException:
    try:
        function(argument)
    except ValueError as error:
        return error
    raise AssertionError("it did not fail")


def _capture(error: BaseException) -> tuple[float, float]:
    """Seconds and bytes at the peak of taking and packing; of the first and others."""

    def whole() -> None:
        pack(take(error, Limits(), short=False), WIRE)

    times = [clock(whole) for _ in range(3)]
    tracemalloc.start()
    whole()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return max(times), peak


# --- healthy tasks ------------------------------------------------------------


def small(number: int) -> int:
    return number + 1


def _healthy(client: Client, quick: bool) -> Iterator[Figure]:
    with dbgkit.record(client=client):
        kept = client.submit(small, 0, key="small")
        wait(kept)
        cost = min(
            next(iter(client.run(path_cost, name=recorder_name()).values()))
            for _ in range(3)
        )
    yield Figure(
        "recorder on the path of a healthy task",
        cost * 1e6,
        10,
        unit="µs",
        detail="its hooks of a task's states, and the call around the task",
    )
    count = 300 if quick else 2_000
    pairs = _on_and_off(client, 15 if quick else 21, lambda: _job(client, count, 0))
    ratios = sorted(on / off for on, off in pairs)
    low, high = _interval(ratios)
    yield Figure(
        "job of healthy small tasks: recorder on ÷ off",
        mid(ratios),
        1.03,
        detail=f"{len(ratios)} pairs of {count:,} tasks; 95 %: {low:.3f} to {high:.3f}",
    )


def path_cost(dask_worker: Any, name: str) -> float:
    """Seconds that the recorder adds to one healthy task; runs on the worker.

    The transitions of one task as the worker makes them, and the call of its run
    spec, with the recorder around them and without.
    """
    recorder = dask_worker.plugins[name]
    ts = dask_worker.state.tasks["small"]
    spec = ts.run_spec
    steps = ("waiting", "ready", "executing", "memory", "released")

    def observed() -> None:
        for start, finish in itertools.pairwise(steps):
            recorder.transition("small", start, finish, stimulus_id="bench")
            if finish == "executing":
                ts.run_spec({})

    def plain() -> None:
        spec({})

    try:
        with_it, without = (
            min(timeit.repeat(way, number=2_000, repeat=7)) / 2_000
            for way in (observed, plain)
        )
    finally:
        ts.run_spec = spec
    return with_it - without


# --- failing tasks ------------------------------------------------------------


def one_in_ten(number: int, job: int, every: int) -> int:
    rows = [number, job]
    if every and number % every == 0:
        raise ValueError(f"bad number {number} in {rows}")
    return number


_jobs = iter(range(10**9))


def _job(client: Client, count: int, every: int) -> float:
    """Seconds of a job in which one of so many tasks fails."""
    job = next(_jobs)

    def run() -> None:
        futures = client.map(
            one_in_ten, range(1, count + 1), job=job, every=every, pure=False
        )
        wait(futures)

    return clock(run)


def _on_and_off(
    client: Client, count: int, job: Callable[[], float]
) -> list[tuple[float, float]]:
    """Seconds of a job with the recorder on and off, in turn; the first is dropped."""

    def on() -> float:
        with dbgkit.record(client=client):
            return job()

    on()
    job()
    with_it, without = interleave(count, on, job)
    return list(zip(with_it, without, strict=True))


def _interval(ratios: list[float]) -> tuple[float, float]:
    """The 95 % interval of their median, by its rank."""
    count = len(ratios)
    reach = round(0.98 * count**0.5)
    middle = count // 2
    return ratios[max(0, middle - reach)], ratios[min(count - 1, middle + reach)]


def _failing(client: Client, quick: bool) -> Iterator[Figure]:
    count = 1_000 if quick else 10_000
    pairs = _on_and_off(client, 3 if quick else 5, lambda: _job(client, count, 10))
    ratios = sorted(on / off for on, off in pairs)
    yield Figure(
        f"job of {count:,} tasks with {count // 10:,} failures: on ÷ off",
        mid(ratios),
        1.15,
        detail=f"{len(ratios)} pairs, {ratios[0]:.3f} to {ratios[-1]:.3f}; "
        f"{statistics.median(off for _, off in pairs):.1f} s off",
    )


# --- what is held -------------------------------------------------------------


def fail_with_texts(number: int) -> None:
    """Fail in a kind of its own, with locals that do not compress."""
    words = "".join(chr(97 + int(digit)) for digit in str(number))
    texts = ["".join(random.choices(string.ascii_letters, k=600)) for _ in range(200)]
    a, b, c, d, e, f, g, h = (texts[n::8] for n in range(8))
    raise ValueError(f"{words} of {len([a, b, c, d, e, f, g, h])}")


def resident(dask_worker: Any) -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def scheduler_resident(dask_scheduler: Any) -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def store_size(dask_scheduler: Any, name: str) -> int:
    """Bytes of all that the scheduler's part holds, as Python counts them."""
    seen: set[int] = set()

    def size(value: Any) -> int:
        if id(value) in seen:
            return 0
        seen.add(id(value))
        total = sys.getsizeof(value)
        if isinstance(value, dict):
            return total + sum(size(k) + size(v) for k, v in value.items())
        if isinstance(value, (list, tuple)) or type(value).__name__ == "deque":
            return total + sum(map(size, value))
        return total

    store = dask_scheduler.plugins[name]
    return size(store.kinds) + size(store.gaps)


def _held(client: Client, quick: bool) -> Iterator[Figure]:
    count = 100 if quick else 1_000
    name = recorder_name()
    with dbgkit.record(client=client):
        wait(client.map(fail_with_texts, range(20), pure=False))
        before = sum(client.run(resident).values())
        wait(client.map(fail_with_texts, range(20, 20 + count), pure=False))
        added = sum(client.run(resident).values()) - before
        held = client.run_on_scheduler(store_size, name=name)
        answer = dbgkit.recordings(client=client, limit=1)
    yield Figure(
        f"held by a worker after {count:,} failures",
        max(0.0, added / 1e6),
        HELD / 1e6,
        unit="MB",
        detail="its resident size, after a collection",
    )
    yield Figure(
        f"held by the scheduler after {count:,} failures",
        held / 1e6,
        HELD / 1e6,
        unit="MB",
        detail=f"{answer.dropped:,} dropped; counted as {answer.held / 1e6:.1f} MB",
    )


# --- memory -------------------------------------------------------------------


def fail_with_200_mb(number: int) -> None:
    held = np.ones(25_000_000)
    raise ValueError(f"bad {number} of {held.size}")


def _memory(client: Client, count: int) -> Figure:
    """The worker's size after failures that each had 200 MB of locals, on and off."""

    def size() -> float:
        for number in range(count):
            wait(client.submit(fail_with_200_mb, number, pure=False))
        return float(sum(client.run(resident).values()))

    off = size()
    with dbgkit.record(client=client):
        on = size()
    return Figure(
        f"memory after {count} failures with 200 MB of locals: on ÷ off",
        on / off,
        1.05,
        detail=f"{on / 1e6:.0f} MB ÷ {off / 1e6:.0f} MB, after a collection",
    )
