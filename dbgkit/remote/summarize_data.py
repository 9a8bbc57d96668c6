"""Arrays and frames in a bounded text: of numpy, pandas and pyarrow.

Only what is loaded already is known: these libraries are never imported from here.
What a subclass overrides is not called: it is looked at as its base class.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol

from .summarize_objects import class_module, class_mro, class_name

FULL = 1_000_000  # elements that are looked at in full; of more, a sample
SAMPLE = 200_000  # elements of such a sample
_HEAD = 6


class Teller(Protocol):
    """What is needed of the walk that meets the data."""

    cut: bool

    def tell(self, value: Any) -> str:
        """The text of one value within the data."""
        ...

    def named(self, name: Any, value: Any) -> str:
        """The same, under a name that may hide it."""
        ...

    def join(self, pieces: list[str], count: int, between: str = ", ") -> str:
        """Pieces, and how many more there would have been."""
        ...


def describe_data(value: Any, teller: Teller) -> str | None:
    """The text of an array, frame or scalar of these libraries; None of others."""
    kind = type(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if _is_a(kind, numpy, "ndarray"):
            return _array(value, numpy, teller)
        if _is_a(kind, numpy, "generic"):
            return _scalar(value, numpy, teller)
        if _is_a(kind, numpy, "dtype"):
            return str(value)[:200]
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        if _is_a(kind, pandas, "DataFrame"):
            return _frame(pandas.DataFrame(value), pandas, teller)
        if _is_a(kind, pandas, "Series"):
            return _series(pandas.Series(value), pandas, teller)
        if _is_a(kind, pandas, "Index"):
            return f"{len(value):,} labels: {_labels(value, teller)}"
        module = class_module(kind)
        if class_name(kind) in _PANDAS_SCALARS and str(module).startswith("pandas"):
            return str(value)[:200]
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        return _arrow(value, kind, arrow, teller)
    return None


_PANDAS_SCALARS = ("Interval", "NAType", "NaTType", "Period", "Timedelta", "Timestamp")


def _is_a(kind: type, module: Any, name: str) -> bool:
    """Whether a class derives from one of a module, asking no metaclass."""
    # A module that is being imported just now lacks the name.
    base = vars(module).get(name)
    return any(cls is base for cls in class_mro(kind))


# --- numpy --------------------------------------------------------------------


def _array(value: Any, numpy: Any, teller: Teller) -> str:
    masked = sys.modules.get("numpy.ma")
    on_disk = _is_a(type(value), numpy, "memmap")
    extra = ""
    if masked is not None and _is_a(type(value), masked, "MaskedArray"):
        mask = numpy.ndarray.view(masked.getmaskarray(value), numpy.ndarray)
        if mask.size <= FULL:
            extra = f", {int(mask.sum()):,} masked"
    array = numpy.ndarray.view(value, numpy.ndarray)
    text = f"{_dtype(array.dtype)} {_shape(array.shape)}{extra}"
    if on_disk:
        # The file may be slow, or shorter than it was: reading would end the process.
        return f"{text}, on disk, not read"
    if not array.size:
        return f"{text}, empty"
    if array.ndim:
        text += _figures(array, numpy)
    return f"{text}: {_head(array, numpy, teller)}"


def _dtype(dtype: Any) -> str:
    text = str(dtype)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _figures(array: Any, numpy: Any) -> str:
    """How many NaN, the least and the greatest, of all or of a sample."""
    kind = array.dtype.kind
    if kind not in "fciumMb":
        return ""
    part = _sample(array)
    sampled = " (sampled)" if part.size < array.size else ""
    text = ""
    with numpy.errstate(all="ignore"):
        if kind in "fcmM":
            missing = numpy.isnat(part) if kind in "mM" else numpy.isnan(part)
            count = int(numpy.count_nonzero(missing))
            name = "NaT" if kind in "mM" else "NaN"
            share = f" of {part.size:,}" if sampled else ""
            text = f", {count:,} {name}{share}" if count or kind in "fc" else ""
            if kind == "c" or count == part.size:
                return text + sampled
        if kind == "b":
            return f", {int(numpy.count_nonzero(part)):,} True{sampled}"
        if kind == "f" and not sampled:
            infinite = int(numpy.count_nonzero(numpy.isinf(part)))
            text += f", {infinite:,} inf" if infinite else ""
        least = numpy.fmin.reduce(part, axis=None)
        greatest = numpy.fmax.reduce(part, axis=None)
    return f"{text}, {least!s} to {greatest!s}{sampled}"


def _sample(array: Any) -> Any:
    """All of a small array; a view of some 200,000 elements of a large one."""
    if array.size <= FULL:
        return array
    # A step along each axis, the longest first: a view, so nothing is copied.
    step = -(-array.size // SAMPLE)
    slices = [slice(None)] * array.ndim
    for axis in sorted(range(array.ndim), key=lambda n: -array.shape[n]):
        one = min(step, array.shape[axis])
        slices[axis] = slice(None, None, one)
        step = -(-step // one)
        if step <= 1:
            break
    return array[tuple(slices)]


def _head(array: Any, numpy: Any, teller: Teller) -> str:
    """The first elements, in the array's own order."""
    first = array.reshape(1) if not array.ndim else array.flat[:_HEAD]
    pieces = [_element(item, numpy, teller) for item in first]
    if not array.ndim:
        return pieces[0]
    return f"[{teller.join(pieces, array.size)}]"


def _element(item: Any, numpy: Any, teller: Teller) -> str:
    if _is_a(type(item), numpy, "generic"):
        return _scalar(item, numpy, teller)
    return teller.tell(item)


def _scalar(value: Any, numpy: Any, teller: Teller) -> str:
    kind = value.dtype.kind
    if kind in "biufcmM":
        # By the base class, for who derives from one.
        return str(numpy.ndarray.__str__(numpy.asarray(value)))
    return teller.tell(value.item() if kind != "V" or value.dtype.names else None)


# --- pandas -------------------------------------------------------------------


def _frame(frame: Any, pandas: Any, teller: Teller) -> str:
    rows, columns = frame.shape
    share = max(1, FULL // max(columns, 1))
    part = frame if rows <= share else frame.iloc[:: -(-rows // (share // 5 or 1))]
    pieces = []
    for position in range(min(columns, _COLUMNS)):
        column = part.iloc[:, position]
        label = teller.tell(frame.columns[position])
        missing = _missing(column, pandas, sampled=len(part) < rows)
        pieces.append(f"{label} {_dtype(column.dtype)}{missing}")
    told = teller.join(pieces, columns)
    text = (
        f"{rows:,} rows, {columns:,} columns: {told}" if columns else f"{rows:,} rows"
    )
    return f"{text}; index {_labels(frame.index, teller)}"


_COLUMNS = 10


def _series(series: Any, pandas: Any, teller: Teller) -> str:
    rows = len(series)
    part = series if rows <= FULL else series.iloc[:: -(-rows // SAMPLE)]
    missing = _missing(part, pandas, sampled=len(part) < rows)
    name = "" if series.name is None else f" {teller.tell(series.name)}"
    head = series.iloc[:_HEAD].tolist()
    items = [teller.named(series.name, item) for item in head]
    return (
        f"{rows:,} rows{name} {_dtype(series.dtype)}{missing}: "
        f"[{teller.join(items, rows)}]; index {_labels(series.index, teller)}"
    )


def _missing(column: Any, pandas: Any, *, sampled: bool) -> str:
    """How many values are missing."""
    if not str(class_module(type(column.dtype))).startswith(("numpy", "pandas")):
        return ""  # somebody's own extension type
    count = int(column.isna().sum())
    if not count:
        return ""
    return f" ({count:,} NaN{f' of {len(column):,}, sampled' if sampled else ''})"


def _labels(index: Any, teller: Teller) -> str:
    first = [teller.tell(label) for label in index[:3].tolist()]
    return f"[{teller.join(first, len(index))}]"


# --- pyarrow ------------------------------------------------------------------


def _arrow(value: Any, kind: type, arrow: Any, teller: Teller) -> str | None:
    if _is_a(kind, arrow, "Table") or _is_a(kind, arrow, "RecordBatch"):
        schema = value.schema
        names = schema.names
        pieces = [
            f"{teller.tell(names[n])} {_dtype(schema.types[n])}"
            for n in range(min(len(names), _COLUMNS))
        ]
        told = teller.join(pieces, len(names))
        return f"{value.num_rows:,} rows, {len(names):,} columns: {told}"
    if _is_a(kind, arrow, "ChunkedArray") or _is_a(kind, arrow, "Array"):
        return f"{_dtype(value.type)} ({len(value)},), {value.null_count:,} null"
    return None
