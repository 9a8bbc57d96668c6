"""What the search for a smallest failing part is measured with."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dbgkit.remote.common.shrink_search import smallest
from dbgkit.remote.common.shrink_spans import Spans, size_of

Fails = Callable[[Spans], bool]
NO_BAR = float("inf")


@dataclass(frozen=True)
class SearchFigure:
    """One kind of failure among so many positions, and what finding it may cost."""

    name: str
    count: int
    make: Callable[[], Fails]
    runs: float
    tested: float = NO_BAR  # times the positions


def cost_of(count: int, fails: Fails) -> tuple[int, int]:
    """Runs, and positions tested, with the first run of the whole."""
    runs, tested = 1, count

    def counted(spans: Spans) -> bool:
        nonlocal runs, tested
        runs, tested = runs + 1, tested + size_of(spans)
        return fails(spans)

    smallest(count, counted)
    return runs, tested


def needing(chosen: Any) -> Fails:
    """Fails where all of some positions are there."""

    def fails(spans: Spans) -> bool:
        return all(any(a <= each < b for a, b in spans) for each in chosen)

    return fails


def some(count: int, number: int) -> Callable[[], Fails]:
    """So many positions anywhere, all needed."""
    return lambda: needing(random.sample(range(count), number))


def block(count: int, number: int) -> Callable[[], Fails]:
    """So many positions next to each other, all needed."""

    def make() -> Fails:
        start = random.randrange(count - number + 1)
        return needing(range(start, start + number))

    return make


def at_least(number: int) -> Callable[[], Fails]:
    """So many positions, whichever they are."""
    return lambda: lambda spans: size_of(spans) >= number


FIGURES = (
    SearchFigure("1 in 1k", 1_000, some(1_000, 1), 16, 3),
    SearchFigure("1 in 10k", 10_000, some(10_000, 1), 20, 3),
    SearchFigure("1 in 1M", 10**6, some(10**6, 1), 27, 3),
    SearchFigure("2 in 10k", 10_000, some(10_000, 2), 42, 13),
    SearchFigure("8 in 10k", 10_000, some(10_000, 8), 125, 55),
    SearchFigure("a block of 10 in 10k", 10_000, block(10_000, 10), 75, 3),
    SearchFigure("100 in 1k", 1_000, some(1_000, 100), 650),
    SearchFigure("at least 250 of 1k", 1_000, at_least(250), 30),
)
