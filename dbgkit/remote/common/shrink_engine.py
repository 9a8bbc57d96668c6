"""Shrinks several values at once, axis by axis, within limits of time and of runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .shrink_cuts import Budget, Cut, Left, Place, Spent, controls
from .shrink_parts import (
    Axis,
    at,
    axes_of,
    children_of,
    is_option,
    parts_in,
    put,
    take,
)
from .shrink_search import Found, Known, alone, smallest
from .shrink_spans import (
    Spans,
    positions,
    size_of,
    spans_of,
    within,
    without,
)

OTHER, WORDED, SAME = 0, 1, 2  # another failure; in other words; the same

Values = Mapping[Any, Any]
Attempt = Callable[[dict[Any, Any]], int]

_STICKS = 10  # parts: with so many left, words may be what holds them together
_WORDED = 12  # smaller parts that fail in other words only: then words do not count
_NAMES = ("key", "column")  # axes whose parts code asks for by name
_SETTINGS = ("key", "line")  # parts that may be those of settings
_ROUNDS = 6
_DEEPEST = 10  # containers within containers


class _Stuck(Exception):
    """Parts fail, but no small one with the words of the whole."""


def _count(cut: Cut) -> int:
    return cut.count


@dataclass
class Engine:
    """One shrinking: ``values`` are the smallest so far that fail the same way.

    ``attempt`` runs the task on values, of which it makes copies itself, and gives how
    like the whole's failure theirs is. ``tell`` is called as less is left: with the
    runs so far, and how many parts there are of how many.
    """

    values: dict[Any, Any]
    attempt: Attempt
    budget: Budget
    tell: Callable[[int, int, int], None]
    hints: tuple[int, ...] = ()
    text: bool = True  # whether texts are taken apart, line by line
    runs: int = 0
    tested: int = 0
    cuts: list[Cut] = field(default_factory=list)
    worded: bool = False  # whether failures in other words count by now
    stopped: str = ""
    every: list[int] | None = None
    settled: bool = False  # whether each axis was gone through as all others are now
    current: Cut | None = None  # the axis that it is at
    _made: Callable[[Spans], dict[Any, Any]] | None = None  # values with a part of it

    def __post_init__(self) -> None:
        self.first, self.left = dict(self.values), Left(self.values)
        self.total = self._size(self.values)
        self._changes = 0
        self._every_of: Place | None = None
        # How many changes there were as an axis was gone through.
        self._searched: dict[tuple[tuple[Place, ...], int], int] = {}

    def run(self, *, all: bool = False) -> None:
        """Shrink until nothing can be left out, or a limit is reached."""
        try:
            if all:
                self._find_all()
            self._inputs()
            for _ in range(_ROUNDS):
                if not (self._round() or self._look_within()):
                    self.settled = True
                    break
        except Spent as spent:
            self.stopped = spent.why
        except KeyboardInterrupt:
            self.stopped = "ctrl-c"

    def best(self) -> dict[Any, Any]:
        """The smallest so far; another thread may ask, as a run goes on."""
        cut, made = self.current, self._made
        if cut is None or made is None or cut.left == cut.count:
            return self.values
        return made(cut.kept)

    # -- what is shrunk, and in which order --------------------------------------

    def _round(self) -> bool:
        """All axes once; whether any of them got smaller."""
        changed = False
        for places, axis in self._joint():
            changed |= self._shrink(places, axis)
        for place, axis in list(self._single()):
            changed |= self._shrink((place,), axis)
        return changed

    def _look_within(self) -> bool:
        """What is in the containers that are left, if there are few of them."""
        changed = False
        places = [Place(name) for name in self.values]
        for _ in range(_DEEPEST):
            places = [
                Place(place.name, (*place.path, step))
                for place in places
                for step in children_of(self._at(place))
                if type(self._at(place)[step]) not in (str, bytes)
            ]
            for place in places:
                for axis in range(len(axes_of(self._at(place)))):
                    changed |= self._shrink((place,), axis)
        return changed

    def _is_done(self, places: tuple[Place, ...], axis: int) -> bool:
        """Whether nothing has changed since an axis was gone through."""
        if any(c.counts and c.places == places and c.axis == axis for c in self.cuts):
            return True
        return self._searched.get((places, axis)) == self._changes

    def _inputs(self) -> None:
        """Which of several inputs are needed at all: the others are emptied."""
        names = [name for name, value in self._data() if self._length(value)]
        if len(names) < 3:
            return
        before = dict(self.values)

        def made(spans: Spans) -> dict[Any, Any]:
            kept = {names[index] for index in positions(spans)}
            empty = [name for name in names if name not in kept]
            return {**before, **{name: take(before[name], 0, ()) for name in empty}}

        cut = Cut((), 0, "input", len(names), ((0, len(names)),))
        try:
            self._search(cut, made)
        finally:
            for index in positions(without(((0, len(names)),), cut.kept)):
                self.left.emptied(names[index])

    def _joint(self) -> Iterator[tuple[tuple[Place, ...], int]]:
        """Values of one length: their parts may belong together."""
        lengths: dict[int, list[Place]] = {}
        for name, value in self._data():
            lengths.setdefault(self._length(value), []).append(Place(name))
        for length, places in sorted(lengths.items(), key=lambda each: -each[0]):
            if length > 1 and len(places) > 1:
                yield tuple(places), 0

    def _single(self) -> Iterator[tuple[Place, int]]:
        """Axes of each value: those of the largest first."""
        sized = [(-self._length(value), name) for name, value in self._data()]
        for _, name in sorted(sized, key=lambda each: each[0]):
            if not self.text and type(self.values[name]) in (str, bytes):
                continue
            for axis in range(len(axes_of(self.values[name]))):
                yield Place(name), axis

    def _data(self) -> list[tuple[Any, Any]]:
        """The values that may be taken apart, by their names."""
        return [
            (name, value)
            for name, value in self.values.items()
            if not is_option(self.first[name])
        ]

    def _at(self, place: Place) -> Any:
        return at(self.values[place.name], place.path)

    def _axis(self, place: Place, axis: int) -> Axis:
        axes = axes_of(self._at(place))
        return axes[axis] if axis < len(axes) else Axis("", 0)

    @staticmethod
    def _length(value: Any) -> int:
        axes = axes_of(value)
        return axes[0].size if axes else 0

    def _size(self, values: Values) -> int:
        return sum(map(parts_in, values.values()))

    # -- one axis ------------------------------------------------------------------

    def _shrink(self, places: tuple[Place, ...], axis: int) -> bool:
        what, count = self._axis(places[0], axis)
        if not count or self._is_done(places, axis):
            return False
        before = dict(self.values)

        def made(spans: Spans) -> dict[Any, Any]:
            values = dict(before)
            for place in places:
                less = take(at(before[place.name], place.path), axis, spans)
                values[place.name] = put(values[place.name], place.path, less)
            return values

        cut = Cut(places, axis, what, count, ((0, count),))
        hints = self.hints if axis == 0 and not places[0].path else ()
        changed = self._search(cut, made, hints)
        self._changes += changed
        self._searched[places, axis] = self._changes
        return changed

    def _search(
        self,
        cut: Cut,
        made: Callable[[Spans], dict[Any, Any]],
        hints: tuple[int, ...] = (),
    ) -> bool:
        """Shrink along one axis; whether anything could be left out."""
        seen: Known[int] = Known()
        worded: list[int] = []  # sizes of parts that fail in other words
        self.current, self._made = cut, made

        def fails(spans: Spans) -> bool:
            level = seen.get(spans)
            if level is None:
                level = self._test(made(spans))
                seen.note(spans, level)
                if level == WORDED and spans:
                    worded.append(size_of(spans))
                    self._notice_words(cut, len(worded))
            good = level == SAME or (self.worded and level == WORDED and bool(spans))
            if good and size_of(spans) < cut.left:
                cut.kept = spans
                self.tell(self.runs, cut.left, cut.count)
            elif not good:
                cut.passed = max(cut.passed, size_of(spans))
            return good

        try:
            try:
                found = smallest(cut.count, fails, hints)
            except _Stuck:
                found = Found(cut.kept)
            found = self._in_other_words(cut, found, worded, fails)
            cut.kept, cut.counts = found.kept, found.counts
        finally:
            if cut.left < cut.count:
                self.values = made(cut.kept)
            self._note(cut)
            self.current = self._made = None
        return cut.left < cut.count

    def _notice_words(self, cut: Cut, number: int) -> None:
        """Raise `_Stuck` if many parts fail, and no small one in the whole's words."""
        if not self.worded and cut.left >= cut.count // 4 and number >= _WORDED:
            raise _Stuck

    def _in_other_words(
        self, cut: Cut, found: Found, worded: list[int], fails: Any
    ) -> Found:
        """Without the message, where no smaller part fails with it.

        A message may list what it is about, so that no smaller part has the same.
        """
        size = size_of(found.kept)
        stuck = size > _STICKS or (size == cut.count and not self._fewer_in_words(cut))
        loose = min(worded, default=size) < size
        if self.worded or found.counts or not (stuck and loose and size > 1):
            return found
        self.worded, base = True, found.kept

        def on_rest(spans: Spans) -> bool:
            return bool(fails(within(base, spans)))

        again = smallest(size, on_rest)
        kept = within(base, again.kept)
        if 0 < size_of(kept) < size:
            return Found(kept, again.counts)
        self.worded = False
        return found

    def _fewer_in_words(self, cut: Cut) -> bool:
        """Whether less of a value fails in the words of the whole, as far as is known.

        Names are never what a message lists of its data: without one of them, it is
        about another.
        """
        names = {place.name for place in cut.places}
        return cut.what in _NAMES or any(
            each.left < each.count and names & {place.name for place in each.places}
            for each in self.cuts
        )

    def _note(self, cut: Cut) -> None:
        """Keep what became of an axis; of one that was gone through before, in all."""
        if cut.left < cut.count:
            self._forget_within(cut)
        self.left.cut(cut)
        for known in self.cuts:
            if (known.places, known.axis) == (cut.places, cut.axis):
                known.kept = within(known.kept, cut.kept)
                known.passed = max(known.passed, cut.passed)
                return
        self.cuts.append(cut)

    def _forget_within(self, cut: Cut) -> None:
        """Forget what became of parts of a container that has other parts now."""
        depth = min((len(place.path) for place in cut.places), default=0)
        names = {place.name for place in cut.places}
        self.cuts = [
            each
            for each in self.cuts
            if not any(p.name in names and len(p.path) > depth for p in each.places)
        ]
        for name in names:
            self.left.forget_within(name, depth)

    def _test(self, values: dict[Any, Any]) -> int:
        self.budget.check(self.runs)
        self.runs += 1
        self.tested += self._size(values)
        return self.attempt(values)

    # -- what else is asked -------------------------------------------------------

    def _find_all(self) -> None:
        """Which parts of the largest input fail by themselves, in any words."""
        found_first = next(self._single(), None)
        if found_first is None:
            return
        place, axis = found_first
        self._every_of = place
        before, count = dict(self.values), self._axis(place, axis).size
        self.every = found = []

        def fails(spans: Spans) -> bool:
            less = take(before[place.name], axis, spans)
            return self._test({**before, place.name: less}) >= WORDED

        for position in alone(count, fails):
            found.append(position)
            self.tell(self.runs, count - position, count)

    def every_values(self, most: int) -> dict[Any, Any]:
        """The first of those that fail by themselves, of the columns that are left."""
        place = self._every_of
        if place is None or not self.every:
            return {}
        value = take(self.first[place.name], 0, spans_of(self.every[:most]))
        for number in range(1, len(axes_of(value))):
            value = take(value, number, self.left.of(place, number))
        return {place.name: value}

    def control(self) -> bool:
        """Whether as many other parts of the largest axis fail too, if there are."""
        cut, kept = self.main(), self.main_left()
        if cut is None or cut.places[0].path:
            return False
        if not 0 < size_of(kept) <= cut.count // 2:
            return False
        failed = False
        for others in controls(kept, cut.count):
            try:
                if self._test(self._with_others(cut, others)) == OTHER:
                    return False
            except (Spent, KeyboardInterrupt):
                return False
            failed = True
        return failed

    def _with_others(self, cut: Cut, others: Spans) -> dict[Any, Any]:
        """The values as they were, with other parts of those that a cut is of.

        Whatever else is left is enough for the parts that are left, not for others:
        these may need columns, or inputs, that the smallest input has not.
        """
        values = dict(self.first)
        for place in cut.places:
            if self.left.of(place):
                values[place.name] = take(self.first[place.name], 0, others)
        return values

    def main(self) -> Cut | None:
        """Of the first axes that values are cut along, that with the most parts.

        One of which nothing is left is taken only if that is so of all.
        """
        cuts = [each for each in self.cuts if each.axis == 0 and each.places]
        told = {*self.told()}
        left = [
            each
            for each in cuts
            if any(p.name in told and self.left.of(p) for p in each.places)
        ]
        return max(left or cuts, key=_count, default=None)

    def told(self) -> list[Any]:
        """Names of the values whose parts say what makes it fail.

        A task needs the settings that it asks for, whatever that is: keys and lines
        are told only if the input has more of them than of anything else, or nothing
        else is left; and what had one part at first only if all had.
        """
        first = {
            name: self.left.first_axis(self.left.largest(name)) for name in self.values
        }
        kind, most = max(first.values(), key=lambda each: each[1], default=("", 0))
        several = [name for name, (_, count) in first.items() if count > 1 or most <= 1]
        data = [
            name
            for name in several
            if first[name][0] not in _SETTINGS or first[name][0] == kind
        ]
        some = any(self._is_left(name) for name in data)
        none = not any(self._is_left(name) for name in several)
        return data if some or none else several

    def _is_left(self, name: Any) -> bool:
        return bool(self.positions_left(self.left.largest(name)))

    def main_left(self) -> Spans:
        """What is left along that axis."""
        cut = self.main()
        left = [self.left.of(each) for each in cut.places] if cut else []
        return next(filter(None, left), ())

    def positions_left(self, place: Place) -> Spans:
        """Which positions of a value's first axis are left so far."""
        spans, cut = self.left.of(place), self.current
        if cut is not None and cut.axis == 0 and place in cut.places:
            return within(spans or ((0, cut.count),), cut.kept)
        return spans

    def all_cuts(self) -> list[Cut]:
        """Cuts, with the one that is under way."""
        return [*self.cuts, *([self.current] if self.current is not None else [])]

    def confirm(self) -> bool:
        """Whether what is left still fails when it is run again."""
        return self.fails(self.values)

    def fails(self, values: dict[Any, Any]) -> bool:
        """Whether some values fail the same way."""
        return self._test(values) != OTHER
