"""Tasks that use what surrounds a task on a worker, and fail."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import Any

import distributed
from distributed import (
    Event,
    Lock,
    Queue,
    Reschedule,
    Semaphore,
    Variable,
    WorkerPlugin,
    get_client,
    get_worker,
    rejoin,
    secede,
    worker_client,
)


def inc(x):
    return x + 1


# -- leaving the pool, submitting work ---------------------------------------------


def secede_and_fail(x):
    secede()
    left = threading.current_thread().name
    raise ValueError(f"cannot take {x} (seceded: {bool(left)})")


def secede_and_rejoin(x):
    secede()
    half = x / 2
    rejoin()
    raise ValueError(f"cannot take {half}")


def map_and_gather(x):
    client = get_client()
    futures = client.map(inc, range(x), pure=False)
    secede()
    values = client.gather(futures)
    del futures
    rejoin()
    raise ValueError(f"cannot take {values}")


def compute_within(x):
    import dask

    total = get_client().compute(dask.delayed(inc)(x)).result(timeout=20)
    raise ValueError(f"cannot take {total}")


def collection_within(x):
    import dask

    total = dask.delayed(inc)(x).compute()
    raise ValueError(f"cannot take {total}")


def scatter_within(x):
    with worker_client() as client:
        (future,) = client.scatter([x])
        value = client.gather(client.submit(inc, future, pure=False))
        del future
    raise ValueError(f"cannot take {value}")


def close_the_client(name, x):
    if Event(name).is_set():
        with get_client() as client:
            client.submit(inc, x, pure=False).result(timeout=20)
    raise ValueError(f"cannot take {x}")


async def await_the_client(x):
    client = get_client()
    value = await client.submit(inc, x, pure=False)
    values = await client.gather(client.map(inc, [x, value], pure=False))
    raise ValueError(f"cannot take {values}")


# -- what is on the worker ---------------------------------------------------------


class Loader(WorkerPlugin):
    """Keeps the worker, a lock and a thing that cannot be sent, as plugins do."""

    name = "loader"

    def __init__(self, factor):
        self.factor = factor

    def setup(self, worker):
        self.worker = worker
        self.guard = threading.Lock()
        worker.factor = self.factor
        worker.sockets = [1, (number for number in (1, 2))]


class Closed(WorkerPlugin):
    """Has something that cannot be sent."""

    name = "closed"

    def setup(self, worker):
        self.thread = threading.current_thread()


def use_plugin(x):
    plugin = get_worker().plugins["loader"]
    with plugin.guard:
        value = x * plugin.factor
    raise ValueError(f"cannot take {value} of {plugin.worker is get_worker()}")


def use_closed_plugin(x):
    plugins = get_worker().plugins
    names = "closed" in plugins
    raise ValueError(f"cannot take {x} {names} {plugins['closed'].thread.name}")


def use_attribute(x):
    value = x * get_worker().factor
    raise ValueError(f"cannot take {value}")


def use_sockets(x):
    value = get_worker().sockets
    value = len(value) + x
    raise ValueError(f"cannot take {value}")


def use_no_such_attribute(x):
    value = x * get_worker().no_such_attribute
    return value


def cache_on_worker(x):
    worker = get_worker()
    if not hasattr(worker, "of_a_task"):
        worker.of_a_task = {}
    worker.of_a_task[x] = x + 1
    value = sorted(worker.of_a_task)
    raise ValueError(f"cannot take {value}")


def use_state(x):
    worker = get_worker()
    told = (worker.state.nthreads, worker.status.name)
    raise ValueError(f"cannot take {x}: {told}")


def use_data(key):
    value = get_worker().data[key]
    raise ValueError(f"cannot take {value}")


def use_key(x):
    key = get_worker().get_current_task()
    same = key == distributed.utils.thread_state.key
    raise ValueError(f"cannot take {x} {key.partition('-')[0]} {same}")


def print_and_fail(x):
    distributed.print("printed", x)
    get_worker().log_event("standin-test", {"x": x})
    raise ValueError(f"cannot take {x}")


# -- actors ------------------------------------------------------------------------


class Counter:
    n = 0

    def __init__(self, start=0):
        self.n = start

    def add(self, by):
        self.n += by
        return self.n

    def slow(self, seconds):
        time.sleep(seconds)
        return self.n


@dataclass
class Holder:
    counter: Any
    label: str = "held"


def value_of(counter):
    return counter.n


def use_actor(counter, x):
    total = counter.add(x).result()
    value = type(total).__name__
    raise ValueError(f"cannot take {value}")


def use_actors(nested, x):
    if isinstance(nested, Holder):
        nested = [nested.counter]
    if isinstance(nested, dict):
        nested = list(nested.values())
    totals = [counter.add(x).result() for counter in nested]
    value = len(totals)
    raise ValueError(f"cannot take {value}")


def use_actor_attribute(counter, x):
    value = counter.n
    value = type(value).__name__ + str(x)
    raise ValueError(f"cannot take {value}")


def use_actor_future(future, x):
    total = future.result().add(x).result()
    value = type(total).__name__
    raise ValueError(f"cannot take {value}")


async def await_actor(counter, x):
    total = await counter.add(x)
    value = type(total).__name__
    raise ValueError(f"cannot take {value}")


def wait_for_actor(counter, event):
    if Event(event).is_set():
        counter.slow(4).result()
    raise ValueError("early")


def holder_of(counter):
    return {"holder": Holder(counter)}


def use_holder(holder, x):
    total = holder["holder"].counter.add(x).result()
    value = type(total).__name__
    raise ValueError(f"cannot take {value}")


# -- locks -------------------------------------------------------------------------


def with_lock(name, x):
    with Lock(name):
        half = x / 2
        raise ValueError(f"cannot take {half}")


def keep_lock(name, x):
    lock = Lock(name)
    lock.acquire()
    raise ValueError(f"cannot take {x}")


def keep_given_lock(lock, x):
    lock.acquire()
    raise ValueError(f"cannot take {x}")


def keep_semaphore(name, x):
    semaphore = Semaphore(max_leases=2, name=name)
    semaphore.acquire()
    semaphore.acquire()
    raise ValueError(f"cannot take {x}")


def nameless_lock(x):
    with Lock() as lock:
        locked = lock.locked()
        raise ValueError(f"cannot take {x} {locked}")


async def await_lock(name, x):
    async with Lock(name):
        half = x / 2
        raise ValueError(f"cannot take {half}")


def hold_until(name, held, done):
    with Lock(name):
        Event(held).set()
        Event(done).wait(timeout=60)


def try_lock(name, x):
    lock = Lock(name)
    got = lock.acquire(timeout=0.2)
    if got:
        lock.release()
    raise ValueError(f"cannot take {x}, as {got}")


# -- queues, variables, events -----------------------------------------------------


def put_into_queue(name, x):
    queue = Queue(name)
    queue.put(x)
    raise ValueError(f"cannot take {x}")


def take_from_queue(name, x):
    value = Queue(name).get()
    value = type(value).__name__
    raise ValueError(f"cannot take {value}")


def future_from_queue(name, x):
    client = get_client()
    queue = Queue(name, client=client)
    queue.put(client.submit(inc, x, pure=False))
    value = client.gather(queue.get(timeout=20))
    raise ValueError(f"cannot take {value}")


def read_variable(name, x):
    value = Variable(name).get()
    value = value + x
    raise ValueError(f"cannot take {value}")


def set_variable(name, x):
    Variable(name).set(x)
    raise ValueError(f"cannot take {x}")


def wait_for_event(name, x):
    value = Event(name).wait()
    raise ValueError(f"cannot take {value} {x}")


def reschedule_or_fail(name, x):
    if Event(name).is_set():
        raise Reschedule
    raise ValueError(f"cannot take {x}")


def take_one_of_two(name, x):
    with Semaphore(max_leases=2, name=name):
        raise ValueError(f"cannot take {x}")


def hang_or_fail(path):
    while not os.path.exists(path):
        time.sleep(0.05)
    raise ValueError("there")


def with_lock_of_its_own(x):
    with Lock(f"standin-{get_worker().get_current_task()}"):
        raise ValueError(f"cannot take {x}")
