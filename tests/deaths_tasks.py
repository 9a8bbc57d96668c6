"""Tasks that end their worker, and looks at how it died."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import multiprocessing
import os
import signal
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import dask
import msgpack
from conftest import own_cluster
from distributed import wait
from watching import wait_until

import dbgkit
from dbgkit.remote.worker.black_box_folders import boxes_in, folder_in


def leave(status=3):
    end = time.monotonic() + 0.5  # longer than between two samples
    while time.monotonic() < end:
        time.sleep(0.01)
    os._exit(status)


def touch_and_loop(started, *args):
    Path(started).touch()
    loop(*args)


def crash():
    ctypes.string_at(0)


def loop(path, *inputs):
    """Run until a file is there."""
    while not os.path.exists(path):
        time.sleep(0.01)


async def hang(path):
    while not os.path.exists(path):
        await asyncio.sleep(0.01)


async def crash_later():
    await asyncio.sleep(0.5)  # longer than between two samples
    crash()


def fill_memory(path):
    held = b"x" * 2**30
    loop(path)
    return len(held)


PATIENT = {"distributed.scheduler.allowed-failures": 0}  # a death is final
KEY = ("<b>[/a]", "é'\n")


@contextmanager
def recorded(**options):
    """A cluster whose workers may die, the recorder on."""
    options = {"n_workers": 2, "threads_per_worker": 1, **options}
    with (
        dask.config.set(PATIENT),
        own_cluster(**options) as client,
        dbgkit.record(client=client),
    ):
        yield client
        # It cannot close while a nanny starts a worker.
        client.wait_for_workers(options["n_workers"], timeout=60)


@contextmanager
def pooled():
    """A cluster of one worker, which has a process pool; the recorder on."""

    def add_pool(dask_worker):
        spawn = multiprocessing.get_context("spawn")
        dask_worker.executors["pool"] = ProcessPoolExecutor(1, mp_context=spawn)

    # Workers that are daemons may have no processes of their own.
    daemons = dask.config.set({"distributed.worker.daemon": False})
    with daemons, recorded(n_workers=1) as client:
        client.run(add_pool)
        yield client


def boxes_of(pid):
    """Paths of a process's boxes."""
    boxes = boxes_in([folder_in(tempfile.gettempdir())])
    return [box for box in boxes if os.path.basename(box).startswith(f"{pid}-")]


def workers(client):
    """Address -> process id."""
    return client.run(os.getpid)


def running(client, *keys):
    """The worker that runs some tasks, once it has seen in which lines."""

    def found(dask_worker):
        plugins = dask_worker.plugins.values()
        boxes = [each.box for each in plugins if getattr(each, "box", None)]
        if not boxes:
            return []
        package = type(boxes[0]).__module__.partition(".")[0]
        read = __import__("sys").modules[f"{package}.common.boxes"].read_box
        tasks = read(boxes[0].path)
        return [task["text"] or task["key"] for task in tasks["tasks"] if task["line"]]

    packed = {msgpack.packb(key) for key in keys}

    def where():
        seen = client.run(found).items()
        return [each for each, tasks in seen if packed <= set(tasks)]

    return wait_until(where, f"{keys} run")[0]


def gone(client, worker):
    """The death of a worker."""
    return next(each for each in dbgkit.deaths(client=client) if each.worker == worker)


def die(client, function, *args, key, **options):
    """Run what kills its worker; returns the failed future, and that death."""
    client.wait_for_workers(2, timeout=60)
    before = set(workers(client))
    future = client.submit(function, *args, key=key, pure=False, **options)
    wait(future)
    (death,) = (each for each in dbgkit.deaths(client=client) if key in each.keys)
    assert death.worker in before
    return future, death


class Custom(BaseException):
    """What neither Python nor Dask knows."""


ENDINGS = {
    "exit": lambda: SystemExit("token=hunter2hunter2"),
    "status": lambda: SystemExit(7),
    "interrupt": lambda: KeyboardInterrupt("stop it"),
}
FAILURES = {
    "generator": lambda: GeneratorExit("g"),
    "cancelled": lambda: asyncio.CancelledError("c"),
    "custom": lambda: Custom("m"),
}


def raise_it(kind):
    raise {**ENDINGS, **FAILURES}[kind]()


async def raise_it_later(kind):
    await asyncio.sleep(0.01)
    raise {**ENDINGS, **FAILURES}[kind]()


def start_then_raise(started, go):
    Path(started).touch()
    loop(go)
    raise SystemExit(9)


def leave_at_once(status=6):
    os._exit(status)


def add_one(number):
    return number + 1


def leave_with(number):
    os._exit(number)


def log_and_leave():
    log = logging.getLogger("my.library")
    for number in range(30):
        log.warning("try %d failed", number)
    try:
        raise_it("custom")
    except Custom:
        log.exception("login with %s", {"password": "hunter2hunter2"})
    os._exit(8)


def grow_and_die():
    held = []
    time.sleep(1)  # a worker is sampled several times a second
    for _ in range(20):
        held.append(b"x" * 20_000_000)
        time.sleep(0.05)
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)


def terminate():
    """End as C++ does on an exception that nobody catches."""
    time.sleep(0.5)  # longer than between two samples
    os.write(2, b"terminate called after throwing an instance of 'Bad'\n")
    os.write(2, b"  what():  token=hunter2hunter2\n")
    os.abort()
