"""A small failed task with one input in memory: what dbgkit adds to the minimum."""

from __future__ import annotations

from typing import Any

from bench_kit import Figure, bench_client, clock, failed, interleave
from bench_kit import median as mid
from bench_kit import milliseconds as ms
from distributed import Client, wait

import dbgkit


def make(size: int) -> list[int]:
    return list(range(size))


def fail(values: list[int]) -> None:
    raise ValueError(f"bad values: {len(values)}")


def bare_minimum(client: Client, future: Any) -> None:
    """Fetch the run spec by Dask's own handler, get its inputs, call it."""
    spec = client.sync(client.scheduler.get_runspec, key=future.key)
    keys = list(spec.dependencies)
    values = client.get({}, keys, direct=True)
    try:
        spec(dict(zip(keys, values, strict=True)))
    except ValueError:
        return
    raise AssertionError("the task did not fail")


def replayed(future: Any) -> None:
    with dbgkit.replay(future) as again:
        assert again.outcome == "same", again.outcome


def measure(quick: bool = False) -> list[Figure]:
    with bench_client() as client:
        held = client.submit(make, 10, pure=False)
        wait(held)
        future = failed(client, fail, held)
        first = clock(replayed, future)
        clock(bare_minimum, client, future)
        ours, least = interleave(
            15 if quick else 40,
            lambda: clock(replayed, future),
            lambda: clock(bare_minimum, client, future),
        )
        assert held.status == "finished"
    return [
        Figure(
            "small task: replay / bare minimum",
            mid(ours) / mid(least),
            1.5,
            detail=ms(mid(ours), mid(least)),
        ),
        Figure(
            "small task: first replay of a session",
            first * 1e3,
            unit="ms",
            detail="brings the extension to the scheduler, loads dbgkit's modules",
        ),
    ]
