"""Exceptions whose own code does harm: they are recorded without running it."""

from __future__ import annotations

import linecache
import pickle
import sys
from itertools import pairwise

import pytest
from hostile import CALLS, bare, hostile_class

from dbgkit.debugger.recording import as_exception
from dbgkit.debugger.stack import chain
from dbgkit.model import recording_from_wire
from dbgkit.remote.common.frames import walk
from dbgkit.remote.recording.take import Limits, kind_of, take

HEADER = {
    "key": "task",
    "exception_type": "",
    "message": "",
    "worker": "",
    "pid": 0,
    "when": 0.0,
    "left_out": 0,
    "gap": "",
}


def record(exception):
    try:
        raise exception
    except Exception as error:
        CALLS.clear()
        # What it takes at most is another matter, and by the clock.
        recording = take(error, Limits(seconds=10), short=False)
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


def fails(value):
    local = value * 2
    raise ValueError(local)


def caught(function, *args):
    with pytest.raises(Exception) as told:
        function(*args)
    return told.value


def chained(*errors):
    """The first, raised from the second, and so on."""
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    return errors[0]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_members_of_a_group_are_recorded_each_with_its_frame():
    inner = ExceptionGroup("inner", [caught(fails, 2)])  # noqa: F821
    group = ExceptionGroup("several", [caught(fails, 1), inner])  # noqa: F821
    group.__cause__ = caught(fails, 3)
    recording = record(group)
    assert [
        (each["how"], each["parent"], each["message"]) for each in recording["causes"]
    ] == [
        ("member", -1, "2"),
        ("member", -1, "inner (1 sub-exceptions)"),
        ("member", 1, "4"),
        ("cause", -1, "6"),
    ]
    first = recording["causes"][0]
    assert first["frames"][0]["function"] == "fails"
    assert [0, "local", 2] in first["kept"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_of_a_large_group_the_first_members_are_recorded():
    group = ExceptionGroup("many", [ValueError(n) for n in range(5_000)])  # noqa: F821
    recording = record(group)
    assert recording["message"] == "many (5,000 sub-exceptions)"
    assert [each["message"] for each in recording["causes"]] == list("01234567")
    assert recording["more_causes"] == 1_000  # or more


def test_causes_beyond_the_nearest_are_counted():
    first = chained(ValueError("first"), *map(ValueError, range(11)))
    assert [len(record(first)["causes"]), record(first)["more_causes"]] == [8, 3]
    made = recording_from_wire(HEADER, record(first), "task")
    assert (len(made.causes), made.more_causes) == (8, 3)
    told = " ".join(str(made).split())
    assert "3 more exceptions in its chain of causes or its group, not" in told


def test_of_a_long_chain_the_nearest_and_the_root_are_recorded():
    first = chained(ValueError("first"), *(caught(fails, n) for n in range(11)))
    recording = record(first)
    causes = recording["causes"]
    assert [each["message"] for each in causes] == [
        *"0",
        *map(str, range(2, 14, 2)),
        "20",
    ]
    assert [each["parent"] for each in causes] == [*range(-1, 7)]
    made = as_exception(recording_from_wire(HEADER, recording, "task"))
    assert [str(error) for error in chain(made)][-2:] == ["12", "20"]
    root = chain(made)[-1].__traceback__.tb_frame
    assert root.f_locals["local"] == 20


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_the_root_is_linked_to_the_last_of_its_chain_that_is_recorded():
    members = [ValueError(n) for n in range(20)]
    group = ExceptionGroup("many", members)  # noqa: F821
    first = chained(OSError("first"), group, KeyError("middle"), TypeError("root"))
    recording = record(first)
    last = recording["causes"][-1]
    assert (last["how"], last["parent"], last["message"]) == ("cause", 0, "root")
    assert recording["more_causes"] == 22 - 7
    made = as_exception(recording_from_wire(HEADER, recording, "task"))
    assert str(made.__cause__.__cause__) == "root"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_the_root_of_a_member_s_chain_is_recorded():
    inner = chained(*(ValueError(n) for n in range(20)))
    recording = record(ExceptionGroup("one", [inner]))  # noqa: F821
    assert [each["message"] for each in recording["causes"]] == [*"0123456", "19"]
    assert recording["more_causes"] == 12


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_a_group_that_a_member_was_raised_from_is_no_root():
    members = [ValueError(n) for n in range(20)]
    group = ExceptionGroup("many", members)  # noqa: F821
    members[6].__context__ = group
    causes = record(group)["causes"]
    assert [each["message"] for each in causes] == [*"01234567"]


def test_a_long_chain_that_comes_back_to_itself_ends():
    errors = [ValueError(n) for n in range(20)]
    errors[-1].__context__ = chained(*errors)
    recording = record(errors[0])
    assert [each["message"] for each in recording["causes"]] == [*"1234567", "19"]


def test_a_chain_that_comes_back_to_itself_ends():
    first, second = caught(fails, 1), caught(fails, 2)
    first.__cause__, second.__context__ = second, first
    assert [each["message"] for each in record(first)["causes"]] == ["4"]


def countdown(number):
    left = number
    if left == 0:
        raise ValueError("bottom")
    countdown(number - 1)


def test_each_frame_of_a_recursion_has_its_own_values():
    recording = recording_from_wire(HEADER, record(caught(countdown, 3)), "task")
    frames = [frame for frame, _ in walk(as_exception(recording).__traceback__)]
    left = [frame.f_locals["left"] for frame in frames if "left" in frame.f_locals]
    assert left == [3, 2, 1, 0]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_a_recorded_group_is_entered_as_one():
    group = ExceptionGroup("several", [caught(fails, 1), caught(fails, 2)])  # noqa: F821
    group.__cause__ = caught(fails, 3)
    made = as_exception(recording_from_wire(HEADER, record(group), "task"))
    assert [str(error) for error in chain(made)][1:] == ["2", "4", "6"]
    frames = [error.__traceback__.tb_frame.f_locals for error in chain(made)[1:]]
    assert [each["local"] for each in frames] == [2, 4, 6]


def test_a_message_of_its_own_is_told_by_what_it_was_made_of():
    class Own(Exception):
        def __str__(self):
            CALLS.append("__str__")
            return "own"

    assert record(Own("made", 5))["message"] == "('made', 5)"


def test_values_of_names_that_begin_alike_are_not_mixed_up():
    name = "n" * 300
    space: dict = {}
    exec(f"def f():\n  {name}1 = 1\n  {name}2 = [object()]\n  1 / 0", space)
    made = record(caught(space["f"]))
    recording = recording_from_wire(HEADER, made, "task")
    assert recording.values.get(len(recording.frames) - 1, {}) == {}


def test_each_recording_has_its_own_state_of_a_file(tmp_path):
    path = tmp_path / "gone.py"
    found = []
    for word in ("before", "after"):
        lines = [f"# {word} {number}" for number in range(30)]
        # The second one fails further down.
        lines[len(found) * 20] = f"def f(): raise ValueError({word!r})"
        path.write_text("\n".join(lines) + "\n")
        space: dict = {}
        exec(compile(path.read_text(), str(path), "exec"), space)
        made = record(caught(space["f"]))
        found.append(recording_from_wire(HEADER, made, "task"))
        path.unlink()
    for word, recording in zip(("before", "after"), found, strict=True):
        tb = as_exception(recording).__traceback__
        while tb.tb_next is not None:
            tb = tb.tb_next
        code = tb.tb_frame.f_code
        assert linecache.getline(code.co_filename, tb.tb_lineno).count(word) == 1
        text = "".join(linecache.getlines(code.co_filename))
        assert {"before": "after", "after": "before"}[word] not in text
    names = {recording.frames[-1].filename for recording in found}
    assert names == {str(path)}
