"""Which line of a file a row came from, which row group, which place of an array.

Counted in the file itself, and only told where all of its rows can be accounted for:
with line ends within quotes, comments or skipped rows they cannot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict

if TYPE_CHECKING:
    from .wire_shrink import LinePlace, LineSource

MOST_BYTES = 2**32  # of a file before the block
MOST_BLOCK = 2**29
SECONDS = 10.0  # for counting what is before the block
_PART = 2**22
_BYTES = re.compile(r"bytes ([\d,]+) to ([\d,]+)")
_GROUPS = re.compile(r"row groups \[([\d, ]*)\]")
_SLICE = re.compile(r"\[(\d*):")
_TEXT = ("read_csv", "read_table", "read_fwf", "read_text", "read_json", "read_bytes")


class Line(TypedDict):
    """Where one position of an input came from."""

    position: int
    what: str
    path: str
    place: str
    line: int | None


class Uncounted(Exception):
    """Why lines cannot be counted."""


def lines_of(
    source: LineSource, value: Any, rows: Sequence[int]
) -> tuple[list[Line], str]:
    """Where rows of a value came from, and a note if that cannot be told."""
    what, path = source["what"], source["path"]
    if "first" in source:
        return [_counted(source, row) for row in rows], ""
    try:
        if what == "read_parquet":
            return _groups(source, value, rows), ""
        if what in _TEXT and path:
            return _lines(source, value, rows), ""
        if what in ("from_array", "from_zarr"):
            return _places(source, rows), ""
    except Uncounted as why:
        return [], f"lines of {path} are not told: {why}"
    except Exception as error:  # of the file, its system, or its library
        return [], f"lines of {path} are not told: {type(error).__name__}: {error}"
    return [], ""


def first_of(source: LineSource, value: Any) -> LinePlace | None:
    """Where the first row of a value is, if all others follow; reads the file."""
    count = len(value)
    if not count:
        return None
    lines, _ = lines_of(source, value, (0, count - 1))
    if len(lines) != 2:
        return None
    first, last = lines
    if first["line"] is not None and last["line"] is not None:
        if last["line"] - first["line"] != count - 1:
            return None
        return {"in_what": "line", "number": first["line"]}
    group, _, row = first["place"].partition(_ROW)
    if row:
        same = last["place"].partition(_ROW)[0] == group
        return {"in_what": group, "number": _number(row.split()[0])} if same else None
    return {"in_what": "array", "number": _number(first["place"].strip("[]"))}


def _counted(source: LineSource, row: int) -> Line:
    """Where a row is of a value whose first row was counted before."""
    first = source["first"]
    number = first["number"] + row
    if first["in_what"] == "line":
        return _line(source, row, f"line {number:,}", number)
    if first["in_what"] == "array":
        return _line(source, row, f"[{number}]")
    return _line(source, row, f"{first['in_what']}{_ROW}{number:,} of it")


_ROW = ", row "


def _line(source: LineSource, row: int, place: str, line: int | None = None) -> Line:
    what, path = source["what"], source["path"]
    return {"position": row, "what": what, "path": path, "place": place, "line": line}


def _open(path: str) -> Any:
    import fsspec

    return fsspec.open(path, "rb", compression="infer")


# --- text ---------------------------------------------------------------------


def _lines(source: LineSource, value: Any, rows: Sequence[int]) -> list[Line]:
    found = _BYTES.search(source["place"])
    start, stop = (_number(each) for each in found.groups()) if found else (0, None)
    with _open(source["path"]) as file:
        before, block = _read(file, start, stop)
    lines = block.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    # The number, within the block, of the line of each row.
    numbers: Sequence[int] = range(len(lines))
    if type(value) is bytes or type(value) is str:
        count = len(value.splitlines())
    else:
        count = len(value)
    if source["what"] != "read_text" and type(value) is not bytes:
        numbers = [index for index, line in enumerate(lines) if line.strip()]
        if not start and len(numbers) == count + 1:
            numbers = numbers[1:]  # the header
    if len(numbers) != count:
        raise Uncounted(
            f"{len(numbers):,} lines do not make {count:,} rows (line ends within "
            "quotes, comments, or rows that were skipped)"
        )
    found_lines = ((row, before + numbers[row] + 1) for row in rows)
    return [_line(source, row, f"line {line:,}", line) for row, line in found_lines]


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _read(file: BinaryIO, start: int, stop: int | None) -> tuple[int, bytes]:
    """Lines before a block, and the block, which begins and ends at line ends.

    As ``fsspec.utils.read_block`` has it, with which Dask reads.
    """
    if start > MOST_BYTES:
        raise Uncounted("there is too much of the file before them")
    before, at, end = 0, 0, monotonic() + SECONDS
    while at < start:
        part = file.read(min(_PART, start - at))
        if not part:
            break
        before, at = before + part.count(b"\n"), at + len(part)
        if monotonic() > end:
            raise Uncounted(f"what is before them was not counted in {SECONDS:g} s")
    if start:  # the rest of a line belongs to the block before
        before += file.readline().endswith(b"\n")
    size = MOST_BLOCK if stop is None else max(0, stop - file.tell())
    if size > MOST_BLOCK:
        raise Uncounted("the block is too large")
    block = file.read(size)
    if stop is None and len(block) == MOST_BLOCK:
        raise Uncounted("the file is too large")
    return before, block + file.readline() if stop is not None else block


# --- other sources ---------------------------------------------------------------


def _groups(source: LineSource, value: Any, rows: Sequence[int]) -> list[Line]:
    parquet: Any = import_module("pyarrow.parquet")  # whoever read it has it
    with _open(source["path"]) as file:
        metadata = parquet.ParquetFile(file).metadata
        found = _GROUPS.search(source["place"])
        wanted = list(range(metadata.num_row_groups))
        if found:
            wanted = [int(each) for each in found[1].split(",") if each.strip()]
        sizes = [metadata.row_group(each).num_rows for each in wanted]
    if sum(sizes) != len(value):
        raise Uncounted(
            f"its row groups have {sum(sizes):,} rows, and the input {len(value):,}"
        )
    lines = []
    for row in rows:
        left = row
        for group, size in zip(wanted, sizes, strict=True):
            if left < size:
                place = f"row group {group}{_ROW}{left:,} of it"
                lines.append(_line(source, row, place))
                break
            left -= size
    return lines


def _places(source: LineSource, rows: Sequence[int]) -> list[Line]:
    found = _SLICE.search(source["place"])
    if not found:
        return []
    start = int(found[1] or 0)
    return [_line(source, row, f"[{start + row}]") for row in rows]


def source_of(
    name: tuple[str, Any], sources: Mapping[Any, LineSource], *, alone: bool
) -> LineSource | None:
    """What an input, or a step, was read from; ``alone``: if nothing else was read.

    A literal of a call that was saved is among the sources under its whole name.
    """
    for key in (name, name[1]):
        if key in sources:
            return sources[key]
    with suppress(ValueError):
        (only,) = sources.values()
        return only if alone else None
    return None
