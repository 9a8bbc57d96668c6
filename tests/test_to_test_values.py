"""Values as text that gives them back: exactly, and as a person would write them."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import math
import uuid
from collections import namedtuple
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dbgkit.bundles.to_test_alike import alike
from dbgkit.bundles.to_test_beside import keep
from dbgkit.bundles.to_test_layout import docstring, quoted
from dbgkit.bundles.to_test_parts import NotLiteral
from dbgkit.bundles.to_test_values import Literals
from dbgkit.replays.function_watch import Consumed

Point = namedtuple("Point", "x y")
DAYS = pd.date_range("2026-01-01", periods=3)


@dataclass
class Order:
    total: float
    tags: list = field(default_factory=list)


class Model:
    def __init__(self, weight):
        raise AssertionError("a test does not run it again")


class Color(enum.Enum):
    RED = 1


def restored(kind, **attributes):
    found = object.__new__(kind)
    vars(found).update(attributes)
    return found


def written(value, indent=4):
    found = Literals(lambda each: each.__name__, lambda line: None).of(value)
    return "\n".join(found.lines(indent))


VALUES = [
    *(0, -1, 10**50, True, None, ..., 1.5, -0.0, math.inf, complex(1, -0.0)),
    *("", "plain", "a\n\"'\\\ud800é\x00\u200b", "x" * 900, b"\x00x", bytearray(b"y")),
    *([], (), (1,), {}, set(), {1, 2}, frozenset([3]), frozenset(), slice(1, None)),
    *([1, [2, {"a": (None, "b")}]], list(range(100)), range(2, 9, 3)),
    {"key": [1.5, float("inf")], (1, 2): {"deep": [{"er": b"\xff"}]}},
    *(datetime.date(2026, 1, 2), datetime.timedelta(days=1, microseconds=3)),
    datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc),
    *(decimal.Decimal("1.10"), fractions.Fraction(1, 3), uuid.UUID(int=7)),
    *(
        Path("a/b c"),
        Point(1, [2]),
        Order(1.5, ["a"]),
        Color.RED,
        int,
        len,
    ),
    *(np.int8(3), np.float32(0.1), np.bool_(True), np.datetime64("2026-01-02", "s")),
    *(
        np.arange(6, dtype="int16").reshape(2, 3),
        np.zeros((0, 3)),
        np.array(["a", "bc"]),
    ),
    *(np.array([1, "a", None], dtype=object), np.dtype("float32"), np.array(2.5)),
    *(pd.Timestamp("2026-01-02 03:04", tz="Europe/Berlin"), pd.Timedelta("1h"), pd.NaT),
    pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
    pd.DataFrame({"a": [1, "x", None, 2.5, True]}),
    pd.DataFrame({"a": [1, 2]}, index=[5, 7]).astype("int8"),
    pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "t": DAYS[:2]}),
    pd.DataFrame({"a": [1.5, 2, 3]}, index=pd.Index([3, 4, 4], name="id")),
    pd.DataFrame({"a": range(3)}, index=DAYS),
    pd.DataFrame({"a": pd.Categorical(["x", "y"])}),
    pd.DataFrame({"a": []}),
    pd.Series({"price": "n/a", "amount": 2}, name=1),
    pd.Series([1, 2, 3], name="n")[1:],
    pd.Series([True, False]),
    *(pd.Index(["a", "b"]), pd.RangeIndex(1, 9, 2), DAYS),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
def test_a_value_comes_out_as_it_was(value):
    text = written(value, 0)
    assert max(map(len, text.splitlines())) <= 88
    assert alike(eval(text), value)


def test_nan_is_nan():
    assert math.isnan(eval(written(math.nan, 0)))


def test_an_object_comes_with_its_attributes():
    model = restored(Model, weight=[0, 1])
    again = eval(written(model, 0))
    assert type(again) is Model and vars(again) == {"weight": [0, 1]}


@pytest.mark.parametrize(
    "value",
    [
        list(range(1_000)),
        "x" * 5_000,
        np.zeros(10_000),
        pd.DataFrame({"a": range(500)}),
        pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)])),
        np.ma.array([1, 2], mask=[0, 1]),
        object(),
        [object()],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_large_or_has_no_literal(value):
    with pytest.raises(NotLiteral):
        written(value)


def test_a_value_within_itself_has_no_literal():
    loop: list = []
    loop.append(loop)
    with pytest.raises(NotLiteral):
        written(loop)


@pytest.mark.parametrize(
    ("value", "ending"),
    [
        (pd.DataFrame({"a": range(500), "b": "x"}), "parquet"),
        (pd.Series(range(500), name="a"), "parquet"),
        (pd.DataFrame({"a": [1, "x"] * 300}), "pickle"),
        (np.arange(5_000.0), "npy"),
        (np.array([1, "x"] * 300, dtype=object), "pickle"),
        (list(range(5_000)), "json"),
        ([1.5, (1, 2)] * 400, "pickle"),
        ("x" * 5_000, "json"),
        (b"\x00" * 5_000, "bin"),
        (Consumed([1, 2] * 500), "json"),
    ],
)
def test_a_file_beside_is_of_the_safest_format(value, ending):
    assert keep(value, "value", lambda each: each.__name__).ending == ending


def test_types_and_order_count():
    assert not alike(1, True) and not alike(1, 1.0) and not alike(0.0, -0.0)
    assert not alike({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert not alike(pd.DataFrame({"a": [1, True]}), pd.DataFrame({"a": [1, 1]}))
    same = pd.DataFrame({"a": [1, "x"]}, dtype=object)
    assert not alike(same, pd.DataFrame({"a": [True, "x"]}, dtype=object))
    assert not alike(pd.Series([1], index=DAYS[:1]), pd.Series([1], index=[0]))


@pytest.mark.parametrize(
    "text",
    ['"', '"""', 'ends with "', "\\", "a\\n\ud800\x1b[0m", "''' \"\"\" '''"],
)
def test_no_text_ends_a_docstring_or_a_literal(text):
    lines = docstring([f"failed: {text}", "", text * 60])
    eval("\n".join(lines)).encode("utf-8", "surrogatepass")
    assert eval(quoted(text)) == text
    "\n".join(lines).encode("utf-8")
