"""Tasks that block each other; workers import this too."""

from __future__ import annotations

import os

from dask import delayed
from distributed import (
    Event,
    Lock,
    Semaphore,
    as_completed,
    get_client,
    get_worker,
    secede,
    wait,
    worker_client,
)

SHARED = []  # a lock of this process, made by the first task that uses it


def inc(x):
    return x + 1


def submit_and_wait(how, count=1, timeout=None):
    """Submit tasks to this cluster, and wait for them in one way or another."""
    client = get_client()
    futures = [
        client.submit(inc, i, pure=False, key=f"inner-{how}-{os.getpid()}-{i}")
        for i in range(count)
    ]
    if how == "result":
        return futures[0].result(timeout)
    if how == "exception":
        return futures[0].exception()
    if how == "gather":
        return client.gather({"nested": [futures]})
    if how == "wait":
        return len(wait(futures).done)
    if how == "as_completed":
        return [future.result() for future in as_completed(futures)]
    raise ValueError(how)


def wait_without_a_thread(how):
    """As Dask advises: the thread is given back while the task waits."""
    if how == "worker_client":
        with worker_client() as client:
            return client.submit(inc, 1, pure=False).result()
    if how == "compute":  # Client.get secedes by itself
        return delayed(inc)(1).compute()
    client = get_client()
    secede()
    return client.submit(inc, 1, pure=False).result()


def take_both(first, second, mine, others):
    """Take two locks, the second one once the other task has its first."""
    with Lock(first):
        Event(mine).set()
        Event(others).wait()
        with Lock(second):
            return first


def hold_and_submit(name):
    """Hold a lock, and wait for a task that needs it."""
    with Lock(name):
        client = get_client()
        return client.submit(take, name, pure=False, key=f"needs-{name}").result()


def take(name, timeout=None):
    with Lock(name) as lock:
        return lock.name


def take_for(name, timeout):
    return Lock(name).acquire(timeout=timeout)


def take_one_of(name, most):
    with Semaphore(most, name):
        return name


def take_and_end(name, kind="lock"):
    """Take a lock, and leave it taken."""
    lock = Lock(name) if kind == "lock" else Semaphore(1, name)
    return lock.acquire()


def take_and_wait(name, event):
    """Hold a lock until an event is set."""
    with Lock(name):
        Event(event).wait()


def take_and_die(name, taken):
    """Kill the worker while it holds a lock."""
    Lock(name).acquire()
    Event(taken).set()
    os._exit(3)


def use_shared(name, event, entered=None):
    """Hold a lock that all tasks of the process share until an event is set."""
    if not SHARED:
        SHARED.append(Lock(name))
    with SHARED[0]:
        if entered:
            Event(entered).set()
        Event(event).wait()


def take_and_keep(name):
    """Take a lock, and keep it where a later task finds it."""
    get_worker().kept_lock = lock = Lock(name)
    return lock.acquire()


def release_kept():
    get_worker().kept_lock.release()


class Holding:
    """An actor that takes a lock in one method, and releases it in another."""

    def __init__(self, name):
        self.lock = Lock(name)

    def take(self):
        return self.lock.acquire()

    def release(self):
        self.lock.release()


def take_both_of(first, second, mine, others):
    """As `take_both`, with locks that came as arguments."""
    with first:
        Event(mine).set()
        Event(others).wait()
        with second:
            return True


def submit_bound(workers):
    """Wait for a task that may run on some workers only."""
    client = get_client()
    return client.submit(inc, 1, workers=workers, key="bound", pure=False).result()
