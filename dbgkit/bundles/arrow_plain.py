"""Numbers and texts in Arrow's types, and back: see `arrow_columns`."""

from __future__ import annotations

from typing import Any

from dbgkit.bundles.arrow_streams import Read, Streams
from dbgkit.remote.common.objects import module_of


class Numbers:
    """Numbers of numpy's dtypes; dates and durations as numbers."""

    name = "numbers"

    @staticmethod
    def write(array: Any, streams: Streams, stream: int) -> dict[str, Any] | None:
        import numpy

        values = numpy.asarray(array)
        dtype = values.dtype
        if module_of(type(dtype)) != "numpy" or dtype.kind not in "biufcmM":
            return None
        at = streams.add(stream, lambda rows: of_numbers(values[rows]))
        return {"dtype": dtype.str, "at": at}

    @staticmethod
    def read(note: Any, streams: Read, limit: int) -> Any:
        import numpy

        dtype = numpy.dtype(str(note["dtype"]))
        if dtype.kind not in "biufcmM":
            raise ValueError(f"no numbers: {dtype}")
        return to_numbers(streams.column(note["at"]), dtype)


def of_numbers(values: Any) -> Any:
    """An array of numpy in Arrow: its own bytes; what Arrow has no type for, as bytes.

    Nothing is taken for missing: a NaN is one afterwards.
    """
    import numpy
    import pyarrow

    values = numpy.ascontiguousarray(values)
    dtype = values.dtype
    if dtype.kind == "b":
        return pyarrow.array(values)
    if dtype.kind in "iuf" and dtype.isnative and dtype.str[1:] != "f2":
        kind = (
            pyarrow.from_numpy_dtype(dtype) if dtype.itemsize <= 8 else _binary(dtype)
        )
    elif dtype.kind in "mM" and dtype.isnative:
        kind = pyarrow.int64()
    else:
        kind = _binary(dtype)
    data = pyarrow.py_buffer(values.view(numpy.uint8) if values.size else b"")
    return pyarrow.Array.from_buffers(kind, len(values), [None, data])


def _binary(dtype: Any) -> Any:
    import pyarrow

    return pyarrow.binary(dtype.itemsize)


def to_numbers(column: Any, dtype: Any) -> Any:
    """The array of `of_numbers`, on memory of its own."""
    import numpy
    import pyarrow

    kind = of_numbers(numpy.zeros(1, dtype)).type
    if column.type != kind or column.null_count:
        raise ValueError(f"a column of {column.type} for {dtype}")
    found = numpy.empty(len(column), dtype)
    start = 0
    for chunk in column.chunks:
        part = found[start : start + len(chunk)]
        start += len(chunk)
        if dtype.kind == "b":
            part[:] = chunk.to_numpy(zero_copy_only=False)
        elif len(chunk):
            data = chunk.buffers()[1]
            if not isinstance(data, pyarrow.Buffer):
                raise ValueError("a column without values")
            part[:] = numpy.frombuffer(
                data, dtype, len(chunk), chunk.offset * dtype.itemsize
            )
    return found


class Texts:
    """Texts of pandas' own dtype."""

    name = "texts"

    @staticmethod
    def write(array: Any, streams: Streams, stream: int) -> dict[str, Any] | None:
        import pandas
        import pyarrow

        dtype = array.dtype
        if type(dtype) is not pandas.StringDtype:
            return None
        missing = getattr(dtype, "na_value", pandas.NA)
        at = streams.add(
            stream,
            lambda rows: in_one(pyarrow.array(array[rows]), pyarrow.large_string()),
        )
        return {"storage": dtype.storage, "nan": missing is not pandas.NA, "at": at}

    @staticmethod
    def read(note: Any, streams: Read, limit: int) -> Any:
        import pandas

        rest = {"na_value": float("nan")} if note["nan"] else {}
        dtype = pandas.StringDtype(str(note["storage"]), **rest)
        return dtype.__from_arrow__(streams.column(note["at"]))


def in_one(array: Any, kind: Any = None) -> Any:
    """An array in one piece, of one type."""
    import pyarrow

    if isinstance(array, pyarrow.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pyarrow.ChunkedArray):  # of no chunks
        array = pyarrow.array([], array.type)
    return array if kind is None else array.cast(kind)
