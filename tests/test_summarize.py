"""Values in a bounded text, whatever they are and whatever they do."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import subprocess
import sys
import textwrap
import threading
import types
from time import perf_counter, sleep

import numpy as np
import pandas as pd
import pytest

from dbgkit.remote.values.summarize import Budget, summarize


def text_of(value, **options):
    return summarize(value, **options)["text"]


class ReprRaises:
    def __init__(self):
        self.a = 1

    def __repr__(self):
        raise RuntimeError("no repr")


class ReprSleeps:
    def __repr__(self):
        sleep(60)
        return ""


class ReprLies:
    def __repr__(self):
        return "5"


class LenLies(list):
    def __len__(self):
        return -5

    def __iter__(self):
        sleep(60)
        return iter(())


class ItemsRaise(dict):
    def items(self):
        raise RuntimeError("no items")


class AllRaises:
    @property
    def __class__(self):
        raise RuntimeError("no class")

    @property
    def __dict__(self):
        raise RuntimeError("no dict")

    def __getattribute__(self, name):
        raise RuntimeError(name)


class Meta(type):
    def __hash__(cls):
        raise RuntimeError("no hash")

    def __eq__(cls, other):
        raise RuntimeError("no eq")

    def __getattribute__(cls, name):
        raise RuntimeError(name)


class OfMeta(metaclass=Meta):
    pass


class EqRaises:
    def __hash__(self):
        return 1

    def __eq__(self, other):
        raise RuntimeError("no eq")


class ShapeRaises(pd.DataFrame):
    @property
    def shape(self):
        raise RuntimeError("no shape")


def nested(depth):
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


HOSTILE = {
    "repr raises": (ReprRaises, "ReprRaises(a=1)"),
    "repr sleeps": (ReprSleeps, "<ReprSleeps>"),
    "repr lies": (ReprLies, "<ReprLies>"),
    "len lies": (lambda: LenLies([1, 2]), "[1, 2]"),
    "items raise": (lambda: ItemsRaise(a=1), "{'a': 1}"),
    "all raises": (AllRaises, "<AllRaises>"),
    "metaclass": (lambda: object.__new__(OfMeta), "<OfMeta>"),
    "class of a metaclass": (
        lambda: OfMeta,
        f"<class {__name__}.OfMeta>",
    ),
    "eq raises": (lambda: {EqRaises(): 1}, "{<EqRaises>: 1}"),
    "shape raises": (lambda: ShapeRaises({"a": [1.5]}), "1 rows, 1 columns"),
    "deep": (lambda: nested(100_000), "[[[[[…]]]]]"),
    "large dict": (lambda: dict.fromkeys(range(10**6)), "… 999,992 more}"),
    "large frame": (
        lambda: pd.DataFrame(np.ones((1_000_000, 10)), columns=list("abcdefghij")),
        "1,000,000 rows, 10 columns (sampled): 'a' float64 (1.0 to 1.0)",
    ),
    "large array": (lambda: np.ones(10**7), "float64 (10000000,), 0 NaN of 200,000"),
    "large transposed array": (lambda: np.ones((1000, 10_000)).T, "(sampled)"),
    "endless array": (lambda: np.broadcast_to(1.0, (10**6, 10**6)), "(sampled)"),
    "large text": (lambda: "abc" * 10**6, "(3,000,000 characters)"),
    "large int": (lambda: 10**50_000, "<166,097 bits>"),
    "hostile elements": (
        lambda: np.array([ReprSleeps()] * 100_000, dtype=object),
        "object (100000,): [<ReprSleeps>",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_values_take_no_time_and_are_told(name):
    make, expected = HOSTILE[name]
    value = make()
    summarize(value)  # what pandas and numpy load on first use is not counted
    began = perf_counter()
    found = summarize(value)
    # Some 10 ms at most on a free machine.
    assert perf_counter() - began < 0.25
    assert expected in found["text"]
    assert len(found["text"]) <= Budget().chars + 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "None"),
        (True, "True"),
        (5, "5"),
        (0.1, "0.1"),
        (1 + 2j, "(1+2j)"),
        ("it's", '"it\'s"'),
        (b"\xff", "b'\\xff'"),
        ((1,), "(1,)"),
        (set(), "set()"),
        (frozenset([1]), "frozenset({1})"),
        (range(3), "range(0, 3)"),
        (collections.deque([1]), "deque([1])"),
        (collections.OrderedDict(a=1), "{'a': 1}"),
        (ValueError("bad", 3), "ValueError('bad', 3)"),
        (threading.Lock(), "<lock>"),
        (int, "<class int>"),
        (sys, "<module sys>"),
        (
            functools.partial(int, "1", base=2),
            "<partial of <class int> with ('1',) and {'base': 2}>",
        ),
        ((i for i in ()), "<generator <genexpr>>"),
    ],
)
def test_builtin_values(value, expected):
    assert text_of(value) == expected


def test_cycles_end():
    loop: list = []
    loop.append(loop)
    assert text_of(loop) == "[<itself, again>]"


def test_what_is_cut_says_so():
    assert summarize(list(range(8)))["cut"] is False
    found = summarize(list(range(9)))
    assert found["cut"] is True
    assert found["text"] == "[0, 1, 2, 3, 4, 5, 6, 7, … 1 more]"


def test_named_tuples_enums_dataclasses_and_slots():
    Point = collections.namedtuple("Point", "x y")
    Colour = enum.IntEnum("Colour", "RED")

    @dataclasses.dataclass(slots=True)
    class Job:
        n: int = 1
        token: str = "abc"

    assert text_of(Point(1, 2)) == "Point(x=1, y=2)"
    assert text_of(Colour.RED) == "Colour.RED"
    assert text_of(Job()).endswith("Job(n=1, token=<hidden>)")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array(5.5), "float64 (): 5.5"),
        (np.zeros((0, 3)), "float64 (0, 3), empty"),
        (np.arange(3), "int64 (3,), 0 to 2: [0, 1, 2]"),
        (np.array([True, False]), "bool (2,), 1 True: [True, False]"),
        (
            np.array([0.1, np.inf, np.nan], dtype="f4"),
            "float32 (3,), 1 NaN, 1 inf, 0.1 to inf: [0.1, inf, nan]",
        ),
        (np.array([np.nan]), "float64 (1,), 1 NaN: [nan]"),
        (
            np.array(["2020-01-01", "NaT"], dtype="M8[D]"),
            "datetime64[D] (2,), 1 NaT, 2020-01-01 to 2020-01-01: [2020-01-01, NaT]",
        ),
        (np.array(["ab"]), "<U2 (1,): ['ab']"),
        (np.array([1, "x", None], dtype=object), "object (3,): [1, 'x', None]"),
        (
            np.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "f8")]),
            "[('x', '<i4'), ('y', '<f8')] (1,): [(1, 2.0)]",
        ),
        (
            np.ma.array([1, 2], mask=[0, 1]),
            "int64 (2,), 1 masked, 1 to 1: [1, --]",
        ),
        (np.float32(0.1), "0.1"),
    ],
)
def test_arrays(value, expected):
    assert text_of(value) == expected


def test_a_mapped_file_is_not_read(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones(1000))
    mapped = np.load(path, mmap_mode="r")
    # Read beyond its end, a mapped file ends the process.
    path.write_bytes(path.read_bytes()[:128])
    views = (mapped, np.asarray(mapped), mapped[1:].reshape(3, 333), memoryview(mapped))
    told = [text_of(view) for view in views]
    del mapped, views  # what pytest would read to tell of a difference
    assert told == [
        "float64 (1000,), memory-mapped, not read",
        "float64 (1000,), memory-mapped, not read",
        "float64 (3, 333), memory-mapped, not read",
        "<memoryview of 8,000 bytes>",
    ]


def test_frames_and_series():
    frame = pd.DataFrame({"a": [1.0, None], "b": [1, 2]}, index=["x", "y"])
    assert text_of(frame) == (
        "2 rows, 2 columns: 'a' float64 (1 NaN, 1.0 to 1.0), 'b' int64 (1 to 2); "
        "index ['x', 'y']"
    )
    assert text_of(frame["b"]) == (
        "2 rows 'b' int64 (1 to 2): [1, 2]; index ['x', 'y']"
    )
    assert text_of(pd.Timestamp("2020-01-01")) == "2020-01-01 00:00:00"


def test_arrow_table():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [1, None], "b": ["x", "y"]})
    assert text_of(table) == "2 rows, 2 columns: 'a' int64, 'b' string"


def test_secrets_are_hidden_by_name_at_every_depth():
    assert summarize("x", name="api_key") == {
        "type": "str",
        "text": "<hidden>",
        "cut": False,
        "hidden": True,
    }
    told = text_of({"db": {"password": "x", "url": "pg://ann:pw@host/db"}})
    assert told == "{'db': {'password': <hidden>, 'url': 'pg://ann:<hidden>@host/db'}}"
    series = pd.Series(["hunter2"], name="password")
    assert "hunter2" not in text_of(series)


def test_a_secret_is_not_given_away_by_cutting_it():
    told = text_of("x" * 190 + " AKIAIOSFODNN7EXAMPLE " + "y" * 500)
    assert "AKIA" not in told
    assert "BEGIN" not in text_of("-----BEGIN PRIVATE KEY-----\n" + "A" * 5000)


def test_no_time_left_gives_types_only():
    found = summarize([1, 2], budget=Budget(seconds=-1))
    assert found == {"type": "list", "text": "<list>", "cut": True, "hidden": False}


def test_a_number_is_told_though_no_time_is_left():
    late = Budget(seconds=-1)
    assert [summarize(each, budget=late)["text"] for each in (0, -2.5, True)] == [
        "0",
        "-2.5",
        "True",
    ]
    assert summarize(2**999, budget=late)["text"] == "<int>"
    assert summarize(1234, name="password", budget=late)["text"] == "<hidden>"


def test_works_alone_and_imports_no_data_library():
    code = """
        import sys
        from dbgkit.remote.values.summarize import summarize
        assert summarize([1])["text"] == "[1]"
        for name in ("numpy", "pandas", "pyarrow", "dask", "distributed", "rich"):
            assert name not in sys.modules, name
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_a_plain_namespace_is_told_by_its_attributes():
    value = types.SimpleNamespace(rate=0, token="x-y")
    assert text_of(value) == "SimpleNamespace(rate=0, token=<hidden>)"
