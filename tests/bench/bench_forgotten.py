"""``compute()`` raised and nothing was kept: what finding the task again costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench_kit import Figure, bench_client, clock, interleave, until_forgotten
from bench_kit import median as mid
from bench_kit import milliseconds as ms
from dask import delayed
from dask._expr import FinalizeCompute
from dask._task_spec import convert_legacy_graph
from dask.base import collections_to_expr
from distributed import Client, wait

import dbgkit


def load(number: int) -> int:
    return number


def parse(number: int, bad: int) -> int:
    if number == bad:
        raise ValueError(f"bad record {number}")
    return number


def delayed_total(tasks: int) -> Any:
    """A sum over two steps for each of many records, of which the middle one fails."""
    count = tasks // 2
    records = [
        delayed(parse, pure=False)(delayed(load, pure=False)(number), count // 2)
        for number in range(count)
    ]
    return delayed(sum, pure=False)(records)


def partition(number: int, salt: int) -> Any:
    import pandas as pd

    return pd.DataFrame({"number": [number], "salt": [salt]})


def check(frame: Any, bad: int) -> Any:
    if (frame.number == bad).any():
        raise ValueError(f"bad record {bad}")
    return frame


_salts = iter(range(1_000_000))


def frame_total(tasks: int) -> Any:
    """A sum over partitions, of which the middle one fails.

    Each call has keys of its own: Dask shares expressions of the same name, and what
    one has materialised.
    """
    import dask.dataframe as dd

    meta = {"number": "int64", "salt": "int64"}
    count = tasks // 5  # keys for each partition in the optimised graph
    frame = dd.from_map(partition, range(count), salt=next(_salts), meta=meta)
    return frame.map_partitions(check, count // 2, meta=meta).number.sum()


def measure(quick: bool = False) -> list[Figure]:
    tasks = 1_000 if quick else 10_000
    figures = []
    with bench_client(n_workers=2) as client:
        for name, make in (("Delayed", delayed_total), ("DataFrame", frame_total)):
            # Imports, connections and the extension are not what is measured.
            _nothing_kept(client, make, 50)
            _kept(client, make, 50)
            figures += _figures(client, name, make, tasks, 2 if quick else 3)
    return figures


def _figures(
    client: Client, name: str, make: Callable[[int], Any], tasks: int, count: int
) -> list[Figure]:
    gone, kept = interleave(
        count,
        lambda: _nothing_kept(client, make, tasks),
        lambda: _kept(client, make, tasks),
    )
    replay = mid([seconds for seconds, _ in gone])
    compute = mid([seconds for _, seconds in gone])
    graph = mid([seconds for seconds, _, _ in kept])
    held = mid([seconds for _, seconds, _ in kept])
    size = kept[0][2]
    return [
        Figure(
            f"nothing kept, {name} of {size:,}: replay / (graph + replay if held)",
            replay / (graph + held),
            1.5,
            detail=f"{ms(replay)} / ({ms(graph)} + {ms(held)})",
        ),
        Figure(
            f"nothing kept, {name} of {size:,}: replay / failed compute",
            replay / compute,
            0.1,
            detail=ms(replay, compute),
        ),
    ]


def _nothing_kept(
    client: Client, make: Callable[[int], Any], tasks: int
) -> tuple[float, float]:
    """Seconds of the replay and of the compute that failed before it."""
    collection = make(tasks)
    caught: list[ValueError] = []

    def compute() -> None:
        try:
            collection.compute()
        except ValueError as error:
            caught.append(error)

    seconds = clock(compute)
    until_forgotten(client)
    (error,) = caught

    def replay() -> None:
        with dbgkit.replay(error) as again:
            assert again.outcome == "same", again.outcome
            assert again.failure.source == "graph", again.failure.source

    return clock(replay), seconds


def _kept(
    client: Client, make: Callable[[int], Any], tasks: int
) -> tuple[float, float, int]:
    """Seconds of making the graph, and of a replay with the future held; its size."""
    collection = make(tasks)
    making, size = _materialised(collection)
    future = client.compute(collection)
    wait(future)

    def replay() -> None:
        with dbgkit.replay(future) as again:
            assert again.outcome == "same", again.outcome

    seconds = clock(replay)
    future.release()
    until_forgotten(client)
    return making, seconds, size


def _materialised(collection: Any) -> tuple[float, int]:
    """Seconds of making a collection's graph once, as it is computed; its size."""
    expression = FinalizeCompute(collections_to_expr([collection], True)).optimize()
    graph: dict[Any, Any] = {}

    def materialise() -> None:
        graph.update(convert_legacy_graph(dict(expression.__dask_graph__())))

    return clock(materialise), len(graph)
