"""Tables of pandas as streams of Arrow: one of the rows, one of each list beside them.

The first stream has the values of all columns and of the index, row by row. Lists of
other lengths (labels of columns, categories, levels) follow as streams of their own. A
note of the first one's schema says what is what. What pandas and pyarrow make of their
own notes is not used: it loses labels, frequencies, and the difference of None and NaN.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from dbgkit.bundles.arrow_columns import (
    note_of,
    of_note,
    read_index,
    read_values,
    write_index,
    write_values,
)
from dbgkit.bundles.arrow_same import same_table, same_values
from dbgkit.bundles.arrow_streams import Streams, read_streams
from dbgkit.bundles.entries import Writer
from dbgkit.model.recordings import MALFORMED
from dbgkit.remote.common.objects import module_of, namespace
from dbgkit.remote.values.tables import foreign_column, is_foreign

_CHUNK = 4_000_000  # bytes, roughly, that are converted at a time
_MOST_ROWS = 200_000  # of a chunk
_FEW = 50  # columns that are compared in one frame
_SMALL = 1 << 20  # bytes that are worth compressing
_NOTE = b"dbgkit"
# Of pandas' classes; index classes are told by their base.
_TABLES = ("DataFrame", "Series")


def is_table(value: Any) -> bool:
    """Whether a value is a frame, a series or an index of pandas' own classes."""
    kind = type(value)
    names = namespace("pandas")
    if any(kind is names.get(name) for name in _TABLES):
        return True
    return module_of(kind) == "pandas" and "Index" in names and _is_index(value)


def _is_index(value: Any) -> bool:
    return isinstance(value, namespace("pandas")["Index"])


@contextmanager
def _quietly() -> Iterator[None]:
    """Without pandas' warnings of what it will do otherwise in years to come."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@_quietly()
def plan(value: Any) -> Writer | None:
    """How to write a table; None where what is read back would not be the same."""
    try:
        import pyarrow
    except ImportError:
        return None
    if _has_foreign(value) or (not _is_index(value) and is_locked(value)):
        return None
    try:
        if not _survives(value):
            return None
        streams = Streams(len(value))
        note = _note(value, streams)
    except (*MALFORMED, pyarrow.ArrowException, NotImplementedError):
        return None

    @_quietly()
    def write(file: Any) -> None:
        streams.write(file, chunks, {_NOTE: json.dumps(note).encode()})

    size = _size(value)
    chunks = list(_chunks(len(value), size))
    return Writer(write, size, compressed=size <= _SMALL)


def _has_foreign(value: Any) -> bool:
    """Whether some values are of somebody's own type: it is asked nothing at all."""
    if _is_index(value):
        names = namespace("pandas")
        if type(value) is names["RangeIndex"]:  # its array would be made
            return False
        parts = value.levels if type(value) is names["MultiIndex"] else [value]
        return any(is_foreign(each.array) for each in parts)
    if value.ndim == 1:
        return is_foreign(value.array) or _has_foreign(value.index)
    return (
        any(foreign_column(value, position) for position in range(value.shape[1]))
        or _has_foreign(value.index)
        or _has_foreign(value.columns)
    )


def is_locked(value: Any) -> bool:
    """Whether some of a frame's or series' arrays cannot be written to.

    A task that writes into one fails for that. ``BlockManager.blocks``
    (pandas/core/internals/managers.py): what is public is always locked since pandas 3.
    """
    arrays = (block.values for block in value._mgr.blocks)
    return any(
        isinstance(array, namespace("numpy")["ndarray"]) and not array.flags.writeable
        for array in arrays
    )


def _size(value: Any) -> int:
    found: Any = value.memory_usage()  # of each column of a frame
    return int(found.sum() if hasattr(found, "sum") else found)


def _chunks(count: int, nbytes: int) -> Iterator[slice]:
    """Rows that are converted at a time; one empty chunk of an empty table."""
    each = nbytes // count if count else 0
    step = max(1, min(_MOST_ROWS, _CHUNK // max(1, each)))
    for start in range(0, max(1, count), step):
        yield slice(start, min(count, start + step))


def _survives(value: Any) -> bool:
    """Whether a table is the same when it is read back: its parts, one by one."""
    if _is_index(value):
        chunks = _chunks(len(value), _size(value))
        return all(_is_same_again(value[chunk]) for chunk in chunks)
    # Few columns, as of many each is compared below.
    frame = value.ndim == 2
    few = value.iloc[:0, :_FEW] if frame else value.iloc[:0]
    if not _is_same_again(few) or not _survives(value.index):
        return False
    if frame and not _survives(value.columns):
        return False
    return all(map(_column_survives, _arrays(value)))


def _is_same_again(table: Any) -> bool:
    streams = Streams(len(table))
    note = _note(table, streams)
    return same_table(read(*_written(streams, len(table), note)), table)


def _column_survives(array: Any) -> bool:
    for rows in _chunks(len(array), array.nbytes):
        part = array[rows]
        streams = Streams(len(part))
        note = write_values(part, streams, 0)
        data, limit = _written(streams, len(part), note)
        text, found = read_streams(data, _NOTE)
        if not same_values(read_values(json.loads(text), found, limit), part):
            return False
    return True


def _written(streams: Streams, count: int, note: Any) -> tuple[bytes, int]:
    """The bytes of streams, and how many there are."""
    file = BytesIO()
    streams.write(file, [slice(0, count)], {_NOTE: json.dumps(note).encode()})
    return file.getvalue(), max(count, file.tell())


def _arrays(value: Any) -> Iterator[Any]:
    """The values of each column, as pandas has them: nothing is copied."""
    if value.ndim == 1:
        yield value.array
        return
    for position in range(value.shape[1]):
        yield value.iloc[:, position].array


# -- a table and its note ------------------------------------------------------


def _note(value: Any, streams: Streams) -> dict[str, Any]:
    """What a table is made of; its values are added to the streams."""
    if _is_index(value):
        return {"kind": "index", "index": write_index(value, streams, 0)}
    note: dict[str, Any] = {
        "kind": type(value).__name__,
        "index": write_index(value.index, streams, 0),
        "attrs": note_of(dict(value.attrs)),
        "duplicates": value.flags.allows_duplicate_labels,
    }
    if note["kind"] == "Series":
        note["name"] = note_of(value.name)
        note["columns"] = [write_values(each, streams, 0) for each in _arrays(value)]
        return note
    beside = streams.add_stream(value.shape[1])
    note["labels"] = write_index(value.columns, streams, beside)
    note["columns"] = [write_values(each, streams, 0) for each in _arrays(value)]
    return note


@_quietly()
def read(data: bytes, limit: int) -> Any:
    """The table of some bytes; whatever they are, no code of theirs is run."""
    import pandas

    note, streams = read_streams(data, _NOTE)
    found = json.loads(note)
    index = read_index(found["index"], streams, limit)
    if found["kind"] == "index":
        return index
    values = [read_values(form, streams, limit) for form in found["columns"]]
    columns = [
        # Without its dtype, objects that are all texts would become another one.
        pandas.Series(each, index=index, dtype=each.dtype, copy=False)
        for each in values
    ]
    make = _MAKERS[found["kind"]]
    made = make(found, index, columns, streams, limit)
    made.attrs.update(of_note(found["attrs"]))
    made.flags.allows_duplicate_labels = bool(found["duplicates"])
    return made


def _make_series(
    note: Any, index: Any, columns: list[Any], streams: Any, limit: int
) -> Any:
    (series,) = columns
    return series.rename(of_note(note["name"]))


def _make_frame(
    note: Any, index: Any, columns: list[Any], streams: Any, limit: int
) -> Any:
    import pandas

    labels = read_index(note["labels"], streams, limit)
    made = pandas.DataFrame(dict(enumerate(columns)), index=index, copy=False)
    made.columns = labels
    return made


_MAKERS: dict[str, Callable[..., Any]] = {
    "Series": _make_series,
    "DataFrame": _make_frame,
}
