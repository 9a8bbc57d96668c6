"""Tasks that come to a breakpoint."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from distributed import get_worker, rejoin, secede, worker_client
from distributed import threadpoolexecutor as pool


def doubled(x: Any) -> Any:
    y = x * 2
    breakpoint()
    return y + 1


def helped(x: Any) -> Any:
    breakpoint()
    scaled = scale(x, 10)
    return scaled + 1


def scale(x: Any, factor: Any) -> Any:
    product = x * factor
    return product


def plain(x: Any) -> Any:
    return x + 1


def slow(x: Any, seconds: float = 1.0) -> Any:
    breakpoint()
    time.sleep(seconds)
    return x


def unpaused(x: Any, seconds: float = 1.0) -> Any:
    time.sleep(seconds)
    return x


def looped(x: Any) -> Any:
    for index in range(3):
        x += index
        breakpoint()
    return x


def twice(x: Any) -> Any:
    breakpoint()
    x += 1
    breakpoint()
    return x


def flaky(path: Any) -> Any:
    with open(path, "a") as file:
        file.write("x")
    breakpoint()
    with open(path) as file:
        if len(file.read()) < 2:
            raise ValueError("not yet")
    return "at last"


def nested(x: Any) -> Any:
    """Leaves the pool after its stop, submits, and comes back."""
    breakpoint()
    with worker_client() as client:
        return client.submit(plain, x, pure=False).result() + 1


def seceded(x: Any) -> Any:
    secede()
    breakpoint()
    return x


def rejoins(x: Any) -> Any:
    """Whether its thread is one of its pool's, as it was before it stopped."""
    executor = pool.thread_state.executor
    breakpoint()
    rejoin()
    same = pool.thread_state.executor is executor
    return same and threading.current_thread() in executor._threads


def secedes_later(x: Any) -> Any:
    breakpoint()
    secede()
    return x


async def awaiting(x: Any) -> Any:
    breakpoint()
    return x


class Counter:
    """An actor."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> Any:
        breakpoint()
        self.count += 1
        return self.count


class Hanging:
    """Its repr never ends."""

    def __repr__(self) -> str:
        while True:
            pass


def hangs_shown(x: Any) -> Any:
    value = Hanging()
    breakpoint()
    return x, value is not None


def spoken(x: Any) -> Any:
    """Prints all the time, once it was asked to."""
    end = time.monotonic() + x
    while time.monotonic() < end:
        print("said by another task")
        time.sleep(0.005)
    return x


def thread_of(x: Any) -> Any:
    worker = get_worker()
    return x, worker.state.nthreads


class Weighed:
    """A value of which one can tell whether anybody still refers to it."""

    alive = 0

    def __init__(self) -> None:
        type(self).alive += 1

    def __del__(self) -> None:
        type(self).alive -= 1


def weighs(x: Any) -> Any:
    value = Weighed()
    breakpoint()
    return x, value is not None


def weighed() -> Any:
    return Weighed.alive


def spins(seconds: Any) -> Any:
    """Runs in one frame, after its stop; whether it is not traced in the next."""
    breakpoint()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)
    return is_untraced()


def is_untraced() -> Any:
    return sys.gettrace() is None


def fails(x: Any) -> Any:
    breakpoint()
    return 1 / x
