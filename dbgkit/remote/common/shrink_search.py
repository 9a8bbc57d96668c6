"""The smallest part that still fails: which of n positions are needed?

Nothing is known of what is tested but whether some positions fail. No single method
is best: halves are for one culprit, windows for those next to each other, groups for
many, and a swap shows that it is their number that counts. What is found is 1-minimal:
without any one of its positions it does not fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from .shrink_spans import (
    Spans,
    both,
    joined,
    positions,
    size_of,
    split,
    spread,
    without,
)

T = TypeVar("T")
Fails = Callable[[Spans], bool]

_CHECKED = 4  # halvings of which both sides are tested
_FEW = 8  # a window of fewer is not asked whether its number counts


@dataclass(frozen=True)
class Found:
    """What is left; ``counts``: how many there are matters, and not which."""

    kept: Spans
    counts: bool = False


def smallest(count: int, fails: Fails, hints: Iterable[int] = ()) -> Found:
    """A smallest part of ``count`` positions, all of which together fail.

    ``hints`` are positions that are tried first, each alone. What ``fails`` raises
    comes through.
    """
    fails = _remembering(fails)
    if not count or fails(()):
        return Found(())
    for each in dict.fromkeys(hints):
        if 0 <= each < count and fails(((each, each + 1),)):
            return Found(((each, each + 1),))
    return _smallest_of(count, fails)


def _smallest_of(count: int, fails: Fails) -> Found:
    low, high, split_at = _halved(0, count, fails)
    if high - low == 1:
        return Found(((low, high),))
    kept = _window(low, high, split_at, fails)
    if size_of(kept) == 1:
        return Found(kept)
    ends = joined([(kept[0][0], kept[0][0] + 1), (kept[-1][1] - 1, kept[-1][1])])
    if size_of(kept) > 2 and fails(ends):
        return Found(_minimal(ends, fails))
    if size_of(kept) >= _FEW and _counts(kept, count, fails):
        return Found(kept, counts=True)
    return Found(_minimal(_needed(kept, ends, fails), fails))


class Known(dict[Spans, T]):
    """What is known of some parts, as far as there is room for them."""

    room = 1_000_000  # spans

    def note(self, spans: Spans, found: T) -> None:
        self.room -= len(spans) + 1
        if self.room > 0:
            self[spans] = found


def _remembering(fails: Fails) -> Fails:
    """Asks nothing twice, as far as it can remember."""
    known: Known[bool] = Known()

    def ask(spans: Spans) -> bool:
        found = known.get(spans)
        if found is None:
            found = fails(spans)
            known.note(spans, found)
        return found

    return ask


def _halved(low: int, high: int, fails: Fails) -> tuple[int, int, int]:
    """The smallest of the halves of halves that fails, and where it did not split.

    At first both sides are tested; later, where the left one does not fail, the right
    one is taken to, until the end shows it.
    """
    sure, level, middle = (low, high), 0, low
    while high - low > 1:
        middle = (low + high) // 2
        if fails(((low, middle),)):
            high = middle
            sure = (low, high)
        elif level >= _CHECKED:
            low = middle
        elif fails(((middle, high),)):
            low = middle
            sure = (low, high)
        else:
            return low, high, middle
        level += 1
    if (low, high) == sure or fails(((low, high),)):
        return low, high, low
    low, high = sure
    return low, high, (low + high) // 2


def _window(low: int, high: int, middle: int, fails: Fails) -> Spans:
    """The smallest span that still fails: both ends come nearer in turn.

    Neither of the two sides of ``middle`` fails by itself. Once the ends are known
    roughly, it is tried once whether all that is between them can be left out.
    """
    first, last = middle - 1, middle + 1  # as far as the ends may come
    between: Spans = ()  # what was left out
    tried = False
    while low < first or high > last:
        if not tried and 4 * (first - low + high - last) <= high - low:
            tried, inner = True, ((first + 1, last - 1),)
            if fails(without(((low, high),), inner)):
                between = inner
        if first - low >= high - last:
            at = (low + first + 1) // 2
            if fails(without(((at, high),), between)):
                low = at
            else:
                first = at - 1
        else:
            at = (high + last) // 2
            if fails(without(((low, at),), between)):
                high = at
            else:
                last = at + 1
    return without(((low, high),), between)


def _counts(kept: Spans, count: int, fails: Fails) -> bool:
    """Whether other positions in the place of those fail as well.

    The first of them was needed: is it, if another takes its place? Of a number that
    counts, each one is: one in the middle, and one at a quarter, are tried.
    """
    outside = without(((0, count),), kept)
    if not outside:
        return False
    for part in (2, 4):
        before, after = split(kept, size_of(kept) // part)
        if fails(both(before, split(after, 1)[1])):
            return False
    swapped = both(split(kept, 1)[1], spread(outside, 1))
    if not fails(swapped):
        return False
    others = others_than(kept, count)
    return fails(others) and not fails(split(others, size_of(others) - 1)[0])


def others_than(kept: Spans, count: int) -> Spans:
    """As many other positions, as far as there are so many; the same where not."""
    wanted = size_of(kept)
    outside = without(((0, count),), kept)
    missing = wanted - size_of(outside)
    if missing <= 0:
        return spread(outside, wanted)
    return both(outside, spread(kept, missing))


def _needed(kept: Spans, ends: Spans, fails: Fails) -> Spans:
    """Which positions of a window are needed, besides its ends.

    Whole groups are left out at once. One that cannot be left out has a position that
    is needed, which halving finds. How large groups are follows from how many were
    needed so far.
    """
    needed = list(ends)
    left = without(kept, ends)
    total, found, group = size_of(left), 0, size_of(left) // 4 or 1
    while left:
        part, rest = split(left, group)
        if not fails(joined(sorted((*needed, *rest)))):
            culprit, after = _first_needed(part, rest, needed, fails)
            needed.append(culprit)
            rest = both(after, rest)
            found += 1
        left = rest
        seen = total - size_of(left)
        group = max(1, min(round(0.7 * (seen + 1) / (found + 0.5)), size_of(left)))
    return joined(sorted(needed))


def _first_needed(
    part: Spans, rest: Spans, needed: list[tuple[int, int]], fails: Fails
) -> tuple[tuple[int, int], Spans]:
    """The first position of a part that is needed, and what comes after it."""
    after: Spans = ()
    while size_of(part) > 1:
        first, second = split(part, size_of(part) // 2)
        if fails(joined(sorted((*needed, *second, *after, *rest)))):
            part = second
        else:
            part, after = first, both(second, after)
    return part[0], after


def _minimal(kept: Spans, fails: Fails) -> Spans:
    """Leave out each position that is not needed after all; each was tried then."""
    changed = True
    while changed:
        changed = False
        for each in list(positions(kept)):
            less = without(kept, ((each, each + 1),))
            if fails(less):
                kept, changed = less, True
    return kept


def alone(count: int, fails: Fails) -> Iterator[int]:
    """Each position that fails by itself, in order; all together are known to."""
    waiting = [(0, count)] if count else []
    while waiting:
        low, high = waiting.pop()
        if high - low == 1:
            yield low
            continue
        middle = (low + high) // 2
        halves = [(low, middle), (middle, high)]
        waiting += [each for each in reversed(halves) if fails((each,))]
