"""Values of columns and of indexes in Arrow's types, and back: a class for each kind.

`Codec.write` adds the values to the streams and gives a note of builtin types;
`Codec.read` makes them of that note, which may be anybody's.
"""

from __future__ import annotations

import json
import re
from typing import Any

from dbgkit.bundles.arrow_objects import Objects
from dbgkit.bundles.arrow_plain import (
    Numbers,
    Texts,
    in_one,
    of_numbers,
    to_numbers,
)
from dbgkit.bundles.arrow_same import plain
from dbgkit.bundles.arrow_streams import Read, Streams, is_flat
from dbgkit.bundles.values_json import read as read_text
from dbgkit.bundles.values_json import text_of
from dbgkit.remote.common.objects import module_of

_UNITS = ("s", "ms", "us", "ns")
# No path: of some names dateutil would read a file.
_ZONE = re.compile(r"(?!dateutil|/)[A-Za-z][A-Za-z0-9_+:/-]{0,80}")
_FREQ = re.compile(r"-?[A-Za-z0-9-]{1,40}")


class Zoned:
    """Times of a time zone."""

    name = "zoned"

    @staticmethod
    def write(array: Any, streams: Streams, stream: int) -> dict[str, Any] | None:
        import pandas

        dtype = array.dtype
        if type(dtype) is not pandas.DatetimeTZDtype:
            return None
        at = streams.add(stream, lambda rows: of_numbers(array[rows].view("i8")))
        return {"unit": dtype.unit, "zone": str(dtype.tz), "at": at}

    @staticmethod
    def read(note: Any, streams: Read, limit: int) -> Any:
        import numpy
        import pandas

        unit, zone = str(note["unit"]), str(note["zone"])
        if unit not in _UNITS or not _ZONE.fullmatch(zone) or ".." in zone:
            raise ValueError(f"no time zone: {zone!r:.80}")
        numbers = to_numbers(streams.column(note["at"]), numpy.dtype("i8"))
        times = pandas.DatetimeIndex(numbers.view(f"M8[{unit}]"))
        return times.tz_localize("UTC").tz_convert(zone).array


class Periods:
    """Periods of one frequency."""

    name = "periods"

    @staticmethod
    def write(array: Any, streams: Streams, stream: int) -> dict[str, Any] | None:
        import pandas

        if type(array.dtype) is not pandas.PeriodDtype:
            return None
        at = streams.add(stream, lambda rows: of_numbers(array[rows].view("i8")))
        return {"freq": str(array.dtype)[len("period[") : -1], "at": at}

    @staticmethod
    def read(note: Any, streams: Read, limit: int) -> Any:
        import numpy
        import pandas

        freq = str(note["freq"])
        if not _FREQ.fullmatch(freq):
            raise ValueError(f"no frequency: {freq!r:.80}")
        numbers = to_numbers(streams.column(note["at"]), numpy.dtype("i8"))
        return pandas.PeriodIndex.from_ordinals(numbers, freq=freq).array


class Masked:
    """Numbers of which some are missing, in pandas' own dtypes."""

    name = "masked"

    @staticmethod
    def write(array: Any, streams: Streams, stream: int) -> dict[str, Any] | None:
        import pandas

        dtype = array.dtype
        if not isinstance(array, _masked_classes()) or module_of(type(array)) != (
            pandas.__name__
        ):
            return None
        plain = dtype.numpy_dtype

        def values(rows: slice) -> Any:
            return of_numbers(array[rows].to_numpy(plain, na_value=plain.type(0)))

        def mask(rows: slice) -> Any:
            return of_numbers(array[rows].isna())

        at = streams.add(stream, values)
        return {"dtype": plain.str, "at": at, "mask": streams.add(stream, mask)}

    @staticmethod
    def read(note: Any, streams: Read, limit: int) -> Any:
        import numpy

        values = Numbers.read(note, streams, limit)
        mask = to_numbers(streams.column(note["mask"]), numpy.dtype("?"))
        kinds = dict(zip("bif", _masked_classes(), strict=True))
        kind = "i" if values.dtype.kind == "u" else values.dtype.kind
        return kinds[kind](values, mask)


def _masked_classes() -> tuple[Any, ...]:
    from pandas import arrays

    return arrays.BooleanArray, arrays.IntegerArray, arrays.FloatingArray


class Categories:
    """Categories: their numbers, and once what they are."""

    name = "categories"

    @staticmethod
    def write(array: Any, streams: Streams, stream: int) -> dict[str, Any] | None:
        import pandas

        if type(array) is not pandas.Categorical:
            return None
        codes = Numbers.write(array.codes, streams, stream)
        beside = streams.add_stream(len(array.categories))
        return {
            "codes": codes,
            "categories": write_index(array.categories, streams, beside),
            "ordered": bool(array.ordered),
        }

    @staticmethod
    def read(note: Any, streams: Read, limit: int) -> Any:
        import pandas

        categories = read_index(note["categories"], streams, limit)
        return pandas.Categorical.from_codes(
            Numbers.read(note["codes"], streams, limit),
            categories=categories,
            ordered=bool(note["ordered"]),
        )


class Intervals:
    """Intervals: both sides of each."""

    name = "intervals"

    @staticmethod
    def write(array: Any, streams: Streams, stream: int) -> dict[str, Any] | None:
        import pandas

        if type(array) is not pandas.arrays.IntervalArray:
            return None
        return {
            "left": write_values(array.left.array, streams, stream),
            "right": write_values(array.right.array, streams, stream),
            "closed": array.closed,
        }

    @staticmethod
    def read(note: Any, streams: Read, limit: int) -> Any:
        import pandas

        left, right = (
            pandas.Index(read_values(note[side], streams, limit))
            for side in ("left", "right")
        )
        return pandas.arrays.IntervalArray.from_arrays(left, right, note["closed"])


class Arrow:
    """Values that pandas holds in Arrow."""

    name = "arrow"

    @staticmethod
    def write(array: Any, streams: Streams, stream: int) -> dict[str, Any] | None:
        import pandas
        import pyarrow

        dtype = array.dtype
        if type(dtype) is not pandas.ArrowDtype or not is_flat(dtype.pyarrow_dtype):
            return None
        kind = dtype.pyarrow_dtype
        at = streams.add(stream, lambda rows: in_one(pyarrow.array(array[rows]), kind))
        return {"at": at}

    @staticmethod
    def read(note: Any, streams: Read, limit: int) -> Any:
        import pandas

        column = streams.column(note["at"])
        return pandas.ArrowDtype(column.type).__from_arrow__(column)


_CODECS: tuple[Any, ...] = (
    *(Objects, Texts, Zoned, Periods, Masked, Categories, Intervals, Arrow),
    Numbers,
)
_BY_NAME = {codec.name: codec for codec in _CODECS}


def write_values(array: Any, streams: Streams, stream: int) -> dict[str, Any]:
    """Add the values of a column to a stream; what is to be noted of them."""
    array = plain(array)
    for codec in _CODECS:
        if codec is Numbers and module_of(type(array.dtype)) != "numpy":
            break
        note = codec.write(array, streams, stream)
        if note is not None:
            return {"is": codec.name, **note}
    raise ValueError(f"values of {array.dtype} have no form of their own")


def read_values(note: Any, streams: Read, limit: int) -> Any:
    """The values of a note: an array of numpy, or of pandas."""
    return _BY_NAME[note["is"]].read(note, streams, limit)


# -- indexes -------------------------------------------------------------------


def write_index(index: Any, streams: Streams, stream: int) -> dict[str, Any]:
    """Add an index to a stream; what is to be noted of it."""
    import pandas

    kind = type(index)
    if kind is pandas.RangeIndex:
        parts = [index.start, index.stop, index.step]
        return {"range": parts, "name": note_of(index.name)}
    if kind is not pandas.MultiIndex:
        freq = getattr(index, "freq", None)
        dated = isinstance(index, (pandas.DatetimeIndex, pandas.TimedeltaIndex))
        return {
            "values": write_values(index.array, streams, stream),
            "freq": freq.freqstr if dated and freq is not None else None,
            "name": note_of(index.name),
        }
    levels = []
    for level in index.levels:
        beside = streams.add_stream(len(level))
        levels.append(write_index(level, streams, beside))
    return {
        "levels": levels,
        "codes": [Numbers.write(codes, streams, stream) for codes in index.codes],
        "names": [note_of(name) for name in index.names],
        "sorted": index.sortorder,
    }


def read_index(note: Any, streams: Read, limit: int) -> Any:
    """The index of a note."""
    import pandas

    if "range" in note:
        found = pandas.RangeIndex(*note["range"], name=of_note(note["name"]))
        if len(found) > limit:
            raise ValueError(f"an index of {len(found):,} rows")
        return found
    if "levels" in note:
        return pandas.MultiIndex(
            levels=[read_index(level, streams, limit) for level in note["levels"]],
            codes=[Numbers.read(codes, streams, limit) for codes in note["codes"]],
            names=[of_note(name) for name in note["names"]],
            sortorder=note["sorted"],
        )
    values = read_values(note["values"], streams, limit)
    # Without its dtype, objects that are all texts would become another one.
    dtype = getattr(values, "dtype", None)
    found = pandas.Index(values, dtype=dtype, name=of_note(note["name"]), copy=False)
    if note["freq"] is not None:
        if not _FREQ.fullmatch(str(note["freq"])):
            raise ValueError(f"no frequency: {note['freq']!r:.80}")
        found = type(found)(found, freq=str(note["freq"]), name=found.name)
    return found


def note_of(value: Any) -> Any:
    """A name, or what else is with a table, for a note."""
    text = text_of(value)
    if text is None:
        raise ValueError("it has no form of its own")
    return json.loads(text)


def of_note(note: Any) -> Any:
    """What `note_of` was given."""
    return read_text(json.dumps(note).encode())
