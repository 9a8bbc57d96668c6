"""Tasks to look into while they run; workers import this too."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import weakref

from distributed import worker_client

made = []  # in a cluster within this process


class Held:
    """A value that tells how long it lives."""


def wait_there(path):
    while not os.path.exists(path):
        time.sleep(0.01)
    return path


def two_phases(first, second):
    phase_one(first)
    return phase_two(second)


def phase_one(path):
    while not os.path.exists(path):
        time.sleep(0.002)


def phase_two(path):
    while not os.path.exists(path):
        time.sleep(0.002)


def with_locals(path, count=3):
    numbers = list(range(count))
    password = "correct horse battery staple"
    settings = {"user": "ann", "api_key": "abcdefgh12345678"}
    wait_there(path)
    return len(numbers), password, settings


def holds_a_value(path):
    held = Held()
    made.append(weakref.ref(held))
    wait_there(path)


def recurses(path, depth):
    if depth:
        return recurses(path, depth - 1)
    return wait_there(path)


def many_locals(path):
    space = {f"name_{i}": i for i in range(300)}
    code = "\n".join(f"    {name} = {value}" for name, value in space.items())
    exec(f"def inner(wait, path):\n{code}\n    wait(path)\n", space)
    space["inner"](wait_there, path)


def changes_all_the_time(path):
    table = {}
    number = 0
    while not os.path.exists(path):
        for _ in range(1_000):
            number += 1
            table[number % 97] = [number]
            table.pop((number + 48) % 97, None)
    return number


def seceded(path):
    with worker_client():
        return wait_there(path)


class Counter:
    """An actor."""

    def wait(self, path):
        inside = "an actor"
        wait_there(path)
        return inside

    def fail(self):
        raise ValueError("no")

    async def wait_async(self, path):
        while not os.path.exists(path):
            await asyncio.sleep(0.01)


async def outer(path):
    level = "outer"
    await asyncio.wait_for(inner(path), 60)
    return level


async def inner(path):
    level = "inner"
    while not os.path.exists(path):
        await asyncio.sleep(0.01)
    return level


async def gathers(path):
    return await asyncio.gather(inner(path), inner(path))


def assigns_while_traced(path):
    """What a debugger's prompt does: it assigns to a local, and the task goes on."""

    def tracer(frame, event, _):
        if frame.f_code is not traced.__code__:
            return None
        if event == "line" and frame.f_lineno == traced.__code__.co_firstlineno + 2:
            frame.f_locals["value"] = 8
            while not os.path.exists(path):
                time.sleep(0.01)
        return tracer

    sys.settrace(tracer)
    try:
        return traced()
    finally:
        sys.settrace(None)


def traced():
    value = 7
    value += 0
    return value
