"""Tasks that fail on one item of what they read, and readers of a user's own."""

from __future__ import annotations

import functools

import pandas as pd


def parse(df):
    return df.b.astype(int)


def load(item, extra=1):
    return pd.DataFrame({"b": [item]})


def fetch(address, token=""):
    return pd.DataFrame({"b": [address]})


def number(text):
    return int(text)


def login(user, password=""):
    return user * 1_000


def louder(text):
    return f"{text}!"


def total(texts):
    return sum(int(text) for text in texts)


def check(item, unit="cm"):
    if item == "bad":
        raise ValueError(f"no {item} in {unit}")
    return item


def limited(b, block_info=None):
    if b.size and b.max() > 15:
        raise ValueError("over 15")
    return b


def combine(parts, weight=2):
    raise ValueError(f"cannot combine {len(parts)}")


def inc(x):
    return x + 1


def div(x, y=0):
    return x / y


class Scale:
    """A function as an object, with what it was made with."""

    def __init__(self, factor=2):
        self.factor = factor

    def __call__(self, value, offset=1):
        return self.factor / (value - offset)


class Checked:
    """Fails as it is made."""

    def __init__(self, value, offset=1):
        self.value = 1 / (value - offset)


def passed_on(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@passed_on
def shifted(value, offset=1):
    return 1 / (value - offset)


@functools.lru_cache
def kept(value, offset=1):
    return 1 / (value - offset)


def is_far(value):
    return 1 / (value - 1) > 0


def plus(one, other):
    return one + 1 // (other - 1)


# -- steps that Dask fuses: each has literals of its own ----------------------------


def capped(b, most=15):
    if b.size and b.max() >= most:
        raise ValueError(f"{most} or more")
    return b


def moved(b, offset=1):
    return b + offset


def noted(value, note=""):
    return value


def to_number(text, scale=1):
    return int(text) * scale


def is_positive(text):
    return int(text) > 0


def added(one, other):
    return one + other


def added_as_text(one, other):
    return one + int(other)
