"""Tasks of the tests of replays on workers; workers import it, so it is light."""

from __future__ import annotations

import operator
import os
import threading
import time

from distributed import get_client, get_worker, rejoin, secede, worker_client
from distributed.core import Status


def fails_at_first(path, then=None):
    """Fail, and from then on return, or fail otherwise."""
    first = not os.path.exists(path)
    open(path, "w").close()
    if first:
        raise ValueError("for the first time")
    if then is not None:
        raise KeyError(then)
    return {"rows": 25, "password": "hunter2"}


def fails_and_returns_in_turn(path):
    with open(path, "a") as file:
        file.write(".")
    if os.path.getsize(path) % 2:
        raise ValueError("an odd one")
    return "an even one"


def fails_then_waits(path):
    """Fail, and from then on wait until a file is there."""
    first = not os.path.exists(f"{path}-seen")
    open(f"{path}-seen", "w").close()
    if first:
        raise ValueError("for the first time")
    open(f"{path}-begun", "w").close()
    end = time.monotonic() + 60
    while not os.path.exists(f"{path}-go") and time.monotonic() < end:
        time.sleep(0.01)
    return "gone on"


def fails_then_ends(path):
    first = not os.path.exists(path)
    open(path, "w").close()
    if first:
        raise ValueError("for the first time")
    os._exit(3)


def sum_and_fail(one, other):
    total = float(one.sum() + other.sum())
    raise ValueError(f"a sum of {total}")


def goes_once(path):
    with open(path, "x"):
        return 4


class Counter:
    def __init__(self):
        self.count = 0


async def boom_with_client(x):
    client = get_client()
    doubled = await client.submit(operator.mul, x, 2)
    raise ValueError(f"cannot take {doubled}")


def uses_its_worker(x):
    worker = get_worker()
    key = worker.get_current_task()
    doubled = get_client().submit(operator.mul, x, 2).result(timeout=20)
    raise ValueError(f"{key} cannot take {doubled} on {worker.address}")


def counts_on_its_worker(x):
    worker = get_worker()
    worker.seen_by_test = getattr(worker, "seen_by_test", 0) + 1
    raise ValueError(f"cannot take {x}")


def leaves_the_pool(x):
    secede()
    with worker_client() as client:
        doubled = client.submit(operator.mul, x, 2).result(timeout=20)
    rejoin()
    raise ValueError(f"cannot take {doubled}")


def fail_on(part):
    raise ValueError(f"cannot take {len(part.columns)} columns")


def names_of_state():
    from distributed.utils import thread_state

    return set(vars(thread_state))


# -- looks at a worker ---------------------------------------------------------


def threads_of(dask_worker):
    """Names of the threads that replays have left in a worker's process."""
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("dbgkit-replay")
    ]


def drop(key, dask_worker):
    """Have a worker give a replica up, as the active memory manager does."""
    from distributed.worker_state_machine import RemoveReplicasEvent

    event = RemoveReplicasEvent(keys=[key], stimulus_id="test")
    dask_worker.handle_stimulus(event)
    return key not in dask_worker.data


def pool_of(dask_worker):
    pool = dask_worker.executors["default"]
    return sorted(thread.name for thread in pool._threads), len(pool._rejoin_list)


def pause(dask_worker, on=True):
    """Pause a worker by hand, or have it go on; its memory is not looked at then."""
    callbacks = dask_worker.periodic_callbacks
    if on and "memory_monitor" in callbacks:
        callbacks["memory_monitor"].stop()
    dask_worker.status = Status.paused if on else Status.running
