"""What is left of an input, and what that means."""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING, Any

from ..common.shrink_cuts import Cut, Place
from ..common.shrink_engine import Engine
from ..common.shrink_parts import FEW, axes_of, take
from ..common.shrink_spans import Spans, positions, size_of

if TYPE_CHECKING:
    from ..common.wire_shrink import CutForm, LeftForm, Verdict

MOST_SPANS = 1_000  # of one axis that are brought home
_MOST_NAMES = 50  # keys of a dict: with more of them, they are data
MOST_LINES = 100  # positions whose lines are looked for


def verdict_of(engine: Engine) -> Verdict:
    """What is left, in one word; a control may run the task a few times more."""
    left = count_left(engine)
    if left == 0:
        return "none"
    main = engine.main()
    if main is not None and main.counts:
        return "size"
    if not engine.stopped and engine.control():
        assert main is not None
        number = size_of(engine.main_left())
        return "size" if number > 1 and main.passed < number else "any"
    if left == 1:
        return "one"
    return "block" if _is_block(engine) else "some"


def count_left(engine: Engine) -> int:
    """How many parts are left of all values; of what was cut together, once."""
    return sum(size_of(spans) for _, spans in _counted(engine))


def _counted(engine: Engine) -> set[tuple[Any, Spans]]:
    """What is left of each value that is told; of what was cut together, once."""
    counted: set[tuple[Any, Spans]] = set()
    for name in engine.told():
        spans = engine.positions_left(engine.left.largest(name))
        if spans:
            counted.add((_together(engine, name) or name, spans))
    return counted


def _together(engine: Engine, name: Any) -> Any:
    """Values that were cut alike with this one."""
    for cut in engine.cuts:
        names = tuple(place.name for place in cut.places)
        if len(names) > 1 and name in names:
            return names
    return None


def _is_block(engine: Engine) -> bool:
    """Whether what is left is in one place, of what has an order."""
    main = engine.main()
    if main is not None and main.what == "key":
        return False
    counted = _counted(engine)
    return len(counted) == 1 and all(len(spans) == 1 for _, spans in counted)


def rows_left(engine: Engine) -> dict[Any, list[int]]:
    """Positions that are left of each value's first axis, if there are few."""
    found: dict[Any, list[int]] = {}
    for name in engine.values:
        spans = engine.positions_left(Place(name))
        if size_of(spans) <= MOST_LINES:
            found[name] = list(positions(spans))
    for name in engine.every_values(0):
        found[name] = (engine.every or [])[:MOST_LINES]
    return found


def as_they_were(engine: Engine) -> dict[Any, Any]:
    """What is left of containers that were cut within, as it was before that.

    A row without the keys that do not matter is hard to find again.
    """
    within = {
        place.name
        for cut in engine.all_cuts()
        for place in cut.places
        if place.path and cut.left < cut.count
    }
    found: dict[Any, Any] = {}
    for name in within:
        place = engine.left.largest(name)
        spans = engine.left.of(place)
        if not place.path and 0 < size_of(spans) <= MOST_LINES:
            found[name] = take(engine.first[name], 0, spans)
    return found


def with_names(engine: Engine) -> dict[Any, Any]:
    """What is left, with all columns, keys and short tuples that it is asked by.

    What fails does not need them; what comes after it, once it is mended, may.
    """
    return {
        name: _named(engine, Place(name), engine.first[name], value)
        for name, value in engine.best().items()
    }


def _named(engine: Engine, place: Place, first: Any, small: Any) -> Any:
    if small is first or type(small) is not type(first):
        return small

    def inner(step: Any, was: Any, now: Any) -> Any:
        return _named(engine, Place(place.name, (*place.path, step)), was, now)

    found, axes = small, axes_of(first)
    if type(first) is dict and len(first) <= _MOST_NAMES:
        found = {
            key: inner(key, value, small[key]) if key in small else value
            for key, value in first.items()
        }
        return small if _is_same(found.values(), small.values()) else found
    spans = engine.left.of(place) or _all_of(first, small)
    if [axis.what for axis in axes] == ["row", "column"]:
        whole = axes_of(small)[1:] == axes[1:]
        return small if whole else take(first, 0, spans)
    if type(first) in (list, tuple) and size_of(spans) == len(small):
        kept = {
            at: inner(n, first[at], small[n]) for n, at in enumerate(positions(spans))
        }
        found = type(first)(kept.values())
        if type(first) is tuple and len(first) <= FEW:
            found = tuple(kept.get(at, value) for at, value in enumerate(first))
    return small if _is_same(found, small) else found


def _is_same(found: Any, small: Any) -> bool:
    """Whether nothing has come back to what is left."""
    if found is small:
        return True
    return len(found) == len(small) and all(map(is_, found, small))


def _all_of(first: Any, small: Any) -> Spans:
    """All rows of a value that has lost none of them."""
    size, left = axes_of(first)[:1], axes_of(small)[:1]
    return ((0, size[0].size),) if size and size == left and size[0].size else ()


def left_forms(engine: Engine) -> list[LeftForm]:
    """What is left of each value that was cut, or of the largest within it."""
    cut = {p.name for each in engine.all_cuts() for p in each.places}
    told = engine.told()
    forms: list[LeftForm] = []
    for name in engine.first:
        place = engine.left.largest(name)
        what, count = engine.left.first_axis(place)
        if name in cut and count and name in told:
            forms.append(
                {
                    "name": list(name),
                    "path": list(place.path),
                    "what": what,
                    "count": count,
                    "kept": list(engine.positions_left(place)[:MOST_SPANS]),
                }
            )
    return forms


def cut_form(cut: Cut) -> CutForm:
    return {
        "names": [list(place.name) for place in cut.places],
        "path": list(cut.places[0].path) if cut.places else [],
        "what": cut.what,
        "count": cut.count,
        "left": cut.left,
    }
