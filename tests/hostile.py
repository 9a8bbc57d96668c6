"""Values that harm whoever looks at them, for tasks to fail with: workers import this.

Each of their methods is counted, so that a test can tell that none was called.
"""

from __future__ import annotations

import array
import asyncio
import collections
import ctypes
import dataclasses
import datetime
import enum
import fractions
import functools
import importlib.util
import mmap
import pathlib
import socket
import tempfile
import threading
import time
import types
import weakref
from unittest import mock

import numpy as np
import pandas as pd

CALLS: list[str] = []  # methods called since the last task was about to fail
FORBIDDEN: list[str] = []  # those called after it failed
KEPT: dict[str, object] = {}  # values to look at again

_METHODS = (
    "__repr__ __str__ __format__ __len__ __iter__ __getitem__ __contains__ __eq__ "
    "__ne__ __lt__ __hash__ __bool__ __getattr__ __getattribute__ __call__ __int__ "
    "__float__ __index__ __dir__ __length_hint__ __reversed__ __next__ __enter__ "
    "__sizeof__ __array__ __array_ufunc__ __array_function__ __arrow_c_stream__ "
    "__dataframe__ __copy__ __deepcopy__ __reduce__ __reduce_ex__ __getstate__ "
    "__fspath__ keys values items copy tolist bit_length encode decode isoformat"
)
_PROPERTIES = (
    "__class__ __dict__ __array_interface__ __array_struct__ shape dtype size ndim "
    "base name index columns array args _fields _mask filename strerror errno"
)


def _method(name, how):
    def method(self, *args, **kwargs):
        CALLS.append(name)
        if how == "sleep":
            time.sleep(60)
        if how == "lie":
            return {"__len__": -5, "__class__": int, "__hash__": 1}.get(name, self)
        raise RuntimeError(name)

    return method


def hostile_class(base=object, how="raise"):
    """A class all of whose methods raise, sleep for a minute, or lie."""
    space = {name: _method(name, how) for name in _METHODS.split()}
    space |= {name: property(_method(name, how)) for name in _PROPERTIES.split()}
    return type(f"Hostile{base.__name__.title()}", (base,), space)


class Meta(type):
    """A metaclass that harms whoever asks one of its classes."""


for _name in ("__eq__", "__hash__", "__getattribute__", "__repr__", "__len__"):
    setattr(Meta, _name, _method(_name, "raise"))


class OfMeta(metaclass=Meta):
    pass


class Key:
    """A key whose equality harms; its hash is needed to put it into a dict."""

    def __hash__(self):
        CALLS.append("__hash__")
        return 1

    __eq__ = _method("__eq__", "sleep")
    __repr__ = _method("__repr__", "sleep")


class Zone(datetime.tzinfo):
    """A time zone that counts what it is asked."""

    def utcoffset(self, when):
        CALLS.append("utcoffset")
        return datetime.timedelta(hours=1)

    dst = tzname = utcoffset
    __str__ = __repr__ = _method("__repr__", "sleep")


class Slots:
    __slots__ = ("held", "token")

    def __init__(self):
        self.held, self.token = 5, "abc"

    __repr__ = _method("__repr__", "sleep")


@dataclasses.dataclass
class Job:
    value: object
    number: int = 7

    __repr__ = _method("__repr__", "raise")


class Colour(enum.Enum):
    RED = 1

    __str__ = __repr__ = __hash__ = _method("__repr__", "raise")

    @property
    def value(self):
        CALLS.append("value")
        raise RuntimeError("value")


class ExtensionType(pd.api.extensions.ExtensionDtype):
    name = "hostile"
    type = object
    __str__ = __repr__ = _method("__repr__", "sleep")


class Extension(pd.api.extensions.ExtensionArray):
    """A column of a type of the user's own."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        CALLS.append("__len__")
        return self.count

    @property
    def dtype(self):
        CALLS.append("dtype")
        return ExtensionType()

    def copy(self):
        return self

    view = copy
    __getitem__ = _method("__getitem__", "raise")
    isna = take = _method("isna", "raise")


def bare(cls):
    return object.__new__(cls)


def of_list(how):
    value = list.__new__(hostile_class(list, how))
    list.extend(value, [1, 2])
    return value


def of_dict(how):
    value = dict.__new__(hostile_class(dict, how))
    dict.__setitem__(value, "a", 1)
    return value


def of_frame(how):
    cls = hostile_class(pd.DataFrame, how)
    return _filled(cls, pd.DataFrame({"a": [1.5]}))


def of_series(how):
    return _filled(hostile_class(pd.Series, how), pd.Series([1.5, 2.5]))


def _filled(cls, plain):
    value = object.__new__(cls)
    descriptor = next(
        vars(base)["__dict__"]
        for base in cls.__mro__[1:]
        if type(vars(base).get("__dict__")) is types.GetSetDescriptorType
    )
    descriptor.__get__(value).update(vars(plain))
    return value


def of_array(how):
    cls = hostile_class(np.ndarray, how)
    return np.ndarray.view(np.arange(3), cls)


def nested(depth):
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def looped():
    value: dict = {"list": []}
    value["list"].append(value)
    value["self"] = Job(value)
    value["self"].value = value["self"]
    return value


def mapped():
    """An array in a file that was cut off since: to read it ends the process."""
    with tempfile.NamedTemporaryFile(suffix=".npy", delete=False) as file:
        np.save(file, np.ones(100_000))
    found = np.load(file.name, mmap_mode="r")
    pathlib.Path(file.name).write_bytes(pathlib.Path(file.name).read_bytes()[:128])
    pathlib.Path(file.name).unlink()
    return found


def small_mapped():
    """As `mapped`, and small enough to be kept whole."""
    return np.asarray(mapped())[-10:]


def lazy_module():
    """A module that is only loaded once an attribute of it is asked for."""
    name = "wsgiref.handlers"
    spec = importlib.util.find_spec(name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def zoned():
    return pd.Series(pd.to_datetime(["2020-01-01"])).dt.tz_localize("UTC")


def suspended():
    """A generator that has begun."""
    found = (number for number in range(10))
    next(found)
    return found


def opened():
    file = tempfile.TemporaryFile("w+")  # noqa: SIM115
    file.write("abc\n" * 10)
    file.seek(4)
    return file


def held_lock():
    lock = threading.RLock()
    lock.acquire()
    return lock


def socket_pair():
    return socket.socketpair()


def proxy():
    KEPT["behind the proxy"] = value = bare(hostile_class())
    return weakref.proxy(value)


def released():
    view = memoryview(b"abc")
    view.release()
    return view


def anonymous_map():
    return mmap.mmap(-1, 4096)


def path_of(text_class):
    path = pathlib.PurePosixPath("a")
    text = str.__new__(text_class, "b")
    for name in ("_raw_paths", "_parts"):
        if hasattr(path, name):
            object.__setattr__(path, name, [text])
            return path
    raise AssertionError("no such slot")


def fraction():
    found = fractions.Fraction(1, 3)
    found._numerator = int.__new__(hostile_class(int), 1)
    return found


def frame_of(value):
    """A column of objects: what pandas asks whether they are missing."""
    column = np.empty((3, 1), dtype=object)
    column[0, 0], column[1, 0], column[2, 0] = value, None, 1.5
    return pd.DataFrame(column, columns=["a"], dtype=object, copy=False)


def array_of(value):
    found = np.empty(2, dtype=object)
    found[0], found[1] = value, 1
    return found


# Name -> how it is made, and what its recorded text has in it.
HOSTILE = {
    f"{base.__name__} that {how}s": (functools.partial(make, how), expected)
    for how in ("raise", "sleep", "lie")
    for base, make, expected in (
        (object, lambda how: bare(hostile_class(object, how)), "<HostileObject>"),
        (list, of_list, "[1, 2]"),
        (dict, of_dict, "{'a': 1}"),
        (tuple, lambda how: tuple.__new__(hostile_class(tuple, how), (1, 2)), "(1, 2)"),
        (set, lambda how: set.__new__(hostile_class(set, how)), "set()"),
        (str, lambda how: str.__new__(hostile_class(str, how), "text"), "'text'"),
        (bytes, lambda how: bytes.__new__(hostile_class(bytes, how), b"ab"), "b'ab'"),
        (int, lambda how: int.__new__(hostile_class(int, how), 5), "5"),
        (float, lambda how: float.__new__(hostile_class(float, how), 0.5), "0.5"),
        (
            collections.deque,
            lambda how: collections.deque.__new__(
                hostile_class(collections.deque, how)
            ),
            "deque([])",
        ),
        (
            Exception,
            lambda how: Exception.__new__(hostile_class(Exception, how), "x"),
            "HostileException('x')",
        ),
        (np.ndarray, of_array, "int64 (3,), 0 to 2: [0, 1, 2]"),
        (pd.DataFrame, of_frame, "1 rows, 1 columns: 'a' float64 (1.5 to 1.5)"),
        (pd.Series, of_series, "2 rows float64 (1.5 to 2.5): [1.5, 2.5]"),
        (
            datetime.datetime,
            lambda how: datetime.datetime.__new__(
                hostile_class(datetime.datetime, how), 2020, 1, 1
            ),
            "<HostileDatetime>",
        ),
    )
}
HOSTILE |= {
    "object of a metaclass": (lambda: bare(OfMeta), "<OfMeta>"),
    "class of a metaclass": (lambda: OfMeta, "OfMeta>"),
    "key that cannot be compared": (lambda: {Key(): 1}, "{<Key>: 1}"),
    "set of what cannot be compared": (lambda: {Key()}, "{<Key>}"),
    "slots": (Slots, "Slots(held=5, token=<hidden>)"),
    "dataclass": (lambda: Job(bare(hostile_class())), "Job(value=<HostileObject>, nu"),
    "enum": (lambda: Colour.RED, "Colour.RED"),
    "named tuple": (
        lambda: collections.namedtuple("P", "x y")(1, bare(hostile_class())),
        "P(x=1, y=<HostileObject>)",
    ),
    "partial": (
        lambda: functools.partial(bare(hostile_class()), 1),
        "<partial of <HostileObject> with (1,)>",
    ),
    "method": (lambda: types.MethodType(print, Slots()), "<method of hostile.Slots"),
    "time zone": (
        lambda: datetime.datetime(2020, 1, 1, tzinfo=Zone()),
        "2020-01-01 00:00:00 (hostile.Zone)",
    ),
    "time of a zone": (lambda: datetime.time(1, tzinfo=Zone()), "01:00:00 (hostile."),
    "timestamp of a zone": (
        lambda: pd.Timestamp("2020-01-01", tz=Zone()),
        "2019-12-31T23:00:00",
    ),
    "column of a zone": (
        lambda: pd.DataFrame({"a": zoned().dt.tz_convert(Zone())}),
        "'a' <DatetimeArray>",
    ),
    "column of a foreign type": (
        lambda: pd.DataFrame({"a": pd.Series(Extension(2)), "b": [1, 2]}),
        "'a' <Extension>, 'b' int64 (1 to 2)",
    ),
    "series of a foreign type": (lambda: pd.Series(Extension(2)), "<Extension>; index"),
    "column of objects": (
        lambda: frame_of(bare(hostile_class())),
        "'a' object (1 NaN)",
    ),
    "column of numbers": (
        lambda: frame_of(float.__new__(hostile_class(float, "lie"), 0.5)),
        "'a' object (1 NaN)",
    ),
    "array of objects": (
        lambda: array_of(bare(hostile_class())),
        "object (2,): [<HostileObject>, 1]",
    ),
    "fraction": (fraction, "Fraction("),
    "path": (lambda: path_of(hostile_class(str)), "Path("),
    "cycles": (looped, "<itself, again>"),
    "depth of 100,000": (lambda: nested(100_000), "[[[[[[…]]]]]]"),
    "frame of 1M x 10": (
        lambda: pd.DataFrame(np.ones((1_000_000, 10)), columns=list("abcdefghij")),
        "1,000,000 rows, 10 columns (sampled): 'a' float64 (1.0 to 1.0)",
    ),
    "array of 80 MB": (lambda: np.ones(10**7), "float64 (10000000,), 0 NaN of 200,000"),
    "endless array": (lambda: np.broadcast_to(1.0, (10**6, 10**6)), "(sampled)"),
    "large elements": (lambda: np.zeros(2, "S10000000"), "elements of 10,000,000"),
    "dict of 1M": (lambda: dict.fromkeys(range(10**6)), "… 999,980 more}"),
    "list of 10,000 dicts": (
        lambda: [{"a": n, "b": str(n)} for n in range(10_000)],
        "[{'a': 0, 'b': '0'}, ",
    ),
    "long text": (lambda: "abc" * 10**7, "(30,000,000 characters)"),
    "long number": (lambda: 10**50_000, "<166,097 bits>"),
    "generator": (suspended, "<generator suspended.<locals>.<genexpr>>"),
    "iterator": (lambda: iter([1, 2]), "<list_iterator>"),
    "open file": (opened, "TextIOWrapper"),
    "held lock": (held_lock, "<RLock>"),
    "event": (threading.Event, "<Event>"),
    "thread": (threading.current_thread, "Thread>"),
    "sockets": (socket_pair, "(<socket>, <socket>)"),
    "event loop": (asyncio.new_event_loop, "EventLoop"),
    "mapped file": (mapped, "float64 (100000,), memory-mapped, not read"),
    "small mapped file": (small_mapped, "float64 (10,), memory-mapped, not read"),
    "frame on a mapped file": (
        lambda: pd.DataFrame(np.asarray(mapped()).reshape(-1, 10), copy=False),
        "0 float64 (memory-mapped, not read)",
    ),
    "series on a mapped file": (
        lambda: pd.Series(mapped(), copy=False),
        "float64 (memory-mapped, not read); index",
    ),
    "anonymous memory": (anonymous_map, "<mmap>"),
    "weak proxy": (proxy, "Proxy"),
    "mock": (mock.MagicMock, "MagicMock"),
    "read-only view": (
        lambda: types.MappingProxyType(of_dict("sleep")),
        "<mappingproxy>",
    ),
    "released memory": (released, "<memoryview"),
    "pointer": (lambda: ctypes.POINTER(ctypes.c_int)(), "LP_c_int"),
    "typed array": (lambda: array.array("d", [0.5]), "array('d', [0.5])"),
    "lazy module": (lazy_module, "<module wsgiref.handlers>"),
}


def fail_with(name):
    """Fail with a hostile local, and others around it."""
    FORBIDDEN.extend(f"{call} before {name}" for call in CALLS)
    before = {"x": 1}
    value = HOSTILE[name][0]()
    KEPT[name] = value
    after = [1, 2.5]
    CALLS.clear()
    raise ValueError(f"bad: {name}")  # each of a kind of its own
    return before, value, after


def forbidden_calls():
    return [*FORBIDDEN, *CALLS]


def unharmed():
    """What of the values could have been changed by looking at them."""
    return {
        "generator": next(KEPT["generator"]),
        "iterator": next(KEPT["iterator"]),
        "file": KEPT["open file"].tell(),
        "event": KEPT["event"].is_set(),
        "dict": len(KEPT["dict of 1M"]),
        "module": "CGIHandler"
        in object.__getattribute__(KEPT["lazy module"], "__dict__"),
        "mock": KEPT["mock"].mock_calls,
    }
