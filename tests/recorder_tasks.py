"""Tasks that fail for the recorder, and looks at what it recorded."""

from __future__ import annotations

import asyncio
import os
import time

import dbgkit


def ratio(a, b, password="hunter2"):
    pair = [a, b]
    return pair[0] / pair[1]


async def late_ratio(a, b):
    await asyncio.sleep(0)
    half = a / 2
    return half / b


def fails_when_there(path):
    """Wait until a file is there, and fail."""
    end = time.monotonic() + 30
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.01)
    raise ValueError("it is there")


def waits_for(path):
    end = time.monotonic() + 30
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.01)
    return path


def fails_at_first(path):
    first = not os.path.exists(path)
    open(path, "w").close()
    return 1 / (not first)


def doubled(number):
    return [number] * 2


def total(values):
    values.append(4)
    raise ValueError(sum(values))


class Counter:
    def fail(self):
        raise RuntimeError("an actor's own")


def only(**options):
    held = dbgkit.recordings(**options)
    assert len(held) == 1, held
    return held[0]


def told(recording, function):
    """Texts of one frame's locals."""
    frame = next(each for each in recording.frames if each.function == function)
    return {name: value.text for name, value in frame.locals}


def running(client):
    return any(client.processing().values())
