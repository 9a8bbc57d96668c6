"""Sets of positions as spans: ``((0, 5), (9, 10))`` are 0 to 4, and 9."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Spans = tuple[tuple[int, int], ...]  # in order, apart from each other, none empty


def size_of(spans: Spans) -> int:
    """How many positions there are."""
    return sum(stop - start for start, stop in spans)


def positions(spans: Spans) -> Iterator[int]:
    """The positions, in order."""
    for start, stop in spans:
        yield from range(start, stop)


def spans_of(found: Iterable[int]) -> Spans:
    """Spans of some positions."""
    return joined((each, each + 1) for each in sorted(set(found)))


def joined(spans: Iterable[tuple[int, int]]) -> Spans:
    """Spans in order, with those that touch made one, and empty ones left out."""
    made: list[tuple[int, int]] = []
    for start, stop in spans:
        if start >= stop:
            continue
        if made and start <= made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], stop))
        else:
            made.append((start, stop))
    return tuple(made)


def both(one: Spans, other: Spans) -> Spans:
    """Positions that are in one of two sets, or in both."""
    return joined(sorted((*one, *other)))


def without(spans: Spans, dropped: Spans) -> Spans:
    """Positions that are not among those dropped."""
    left: list[tuple[int, int]] = []
    rest = list(dropped)
    for start, stop in spans:
        while rest and rest[0][1] <= start:
            rest.pop(0)
        for first, last in rest:
            if first >= stop:
                break
            if first > start:
                left.append((start, first))
            start = max(start, last)
        if start < stop:
            left.append((start, stop))
    return tuple(left)


def split(spans: Spans, count: int) -> tuple[Spans, Spans]:
    """The first so many positions, and the rest."""
    first: list[tuple[int, int]] = []
    for index, (start, stop) in enumerate(spans):
        if count <= 0:
            return tuple(first), spans[index:]
        if count < stop - start:
            middle = start + count
            first.append((start, middle))
            return tuple(first), ((middle, stop), *spans[index + 1 :])
        first.append((start, stop))
        count -= stop - start
    return tuple(first), ()


def within(spans: Spans, chosen: Spans) -> Spans:
    """Some of the positions, by their number among them.

    What is chosen of a part, as positions of the whole.
    """
    found: list[tuple[int, int]] = []
    before, wanted = 0, list(chosen)
    for start, stop in spans:
        length = stop - start
        for first, last in wanted:
            low, high = max(first - before, 0), min(last - before, length)
            if low < high:
                found.append((start + low, start + high))
        before += length
    return joined(found)


def spread(spans: Spans, count: int) -> Spans:
    """So many of the positions, as far from each other as they can be."""
    size = size_of(spans)
    if count >= size:
        return spans
    chosen = spans_of(size * (2 * each + 1) // (2 * count) for each in range(count))
    return within(spans, chosen)
