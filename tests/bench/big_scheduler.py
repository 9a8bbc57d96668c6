"""A scheduler in a process of its own with very many tasks on it, and its stopwatch.

The tasks are put on it directly, as no worker could run a million in a bench's time.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import NamedTuple

import cloudpickle
from distributed import Client

TASKS = int(os.environ.get("DBGKIT_BENCH_TASKS", "200000"))
FAILURES = 1000
KINDS = 3
LIMIT = 300.0  # seconds until it has to stand

TRACEBACK = (
    '  File "/srv/jobs/load.py", line {line}, in load\n    return parse(record)\n'
    '  File "/srv/jobs/parse.py", line {line}, in parse_{kind}\n    return int(x)\n'
)

# The scheduler has no copy of this module.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@contextmanager
def big_scheduler(folder, tasks=TASKS, failures=FAILURES):
    """A client of a scheduler with so many tasks, of which so many have failed."""
    file = os.path.join(folder, "scheduler.json")
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    options = ["--port", "0", "--no-dashboard", "--no-show", "--scheduler-file", file]
    with open(os.path.join(folder, "scheduler.log"), "w") as log:
        process = subprocess.Popen([*command, *options], stdout=log, stderr=log)
        try:
            end = time.monotonic() + LIMIT
            while not os.path.exists(file):
                assert process.poll() is None and time.monotonic() < end
                time.sleep(0.05)
            with Client(scheduler_file=file, timeout=60) as client:
                build(client, tasks, failures)
                yield client
        finally:
            process.terminate()
            process.wait(120)  # with a million tasks it takes its time


def build(client, tasks, failures, label="load"):
    """Put tasks on the scheduler, in groups of 1,000; the last ones have failed."""
    client.run_on_scheduler(put_tasks, tasks=tasks, failures=failures, label=label)


async def put_tasks(dask_scheduler, tasks, failures, label):
    states = ("no-worker", "waiting", "memory", "released")
    for index in range(tasks):
        key = (f"{label}-{index // 1000:032x}", index % 1000)
        ts = dask_scheduler.new_task(key, None, "released")
        if index >= tasks - failures:
            fail(ts, index % KINDS, index)
        else:
            ts.state = states[index % 4]
        if index % 2000 == 0:
            await asyncio.sleep(0)


def fail(ts, kind, index):
    names = ("ValueError", "KeyError", "OSError")
    ts.state = "erred"
    ts.exception = ts.traceback = "bytes, elsewhere"
    ts.exception_text = f"{names[kind]}('cannot take record {index}')"
    ts.traceback_text = TRACEBACK.format(line=10 + kind, kind=kind)
    ts.exception_blame = ts
    ts.erred_on = {f"tcp://10.0.0.{index % 7}:1234"}


# -- the stopwatch -----------------------------------------------------------


def one_liner(dask_scheduler):
    """Seconds of what users type today."""
    start = time.thread_time()
    [(k, v.state) for k, v in dask_scheduler.tasks.items() if v.exception is not None]
    return time.thread_time() - start


def plain_pass(dask_scheduler):
    """Seconds of one look at the state of each task."""
    start = time.thread_time()
    for ts in dask_scheduler.tasks.values():
        ts.state  # noqa: B018
    return time.thread_time() - start


async def start_watch(dask_scheduler, churn=True):
    """Note the longest pause of the event loop, while tasks come and go.

    In seconds of the loop's own thread at work: other processes of a busy machine
    are no pause of ours.
    """
    watch = {"pause": 0.0, "gc": 0.0, "stop": False, "since": time.thread_time()}
    dask_scheduler.bench_watch = watch
    started = [0.0]
    inside = [0.0]

    def collected(phase, info):
        if phase == "start":
            started[0] = time.thread_time()
        else:
            took = time.thread_time() - started[0]
            inside[0] += took
            watch["gc"] = max(watch["gc"], took)

    async def look():
        gc.callbacks.append(collected)
        count = 0
        while not watch["stop"]:
            if churn:
                count += 1
                for index in range(5):
                    key = (f"churn-{index}", count)
                    dask_scheduler.new_task(key, None, "released")
                    dask_scheduler.transitions({key: "forgotten"}, "bench")
            inside[0] = 0.0
            before = time.thread_time()
            await asyncio.sleep(0.001)
            gap = time.thread_time() - before - inside[0]
            watch["pause"] = max(watch["pause"], gap)
        gc.callbacks.remove(collected)

    watch["task"] = asyncio.ensure_future(look())


async def stop_watch(dask_scheduler):
    """The longest pause, the longest garbage collection, all work: in seconds."""
    watch = dask_scheduler.bench_watch
    watch["stop"] = True
    await watch["task"]
    return watch["pause"], watch["gc"], time.thread_time() - watch["since"]


class Paused(NamedTuple):
    """Seconds: the longest pause, the longest collection, all work of the loop."""

    pause: float
    collection: float
    work: float


def paused(client, action, churn=True):
    """How the scheduler's event loop fares while an action runs."""
    client.run_on_scheduler(start_watch, churn=churn)
    action()
    return Paused(*client.run_on_scheduler(stop_watch))


# -- the extension -----------------------------------------------------------


def count_tasks(dask_scheduler):
    return len(dask_scheduler.tasks)


def forget_index(dask_scheduler, name):
    """As if the extension had just been installed."""
    dask_scheduler.plugins[name].restart(dask_scheduler)


def clear_failures(dask_scheduler):
    for ts in dask_scheduler.tasks.values():
        if ts.state == "erred":
            ts.state = "released"
            ts.exception_blame = None


def hook_cost(dask_scheduler, name):
    """Seconds that the extension takes of one transition, at the busiest."""
    plugin = dask_scheduler.plugins[name]
    keys = list(dask_scheduler.tasks)[:2_000]
    steps = (("waiting", "processing"), ("processing", "memory"))
    best = float("inf")
    for _ in range(5):
        start = time.thread_time()
        for key in keys:
            for before, after in steps:
                plugin.transition(key, before, after, stimulus_id="bench", worker="x")
        best = min(best, time.thread_time() - start)
    return best / len(keys) / len(steps)
