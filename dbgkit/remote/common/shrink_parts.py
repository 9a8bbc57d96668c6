"""Parts of values: rows, columns, elements, keys; what is left when some go.

pandas, numpy and pyarrow are used only if a value is theirs, so they are there then.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .shrink_spans import Spans, positions

FEW = 4  # parts of a container that are looked into by themselves


class Axis(NamedTuple):
    """A way to take a value apart: into how many of what."""

    what: str
    size: int


def axes_of(value: Any) -> tuple[Axis, ...]:
    """How a value can be taken apart; empty if it cannot."""
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        return (Axis("element", len(value)),)
    if kind is dict:
        return (Axis("key", len(value)),)
    if kind in (str, bytes):
        return (Axis("line", len(value.splitlines())),)
    found = _library_of(value)
    return () if found is None else found.axes(value)


def is_option(value: Any) -> bool:
    """Whether a text is of one line, a name or a path: texts are shrunk by lines.

    A task that has come to write to ``""`` writes somewhere else.
    """
    return type(value) in (str, bytes) and len(value.splitlines()) < 2


def take(value: Any, axis: int, spans: Spans) -> Any:
    """What is left of a value if only some of its parts stay: another object."""
    kind = type(value)
    if kind is list or kind is tuple:
        return kind(_sliced(value, spans))
    if kind in (set, frozenset):
        return kind(_sliced(list(value), spans))
    if kind is dict:
        return {name: value[name] for name in _sliced(list(value), spans)}
    if kind in (str, bytes):
        return kind().join(_sliced(value.splitlines(keepends=True), spans))
    found = _library_of(value)
    assert found is not None
    return found.take(value, axis, spans)


def _sliced(items: Any, spans: Spans) -> list[Any]:
    return [each for start, stop in spans for each in items[start:stop]]


def children_of(value: Any) -> list[Any]:
    """Where in a short container there are values of their own."""
    kind = type(value)
    known = kind in (list, dict) or issubclass(kind, tuple)
    if not known or len(value) > FEW:
        return []
    return list(value) if kind is dict else list(range(len(value)))


def parts_in(value: Any, deepest: int = 3) -> int:
    """How many parts the first axis of a value has, or those within it together."""
    axes = axes_of(value)
    own = axes[0].size if axes else 0
    if not deepest or type(value) in (str, bytes):
        return own
    within = (parts_in(value[step], deepest - 1) for step in children_of(value))
    return max(own, sum(within))


def at(value: Any, path: Iterable[Any]) -> Any:
    """A value within containers."""
    for step in path:
        value = value[step]
    return value


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A container with another value at a place, as a new object."""
    if not path:
        return new
    step, *rest = path
    inner = put(value[step], tuple(rest), new)
    if type(value) is dict:
        return {**value, step: inner}
    changed = list(value)
    changed[step] = inner
    kind = type(value)
    # A tuple of some other class may take its items in another way.
    return kind(changed) if kind in (list, tuple) else tuple.__new__(kind, changed)


# --- libraries ------------------------------------------------------------------


class _Library(NamedTuple):
    axes: Callable[[Any], tuple[Axis, ...]]
    take: Callable[[Any, int, Spans], Any]


def _library_of(value: Any) -> _Library | None:
    """How a library's values are taken apart; it is not imported for that."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and hasattr(pandas, "DataFrame"):
        if isinstance(value, pandas.DataFrame):
            return _FRAME
        if isinstance(value, (pandas.Series, pandas.Index)):
            return _SERIES
    numpy = sys.modules.get("numpy")
    arrays = getattr(numpy, "ndarray", None)
    if arrays is not None and isinstance(value, arrays):
        array: Any = value
        return _ARRAY if array.ndim else None
    arrow = sys.modules.get("pyarrow")
    if arrow is not None and isinstance(value, getattr(arrow, "Table", ())):
        return _TABLE
    return None


def _index(spans: Spans) -> Any:
    """Positions for numpy: a slice where that is enough."""
    import numpy

    if not spans:
        return slice(0, 0)
    if len(spans) == 1:
        return slice(*spans[0])
    return numpy.concatenate([numpy.arange(start, stop) for start, stop in spans])


def _take_of_frame(value: Any, axis: int, spans: Spans) -> Any:
    index = _index(spans)
    return value.iloc[index] if axis == 0 else value.iloc[:, index]


def _take_of_series(value: Any, axis: int, spans: Spans) -> Any:
    index = _index(spans)
    return value.iloc[index] if hasattr(value, "iloc") else value[index]


def _axes_of_array(value: Any) -> tuple[Axis, ...]:
    if value.ndim == 1:
        return (Axis("element", len(value)),)
    return tuple(Axis(f"axis {axis}", n) for axis, n in enumerate(value.shape))


def _take_of_array(value: Any, axis: int, spans: Spans) -> Any:
    index = (*[slice(None)] * axis, _index(spans))
    return value[index]


def _take_of_table(value: Any, axis: int, spans: Spans) -> Any:
    if axis:
        return value.select(list(positions(spans)))
    parts = [value.slice(start, stop - start) for start, stop in spans]
    arrow: Any = sys.modules["pyarrow"]
    return arrow.concat_tables(parts) if parts else value.slice(0, 0)


_FRAME = _Library(
    lambda value: (Axis("row", len(value)), Axis("column", value.shape[1])),
    _take_of_frame,
)
_SERIES = _Library(lambda value: (Axis("row", len(value)),), _take_of_series)
_ARRAY = _Library(_axes_of_array, _take_of_array)
_TABLE = _Library(
    lambda value: (Axis("row", len(value)), Axis("column", value.num_columns)),
    _take_of_table,
)
