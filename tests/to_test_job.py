"""A script whose tasks fail in many ways; ``to_test`` makes a test of each.

``python to_test_job.py FOLDER [NAME…]`` prints a JSON object: for each
name the error that it got, or null.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import math
import random
import re
import sys
from collections import namedtuple
from pathlib import Path

import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask import delayed
from distributed import Client, Future, get_worker, wait

import dbgkit

LIMIT = 0  # of anything
NAMES = {"a": [1, 2], "b": None}
WORD = re.compile(r"^\w+$")
Point = namedtuple("Point", "x y")


def helper(x):
    # Half of it.
    return x / 2


def plain(a, b):
    return helper(a) / b


def with_globals(x):
    if not WORD.match(x):
        return None
    return math.sqrt(LIMIT) / len(NAMES["a"]) / (len(x) - 3)


def rebinds(values, scale=2):
    values = [value * scale for value in values]
    scale = None
    return 1 / (values[0] - 2) if scale is None else None


def doubled(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return 2 * function(*args, **kwargs)

    return wrapper


def tripled(function):
    def wrapper(x):
        return 3 * function(x)

    return wrapper


@doubled
def decorated(x, by=1):
    return x / by


@tripled
def decorated_plainly(x):
    return 1 / x


@delayed(pure=True)
def is_delayed(a, *, b):
    return a / b


@functools.lru_cache
def cached(x):
    return 1 / x


def generates(part):
    for number in part:
        yield 1 / number


async def waits(x):
    await asyncio.sleep(0)
    return 1 / x


@dataclasses.dataclass
class Order:
    """An order."""

    total: float
    items: int

    def price(self):
        return self.total / self.items

    @property
    def each(self):
        return self.price()


class Model:
    factor = 3

    def __init__(self, weight):
        self.weight = weight
        self.seen = []

    def predict(self, x):
        self.seen.append(x)
        return self.factor * x / self.weight

    def __call__(self, x):
        return self.predict(x)

    @classmethod
    def made(cls, text):
        return cls(float(text))

    @staticmethod
    def checked(x):
        return 1 / x


class Slotted:
    __slots__ = ("weight",)

    def __init__(self, weight):
        self.weight = weight

    def predict(self, x, path: Path = Path("a")):
        return x / self.weight


class Strict:
    def __init__(self, x):
        self.x = 1 / x


class TooBad(ValueError):
    """An error of the job's own."""


def raises_own(point):
    raise TooBad(f"{point.x} is too bad")


def chained(x):
    try:
        return 1 / x
    except ZeroDivisionError as error:
        raise ValueError(f"no inverse of {x}") from error


def recursive(n):
    return 1 / n + recursive(n - 1)


def asserts(x):
    assert x > 0
    return x


def closure(scale, names):
    def scaled(x):
        return x / scale + len(names)

    return scaled


def counted():
    count = 0

    def count_up(x):
        nonlocal count
        count += 1
        return f"""{count}""" + x

    return count_up


def needs_name(x):
    return x + no_such_name  # noqa: F821


def of_frame(frame):
    return frame.price.astype(float)


def of_row(row):
    return float(row.price) + row.amount


def of_block(block, block_info=None):
    return np.linalg.inv(block)


def by_chance(x):
    if random.random() < 2 and Path(x).exists():
        Path(x).unlink()
        raise RuntimeError("once")


def asks_worker(x):
    return 1 / (len(get_worker().address) * x)


def big(values, table):
    return int(values.sum()) / int(table.n.sum() - table.n.sum())


def with_password(user, password):
    return len(user) / (len(password) - 9)


def with_text(text):
    raise ValueError(text)


def takes_part(part):
    return sum(1 / x for x in part)


def too_many(items):
    return next(iter(items))


def job(n):
    def inner_without(x):
        return x / n

    return inner_without


HOSTILE = 'a \'quoted\' "text" with \\ and\nlines, \u00e9\u4e2d\ud800, \x1b[31m, """'
FRAME = pd.DataFrame({"price": ["1.5", "n/a"], "amount": [1, 2]})


def targets(client, folder):
    """Each target by its name, with what mends it: a text, and another for it."""
    once = Path(folder, "once")
    once.touch()
    big_table = pd.DataFrame({"n": range(5_000), "t": "x"})
    bag = db.from_sequence([4, 2, 0, 1], npartitions=1)
    frame = dd.from_pandas(FRAME, npartitions=1)
    divide = ("/ x", "/ (x or 1)")
    submit = client.submit
    yield "plain", submit(plain, 5, 0), ("/ b", "/ (b or 1)")
    yield "with_globals", submit(with_globals, "abc"), ("(len(x) - 3)", "(len(x) or 1)")
    yield "rebinds", submit(rebinds, [1, 2]), ("(values[0] - 2)", "values[0]")
    yield "decorated", submit(decorated, 5, by=0), ("x / by", "x * by")
    yield "decorated_plainly", submit(decorated_plainly, 0), divide
    yield "is_delayed", is_delayed(5, b=0), ("a / b", "a * b")
    yield "cached", submit(cached, 0), divide
    yield "generates", bag.map_partitions(generates), ("1 / number", "number")
    yield "waits", submit(waits, 0), divide
    yield "method_of_dataclass", submit(Order(1.5, 0).price), ("/ self.items", "* 2")
    yield "method", submit(Model(0).predict, 4), ("/ self.weight", "* 2")
    yield "called", submit(Model(0), 4), ("/ self.weight", "* 2")
    yield "slotted", submit(Slotted(0).predict, 4), ("/ self.weight", "* 2")
    yield "method_of_c", submit("abc".index, "z"), ('"z"', '"b"')
    yield "class_method", submit(Model.made, "x"), ("float(text)", "text")
    yield "static_method", submit(Model.checked, 0), divide
    yield "made_object", submit(Strict, 0), divide
    yield "own_error", submit(raises_own, Point(3, float("nan"))), ("raise Too", "Too")
    yield "chained", submit(chained, 0), divide
    yield "recursive", submit(recursive, 3), ("1 / n + recursive(n - 1)", "n")
    yield "asserts", submit(asserts, -1), ("assert x > 0", "assert x")
    yield "closure", submit(closure(0, {"a": 1}), 5), ("/ scale", "* scale")
    yield "counted", submit(counted(), 5), ("+ x", "+ str(x)")
    yield "one_lambda", submit(lambda x: 1 / x, 0), divide
    pair = (lambda x: 1 / x, lambda x: 1 / x, lambda x: 2 / x)
    yield "lambdas", submit(pair[2], 0), divide
    yield "nested", submit(job(0), 5), ("/ n", "* n")
    yield "partial", submit(functools.partial(plain, b=0), 5), ("/ b", "/ (b or 1)")
    yield "missing_name", submit(needs_name, 5), ("no_such_name", "x")
    yield "bag_item", bag.map(lambda x: 1 / x), divide
    yield "bag_partition", bag.map_partitions(takes_part), divide
    yield "bag_library", db.from_sequence(["1", "x"]).map(int), ('"x"', '"1"')
    yield (
        "partition",
        frame.map_partitions(of_frame, meta=("price", float)),
        ("astype(float)", "copy()"),
    )
    row = frame.apply(of_row, axis=1, meta=("x", float))
    yield "row", row, ("float(row.price)", "len(row.price)")
    zeros = da.zeros((4, 4), chunks=(2, 2))
    yield (
        "block",
        zeros.map_blocks(of_block, meta=np.empty((0, 0))),
        ("np.linalg.inv(block)", "block"),
    )
    yield "empty", submit(too_many, []), ("iter(items)", "iter([*items, 1])")
    values = np.arange(10_000) * 0.5
    yield "big", submit(big, values, big_table), ("- table.n.sum()", "")
    yield "text", submit(with_text, HOSTILE), ("raise ", "")
    text = "words and words\n" * 60 + "x" * 500
    yield "long_text", submit(with_text, text), ("raise ", "")
    yield "by_chance", submit(by_chance, str(once)), None
    yield "asks_worker", submit(asks_worker, 0), None
    yield "with_password", submit(with_password, "ann", "hunter2!x"), None


def main(folder, *names):
    errors = {}
    mends = {}
    with Client(
        processes=False, n_workers=1, dashboard_address=":0", silence_logs=60
    ) as client:
        for name, target, mend in targets(client, folder):
            if names and name not in names:
                continue
            future = target if isinstance(target, Future) else client.compute(target)
            wait(future)
            try:
                dbgkit.to_test(future, Path(folder, f"test_{name}.py"))
                errors[name] = None
            except dbgkit.DbgkitError as error:
                errors[name] = f"{type(error).__name__}: {error}"
            mends[name] = mend
    print(json.dumps({"errors": errors, "mends": mends}))


if __name__ == "__main__":
    main(*sys.argv[1:])
