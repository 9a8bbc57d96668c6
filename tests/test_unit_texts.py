"""Texts of exceptions: class and message out of a repr, and what makes two alike."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import dbgkit
from dbgkit.remote.common.texts import (
    normalise,
    safe_repr,
    safe_str,
    signature,
    type_and_message,
)
from dbgkit.remote.secrets.patterns import regex


class Hostile(Exception):
    def __repr__(self):
        raise RuntimeError("no repr")

    def __str__(self):
        raise LookupError("no str")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad: 3"),
        ValueError('it\'s (a) "test"'),
        ValueError("two\nlines"),
        ValueError("a", 3),
        ValueError(),
        ZeroDivisionError("division by zero"),
    ],
    ids=repr,
)
def test_class_and_message_come_back_out_of_a_repr(error):
    assert type_and_message(repr(error)) == (type(error).__name__, str(error))


def test_class_is_told_without_its_module():
    kind, message = type_and_message("some.package.BadSensor('no 3')")
    assert (kind, message) == ("BadSensor", "no 3")


def test_arguments_that_are_no_literals_are_the_message_as_they_are():
    assert type_and_message("Bad(<object at 0x7f>)") == ("Bad", "<object at 0x7f>")


def test_a_repr_of_its_own_form_gives_a_message_and_no_class():
    assert type_and_message("<sensor 3 is broken>") == ("", "<sensor 3 is broken>")


def test_a_repr_and_a_str_that_raise_are_told():
    assert safe_repr(Hostile()) == "<Hostile, whose repr raises RuntimeError>"
    assert safe_str(Hostile()) == "<Hostile, whose str raises LookupError>"


class Exiting(Exception):
    def __str__(self):
        raise SystemExit(3)

    __repr__ = __str__


def test_a_repr_and_a_str_end_no_session():
    assert safe_repr(Exiting()) == "<Exiting, whose repr raises SystemExit>"
    assert safe_str(Exiting()) == "<Exiting, whose str raises SystemExit>"


def test_long_texts_are_cut_with_a_mark():
    assert safe_str(ValueError("x" * 50), limit=10) == "x" * 10 + "…"
    assert safe_repr("y" * 50, limit=10) == "'" + "y" * 9 + "…"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("row 7 of 10", "row 123 of 10"),
        ("ratio -3.5e-7", "ratio 12"),
        ("<Point object at 0x7f21aa>", "<Point object at 0x10>"),
        ("token 9f86d081884c7d65", "token 60303ae22b998861"),
    ],
)
def test_numbers_addresses_and_tokens_do_not_count(one, other):
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("no column 'price'", "no column 'name'"), ("bad facade", "bad decade")],
)
def test_words_do_count(one, other):
    assert normalise(one) != normalise(other)


def test_of_a_line_the_folder_does_not_count():
    here = signature("ValueError", "x", ("/home/me/job.py", 3, "f"))
    for path in ("/srv/other/job.py", r"C:\work\job.py"):
        assert signature("ValueError", "x", (path, 3, "f")) == here


@pytest.mark.parametrize(
    "line", [("/a/job.py", 4, "f"), ("/a/job.py", 3, "g"), ("/a/jobs.py", 3, "f")]
)
def test_of_a_line_file_number_and_function_do_count(line):
    here = signature("ValueError", "x", ("/a/job.py", 3, "f"))
    assert signature("ValueError", "x", line) != here


def test_each_regular_expression_compiles():
    """They are compiled with their first use, which may be anywhere."""
    found = set()

    def walk(value):
        if isinstance(value, regex):
            assert value.pattern is not None
            found.add(id(value))
        elif isinstance(value, (tuple, list, set, frozenset)):
            for item in value:
                walk(item)
        elif isinstance(value, dict):
            walk(tuple(value.items()))

    for module in pkgutil.walk_packages(dbgkit.__path__, "dbgkit."):
        if not module.name.endswith(("__main__", ".preload", ".pytest_plugin")):
            walk(vars(importlib.import_module(module.name)))
    assert len(found) > 80


def test_a_regular_expression_is_as_any_other():
    late = regex(r"(?P<word>\w+)", re.ASCII)
    assert late.search("- ab")["word"] == "ab" and late.sub("x", "ab cd") == "x x"
    assert late.pattern == r"(?P<word>\w+)" and late.groups == 1
    with pytest.raises(re.error):
        regex("(").search("")
    with pytest.raises(AttributeError):
        late.nothing  # noqa: B018
