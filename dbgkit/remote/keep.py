"""Small values as they are, in builtin types that can be made into values again.

What is kept can be read back with no code of the user's and no pickle: builtin types,
and numpy's and pandas' plain data. Anything else, anything that is too large, and
anything that looks like a secret is not kept.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from .redact import is_secret_name, redact_text

NOT_KEPT = ["not kept"]  # the answer where a value is not kept

_DEPTH = 6
_LONGEST_INT = 4096  # bits
_SEQUENCES: dict[type, str] = {
    list: "list",
    tuple: "tuple",
    set: "set",
    frozenset: "frozenset",
}


class _NotKept(Exception):
    """The value, or one within it, cannot be kept."""


def keep(
    value: Any, limit: int, name: str = "", secret_names: Iterable[str] = ()
) -> Any:
    """A value in builtin types that msgpack takes; `NOT_KEPT` if it cannot be.

    Parameters
    ----------
    value : object
        Nothing of the user's own is called on it.
    limit : int
        Bytes, roughly: a value of more is not kept.
    name : str
        Of the variable; one that sounds like a secret keeps nothing.
    secret_names : iterable of str
        Names to hide besides the usual ones.

    Returns
    -------
    None, bool, int, float, str, bytes or list
        A list has a tag first: ``["tuple", [1, 2]]``.
    """
    keeper = _Keeper(limit, tuple(secret_names))
    if name and not keeper.may_show(name, value):
        return NOT_KEPT
    try:
        return keeper.keep(value, 0)
    except _NotKept:
        return NOT_KEPT


class _Keeper:
    def __init__(self, limit: int, secret_names: tuple[str, ...]) -> None:
        self.left = limit
        self.secret_names = secret_names

    def may_show(self, name: Any, value: Any) -> bool:
        """Whether a name gives no secret away; nothing and yes or no are none."""
        if value is None or type(value) is bool or type(name) is not str:
            return True
        return not is_secret_name(name, self.secret_names)

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
            if bits < 64:
                return value
            if bits > _LONGEST_INT:
                raise _NotKept
            return ["int", hex(value)]
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
        if depth > _DEPTH:
            raise _NotKept
        if kind in _SEQUENCES:
            self.pay(8 * len(value))
            items = [self.keep(item, depth + 1) for item in value]
            return [_SEQUENCES[kind], items]
        if kind is dict:
            return self.mapping(value, depth)
        return self.data(value, kind, depth)

    def text(self, value: str) -> str:
        self.pay(len(value))
        if not value.isprintable():
            try:
                value.encode()
            except UnicodeEncodeError:  # half of a surrogate pair
                raise _NotKept from None
        if redact_text(value, extra=self.secret_names) != value:
            raise _NotKept
        return value

    def mapping(self, value: dict[Any, Any], depth: int) -> Any:
        self.pay(16 * len(value))
        pairs = []
        for name, item in value.items():
            if not self.may_show(name, item):
                raise _NotKept
            pairs.append([self.keep(name, depth + 1), self.keep(item, depth + 1)])
        return ["dict", pairs]

    def data(self, value: Any, kind: type, depth: int) -> Any:
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            if kind is vars(numpy).get("ndarray"):
                return self.array(value)
            if (
                type.__getattribute__(kind, "__module__") == "numpy"
                and vars(numpy).get("generic") in type.__getattribute__(kind, "__mro__")
                and value.dtype.kind in "biufcmM"
            ):
                return ["scalar", self.array(numpy.asarray(value))[1]]
        pandas = sys.modules.get("pandas")
        if pandas is not None:
            if kind is vars(pandas).get("Series"):
                return ["series", self.series(value, pandas, depth)]
            if kind is vars(pandas).get("DataFrame"):
                return self.frame(value, pandas, depth)
        raise _NotKept

    def array(self, value: Any) -> Any:
        if value.dtype.kind not in "biufcmM" or value.dtype.names:
            raise _NotKept
        self.pay(int(value.nbytes))
        return ["array", [value.dtype.str, list(value.shape), value.tobytes()]]

    def frame(self, value: Any, pandas: Any, depth: int) -> Any:
        rows, columns = value.shape
        self.pay(rows * columns + 64 * columns)
        labels = [self.keep(label, depth + 1) for label in value.columns.tolist()]
        for label in labels:
            if not self.may_show(label, value):
                raise _NotKept
        parts = [
            self.column(value.iloc[:, position], depth) for position in range(columns)
        ]
        return ["frame", [labels, parts, self.index(value.index, pandas, depth)]]

    def series(self, value: Any, pandas: Any, depth: int) -> Any:
        if not self.may_show(value.name, value):
            raise _NotKept
        self.pay(len(value))
        return [
            self.keep(value.name, depth + 1),
            self.column(value, depth),
            self.index(value.index, pandas, depth),
        ]

    def column(self, value: Any, depth: int) -> Any:
        """The values of a column or an index, and its dtype's name."""
        dtype = value.dtype
        name = str(dtype)
        if type(dtype).__module__ == "numpy" or type(dtype).__module__.startswith(
            "numpy."
        ):
            if dtype.kind in "biufcmM":
                return [name, self.array(value.to_numpy())]
        elif name not in ("str", "string"):
            raise _NotKept  # categories, time zones, somebody's own
        items = value.tolist()
        if not all(type(item) in (str, int, float, bool, type(None)) for item in items):
            raise _NotKept
        return [name, ["list", [self.keep(item, depth + 1) for item in items]]]

    def index(self, value: Any, pandas: Any, depth: int) -> Any:
        if type(value) is pandas.RangeIndex:
            return ["range", [value.start, value.stop, value.step]]
        if type(value) not in (pandas.Index, pandas.DatetimeIndex):
            raise _NotKept
        return [self.keep(value.name, depth + 1), self.column(value, depth)]
