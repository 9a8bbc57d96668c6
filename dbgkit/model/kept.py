"""Small values made again of what ``remote.values.keep`` made of them; within limits.

Anybody may have written it: 65 bytes can ask for gigabytes. No code of the user's is
run, nothing is unpickled, and of libraries numpy and pandas alone are used.
"""

from __future__ import annotations

import binascii
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

MOST_BYTES = 64 * 2**20  # of the values of one recording
MOST_PARTS = 200_000  # in all: about half a second
_DEEPEST = 20
_LONGEST_INT = 1_100  # characters in base 16
_ALIKE = 50  # elements of a set with one hash: as many as differ take time squared
# In parts, by what each takes.
_COLUMN, _TABLE, _ARRAY = 50, 200, 10
_TERMINALS = re.compile("[\x1b\x9b]")  # what begins a terminal's commands
# Names of dtypes, as arrays and as columns have them.
_UNIT = r"(?:\[\d{0,4}(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?"
_NUMBERS = re.compile(rf"[<>|=]?[biufcmM]\d{{1,2}}{_UNIT}")
_NAMED = re.compile(
    r"bool|u?int(?:8|16|32|64)|float(?:16|32|64|96|128)|complex(?:64|128|192|256)"
    rf"|(?:datetime64|timedelta64){_UNIT}"
)
_TEXTS = ("object", "str", "string[python]", "string[pyarrow]")
_FREQ = re.compile(r"-?\d{0,6}(?:D|h|H|min|T|s|S|ms|L|MS|ME|M)", re.ASCII)


class TooMuch(ValueError):
    """What is to be restored is over the limit."""


class Restoring:
    """Restores the values of one recording, up to its limits.

    ``printable``: no texts that a terminal would obey where they are printed.
    """

    def __init__(
        self,
        most_bytes: int = MOST_BYTES,
        most_parts: int = MOST_PARTS,
        *,
        printable: bool = False,
    ) -> None:
        self._bytes, self._parts = most_bytes, most_parts
        self._printable = printable
        self._depth = 0

    def restore(self, kept: Any) -> Any:
        """The value that ``remote.values.keep.keep`` kept.

        Raises
        ------
        ValueError, TypeError, ...
            What `MALFORMED` lists, and ImportError: it cannot be restored here, as
            numpy or pandas is missing or reads it differently, or it is too large.
        """
        self._pay()
        if not isinstance(kept, (list, tuple)):
            return self._plain(kept)
        tag, payload = kept
        builder = _BUILDERS.get(tag)
        if builder is None:
            raise ValueError(f"a kept value of the unknown kind {tag!r}")
        if self._depth >= _DEEPEST:
            raise TooMuch("it is nested too deep")
        self._depth += 1
        try:
            return builder(self, payload)
        finally:
            self._depth -= 1

    def _pay(self, parts: int = 1, nbytes: int = 0) -> None:
        self._parts -= parts
        self._bytes -= nbytes
        if self._parts < 0 or self._bytes < 0:
            raise TooMuch("it is larger than what is restored of a recording")

    def _plain(self, value: Any) -> Any:
        if isinstance(value, str):
            self._pay(0, 4 * len(value))
            if self._printable and _TERMINALS.search(value):
                raise ValueError("a text that a terminal would obey")
        elif isinstance(value, bytes):
            self._pay(0, len(value))
        elif not isinstance(value, (int, float, type(None))):
            raise TypeError(f"{type(value).__name__} among kept values")
        return value

    # -- builtin types ---------------------------------------------------------

    def _int(self, payload: Any) -> int:
        if len(payload) > _LONGEST_INT:
            raise TooMuch("an integer of too many digits")
        return int(payload, 16)

    def _data(self, payload: Any) -> bytes:
        """Bytes; in JSON they are ``["b64", text]``."""
        if isinstance(payload, bytes):
            data = payload
        else:
            tag, text = payload
            if tag != "b64":
                raise TypeError(f"{tag!r:.40} where bytes were expected")
            data = binascii.a2b_base64(text)
        self._pay(0, len(data))
        return data

    def _bytearray(self, payload: Any) -> bytearray:
        return bytearray(self._data(payload))

    def _complex(self, payload: Any) -> complex:
        real, imag = payload
        return complex(float(real), float(imag))

    def _each(self, payload: Any) -> list[Any]:
        if not isinstance(payload, (list, tuple)):
            raise TypeError("no list of kept values")
        return [self.restore(item) for item in payload]

    def _three(self, payload: Any) -> list[Any]:
        start, stop, step = self._each(payload)
        return [start, stop, step]

    def _hashed(self, payload: Any) -> list[Any]:
        items = self._each(payload)
        _check_hashes(items)
        return items

    def _dict(self, payload: Any) -> dict[Any, Any]:
        pairs = [(self.restore(name), self.restore(item)) for name, item in payload]
        _check_hashes(name for name, _ in pairs)
        return dict(pairs)

    # -- numpy's and pandas' ---------------------------------------------------

    def _array(self, payload: Any) -> Any:
        import numpy

        dtype, shape, data, order, locked = payload
        self._pay(_ARRAY)
        data = self._data(data)
        _check_dtype(dtype)
        flat = numpy.frombuffer(data, dtype=numpy.dtype(dtype))
        array = flat.reshape(tuple(shape), order=order).copy(order)  # its own
        if max(array.shape, default=0) > MOST_BYTES:  # of no bytes: 0 times so many
            raise TooMuch("an array of too many rows")
        array.flags.writeable = not locked
        return array

    def _index(self, payload: Any) -> Any:
        import pandas

        self._pay(_COLUMN)
        kind, name, *rest = payload
        name = self.restore(name)
        if kind == "range":
            start, stop, step = map(_whole, rest[0])
            index = pandas.RangeIndex(start, stop, step, name=name)
            self._pay(0, 8 * len(index))  # it is a list as soon as it is worked with
            return index
        column, freq = rest
        dtype, values = self._column(column)
        found = pandas.Index(values, dtype=dtype, name=name)
        if freq is None:
            return found
        if not _FREQ.fullmatch(freq):
            raise ValueError(f"a frequency {freq!r:.40}")
        self._pay(4 * len(found))  # it is compared with dates that are made of it
        return pandas.DatetimeIndex(found, freq=freq)

    def _column(self, payload: Any) -> tuple[str, Any]:
        """The dtype and the values of a column, of which there are as many as given."""
        self._pay(_COLUMN)
        dtype, values = payload
        if dtype in _TEXTS:
            wanted = "list"
        else:
            _check_dtype(dtype)
            wanted = "array"
        # A range has any length, and dates are slow to read from texts.
        if values[0] != wanted:
            raise ValueError(f"a column of {dtype} that is no {wanted}")
        # pandas looks into what is within one: another range, say.
        for item in values[1] if wanted == "list" else ():
            if isinstance(item, (list, tuple)) and item[0] != "int":
                raise ValueError("a column of more than texts and numbers")
        return dtype, self.restore(values)

    def _series(self, payload: Any) -> Any:
        import pandas

        self._pay(_TABLE)
        name, column, index = payload
        index = self._index(index)
        dtype, values = self._column(column)
        values = _as_long_as(index, values)
        return pandas.Series(values, dtype=dtype, name=self.restore(name), index=index)

    def _frame(self, payload: Any) -> Any:
        import pandas

        self._pay(_TABLE)
        labels, columns, index = payload
        labels, index = self._index(labels), self._index(index)
        if len(labels) != len(columns):
            raise ValueError(f"{len(labels)} labels for {len(columns)} columns")
        parts = []
        for column in columns:
            dtype, values = self._column(column)
            values = _as_long_as(index, values)
            parts.append(pandas.Series(values, dtype=dtype, index=index))
        frame = pandas.concat(parts, axis=1) if parts else pandas.DataFrame(index=index)
        frame.columns = labels
        return frame


def restore(kept: Any) -> Any:
    """As `Restoring.restore`, of one value."""
    return Restoring().restore(kept)


def _check_hashes(items: Iterable[Any]) -> None:
    """Raise `TooMuch` for elements that were chosen to have one hash."""
    if any(count > _ALIKE for count in Counter(map(hash, items)).values()):
        raise TooMuch("elements that have one hash")


def _check_dtype(name: Any) -> None:
    """Raise `ValueError` for a dtype that is not of plain numbers."""
    if not (_NUMBERS.fullmatch(name) or _NAMED.fullmatch(name)):
        raise ValueError(f"a dtype {name!r:.40}")


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{type(value).__name__} where int was expected")
    return value


def _as_long_as(index: Any, values: Any) -> Any:
    """Values of an index: a single one is not to be repeated for each of its labels."""
    if len(values) != len(index):
        raise ValueError(f"{len(values)} values for {len(index)} labels")
    return values


_BUILDERS: dict[str, Any] = {
    "int": Restoring._int,
    "b64": lambda restoring, payload: restoring._data(["b64", payload]),
    "bytearray": Restoring._bytearray,
    "complex": Restoring._complex,
    "ellipsis": lambda restoring, payload: Ellipsis,
    "slice": lambda restoring, payload: slice(*restoring._three(payload)),
    "range": lambda restoring, payload: range(*restoring._three(payload)),
    "list": Restoring._each,
    "tuple": lambda restoring, payload: tuple(restoring._each(payload)),
    "set": lambda restoring, payload: set(restoring._hashed(payload)),
    "frozenset": lambda restoring, payload: frozenset(restoring._hashed(payload)),
    "dict": Restoring._dict,
    "array": Restoring._array,
    "scalar": lambda restoring, payload: restoring._array(payload)[()],
    "series": Restoring._series,
    "frame": Restoring._frame,
}
