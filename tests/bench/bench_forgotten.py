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
            _figures(client, name, make, 50, 1)
            figures += _figures(client, name, make, tasks, 5)
    return figures


def _figures(
    client: Client, name: str, make: Callable[[int], Any], tasks: int, count: int
) -> list[Figure]:
    collection = make(tasks)
    error, compute = _failed_compute(collection)
    until_forgotten(client)
    # Another collection, of other keys: what is held must not help to find the first.
    future = client.compute(make(tasks))
    wait(future)
    size = len(_materialised(_expression(collection)))
    gone, graph, held = interleave(
        count,
        lambda: clock(_replayed, error, "graph"),
        # A new expression each time, as one keeps what it has materialised.
        lambda: clock(_materialised, _expression(collection)),
        lambda: clock(_replayed, future, "scheduler"),
    )
    future.release()
    until_forgotten(client)
    replay, parts = mid(gone), (mid(graph), mid(held))
    return [
        Figure(
            f"nothing kept, {name} of {size:,}: replay / (graph + replay if held)",
            replay / sum(parts),
            1.5,
            detail=f"{ms(replay)} / ({ms(parts[0])} + {ms(parts[1])})",
        ),
        Figure(
            f"nothing kept, {name} of {size:,}: replay / failed compute",
            replay / compute,
            0.1,
            detail=ms(replay, compute),
        ),
    ]


def _failed_compute(collection: Any) -> tuple[ValueError, float]:
    """What ``compute()`` raised, and after how many seconds."""
    caught: list[ValueError] = []

    def compute() -> None:
        try:
            collection.compute()
        except ValueError as error:
            caught.append(error)

    seconds = clock(compute)
    return caught[0], seconds


def _replayed(target: Any, source: str) -> None:
    with dbgkit.replay(target) as again:
        assert again.outcome == "same", again.outcome
        assert again.failure.found_in == source, again.failure.found_in


def _expression(collection: Any) -> Any:
    """What ``dask.compute`` makes of a collection (dask/base.py)."""
    return FinalizeCompute(collections_to_expr([collection], True)).optimize()


def _materialised(expression: Any) -> dict[Any, Any]:
    """The graph as Dask itself makes it."""
    return dict(convert_legacy_graph(dict(expression.__dask_graph__())))
