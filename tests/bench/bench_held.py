"""Failures that are held: their worker's memory, and what they cost other tasks."""

from __future__ import annotations

import statistics
import time
from typing import Any

from bench_kit import Figure, bench_client, clock
from distributed import Client, wait

import dbgkit

LEFT = 1.1
FAILURES = 3
SLOWER = 1.05
TASKS = 200


def measure(quick: bool = False) -> list[Figure]:
    """Memory once they were let go ÷ before; failures that are held ÷ recorded."""
    nbytes = 50_000_000 if quick else 200_000_000
    with bench_client() as client:
        return [_memory(client, nbytes), _time(client, 5 if quick else 15)]


def _memory(client: Client, nbytes: int) -> Figure:
    with dbgkit.record(keep_frames="10 min"):  # code is loaded once, and stays
        wait(client.submit(_fail, 0, nbytes=1, key="bench-held-first"))
    client.run(_without_collecting)
    before = _used(client)
    with dbgkit.record(keep_frames="10 min", most=FAILURES):
        futures = client.map(_fail, range(FAILURES), nbytes=nbytes, key="bench-held")
        wait(futures)
        end = time.monotonic() + 60
        while len(dbgkit.attach().held) < FAILURES:
            assert time.monotonic() < end
            time.sleep(0.01)
        during = _used(client)
        assert during > before + FAILURES * nbytes
        del futures
    end = time.monotonic() + 2  # a thread of the worker's lets it go
    while (after := _used(client)) > before * LEFT and time.monotonic() < end:
        time.sleep(0.05)
    client.run(_collecting)
    return Figure(
        "memory after held failures were let go ÷ before",
        after / before,
        LEFT,
        detail=f"{before / 1e6:.0f}, {during / 1e6:.0f} with {FAILURES} of "
        f"{nbytes / 1e6:.0f} MB, then {after / 1e6:.0f} MB; no garbage collected",
    )


def _time(client: Client, times: int) -> Figure:
    """Tasks that fail, with their frames held and without."""
    ratios: list[float] = []
    with dbgkit.record():
        for number in range(times + 1):

            def plain(number: int = number) -> float:
                return clock(_failing, client, f"bench-recorded-{number}")

            def held(number: int = number) -> float:
                with dbgkit.record(keep_frames="10 min"):
                    return clock(_failing, client, f"bench-kept-{number}")

            first, second = plain(), held()
            if number:  # the first of all loads code
                ratios.append(second / first)
    return Figure(
        f"{TASKS} failures that are recorded, and held ÷ recorded",
        statistics.median(ratios),
        SLOWER,
        detail=f"median of {times} pairs; 3 of them are held",
    )


def _failing(client: Client, name: str) -> None:
    wait(client.map(_fail, range(TASKS), nbytes=1, key=name))


def _fail(number: int, nbytes: int) -> int:
    block = bytearray(nbytes)
    block[:] = b"x" * nbytes
    return number // 0 + len(block)


def _used(client: Client) -> Any:
    return max(client.run(_resident).values())


def _resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def _without_collecting() -> None:
    import gc

    gc.collect()
    gc.disable()


def _collecting() -> None:
    import gc

    gc.enable()
