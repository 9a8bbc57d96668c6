"""Tasks that stop without a breakpoint of their own."""

from __future__ import annotations

import functools
from typing import Any


def doubled(x: Any) -> Any:
    y = x * 2
    return y + 1


def halved(x: Any) -> Any:
    half = x / 2
    return half


def summed(x: Any) -> Any:
    total = 0
    for index in range(x):
        total += index
    return total


SUMMED_LINE = summed.__code__.co_firstlineno + 3  # total += index
DOUBLED_LINE = doubled.__code__.co_firstlineno + 2  # return y + 1


def ratio(x: Any) -> Any:
    over = 1
    return over / x


def calls_ratio(x: Any) -> Any:
    before = x
    return ratio(before)


def parsed(text: Any) -> Any:
    return functools.reduce(lambda a, b: a + int(b), text, 0)


def helped(x: Any) -> Any:
    return doubled(x) + doubled(x + 1)


async def awaiting(x: Any) -> Any:
    y = x + 1
    return y


class Counter:
    """An actor."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> Any:
        self.count += 1
        return self.count
