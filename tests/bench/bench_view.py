"""What a scheduler with very many tasks pays for being asked, and what a dump costs.

Times are of the scheduler's own thread at work, so that a busy machine does not
change them; full garbage collections are reported apart.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench_kit import Figure, interleave
from big_scheduler import (
    TASKS,
    big_scheduler,
    clear_failures,
    count_tasks,
    forget_index,
    hook_cost,
    one_liner,
    paused,
    plain_pass,
)
from distributed.cluster_dump import load_cluster_dump

import dbgkit
from dbgkit.cluster.extension import extension_name
from dbgkit.cluster.link import Link
from dbgkit.cluster.view import LiveView

FEW = 100_000  # tasks of a quick run


def measure(quick: bool = False) -> list[Figure]:
    """All figures of failures and tasks, live, and of failures in a dump."""
    count = FEW if quick else TASKS
    figures = []
    with (
        tempfile.TemporaryDirectory() as folder,
        big_scheduler(folder, count, count // 1_000) as client,
    ):
        Link(client, 60).progress([])  # installs the extension
        figures += list(_live(client, 3 if quick else 7))
    figures += list(_dump(10_000 if quick else 100_000))
    return figures


def _live(client: Any, rounds: int) -> Iterator[Figure]:
    name = extension_name()

    def first() -> float:
        client.run_on_scheduler(forget_index, name=name)
        return _work(client, lambda: dbgkit.failures(client=client))

    def scheduler(function: Callable[..., float]) -> Callable[[], float]:
        return lambda: client.run_on_scheduler(function)

    def later() -> float:
        return _work(client, lambda: dbgkit.failures(client=client))

    def waiting() -> float:
        return _work(client, lambda: dbgkit.tasks(client=client, state="waiting"))

    one, whole, cold, warm, rows = (
        statistics.median(side)
        for side in interleave(
            rounds, scheduler(one_liner), scheduler(plain_pass), first, later, waiting
        )
    )
    size = client.run_on_scheduler(count_tasks)
    made = f"{size:,} tasks; one-liner {one * 1e3:.0f} ms"
    yield Figure("failures(), first ÷ one-liner", cold / one, 3.0, detail=made)
    # It takes as long with few tasks, of which the one-liner goes through all.
    bar = 0.1 if size >= TASKS else 0.2
    yield Figure(
        "failures(), later ÷ one-liner", warm / one, bar, detail=f"{warm * 1e3:.1f} ms"
    )
    yield Figure(
        "tasks(state=…) ÷ plain pass",
        rows / whole,
        3.0,
        detail=f"{rows * 1e3:.0f} ÷ {whole * 1e3:.0f} ms",
    )
    yield from _pauses(client, one, rounds)
    yield from _bytes_sent(client)
    cost = client.run_on_scheduler(hook_cost, name=name)
    yield Figure("index, a transition", cost * 1e6, 2.0, "µs")
    client.run_on_scheduler(clear_failures)
    client.run_on_scheduler(forget_index, name=name)
    answer = LiveView(Link(client, 60)).ask("failures", {"limit": 20})
    yield Figure(
        "visits where no group counts an erred task",
        float(answer["passed"]),
        0.0,
        exact=True,
    )


def _pauses(client: Any, one: float, rounds: int) -> Iterator[Figure]:
    """Longest pauses above the idle loop's own, while tasks are added and forgotten."""
    name = extension_name()

    def first() -> None:
        client.run_on_scheduler(forget_index, name=name)
        dbgkit.failures(client=client)

    actions: dict[str, Callable[[], Any]] = {
        "failures(), first": first,
        "failures(), later": lambda: dbgkit.failures(client=client),
        "tasks(state=…)": lambda: dbgkit.tasks(client=client, state="waiting"),
        "tasks(sort=…)": lambda: dbgkit.tasks(client=client, sort="-dependents"),
    }
    idle = statistics.median(
        paused(client, lambda: time.sleep(0.2)).pause for _ in range(rounds)
    )
    for what, action in actions.items():
        stops = [paused(client, action) for _ in range(rounds)]
        pause = statistics.median(stop.pause for stop in stops) - idle
        collection = max(stop.collection for stop in stops)
        yield Figure(
            f"pause in {what}",
            max(pause, 0.0) * 1e3,
            max(0.2 * one, 0.020) * 1e3,
            "ms",
            f"idle {idle * 1e3:.1f} ms; longest collection {collection * 1e3:.0f} ms",
        )


def _bytes_sent(client: Any) -> Iterator[Figure]:
    from distributed.protocol import dumps

    view = LiveView(Link(client, 60))
    for verb, question in (
        ("failures", {"limit": 20}),
        ("tasks", {"limit": 50, "failed": True}),
    ):
        size = sum(map(len, dumps(view.ask(verb, question))))
        yield Figure(f"sent for {verb}()", size / 1e3, 200.0, "kB")


def _dump(count: int) -> Iterator[Figure]:
    """``failures`` on a dump ÷ reading that dump, as Dask itself does."""
    with tempfile.TemporaryDirectory() as folder:
        with big_scheduler(folder, count, count // 100) as client:
            path = str(Path(folder) / "state.msgpack.gz")
            client.dump_cluster_state(str(Path(folder) / "state"))

        def read() -> float:
            start = time.process_time()
            load_cluster_dump(path, max_buffer_size=2**31)
            return time.process_time() - start

        def ask() -> float:
            start = time.process_time()
            dbgkit.failures(view=path)
            return time.process_time() - start

        reads, asks = interleave(3, read, ask)
    both = statistics.median(asks), statistics.median(reads)
    yield Figure(
        "failures(view=dump) ÷ reading it",
        both[0] / both[1],
        1.2,
        detail=f"{count:,} tasks; {both[0]:.2f} ÷ {both[1]:.2f} s",
    )


def _work(client: Any, action: Callable[[], Any]) -> float:
    """Seconds that the scheduler's thread works for an action, stopwatch apart."""
    nothing = paused(client, lambda: None, churn=False).work
    return max(paused(client, action, churn=False).work - nothing, 0.0)
