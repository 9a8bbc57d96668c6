"""Short fingerprints of values, to tell whether two are the same; bounded.

No code of the user's is called: only builtin types and plain data of numpy or pandas
have one. Of large values only parts are read: such a fingerprint can show that two
values differ, never that they are the same.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from time import perf_counter
from typing import Any

from ..common.objects import class_name, is_a, module_of, namespace, type_name
from .arrays import is_mapped
from .tables import foreign_column, is_foreign

MOST_INPUTS = 50
_WHOLE = 16_000_000  # bytes of one value that are read in full
_CHUNK = 65_536  # bytes, or characters, that are copied at a time
_LONGEST = 1_000_000  # bytes of an integer, or of one element of an array
_BLOCKS, _BLOCK = 32, 4_096  # of a larger one: so many blocks of so many bytes
_ITEMS = 20_000  # of a container
_ROWS = 1_000  # of a column that is no plain array
_DEPTH = 20


class _None(Exception):
    """The value has no fingerprint."""


def fingerprint(value: Any, seconds: float = 0.03) -> list[Any]:
    """``[type, digest, whole]`` of a value; the digest is empty where there is none.

    ``whole`` says whether all of the value was read.
    """
    reader = _Reader(perf_counter() + seconds)
    kind = type_name(type(value))
    try:
        reader.read(value, 0)
    except Exception:
        # Beside `_None`: another thread may change it meanwhile, and extension types
        # raise what they like.
        return [kind, "", False]
    return [kind, reader.digest.hexdigest(), reader.whole]


def fingerprints(values: Mapping[Any, Any], seconds: float = 0.05) -> list[list[Any]]:
    """``[key, type, digest, whole]`` of each value, the first ones first."""
    deadline = perf_counter() + seconds
    found = []
    for key, value in list(values.items())[:MOST_INPUTS]:
        left = deadline - perf_counter()
        if left <= 0:
            found.append([key, type_name(type(value)), "", False])
        else:
            found.append([key, *fingerprint(value, left)])
    return found


class _Reader:
    def __init__(self, deadline: float) -> None:
        self.digest = hashlib.blake2b(digest_size=16)
        self.deadline = deadline
        self.left = _WHOLE
        self.whole = True

    def add(self, tag: str, data: Any = b"") -> None:
        self.digest.update(f"{tag}:{len(data)};".encode())
        self.digest.update(data)

    def in_time(self) -> None:
        """What is cut by time would be cut elsewhere the next time: no fingerprint."""
        if perf_counter() > self.deadline:
            raise _None

    def some(self, items: Iterable[Any], count: int) -> Iterator[Any]:
        """The first items of many."""
        if count > _ITEMS:
            self.whole = False
        for item in islice(items, _ITEMS):
            self.in_time()
            yield item

    def read(self, value: Any, depth: int) -> None:
        kind = type(value)
        if depth > _DEPTH:
            raise _None
        if value is None or kind is bool or value is Ellipsis:
            self.add(repr(value))
        elif kind is int:
            size = value.bit_length() // 8 + 1
            if size > _LONGEST:
                raise _None
            self.add("int", value.to_bytes(size, "big", signed=True))
        elif kind is float:
            self.add("float", struct.pack("d", value))
        elif kind is complex:
            self.add("complex", struct.pack("dd", value.real, value.imag))
        elif kind is str:
            self.text(value)
        elif kind is bytes or kind is bytearray:
            self.bytes(kind.__name__, value)
        elif kind is list or kind is tuple:
            self.add(kind.__name__, b"%d" % len(value))
            for item in self.some(value, len(value)):
                self.read(item, depth + 1)
        elif kind is dict:
            self.add("dict", b"%d" % len(value))
            for name, item in self.some(value.items(), len(value)):
                self.read(name, depth + 1)
                self.read(item, depth + 1)
        elif kind is set or kind is frozenset:
            self.unordered(value, depth)
        else:
            self.data(value, kind, depth)

    def bytes(self, tag: str, value: bytes | bytearray | memoryview) -> None:
        """All bytes; of many, some blocks of them."""
        size = len(value)
        if size <= self.left:
            self.left -= size
            self.add(tag, value)
            return
        self.whole = False
        self.add(tag, b"%d" % size)
        for number in range(_BLOCKS):
            start = number * (size - _BLOCK) // (_BLOCKS - 1)
            self.digest.update(value[start : start + _BLOCK])

    def text(self, value: str) -> None:
        """As bytes, a part at a time; of a long one, its ends."""
        self.digest.update(f"str:{len(value)};".encode())
        size = len(value) * (1 if value.isascii() else 4)
        if size > self.left:
            self.whole = False
            value = value[:_CHUNK] + value[-_CHUNK:]
        else:
            self.left -= size
        for start in range(0, len(value), _CHUNK):
            self.in_time()
            part = value[start : start + _CHUNK]
            self.digest.update(part.encode("utf-8", "surrogatepass"))

    def unordered(self, value: set[Any] | frozenset[Any], depth: int) -> None:
        if len(value) > _ITEMS:
            raise _None  # which come first depends on the process
        parts = []
        for item in value:
            self.in_time()
            reader = _Reader(self.deadline)
            reader.read(item, depth + 1)
            self.whole = self.whole and reader.whole
            parts.append(reader.digest.digest())
        self.add(type(value).__name__, b"".join(sorted(parts)))

    def data(self, value: Any, kind: type, depth: int) -> None:
        numpy, pandas = namespace("numpy"), namespace("pandas")
        package = module_of(kind)
        if kind is numpy.get("ndarray"):
            self.array(value, depth)
        elif package == "numpy" and is_a(kind, numpy.get("generic")):
            self.array(numpy["asarray"](value), depth)
        elif package != "pandas" or not pandas:
            raise _None
        elif kind is pandas.get("DataFrame"):
            self.frame(value, depth)
        elif kind is pandas.get("Series"):
            self.surroundings(value, depth)
            self.read(value.name, depth + 1)
            self.index(value.index, depth)
            self.column(value, depth)
        elif class_name(kind).endswith("Index"):
            self.index(value, depth)
        else:
            raise _None

    def array(self, value: Any, depth: int) -> None:
        if is_mapped(value):
            raise _None  # the file may be slow, or shorter than it was
        dtype = value.dtype
        self.add("array", f"{dtype.str}{value.shape}".encode())
        if dtype.kind not in "biufcmMSU" or dtype.names:
            for item in value.flat[:_ROWS]:
                self.read(item, depth + 1)
            self.whole = self.whole and value.size <= _ROWS
            return
        if dtype.itemsize > _LONGEST:
            raise _None
        # The same parts of it however it lies in memory: a copy elsewhere, or one
        # that was sent, may lie otherwise.
        size, flat = value.size, value.flat
        if value.flags.c_contiguous:
            flat = value.reshape(-1)
        if value.nbytes <= self.left:
            self.left -= value.nbytes
            step = max(1, _CHUNK // max(1, dtype.itemsize))
            starts: Iterable[int] = range(0, size, step)
        else:
            self.whole = False
            step = min(size, max(1, _BLOCK // dtype.itemsize))
            starts = [n * (size - step) // (_BLOCKS - 1) for n in range(_BLOCKS)]
        for start in starts:
            self.in_time()
            self.digest.update(flat[start : start + step].tobytes())

    def frame(self, value: Any, depth: int) -> None:
        self.add("frame", b"%d,%d" % value.shape)
        self.surroundings(value, depth)
        self.index(value.columns, depth)
        self.index(value.index, depth)
        for position in range(value.shape[1]):
            self.in_time()
            if foreign_column(value, position):
                raise _None
            self.column(value.iloc[:, position], depth)

    def surroundings(self, value: Any, depth: int) -> None:
        """What else pandas keeps with a frame or series."""
        self.read(dict(value.attrs), depth + 1)
        self.read(value.flags.allows_duplicate_labels, depth + 1)

    def index(self, value: Any, depth: int) -> None:
        """An index: its kind, names and labels."""
        kind = class_name(type(value))
        if module_of(type(value)) != "pandas":
            raise _None
        self.read([kind, *value.names], depth + 1)
        if kind == "RangeIndex":
            self.read([value.start, value.stop, value.step], depth + 1)
        elif kind == "MultiIndex":
            # As an array it would be made of tuples, which takes long.
            if any(is_foreign(level.array) for level in value.levels):
                raise _None
            self.read([str(level.dtype) for level in value.levels], depth + 1)
            self.labels(value[:_ROWS], len(value), depth)
        else:
            freq = getattr(value, "freq", None) if kind in _DATES else None
            if freq is not None and module_of(type(freq)) != "pandas":
                raise _None
            self.read(None if freq is None else freq.freqstr, depth + 1)
            self.column(value, depth)

    def column(self, value: Any, depth: int) -> None:
        """A column or an index: its dtype, and its values."""
        if is_foreign(value.array):
            raise _None  # somebody's own, or of a time zone of theirs
        dtype = value.dtype
        self.add("column", str(dtype).encode("utf-8", "surrogatepass"))
        if module_of(type(dtype)) == "numpy":
            self.array(value.to_numpy(), depth)
            return
        if class_name(type(dtype)) == "CategoricalDtype":
            self.read(dtype.ordered, depth + 1)
            self.index(dtype.categories, depth)
        by_position = getattr(value, "iloc", value)  # an index has none
        self.labels(by_position[:_ROWS], len(value), depth)

    def labels(self, first: Any, size: int, depth: int) -> None:
        """The first values of many, one at a time."""
        self.whole = self.whole and size <= _ROWS
        for item in first.tolist():
            for part in item if type(item) is tuple else (item,):
                self.scalar(part, depth)

    def scalar(self, value: Any, depth: int) -> None:
        """One value of a column, pandas' own scalars too."""
        if module_of(type(value)) == "pandas":
            self.add("scalar", str(value).encode())
        else:
            self.read(value, depth + 1)


_DATES = ("DatetimeIndex", "TimedeltaIndex")


def compare(then: list[Any], now: list[Any]) -> str:
    """``"same"``, ``"different"`` or ``"unknown"`` of two fingerprints."""
    if then[0] != now[0]:
        return "different"
    if not (then[1] and now[1]) or then[2] != now[2]:
        return "unknown"
    if then[1] != now[1]:
        return "different"
    return "same" if then[2] else "unknown"
