"""Tasks that submit tasks of their own."""

from __future__ import annotations

import asyncio
import gc

import dask
from distributed import as_completed, get_client, rejoin, secede, worker_client


class Unpriced(Exception):
    """A user's own exception, around another one."""


def ratio_of(x):
    """The inner task, which fails on 0."""
    weight = x + 25
    return weight / x


def by_worker_client(x):
    """Wait for one task within `worker_client`."""
    with worker_client() as client:
        return client.submit(ratio_of, x).result()


def by_gather(x):
    """Secede, and gather."""
    client = get_client()
    futures = client.map(ratio_of, [x, x + 1])
    secede()
    found = client.gather(futures)
    rejoin()
    return sum(found)


def by_compute(x):
    """Compute a graph."""
    return dask.delayed(ratio_of)(x).compute()


async def by_await(x):
    """Await a future."""
    return await get_client().submit(ratio_of, x)


async def gathering(x):
    """Gather, in a coroutine."""
    client = get_client()
    return await client.gather(client.map(ratio_of, [x, x + 1], pure=False))


async def connected(x):
    """Wait for the client itself, and for the results one by one."""
    client = await get_client()
    futures = client.map(ratio_of, [x, x + 1], pure=False)
    return [await future for future in futures]


async def computing(x):
    """Compute graphs, in a coroutine."""
    client = get_client()
    graphs = [dask.delayed(ratio_of, pure=False)(each) for each in (x, x + 1)]
    return await client.gather(client.compute(graphs))


async def scattering(x):
    """Send the value ahead, in a coroutine.

    Once the client is connected: a key that the scheduler is told of before it knows
    the client is wanted for good (``Scheduler.client_desires_keys``, ``.add_client``).
    """
    client = await get_client()
    (value,) = await client.scatter([x])
    return await client.submit(ratio_of, value, pure=False)


async def one_by_one(x):
    """Take results as they come, in a coroutine.

    Of itself `as_completed` waits in the loop of the process's default client, which is
    another cluster's where a test has several.
    """
    client = get_client()
    futures = client.map(ratio_of, [x, x + 1], pure=False)
    return [await future async for future in as_completed(futures, loop=client.loop)]


async def with_results(x):
    """As `one_by_one`, with results that are gathered on the way."""
    client = get_client()
    futures = client.map(ratio_of, [x, x + 1], pure=False)
    taken = as_completed(futures, client.loop, with_results=True)
    return [found async for _, found in taken]


async def in_parts(x):
    """Ask for the client in parts of a coroutine."""

    async def part(value):
        return await get_client().submit(ratio_of, value, pure=False)

    return await asyncio.gather(part(x), part(x + 1))


async def within(x):
    """Have the client in an ``async with``, which closes the worker's own."""
    async with get_client() as client:
        return await client.gather(client.map(ratio_of, [x, x + 1], pure=False))


def deep(x, depth=150):
    """Fail so far down that the traceback does not come home."""
    return deeper(x, depth - 1) if depth else 1 / x


def deeper(x, depth):
    """The other half of `deep`."""
    return deep(x, depth)


def by_deep(x):
    """Wait for `deep`."""
    return get_client().submit(deep, x).result()


def refused(x):
    """Have the client itself raise."""
    return get_client().submit("no function", x).result()


def refused_too(x):
    """As `refused`, in other code."""
    with worker_client() as client:
        return client.submit("no function", x, pure=False)


def wrapping(x):
    """Raise an exception of our own from the inner one."""
    try:
        return by_worker_client(x)
    except ZeroDivisionError as error:
        raise Unpriced(f"could not price item {x}") from error


def while_handling(x):
    """Raise an exception while the inner one is handled."""
    try:
        return by_gather(x)
    except ZeroDivisionError:
        return {}["no such price"]


def nested(x):
    """Wait for a task that waits for a task."""
    with worker_client() as client:
        return client.submit(by_worker_client, x).result()


def nested_wrapping(x):
    """Wait for a task that waits for a task, and wrap what comes of it, twice."""
    try:
        with worker_client() as client:
            return client.submit(wrapping, x).result()
    except Unpriced as error:
        raise RuntimeError("the whole report failed") from error


def by_executor(x):
    """Wait for a future of ``concurrent.futures``."""
    return get_client().get_executor(pure=True).submit(ratio_of, x).result()


def collect():
    """Let go of what dead frames hold."""
    for _ in range(3):
        gc.collect()


class Opaque:
    """Its representation is its address."""


def opaque(x):
    """Fail with a value that looks different in each process."""
    raise ValueError(Opaque(), x)


def by_opaque(x):
    """Wait for a task that fails so."""
    return get_client().submit(opaque, x).result()


class Unpicklable(Exception):
    """Comes home as an exception of another class."""

    def __reduce__(self):
        raise TypeError("not to be pickled")


def unpicklable(x):
    """The inner task of `by_unpicklable`."""
    raise Unpicklable(f"no price for {x}")


def by_unpicklable(x):
    """Wait for a task whose exception loses its class on its way."""
    return get_client().submit(unpicklable, x).result()


async def by_unpicklable_async(x):
    """As `by_unpicklable`, in a coroutine."""
    return await get_client().submit(unpicklable, x)


def and_again(x):
    """As `by_unpicklable`, with an exception of its own."""
    try:
        return by_unpicklable(x)
    except Exception as error:
        raise LookupError(f"nothing for {x}") from error


def of_many(count):
    """Wait for the last of many, of which each fails with a message of its own."""
    with worker_client() as client:
        futures = client.map(told, range(count))
        return futures[-1].result()


def told(number):
    """Fail with the number."""
    raise LookupError(f"no item {number}")


def bystander(x):
    """Fails as `ratio_of` does, on its own."""
    return ratio_of(x)


def mended(x):
    """Wait for a task that fails, and do without it."""
    try:
        return by_worker_client(x)
    except ZeroDivisionError:
        return None
