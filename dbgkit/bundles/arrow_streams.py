"""Streams of Arrow in one file: written in pieces, and read from files of anybody's.

Read are plain columns only: no extension type (which may be anybody's class), no
compression (of which a few bytes ask for any size), no type whose rows take no bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

Piece = Callable[[slice], Any]  # rows -> an array of pyarrow

_EXTENSION = b"ARROW:extension"  # key of a field's note that names an extension type
_RECORDS = 3  # org.apache.arrow.flatbuf.MessageHeader.RecordBatch


class Place(NamedTuple):
    """A column: the number of its stream, and its own in that stream."""

    stream: int
    column: int


class Streams:
    """Columns to be written: those of the rows, and lists of other lengths."""

    def __init__(self, rows: int) -> None:
        self._lengths = [rows]
        self._pieces: list[list[Piece]] = [[]]

    def add_stream(self, length: int) -> int:
        """Begin a list beside the rows; its number."""
        self._lengths.append(length)
        self._pieces.append([])
        return len(self._lengths) - 1

    def add(self, stream: int, piece: Piece) -> list[int]:
        """Add a column; the place of it, for a note."""
        self._pieces[stream].append(piece)
        return list(Place(stream, len(self._pieces[stream]) - 1))

    def write(self, file: Any, chunks: list[slice], note: dict[bytes, bytes]) -> None:
        """Write all; of the rows, as many at a time as the chunks say."""
        for number, (length, pieces) in enumerate(
            zip(self._lengths, self._pieces, strict=True)
        ):
            whole = [slice(0, length)]
            _write_stream(file, pieces, whole if number else chunks, note)
            note = {}


def _write_stream(
    file: Any, pieces: list[Piece], chunks: list[slice], note: dict[bytes, bytes]
) -> None:
    import pyarrow

    writer = None
    names = list(map(str, range(len(pieces))))
    for chunk in chunks:
        arrays = [piece(chunk) for piece in pieces]
        if writer is None:
            fields = [
                pyarrow.field(name, array.type)
                for name, array in zip(names, arrays, strict=True)
            ]
            schema = pyarrow.schema(fields, note)
            writer = pyarrow.ipc.new_stream(file, schema)
        writer.write_batch(pyarrow.RecordBatch.from_arrays(arrays, schema=schema))
    if writer is not None:
        writer.close()


# -- reading -------------------------------------------------------------------


class Read:
    """The columns of streams that were read."""

    def __init__(self) -> None:
        self._tables: list[Any] = []

    def column(self, place: Any) -> Any:
        """A column, in chunks."""
        stream, column = place
        if min(stream, column) < 0:
            raise ValueError(f"there is no column {place}")
        return self._tables[stream].column(column)

    def append(self, table: Any) -> None:
        self._tables.append(table)


def read_streams(data: bytes, note: bytes) -> tuple[bytes, Read]:
    """The note of the first stream, and all columns."""
    import pyarrow

    found = Read()
    first = b""
    source = pyarrow.BufferReader(pyarrow.py_buffer(data))
    try:
        while source.tell() < len(data):
            table = _read_stream(source)
            if not first:
                first = (table.schema.metadata or {})[note]
            found.append(table)
    except (pyarrow.ArrowException, StopIteration, struct.error) as error:
        raise ValueError(f"no stream of Arrow: {str(error)[:200]}") from error
    return first, found


def _read_stream(source: Any) -> Any:
    import pyarrow

    messages = pyarrow.ipc.MessageReader.open_stream(source)
    message = messages.read_next_message()
    if message.type != "schema" or _EXTENSION in message.metadata.to_pybytes():
        raise ValueError("it does not begin with plain columns")
    schema = pyarrow.ipc.read_schema(message)
    for field in schema:
        if not is_flat(field.type):
            raise ValueError(f"it has a column of {str(field.type)[:80]}")
    batches = []
    while (message := _next(messages)) is not None:
        if message.type != "record batch" or _is_compressed(message.metadata):
            raise ValueError("it has parts that are not read")
        batch = pyarrow.ipc.read_record_batch(message, schema)
        batch.validate(full=True)
        batches.append(batch)
    return pyarrow.Table.from_batches(batches, schema)


def _next(messages: Any) -> Any:
    try:
        return messages.read_next_message()
    except StopIteration:
        return None


def is_flat(kind: Any) -> bool:
    """Whether each value of a type takes bytes of its own in a file."""
    from pyarrow import types

    if types.is_fixed_size_binary(kind):
        return bool(0 < kind.byte_width <= _WIDEST)
    return any(getattr(types, f"is_{name}")(kind) for name in _FLAT)


_WIDEST = 1_000
_FLAT = (
    *("boolean", "integer", "floating", "decimal128", "temporal"),
    *("string", "large_string", "binary", "large_binary"),
)


def _is_compressed(metadata: Any) -> bool:
    """Whether a batch of rows is compressed; pyarrow does not tell.

    Tables of FlatBuffers: Message's field 2 is the header (Message.fbs), RecordBatch's
    field 3 the compression.
    """
    data = metadata.to_pybytes()
    message = _u32(data, 0)
    kind = _field(data, message, 1)
    header = _field(data, message, 2)
    if not kind or data[kind] != _RECORDS or not header:
        return True
    return _field(data, header + _u32(data, header), 3) != 0


def _field(data: bytes, table: int, number: int) -> int:
    """The place of a table's field; 0 if it is not set."""
    (back,) = struct.unpack_from("<i", data, table)
    entries = table - back
    (size,) = struct.unpack_from("<H", data, entries)
    if 4 + 2 * number >= size:
        return 0
    (offset,) = struct.unpack_from("<H", data, entries + 4 + 2 * number)
    return table + offset if offset else 0


def _u32(data: bytes, place: int) -> int:
    return int(struct.unpack_from("<I", data, place)[0])
