"""Frames of pandas and pyarrow in a bounded text.

A subclass is looked at as its base class, and columns of somebody's own extension
types by the names of their classes only: nothing of theirs is called.
"""

from __future__ import annotations

from typing import Any

from ..common.objects import (
    Teller,
    class_attribute,
    class_name,
    instance_dict,
    is_a,
    module_of,
    namespace,
)
from .arrays import FULL, HEAD, NUMBERS, dtype_name, figures, in_file, is_mapped

_COLUMNS = 10
_OBJECTS = 10_000  # of a column of objects, these are looked at for missing ones
# Time zones that are asked for their name and offset.
_ZONES = ("datetime", "zoneinfo", "pytz", "dateutil", "pandas", "pyarrow")
_HIDDEN = "<hidden>"


def describe_pandas(value: Any, kind: type, teller: Teller) -> str | None:
    """The text of what pandas has classes for; None of others."""
    names = namespace("pandas")
    if is_a(kind, names.get("DataFrame")):
        return _tell_frame(_plain(value, names["DataFrame"]), teller)
    if is_a(kind, names.get("Series")):
        return _tell_series(_plain(value, names["Series"]), teller)
    if is_a(kind, names.get("Index")) and module_of(kind) == "pandas":
        return f"{len(value):,} labels: {_labels(value, teller)}"
    if kind is names.get("Interval"):
        begin = "[" if value.closed in ("left", "both") else "("
        end = "]" if value.closed in ("right", "both") else ")"
        return f"{begin}{teller.tell(value.left)}, {teller.tell(value.right)}{end}"
    if kind is names.get("Timestamp") and not _known_zone(value):
        return f"{value.to_datetime64()} UTC ({class_name(type(value.tzinfo))})"
    scalars = [names.get(name) for name in ("Period", "Timedelta", "Timestamp")]
    scalars += [type(names.get("NA")), type(names.get("NaT"))]
    return str(value)[:200] if any(kind is one for one in scalars) else None


def _known_zone(value: Any) -> bool:
    zone = getattr(value, "tz", None)
    return zone is None or module_of(type(zone)) in _ZONES


def _plain(value: Any, base: type) -> Any:
    """A frame or series of a subclass, with the same data, as one of the base class."""
    if type(value) is base:
        return value
    made: Any = object.__new__(base)
    own, space = instance_dict(made), instance_dict(value)
    assert own is not None and space is not None
    own.update(space)
    if "_item_cache" in own:  # of pandas before 3
        own["_item_cache"] = {}
    return made


def is_foreign(array: Any) -> bool:
    """Whether the values are not of pandas' own classes, or of a foreign time zone."""
    return module_of(type(array)) != "pandas" or not _known_zone(array)


def foreign_column(frame: Any, position: int) -> str:
    """What to call a column of somebody's own type; empty for one of pandas' own.

    ``BlockManager.iget_values`` (pandas/core/internals/managers.py) asks nothing of
    the column, where ``iloc`` asks for its length.
    """
    manager = (instance_dict(frame) or {}).get("_mgr")
    if manager is None or class_attribute(type(manager), "iget_values") is None:
        return ""
    values = manager.iget_values(position)
    if is_a(type(values), namespace("numpy").get("ndarray")):
        return ""
    return f"<{class_name(type(values))}>" if is_foreign(values) else ""


def _tell_frame(frame: Any, teller: Teller) -> str:
    rows, columns = frame.shape
    if not columns:
        return f"{rows:,} rows; index {_labels(frame.index, teller)}"
    labels = _first_labels(frame.columns, _COLUMNS)
    if labels is None:
        return f"{rows:,} rows, {columns:,} columns of foreign labels"
    step = _step(rows, FULL // len(labels))
    pieces = []
    for position, label in enumerate(labels):
        foreign = foreign_column(frame, position)
        described = foreign or _column(frame.iloc[:, position], label, step, teller)
        pieces.append(f"{teller.tell(label)} {described}")
    text = f"{rows:,} rows, {columns:,} columns{' (sampled)' if step > 1 else ''}"
    described = teller.join(pieces, columns)
    return f"{text}: {described}; index {_labels(frame.index, teller)}"


def _step(rows: int, share: int) -> int:
    """Which rows to look at: all of few, a fifth of a share of more."""
    return 1 if rows <= share else -(-rows // max(1, share // 5))


def _tell_series(series: Any, teller: Teller) -> str:
    rows = len(series)
    name = "" if series.name is None else f" {teller.tell(series.name)}"
    step = _step(rows, FULL)
    text = f"{rows:,} rows{name} {_column(series, series.name, step, teller)}"
    text += " (sampled)" if step > 1 else ""
    if not is_foreign(series.array) and not _is_mapped(series):
        head = series.iloc[:HEAD].tolist()
        # A row of a frame has the columns' names for its labels.
        labels = _first_labels(series.index, HEAD) or [None] * len(head)
        items = [
            _HIDDEN if teller.hidden(label) else teller.named(series.name, item)
            for label, item in zip(labels, head, strict=True)
        ]
        text += f": [{teller.join(items, rows)}]"
    return f"{text}; index {_labels(series.index, teller)}"


def _is_mapped(column: Any) -> bool:
    of_numpy = module_of(type(column.dtype)) == "numpy"
    return of_numpy and is_mapped(column.to_numpy())


def _column(column: Any, name: Any, step: int, teller: Teller) -> str:
    """A column's dtype and figures, of each so many-th row."""
    array = column.array
    if is_foreign(array):
        return f"<{class_name(type(array))}>"
    dtype = column.dtype
    text = dtype_name(dtype)
    if _is_mapped(column):
        return f"{text} (memory-mapped, not read)"
    part = column.iloc[::step]
    of_numpy = module_of(type(dtype)) == "numpy"
    numbers = of_numpy and dtype.kind in NUMBERS
    if not of_numpy:
        found = _extended(part, array, teller)
    elif numbers:
        found = [each for each in figures(part.to_numpy())[0] if each != "0 NaN"]
    else:
        found = _objects(part)
    if teller.hidden(name, numbers) and found:
        return f"{text} ({_HIDDEN})"
    return f"{text} ({', '.join(found)})" if found else text


def _objects(part: Any) -> list[str]:
    """How many objects are missing; pandas itself would ask each one's class."""
    names = namespace("pandas")
    na, nat = names.get("NA"), names.get("NaT")
    values = part.to_numpy()[:_OBJECTS].tolist()
    count = 0
    for value in values:
        if value is None or value is na or value is nat:
            count += 1
        elif type(value) is float:
            count += value != value
    share = f" of {len(values):,}" if len(values) < len(part) else ""
    return [f"{count:,} NaN{share}"] if count else []


def _extended(part: Any, array: Any, teller: Teller) -> list[str]:
    """The figures of pandas' own extension types."""
    count = int(part.isna().sum())
    found = [f"{count:,} NaN"] if count else []
    if class_name(type(array)) == "Categorical":
        return [*found, f"{len(array.categories):,} categories"]
    if part.dtype.kind in "iufmM" and count < len(part):
        found.append(f"{teller.tell(part.min())} to {teller.tell(part.max())}")
    return found


def _first_labels(index: Any, count: int) -> list[Any] | None:
    """The first labels of an index; None where that would call foreign code."""
    names = namespace("pandas")
    kind = type(index)
    if module_of(kind) != "pandas":
        return None
    if kind is names.get("MultiIndex"):
        foreign = any(is_foreign(level.array) for level in index.levels)
    else:  # the values of a RangeIndex would have to be made
        foreign = kind is not names.get("RangeIndex") and (
            is_foreign(index.array) or _is_mapped(index)
        )
    return None if foreign else index[:count].tolist()


def _labels(index: Any, teller: Teller) -> str:
    if any(teller.hidden(name) for name in index.names):
        return _HIDDEN
    first = _first_labels(index, 3)
    if first is None:
        return f"<{class_name(type(index))}>, not read"
    return f"[{teller.join([teller.tell(label) for label in first], len(index))}]"


# --- pyarrow ------------------------------------------------------------------


def describe_arrow(value: Any, kind: type, teller: Teller) -> str | None:
    """The text of what pyarrow has classes for; None of others."""
    if module_of(kind) != "pyarrow":
        return None
    names = namespace("pyarrow")
    if is_a(kind, names.get("Table")) or is_a(kind, names.get("RecordBatch")):
        schema = value.schema
        columns = schema.names
        pieces = [
            f"{teller.tell(columns[n])} {_arrow_type(schema.types[n])}"
            for n in range(min(len(columns), _COLUMNS))
        ]
        described = teller.join(pieces, len(columns))
        return f"{value.num_rows:,} rows, {len(columns):,} columns: {described}"
    if is_a(kind, names.get("ChunkedArray")) or is_a(kind, names.get("Array")):
        return _arrow_array(value, teller)
    if kind is names.get("ExtensionScalar"):
        return None
    if is_a(kind, names.get("Scalar")):
        return teller.tell(value.as_py())
    return dtype_name(value) if is_a(kind, names.get("DataType")) else None


def _arrow_array(value: Any, teller: Teller) -> str:
    text = f"{_arrow_type(value.type)} ({len(value)},)"
    chunks = getattr(value, "chunks", [value])
    buffers = [found for chunk in chunks[:1] for found in chunk.buffers() if found]
    if any(in_file(found.address) for found in buffers):
        return f"{text}, memory-mapped, not read"
    if module_of(type(value.type)) != "pyarrow":
        return text
    pieces = [teller.tell(item.as_py()) for item in value[:HEAD]]
    return f"{text}, {value.null_count:,} null: [{teller.join(pieces, len(value))}]"


def _arrow_type(kind: Any) -> str:
    """A type in words; somebody's own extension type by its class."""
    return (
        dtype_name(kind)
        if module_of(type(kind)) == "pyarrow"
        else class_name(type(kind))
    )
