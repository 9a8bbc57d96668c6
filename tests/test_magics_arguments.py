"""What is typed after a magic: options, targets, completion."""

from __future__ import annotations

import pytest

from dbgkit.frontends.ipython.arguments import BadUsage, read_target, split_options
from dbgkit.frontends.ipython.completing import offered
from dbgkit.frontends.ipython.session import Session
from dbgkit.frontends.verbs import VERBS

OPTIONS = VERBS["debug"].options


@pytest.mark.parametrize(
    ("line", "target", "keywords"),
    [
        ("", "", {}),
        ("fut", "fut", {}),
        ("--times 3 fut", "fut", {"times": 3}),
        ("fut --times=3", "fut", {"times": 3}),
        ("--no-prompt fut", "fut", {"prompt": False}),
        (
            "fut --no-prompt --where process",
            "fut",
            {"prompt": False, "where": "process"},
        ),
        ('("sum-abc", 0) --scope ancestors', '("sum-abc", 0)', {"scope": "ancestors"}),
        ('--max-bytes "2 GiB" k--ey', "k--ey", {"max_bytes": "2 GiB"}),
        ("--no-recompute", "", {"recompute": False}),
        ("  a key with  blanks  ", "a key with  blanks", {}),
        ("--timeout 2m f --client c", "f", {"timeout": "2m", "client": "c"}),
    ],
)
def test_options_stand_before_or_after_the_target(line, target, keywords):
    assert split_options(line, OPTIONS) == (target, keywords)


@pytest.mark.parametrize(
    ("line", "target", "keywords"),
    [
        ("fut -o x.dbgkit", "fut", {"path": "x.dbgkit"}),
        ("-o=x.dbgkit", "", {"path": "x.dbgkit"}),
        ("a -output-1", "a -output-1", {}),
        ("a-o b", "a-o b", {}),
    ],
)
def test_short_options_are_those_of_commands(line, target, keywords):
    assert split_options(line, VERBS["save"].options) == (target, keywords)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--nonsense", "no option --nonsense; available: --scope"),
        ("--times", "--times needs a value"),
        ("--times --where here", "--times needs a value"),
        ("--times many", "a whole number from 1"),
        ("--times 0", "a whole number from 1"),
        ("--timeout 0s", "invalid duration '0s'"),
        ("--max-bytes -1", "invalid size '-1'"),
        ("--source no_such.py", "'no_such.py' does not exist"),
        ("--where there", "'there' is not one of here, process"),
        ("--scope all", "'all' is not one of task, ancestors"),
        ("--timeout soon", "--timeout: invalid duration 'soon'"),
        ("--max-bytes much", "--max-bytes: invalid size 'much'"),
    ],
)
def test_a_wrong_option_is_told(line, said):
    with pytest.raises(BadUsage, match=said):
        split_options(line, OPTIONS)


class Box:
    value = "boxed"


NAMES = {"fut": object(), "box": Box(), "futs": ["f0", "f1"], "text": "inc-1", "inc": 5}


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("", None),
        ("fut", NAMES["fut"]),
        ("box.value", "boxed"),
        ("futs[1]", "f1"),
        ("futs", ["f0", "f1"]),
        ("text", "inc-1"),
        ("[f for f in futs]", ["f0", "f1"]),
        ("sorted(futs)", ["f0", "f1"]),
        ("('sum-abc', 0)", ("sum-abc", 0)),
        ("'inc-1'", "inc-1"),
        ("inc-1", "inc-1"),  # not 4
        ("inc-4f2a", "inc-4f2a"),
        ("load.csv", "load.csv"),
        ("no_such_name", "no_such_name"),
        ("sum", "sum"),
        ("('x', 0", "('x', 0"),
        ("a key {with} $things", "a key {with} $things"),
    ],
)
def test_a_target_is_a_variable_an_expression_or_a_key(text, target):
    assert read_target(text, NAMES) == target


def test_an_expression_that_raises_is_told():
    with pytest.raises(BadUsage, match=r"futs\[7\]: IndexError"):
        read_target("futs[7]", NAMES)


def test_reading_a_target_leaves_the_namespace_alone():
    names = dict(NAMES)
    read_target("futs[0]", names)
    assert names == NAMES


def test_completes_exceptions_and_lists_but_no_hidden_names():
    names = {"error": ValueError(), "_error": ValueError(), "number": 5}
    assert offered("dbg", " e", names, Session()) == ("e", ["error"])
    assert offered("dbg", " ", names, Session()).texts[:2] == ["error", "next"]


def test_completes_options():
    assert offered("dbg", " fut --sc", {}, Session()) == ("--sc", ["--scope"])
