"""Tasks that are hard on a debugger: they die, hang, lose their exception."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
import types
from pathlib import Path

from distributed import Event, get_client, get_worker, worker_client


def inc(x):
    return x + 1


async def boom_async(x):
    doubled = x * 2
    raise ValueError(f"cannot take {doubled}")


def ask_worker(x):
    address = get_worker().address
    raise ValueError(f"cannot take {x} (on a worker: {bool(address)})")


def ask_worker_for(name):
    return getattr(get_worker(), name)


def submit_from_within(x):
    value = get_client().submit(inc, x).result(timeout=20)
    raise ValueError(f"cannot take {value}")


def submit_with_worker_client(x):
    with worker_client() as client:
        value = client.submit(inc, x).result(timeout=20)
    raise ValueError(f"cannot take {value}")


def log_and_fail(x):
    get_worker().log_event("dbgkit-test", {"x": x})
    raise ValueError(f"cannot take {x}")


# -- what takes its worker along -----------------------------------------------


def end_process(status):
    os._exit(status)


def read_null(x):
    address = x * 0
    return ctypes.string_at(address)


def eat_memory(megabytes):
    """Take memory bit by bit, but never so much that the machine suffers."""
    eaten = []
    for _ in range(megabytes // 10):
        eaten.append(bytearray(os.urandom(1) * 10_000_000))
        time.sleep(0.01)
    return len(eaten)


def leave(status):
    label = f"leaving with {status}"
    sys.exit(status)
    return label


# -- what depends on its surroundings ------------------------------------------


def hang_or_fail(path, other=None):
    """Fail while the file is there, hang once it is gone."""
    if Path(path).exists():
        raise ValueError("the file is there")
    threading.Event().wait()


def fail_every_second_time(path):
    """The first run fails, the second passes, and so on."""
    with open(path, "a+") as file:
        file.write("x")
        file.seek(0)
        run = len(file.read())
    if run % 2:
        raise ValueError(f"run {run} fails")
    return run


def fail_where_set(name):
    """Fail where an environment variable is set."""
    value = os.environ.get(name)
    if value is not None:
        raise ValueError(f"mode {value} is not supported")
    return "passed"


def fail_as_told(path):
    told = Path(path).read_text()
    if told == "value":
        raise ValueError("told to fail")
    if told == "key":
        raise KeyError("told to fail")
    return told


# -- exceptions that are lost on their way home --------------------------------


def raise_unimportable(x):
    """Raise an exception of a module that is only made here."""
    name = "dbgkit_test_only_there"
    if name not in sys.modules:
        module = types.ModuleType(name)
        exec("class OnlyThere(Exception): pass", module.__dict__)
        sys.modules[name] = module
    raise sys.modules[name].OnlyThere(f"cannot take {x}")


class Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError("this exception stays where it is")


def raise_unpicklable(x):
    raise Unpicklable(f"cannot take {x}")


class Unprintable(Exception):
    def __repr__(self):
        raise LookupError("no repr at all")


def raise_unprintable(x):
    raise Unprintable(f"cannot take {x}")


class Sensor(Exception):
    """Its repr is another one in each process, and names no class."""

    def __repr__(self):
        return f"<broken sensor at {id(self):#x}: {self.args[0]}>"


def raise_with_own_repr(x):
    raise Sensor(f"cannot take {x}")


def dive(label):
    return dive(label) + 1


def climb(n, x):
    if n == 0:
        raise ValueError(f"cannot take {x}")
    return climb(n - 1, x)


# -- actors, locks, shuffles ---------------------------------------------------


class Counter:
    def __init__(self, start):
        if start < 0:
            raise ValueError(f"cannot start at {start}")
        self.count = start

    def add(self, x):
        if x < 0:
            raise ValueError(f"cannot add {x}")
        self.count += x
        return self.count


def make_lock():
    return threading.Lock()


def hold(lock, x):
    held = lock.acquire(timeout=1)
    if held in (True, False):
        raise ValueError(f"cannot hold {x}")


def where_it_ran(x):
    return get_worker().address


def fail_with(address):
    raise ValueError("cannot take this")


def fail_with_rows(frame):
    rows = len(frame)
    if (frame["x"] == 13).any():
        raise ValueError(f"a bad row among {rows}")
    return frame


def fail_with_block(block):
    shape = block.shape
    if (block == 13).any():
        raise ValueError(f"a bad value in {shape}")
    return block


def wait_for(name):
    Event(f"{name}-held").set()  # and the worker's own client has connected
    Event(name).wait(60)


def make_bytes(size):
    return bytes(size)


def fail_with_bytes(data):
    size = len(data)
    raise ValueError(f"cannot take {size} bytes")
