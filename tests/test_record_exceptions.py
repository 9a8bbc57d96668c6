"""Exceptions that harm whoever looks at them: recorded, and not asked."""

from __future__ import annotations

import pickle
import sys

import pytest
from hostile import CALLS, bare, hostile_class

from dbgkit.remote.recordings import Limits, kind_of, take

pytestmark = pytest.mark.core


def record(exception):
    try:
        raise exception
    except Exception as error:
        CALLS.clear()
        recording = take(error, Limits(), short=False)
        kind_of(error)
    assert CALLS == []
    return recording


class Hidden(Exception):
    """Whose traceback, causes and message are properties."""

    def _asked(self):
        CALLS.append("property")
        raise RuntimeError("property")

    __traceback__ = __cause__ = __context__ = args = property(_asked)
    __suppress_context__ = property(_asked)
    __str__ = __repr__ = _asked


def test_properties_of_an_exception_are_not_asked():
    try:
        raise KeyError("first")
    except KeyError:
        recording = record(Hidden("text"))
    assert recording["message"] == "text"
    assert recording["frames"]
    assert [each["message"] for each in recording["causes"]] == ["'first'"]


@pytest.mark.parametrize(
    ("exception", "expected"),
    [
        (ValueError(), ""),
        (ValueError("text"), "text"),
        (ValueError("a", 1), "('a', 1)"),
        (ValueError(5), "5"),
        (ValueError(bare(hostile_class())), "<HostileObject>"),
        (ValueError("a", bare(hostile_class(how="sleep"))), "('a', <HostileObject>)"),
        (KeyError("k"), "'k'"),
        (KeyError(("k", 1)), "('k', 1)"),
        (FileNotFoundError(2, "No such file", "x"), "[Errno 2] No such file: 'x'"),
        (OSError(2, "bad", bare(hostile_class())), "[Errno 2] bad: <HostileObject>"),
        (OSError("only text"), "only text"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "'utf-8' codec can't"),
        (SyntaxError("bad", ("f.py", 1, 1, "x")), "bad (f.py, line 1)"),
        (ImportError("no module"), "no module"),
        (pickle.PicklingError("no"), "no"),
        (ValueError("x" * 10_000), "x" * 2_000),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_messages(exception, expected):
    message = record(exception)["message"]
    assert message.startswith(expected)
    assert len(message) <= 2_000


def test_an_attribute_of_a_builtin_exception_may_be_anything():
    exception = SyntaxError("bad")
    exception.msg = bare(hostile_class())
    assert record(exception)["message"] == "bad"


def test_notes_are_part_of_the_message():
    exception = ValueError("text")
    exception.__notes__ = ["first", bare(hostile_class()), "second"]
    assert record(exception)["message"] == "text\nfirst\nsecond"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_a_group_tells_how_many_it_has():
    group = ExceptionGroup("several", [ValueError(1), KeyError(2)])  # noqa: F821
    assert record(group)["message"] == "several (2 sub-exceptions)"


def test_a_message_of_its_own_is_told_by_what_it_was_made_of():
    class Own(Exception):
        def __str__(self):
            CALLS.append("__str__")
            return "own"

    assert record(Own("made", 5))["message"] == "('made', 5)"
