"""Small values as they are, in builtin types that can be made into values again.

What is kept can be read back without code of the user's and without pickle: builtin
types, and numpy's and pandas' plain data. Anything else, anything too large, and
anything that resembles a secret is not kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..common.objects import class_name, is_a, module_of, namespace
from ..secrets.names import announced, key_secrecy, named_within
from ..secrets.redact import hides_value, redact_text
from ..secrets.values import WEAK
from .arrays import is_mapped, is_numbers
from .tables import foreign_column, is_foreign

NOT_KEPT = ["not kept"]  # the answer where a value is not kept

_SHORTEST_TAGGED = 64  # bits of numbers that msgpack does not take
# Compared by identity: the hash and equality of a class are its metaclass' affair.
_SEQUENCES = ((list, "list"), (tuple, "tuple"), (set, "set"), (frozenset, "frozenset"))
_OF_COLUMNS = (str, int, float, bool, type(None))


class _NotKept(Exception):
    """The value, or one within it, cannot be kept."""


def keep(
    value: Any,
    limit: int,
    name: str = "",
    secret_names: Iterable[str] = (),
    secret_values: Iterable[str] = (),
) -> Any:
    """A value in builtin types that msgpack takes; `NOT_KEPT` if it cannot be.

    Nothing of the user's own is called on it. Of a value of more than ``limit`` bytes,
    roughly, nothing is kept, nor of a variable whose name sounds like a secret. Where
    it gives a list, that has a tag first: ``["tuple", [1, 2]]``.
    """
    keeper = _Keeper(limit, tuple(secret_names), tuple(secret_values))
    if name and not keeper.may_show(name, value):
        return NOT_KEPT
    try:
        return keeper.keep(value, 0)
    except Exception:
        # Beside what is not to be kept: another thread may change the value meanwhile,
        # and extension types raise what they like. The other locals are kept.
        return NOT_KEPT


def keep_whole(value: Any, limit: int) -> Any:
    """A value of builtin types in that form, as it is: nothing is looked for in it.

    For what the user saves: `keep` is for what is recorded.
    """
    try:
        return _Whole(limit, (), ()).keep(value, 0)
    except Exception:  # as for `keep`
        return NOT_KEPT


class _Keeper:
    deepest = 6
    longest_int = 4096  # bits

    def __init__(
        self, limit: int, secret_names: tuple[str, ...], secret_values: tuple[str, ...]
    ) -> None:
        self.left = limit
        self.secret_names = secret_names
        self.secret_values = secret_values

    def may_show(self, name: Any, value: Any) -> bool:
        """Whether a name gives no secret away."""
        level = key_secrecy(name, self.secret_names)
        return not hides_value(level, value, is_numbers)

    def may_label(self, name: Any) -> bool:
        """Whether no value whatsoever is a secret under a name."""
        return key_secrecy(name, self.secret_names) < WEAK

    def pay(self, cost: int) -> None:
        self.left -= cost
        if self.left < 0:
            raise _NotKept

    def keep(self, value: Any, depth: int) -> Any:
        kind = type(value)
        self.pay(8)
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            bits = int.bit_length(value)
            if bits > self.longest_int or self.is_secret(value):
                raise _NotKept
            return value if bits < _SHORTEST_TAGGED else ["int", hex(value)]
        if kind is str:
            return self.text(value)
        if kind is bytes or kind is bytearray:
            self.pay(len(value))
            self.text(bytes(value).decode("latin-1"))
            return value if kind is bytes else ["bytearray", bytes(value)]
        if kind is complex:
            return ["complex", [value.real, value.imag]]
        if value is Ellipsis:
            return ["ellipsis", None]
        if kind is slice or kind is range:
            parts = [value.start, value.stop, value.step]
            return [kind.__name__, [self.keep(part, depth + 1) for part in parts]]
        if depth > self.deepest:
            raise _NotKept
        for sequence, tag in _SEQUENCES:
            if kind is sequence:
                return [tag, self.sequence(value, depth)]
        if kind is dict:
            return self.mapping(value, depth)
        return self.data(value, kind, depth)

    def is_secret(self, number: int) -> bool:
        return str(number) in self.secret_values

    def sequence(self, value: Any, depth: int) -> list[Any]:
        self.pay(8 * len(value))
        items = []
        level = 0
        for number, item in enumerate(value, 1):
            if hides_value(level, item, is_numbers):
                raise _NotKept
            items.append(self.keep(item, depth + 1))
            # Before the last one of a tuple it is hidden in texts, too.
            left = len(value) - number
            count = 2 if type(value) is tuple and left == 1 else len(value)
            level = announced(item, count, self.secret_names)
        return items

    def text(self, value: str) -> str:
        self.pay(len(value))
        if not value.isprintable():
            try:
                value.encode()
            except UnicodeEncodeError:  # half of a surrogate pair
                raise _NotKept from None
        redacted = redact_text(
            value, extra=self.secret_names, values=self.secret_values
        )
        if redacted != value:
            raise _NotKept
        return value

    def mapping(self, value: dict[Any, Any], depth: int) -> Any:
        self.pay(16 * len(value))
        if named_within(value.items(), self.secret_names) >= WEAK:
            raise _NotKept
        pairs = []
        for name, item in value.items():
            if not self.may_show(name, item):
                raise _NotKept
            pairs.append([self.keep(name, depth + 1), self.keep(item, depth + 1)])
        return ["dict", pairs]

    def data(self, value: Any, kind: type, depth: int) -> Any:
        numpy = namespace("numpy")
        if numpy and kind is numpy.get("ndarray"):
            return self.array(value)
        if is_a(kind, numpy.get("generic")) and module_of(kind) == "numpy":
            if value.dtype.kind not in _PLAIN:
                raise _NotKept
            if numpy["dtype"](value.dtype.str).type is not kind:
                raise _NotKept  # of two types for the same numbers, the other one
            return ["scalar", self.array(numpy["asarray"](value))[1]]
        pandas = namespace("pandas")
        if pandas and kind is pandas.get("Series"):
            return ["series", self.series(value, pandas, depth)]
        if pandas and kind is pandas.get("DataFrame"):
            return self.frame(value, pandas, depth)
        raise _NotKept

    def array(self, value: Any, own: bool = True) -> Any:
        """An array; the lock of one that is not its ``own``, pandas' say, is none."""
        if value.dtype.kind not in _PLAIN or value.dtype.names or is_mapped(value):
            raise _NotKept
        self.pay(int(value.nbytes))
        locked = own and not value.flags.writeable
        order = "F" if value.flags.fnc else "C"
        data = value.tobytes(order)
        if value.dtype.itemsize == 1:  # it may be a text
            self.text(data.decode("latin-1"))
        return ["array", [value.dtype.str, list(value.shape), data, order, locked]]

    def frame(self, value: Any, pandas: dict[str, Any], depth: int) -> Any:
        rows, columns = value.shape
        self.pay(rows * columns + 64 * columns)
        if module_of(type(value.columns)) != "pandas":
            raise _NotKept
        if not all(map(self.may_label, value.columns.tolist())):
            raise _NotKept
        self.plain(value)
        labels = self.index(value.columns, pandas, depth)
        parts = []
        for position in range(columns):
            if foreign_column(value, position):
                raise _NotKept
            parts.append(self.column(value.iloc[:, position], depth))
        return ["frame", [labels, parts, self.index(value.index, pandas, depth)]]

    def plain(self, value: Any) -> None:
        """What else a frame or series may have is not kept: then it is not whole."""
        if value.attrs or not value.flags.allows_duplicate_labels:
            raise _NotKept

    def series(self, value: Any, pandas: dict[str, Any], depth: int) -> Any:
        if not self.may_label(value.name):
            raise _NotKept
        self.plain(value)
        self.pay(len(value))
        return [
            self.keep(value.name, depth + 1),
            self.column(value, depth),
            self.index(value.index, pandas, depth),
        ]

    def column(self, value: Any, depth: int) -> Any:
        """The values of a column or an index, and its dtype's name."""
        if is_foreign(value.array):
            raise _NotKept
        dtype = value.dtype
        name = str(dtype)
        if module_of(type(dtype)) == "numpy":
            if dtype.kind in _PLAIN:
                return [name, self.array(value.to_numpy(), own=False)]
        elif name not in ("str", "string"):
            raise _NotKept  # categories, time zones
        if name == "string":
            name = f"string[{dtype.storage}]"
        items = value.tolist()
        for item in items:
            if not any(type(item) is kind for kind in _OF_COLUMNS):
                raise _NotKept
            # What it is the name of may be in the next column, or in its row.
            if announced(item, 2, self.secret_names) >= WEAK:
                raise _NotKept
        return [name, ["list", [self.keep(item, depth + 1) for item in items]]]

    def index(self, value: Any, pandas: dict[str, Any], depth: int) -> Any:
        kind = type(value)
        if not self.may_label(value.name):
            raise _NotKept
        name = self.keep(value.name, depth + 1)
        if kind is pandas.get("RangeIndex"):
            return ["range", name, [value.start, value.stop, value.step]]
        freq = None
        if kind is pandas.get("DatetimeIndex"):
            freq = _text_of_freq(value.freq)
        elif kind is not pandas.get("Index"):
            raise _NotKept
        return ["index", name, self.column(value, depth), freq]


class _Whole(_Keeper):
    deepest = 60
    longest_int = 1_000_000

    def is_secret(self, number: int) -> bool:
        return False

    def sequence(self, value: Any, depth: int) -> list[Any]:
        self.pay(8 * len(value))
        return [self.keep(item, depth + 1) for item in value]

    def text(self, value: str) -> str:
        self.pay(len(value))
        value.encode()  # not half of a surrogate pair
        return value

    def mapping(self, value: dict[Any, Any], depth: int) -> Any:
        self.pay(16 * len(value))
        deeper = depth + 1
        pairs = value.items()
        return [
            "dict",
            [[self.keep(key, deeper), self.keep(item, deeper)] for key, item in pairs],
        ]

    def data(self, value: Any, kind: type, depth: int) -> Any:
        raise _NotKept


def _text_of_freq(freq: Any) -> str | None:
    """A frequency of dates as text; what a text does not say is not kept."""
    if freq is None:
        return None
    kind = type(freq)
    if module_of(kind) != "pandas" or class_name(kind) not in _FREQS or freq.normalize:
        raise _NotKept
    return str(freq.freqstr)


_FREQS = ("Day", "Hour", "Minute", "Second", "Milli", "MonthBegin", "MonthEnd")
_PLAIN = "biufcmM"  # kinds of numpy's dtypes whose values are their bytes
