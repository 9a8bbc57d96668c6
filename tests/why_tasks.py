"""Tasks that do not move, and clusters that hold them up; workers import this too."""

from __future__ import annotations

import asyncio
import os
import time

from distributed import (
    Event,
    Lock,
    MultiLock,
    Queue,
    Semaphore,
    Variable,
    Worker,
    get_worker,
)


def inc(x):
    return x + 1


def first(x, *others):
    return x


def loop_until(path, *inputs):
    """Run, waiting for nothing of Dask's, until a file is there."""
    while not os.path.exists(path):
        time.sleep(0.01)
    return path


def fail_then_loop(path, tries):
    """Fail at the first attempt, run on at the second."""
    if not os.path.exists(tries):
        with open(tries, "w"):
            raise OSError("the first attempt")
    return loop_until(path)


def die_then_loop(path, tries):
    """Kill the worker at the first attempt, run on at the second."""
    if not os.path.exists(tries):
        with open(tries, "w"):
            os._exit(3)
    return loop_until(path)


def die_on_word(word, tries):
    """Kill the worker at the first attempt, once a file is there."""
    loop_until(word)
    if not os.path.exists(tries):
        with open(tries, "w"):
            os._exit(3)


def dive(depth):
    """A traceback that is too deep for the client to read."""
    return dive(depth + 1) + 1


def wait_for(kind, name):
    """Wait for what nobody lets go of, sets or fills."""
    if kind == "lock":
        Lock(name).acquire()
    elif kind == "semaphore":
        Semaphore(2, name).acquire()
    elif kind == "event":
        Event(name).wait()
    elif kind == "queue":
        Queue(name).get()
    elif kind == "variable":
        Variable(name).get()
    else:
        MultiLock([name]).acquire()
    return name


def worker_address(*inputs):
    return get_worker().address


def partition(path, index):
    """A frame's partition; the first comes once a file is there."""
    import pandas as pd

    if index == 0:
        loop_until(path)
    return pd.DataFrame({"x": range(index, index + 4), "y": 1.0})


class SlowToSend:
    """A big value that is being sent until a file is there.

    Dask turns what is so big into bytes in a thread, so that its worker answers.
    """

    def __init__(self, path):
        self.path = path

    def __sizeof__(self):
        return 2**25

    def __reduce__(self):
        return SlowToSend, (loop_until(self.path),)


class SlowWorker(Worker):
    """A worker that is not there until a file is."""

    async def start_unsafe(self):
        while not os.path.exists(os.environ["WHY_START"]):
            await asyncio.sleep(0.01)
        return await super().start_unsafe()
