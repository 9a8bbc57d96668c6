"""Tasks that fail with values that are worth holding."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import weakref
from typing import Any

from distributed import get_worker, wait
from watching import wait_until

import dbgkit


class Block:
    """A value that is seen to go."""

    def __init__(self, nbytes: int = 0) -> None:
        self.data = bytearray(nbytes)


_blocks: Any = weakref.WeakSet()


def ratio(a: Any, b: Any, nbytes: int = 0) -> Any:
    block = Block(nbytes)
    _blocks.add(block)
    return scaled(a, block) / b


def scaled(a: Any, block: Any) -> Any:
    return a * (1 if block else 0)


def chained(a: Any, b: Any) -> Any:
    try:
        return ratio(a, b)
    except ZeroDivisionError as error:
        raise ValueError(f"no ratio of {a}") from error


def kept_by_itself(a: Any) -> Any:
    """Its exception refers to its frame, and the frame to it."""
    block = Block()
    _blocks.add(block)
    try:
        raise KeyError(a)
    except KeyError as error:
        mine = error
        raise mine from None


async def late_ratio(a: Any, b: Any) -> Any:
    await asyncio.sleep(0)
    block = Block()
    _blocks.add(block)
    return a / b


def fails_unless(path: Any) -> Any:
    """Fails at first, and works as it is tried again."""
    with open(path, "a+") as file:
        file.seek(0)
        first = not file.read()
        file.write("x")
    if first:
        raise OSError("the first attempt")
    return "done"


def stops_after_failing(path: Any) -> Any:
    done = fails_unless(path)
    breakpoint()
    return done


def secret(password: Any) -> Any:
    raise ValueError(f"password={password}")


_ONE = ValueError("one for all")


def raised_again(number: Any) -> Any:
    """Its exception has the frames of those that have raised it before."""
    raise _ONE


def half_of_a_pair() -> Any:
    raise ValueError("\ud800")


class SlowToGo:
    def __del__(self) -> None:
        time.sleep(3)


def slow_to_go() -> Any:
    slow = SlowToGo()
    return 1 / (not slow)


def many(index: Any) -> Any:
    raise type(f"Error{index}", (Exception,), {})(index)


def without_collecting(dask_worker: Any) -> None:
    gc.collect()
    gc.disable()


def collecting(dask_worker: Any) -> None:
    gc.enable()


def how_many_blocks(dask_worker: Any) -> Any:
    return os.getpid(), len(_blocks)


def threads(dask_worker: Any) -> int:
    import threading

    return sum(each.name == "dbgkit-held" for each in threading.enumerate())


def address() -> str:
    return str(get_worker().address)


# -- for the tests --------------------------------------------------------------------


def failed(client: Any, task: Any, *args: Any, key: Any, **options: Any) -> Any:
    """A future of a task that has failed."""
    future = client.submit(task, *args, key=key, pure=False, **options)
    wait(future, timeout=30)
    return future


def held_of(client: Any, key: Any, **options: Any) -> Any:
    """The failure of a task, once it is held."""

    def look() -> Any:
        held = dbgkit.attach(client=client, **options).held
        return next((each for each in held if each.key == key), None)

    return wait_until(look, f"the failure of {key} is held")


def held(client: Any, task: Any, *args: Any, key: Any, **options: Any) -> Any:
    """The failure of a task that has failed now, with its future."""
    future = failed(client, task, *args, key=key, **options)
    found = held_of(client, key)
    found.__dict__["future"] = future
    return found


def let_go(client: Any, stop: Any) -> None:
    """Wait until a failure is held no longer."""

    def look() -> Any:
        return stop.id not in [e.id for e in dbgkit.attach(client=client).held]

    wait_until(look, f"the failure of {stop.key} is let go")


def blocks(client: Any) -> Any:
    """How many are there; workers in one process see the same."""
    return sum(dict(client.run(how_many_blocks).values()).values())


def log_of(client: Any) -> Any:
    """What live has logged."""
    return [event["what"] for _, event in client.get_events("dbgkit-live")]
