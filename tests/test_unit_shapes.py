"""Checks of answers, made from the types that wire forms are declared by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict

import pytest

from dbgkit.cluster.answers import ANSWERS, FUNCTIONS
from dbgkit.cluster.checks import Misfit
from dbgkit.cluster.shapes import fits, shape_of
from dbgkit.remote.common.wire import Count, Key, Moment, Number
from dbgkit.remote.common.wire_deaths import DeathForm
from dbgkit.remote.common.wire_recordings import ListedHeader


class Named(TypedDict):
    name: str


class Dated(Named, total=False):
    when: Moment


class Queued(TypedDict):
    code: Literal["queued", "waiting"]
    places: Annotated[list[str], "some"]


class Other(TypedDict):
    code: str
    text: str


class Row(TypedDict):
    key: Key
    count: Count
    size: Number | None


@pytest.mark.parametrize(
    "kind",
    [
        *(kind() for kind in (*ANSWERS.values(), *FUNCTIONS.values())),
        *(DeathForm, ListedHeader),
    ],
)
def test_each_wire_form_makes_a_check(kind):
    assert not fits(kind, 1.5)


@pytest.mark.parametrize(
    "kind, good, bad, said",
    [
        (int, 3, True, "it is True, not a whole number"),
        (Count, 0, -1, "it is -1, not a count"),
        (float, float("inf"), "x", "it is 'x', not a number"),
        (Number, 1.5, float("inf"), "it is inf, not a number in range"),
        (bytes, bytearray(b"x"), "x", "it is 'x', not bytes"),
        (str | None, None, 1, "it is 1, not text"),
        (Literal["a", "b"], "b", "c", "it is 'c', not one of 'a', 'b'"),
        (list[str], ("a",), ["a", 1], "[1] is 1, not text"),
        (Sequence[int], [1], 1, "it is 1, not a list"),
        (tuple[str, int], ["a", 1], ["a"], "it is ['a'], not a list of 2"),
        (dict[str, Count], {"a": 1}, {"a": "x"}, "a is 'x', not a whole number"),
        (Named, {"name": "a", "more": 1}, {}, "name is missing"),
        (Dated, {"name": "a"}, {"name": "a", "when": -1}, "when is -1, not a time"),
        (list[Named], [{"name": "a"}], [{"name": 1}], "[0].name is 1, not text"),
        (
            Queued | Other,
            {"code": "x", "text": ""},
            {"code": "queued", "places": []},
            "places is [], not a list of at least 1",
        ),
        (Named | Other, {"code": "", "text": ""}, {"name": 1}, "name is 1, not text"),
        (Any, object(), None, ""),
    ],
)
def test_a_type_is_checked(kind, good, bad, said):
    shape_of(kind)(good)
    if said:
        with pytest.raises(Misfit) as misfit:
            shape_of(kind)(bad)
        assert str(misfit.value) == said


@pytest.mark.parametrize(
    "name, bad", [("key", {}), ("count", -1), ("size", float("nan")), ("size", "x")]
)
def test_rows_are_checked_as_one_by_one(name, bad):
    row = {"key": ("a", 1), "count": 1, "size": None}
    rows = [dict(row) for _ in range(5)]
    shape_of(list[Row])(rows)
    rows[3][name] = bad
    with pytest.raises(Misfit, match=rf"^\[3\]\.{name} is "):
        shape_of(list[Row])(rows)
    del rows[3][name]
    with pytest.raises(Misfit, match=rf"^\[3\]\.{name} is missing"):
        shape_of(list[Row])(rows)
