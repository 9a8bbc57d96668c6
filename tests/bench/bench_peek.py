"""Looking at what runs: what a sample costs a worker, and the task that it looks at."""

from __future__ import annotations

import statistics
import time
from typing import Any

from bench_kit import Figure, bench_client, milliseconds
from distributed import Client, Event

import dbgkit
from dbgkit.cluster.link import Link
from dbgkit.cluster.peek import sample_workers

SAMPLE = 1e-3  # seconds of the event loop
SLOWER = 1.01
EVERY = 0.1  # seconds between two samples


def measure(quick: bool = False) -> list[Figure]:
    """A sample of a busy task; and what ten of them a second cost that task."""
    with bench_client() as client:
        return [*_samples(client, 20 if quick else 60), _slowdown(client, quick)]


# --- what a sample costs ------------------------------------------------------


def _samples(client: Client, times: int) -> list[Figure]:
    """Processor time of the worker's event loop: the task shares its interpreter."""
    future = client.submit(_busy_until, "bench-peek", key="bench-peek-busy", pure=False)
    _until_seen(client, future)
    link = Link(client, 30.0)
    wanted: Any = {address: None for address in client.nthreads()}

    def one(samples: int) -> float:
        (answer,) = sample_workers(
            link, wanted, times=samples, every=0.01, limit=10
        ).answers.values()
        assert answer["samples"] == samples and answer["tasks"][0]["frames"]
        return answer["used"] / samples

    one(1)
    whole = statistics.median(one(1) for _ in range(times))
    several = statistics.median(one(100) for _ in range(3))
    Event("bench-peek", client=client).set()
    future.result(60)
    return [
        Figure(
            "a peek at a task: processor time of the worker's event loop",
            whole * 1e3,
            SAMPLE * 1e3,
            "ms",
            detail=f"stack, source and locals; median of {times}",
        ),
        Figure(
            "each of 100 samples",
            several * 1e3,
            SAMPLE * 1e3,
            "ms",
            detail="the first and the last with source and locals",
        ),
    ]


def _until_seen(client: Client, future: Any) -> None:
    end = time.monotonic() + 60
    while not any(each.frames for each in dbgkit.peek(client=client).tasks):
        assert time.monotonic() < end and future.status == "pending", future.status
        time.sleep(0.01)


def _busy_until(name: str) -> int:
    event = Event(name)
    rows = [{"id": number, "value": number / 7} for number in range(1_000)]
    text, total = "x" * 10_000, 0
    while not event.is_set():
        total += _work(20_000)
    return total + len(rows) + len(text)


def _work(count: int) -> int:
    total = 0
    for number in range(count):
        total += number * number % 7
    return total


# --- what samples cost the task -------------------------------------------------


def _slowdown(client: Client, quick: bool) -> Figure:
    """The task's own processor time for a piece of work, with samples and without.

    In one run of a task, spans with ten samples a second and without take turns: two
    runs would differ by more than what is measured on a machine that does other things.
    """
    spans = 6 if quick else 30
    future = client.submit(_pieces, "bench-peek-end", key="bench-peek-pieces")
    _until_seen(client, future)
    looked, left = [], []
    for _ in range(spans):
        start = time.time()
        found = dbgkit.peek(future, client=client, times=11, every=EVERY)
        middle = time.time()
        assert found.samples == found.tasks[0].samples == 11
        time.sleep(11 * EVERY)
        looked.append((start, middle))
        left.append((middle, time.time()))
    Event("bench-peek-end", client=client).set()
    pieces = future.result(60)
    with_samples, without = (_mean(pieces, within) for within in (looked, left))
    return Figure(
        "a task with ten samples a second ÷ without, its thread's CPU time",
        with_samples / without,
        SLOWER,
        detail=f"{milliseconds(with_samples, without)} for a piece of work, "
        f"{spans} spans of each",
    )


def _pieces(name: str) -> list[tuple[float, float, float]]:
    """Pieces of work: when each began and ended, and its processor time."""
    event, found = Event(name), []
    until = 0.0
    while True:
        for _ in range(20):
            start, before = time.time(), time.thread_time()
            _work(40_000)
            found.append((start, time.time(), time.thread_time() - before))
        if time.monotonic() > until:
            if event.is_set():
                return found
            until = time.monotonic() + 1.0


def _mean(pieces: list[tuple[float, float, float]], spans: list[Any]) -> float:
    """The mean of those that began and ended within one of some spans of time.

    Without the longest and shortest tenth, as the machine may have been busy.
    """
    took = sorted(
        used
        for start, end, used in pieces
        if any(first <= start and end <= last for first, last in spans)
    )
    cut = len(took) // 10
    return statistics.fmean(took[cut : len(took) - cut])
