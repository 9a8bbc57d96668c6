"""What a scheduler pays for failures of tasks that waited for tasks of their own.

Times are of the scheduler's own thread at work, as in `bench_view`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import cloudpickle
from bench_kit import Figure, interleave
from big_scheduler import TASKS, TRACEBACK, big_scheduler, fail, one_liner, paused

import dbgkit
from dbgkit.cluster.extension import extension_name
from dbgkit.cluster.link import Link

FEW = 100_000  # tasks of a quick run
MANY = 20_000  # pairs of tasks that failed, for the pauses
WAITED = (
    '  File "/srv/jobs/outer.py", line 7, in outer\n    return future.result()\n'
    '  File "/env/distributed/client.py", line 402, in result\n    raise exc\n'
)

# The scheduler has no copy of this module.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def measure(quick: bool = False) -> list[Figure]:
    """All figures of failures that are followed into what a task had submitted."""
    count, rounds = (FEW, 3) if quick else (TASKS, 7)
    pairs = count // 2_000
    with (
        tempfile.TemporaryDirectory() as folder,
        big_scheduler(folder, count, pairs) as client,
    ):
        Link(client, 60).progress([])  # installs the extension
        client.run_on_scheduler(put_outer, pairs=pairs, label="few")
        figures = list(_repeated(client, rounds, pairs))
        client.run_on_scheduler(put_pairs, pairs=MANY)
        return [*figures, *_pauses(client, rounds)]


async def put_outer(dask_scheduler: Any, pairs: int, label: str) -> None:
    """For each of the last tasks that failed, one that waited for it and failed."""
    erred = [ts for ts in dask_scheduler.tasks.values() if ts.state == "erred"]
    for number, inner in enumerate(erred[-pairs:]):
        outer = dask_scheduler.new_task((f"outer-{label}", number), None, "released")
        fail(outer, number % 3, number)
        outer.exception_text = inner.exception_text
        outer.traceback_text = WAITED + inner.traceback_text
        outer.priority, inner.priority = (0, 1, 0), (0, 0.99, 0)
        tell(dask_scheduler, inner)
        tell(dask_scheduler, outer)


async def put_pairs(dask_scheduler: Any, pairs: int) -> None:
    """As many inner tasks again, all with one text."""
    for number in range(pairs):
        ts = dask_scheduler.new_task(("inner-many", number), None, "released")
        fail(ts, 0, number)
        ts.exception_text = "ValueError('the same')"
        ts.traceback_text = TRACEBACK.format(line=1, kind=0)
    await put_outer(dask_scheduler, pairs, "many")


def tell(dask_scheduler: Any, ts: Any) -> None:
    """Have the index know of a failed task, as a transition does."""
    for name, plugin in dask_scheduler.plugins.items():
        if "dbgkit" in name and hasattr(plugin, "index"):
            plugin.transition(ts.key, "processing", "erred")


def fail_again(dask_scheduler: Any, name: str) -> float:
    """Seconds that the index takes of a failure, and of a task's leaving that state."""
    plugin = dask_scheduler.plugins[name]
    keys = [ts.key for ts in dask_scheduler.tasks.values() if ts.state == "erred"]
    start = time.thread_time()
    for key in keys:
        plugin.transition(key, "erred", "released", stimulus_id="bench")
        plugin.transition(key, "processing", "erred", stimulus_id="bench")
    return (time.thread_time() - start) / len(keys) / 2


def _repeated(client: Any, rounds: int, pairs: int) -> Iterator[Figure]:
    def ask() -> float:
        return _work(
            client, lambda: Link(client, 60).question("failures", {"limit": 20})
        )

    def visit() -> float:
        key = ("outer-few", pairs - 1)
        return _work(client, lambda: Link(client, 60).visit(keys=[key]))

    ask(), visit()
    one, later, visits = (
        statistics.median(side)
        for side in interleave(
            rounds, lambda: client.run_on_scheduler(one_liner), ask, visit
        )
    )
    detail = f"{2 * pairs} failures; {later * 1e3:.1f} ÷ {one * 1e3:.0f} ms"
    yield Figure(
        "failures() of inner tasks, later ÷ one-liner", later / one, 0.1, detail=detail
    )
    yield Figure("visit of an inner task, later", visits * 1e3, None, "ms")
    cost = client.run_on_scheduler(fail_again, name=extension_name())
    yield Figure("index, a failure while a table is kept", cost * 1e6, 2.0, "µs")


def _pauses(client: Any, rounds: int) -> Iterator[Figure]:
    idle = statistics.median(
        paused(client, lambda: time.sleep(0.2)).pause for _ in range(rounds)
    )

    def ask() -> None:
        dbgkit.failures(client=client)

    def visit() -> None:
        Link(client, 60).visit(keys=[("outer-many", MANY - 1)])

    for what, action in (
        ("failures() of inner tasks, first", ask),
        ("failures() of inner tasks, later", ask),
        ("visit of an inner task", visit),
    ):
        times = 1 if what.endswith("first") else rounds
        stops = [paused(client, action) for _ in range(times)]
        pause = statistics.median(stop.pause for stop in stops) - idle
        work = statistics.median(stop.work for stop in stops)
        yield Figure(
            f"pause in {what}",
            max(pause, 0.0) * 1e3,
            20.0,
            "ms",
            f"{2 * MANY:,} failures; {work * 1e3:.0f} ms of work",
        )


def _work(client: Any, action: Any) -> float:
    nothing = paused(client, lambda: None, churn=False).work
    return max(paused(client, action, churn=False).work - nothing, 0.0)
