"""What a shrink keeps account of: limits, axes that were cut, and what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple

from .shrink_parts import axes_of
from .shrink_search import others_than
from .shrink_spans import Spans, size_of, split, spread, within, without

_CONTROLS = 3


class Spent(Exception):
    """A limit is reached, or somebody has stopped it: the best so far counts."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass
class Budget:
    """How long, and how often, it may run; ``stop`` is asked before each run."""

    deadline: float
    runs: int | None = None
    stop: Callable[[], str] = lambda: ""

    def check(self, runs: int) -> None:
        """Raise `Spent` if no further run may begin."""
        why = self.stop()
        if not why and self.runs is not None and runs >= self.runs:
            why = "runs"
        if not why and monotonic() >= self.deadline:
            why = "time"
        if why:
            raise Spent(why)


class Place(NamedTuple):
    """A value: of which slot, and where within its containers."""

    name: Any
    path: tuple[Any, ...] = ()


@dataclass
class Cut:
    """What became of one axis, and of several values cut alike.

    ``kept`` are positions of what there was as it began; ``passed``, the most parts
    that did not fail; ``counts``, whether their number matters, and not which they are.
    """

    places: tuple[Place, ...]
    axis: int
    what: str
    count: int
    kept: Spans
    counts: bool = False
    passed: int = 0

    @property
    def left(self) -> int:
        return size_of(self.kept)


class Left:
    """Which positions are left, along each axis of each value.

    Of a value as it was first; of one within a container, as it was found there.
    """

    def __init__(self, values: Mapping[Any, Any]) -> None:
        self._spans: dict[tuple[Place, int], Spans] = {
            (Place(name), number): ((0, axis.size),) if axis.size else ()
            for name, value in values.items()
            for number, axis in enumerate(axes_of(value))
        }
        self._axes: dict[Place, tuple[str, int]] = {
            Place(name): (axes[0].what, axes[0].size)
            for name, value in values.items()
            if (axes := axes_of(value))
        }

    def of(self, place: Place, axis: int = 0) -> Spans:
        return self._spans.get((place, axis), ())

    def first_axis(self, place: Place) -> tuple[str, int]:
        """Of what a value had how many parts."""
        return self._axes.get(place, ("part", 0))

    def largest(self, name: Any) -> Place:
        """Of a value and those within it, the one that had the most parts."""
        found = [place for place in self._axes if place.name == name]
        sized = ((self._axes[place][1], place) for place in found)
        return max(sized, key=lambda each: each[0], default=(0, Place(name)))[1]

    def cut(self, cut: Cut) -> None:
        """Take account of a cut."""
        for place in cut.places:
            if cut.axis == 0:
                self._axes.setdefault(place, (cut.what, cut.count))
            known = self._spans.get((place, cut.axis), ((0, cut.count),))
            self._spans[place, cut.axis] = within(known, cut.kept)

    def emptied(self, name: Any) -> None:
        self._spans[Place(name), 0] = ()

    def forget_within(self, name: Any, depth: int) -> None:
        """Forget values so deep in a container, which has other parts now."""
        for place in [each for each in self._axes if each.name == name]:
            if len(place.path) > depth:
                del self._axes[place]
        for place, axis in list(self._spans):
            if place.name == name and len(place.path) > depth:
                del self._spans[place, axis]


def controls(kept: Spans, count: int) -> Iterator[Spans]:
    """Some other parts of the same number: spread, the first ones, the last ones."""
    outside = without(((0, count),), kept)
    size, wanted = size_of(outside), size_of(kept)
    chosen = [
        others_than(kept, count),
        split(outside, wanted)[0],
        split(outside, size - wanted)[1],
        spread(outside, wanted),
    ]
    yield from list(dict.fromkeys(chosen))[:_CONTROLS]
