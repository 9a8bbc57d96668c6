"""Verdicts on texts of other Pythons, other releases, and code that travelled."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import commands
import pytest
import verdict_tasks as tasks

from dbgkit.model import Failure
from dbgkit.remote.recording.raised import raised
from dbgkit.replays.outcome import difference
from dbgkit.replays.wording import alike, as_worded_now, same_class

# One message as Python's versions have put it: of the first and of a later one.
WORDINGS = [
    # 3.11
    ("integer division or modulo by zero", "integer modulo by zero"),
    (
        "local variable 'x' referenced before assignment",
        "cannot access local variable 'x' where it is not associated with a value",
    ),
    (
        "free variable 'y' referenced before assignment in enclosing scope",
        "cannot access free variable 'y' where it is not associated with a value in "
        "enclosing scope",
    ),
    ("can't set attribute 'x'", "property 'x' of 'A' object has no setter"),
    # 3.12
    ("min() arg is an empty sequence", "min() iterable argument is empty"),
    (
        "Can't instantiate abstract class A with abstract methods f, g",
        "Can't instantiate abstract class A without an implementation for abstract "
        "methods 'f', 'g'",
    ),
    # 3.13
    ("float modulo", "float modulo by zero"),
    (
        "'A' object has no attribute 'b'",
        "'A' object has no attribute 'b' and no __dict__ for setting new attributes",
    ),
    (
        "f() got an unexpected keyword argument 'valu'",
        "f() got an unexpected keyword argument 'valu'. Did you mean 'value'?",
    ),
    (
        "'foo' is an invalid keyword argument for sort()",
        "sort() got an unexpected keyword argument 'foo'",
    ),
    (
        "Expecting value: line 1 column 4 (char 3)",
        "Illegal trailing comma before end of array: line 1 column 3 (char 2)",
    ),
    (
        "Can't pickle local object 'f.<locals>.<lambda>'",
        "Can't get local object 'f.<locals>.<lambda>'",
    ),
    (
        "cannot import name 'foo' from 'json' (/usr/lib/python3.11/json/__init__.py)",
        "cannot import name 'foo' from 'json' (/opt/lib/python3.13/json/__init__.py)",
    ),
    # 3.14
    ("float division by zero", "division by zero"),
    (
        "too many values to unpack (expected 2)",
        "too many values to unpack (expected 2, got 3)",
    ),
    (
        "unhashable type: 'list'",
        "cannot use 'list' as a dict key (unhashable type: 'list')",
    ),
    (
        "argument of type 'int' is not iterable",
        "argument of type 'int' is not a container or iterable",
    ),
    ("math domain error", "expected a nonnegative input, got -1.0"),
    ("month must be in 1..12", "month must be in 1..12, not 13"),
    # Depth of the stack, order of a set, NumPy 2, pandas 3
    (
        "maximum recursion depth exceeded",
        "maximum recursion depth exceeded while calling a Python object",
    ),
    ("unknown: {'b', 'a', 'c'}", "unknown: {'c', 'a', 'b'}"),
    ("bad value 3.0", "bad value np.float64(3.0)"),
    (
        "None of [Index(['a'], dtype='object')] are in the [columns]",
        "None of [Index(['a'], dtype='str')] are in the [columns]",
    ),
]


@pytest.mark.parametrize(("one", "other"), WORDINGS)
def test_one_message_in_the_words_of_two_versions(one, other):
    assert alike({one}, {other})
    assert alike({other}, {one})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("local variable 'x' referenced before assignment", WORDINGS[1][1][:23] + "y'"),
        ("'A' object has no attribute 'b'", "'A' object has no attribute 'c'"),
        ("'A' object has no attribute 'b'", "'B' object has no attribute 'b'"),
        ("too many values to unpack (expected 2)", "not enough values to unpack"),
        ("month must be in 1..12", "hour must be in 0..23, not 25"),
        ("unknown: {'b', 'a'}", "unknown: {'b', 'c'}"),
        ("'<' not supported between 'str' and 'int'", "'<' … between 'int' and 'str'"),
        ("min() arg is an empty sequence", "max() iterable argument is empty"),
        ("unhashable type: 'list'", "unhashable type: 'dict'"),
        ("x" * 20_000, "y" * 20_000),
    ],
)
def test_messages_of_two_failures(one, other):
    assert not alike({one}, {other})


def test_classes_that_python_renamed():
    assert same_class("error", "PatternError")
    assert not same_class("error", "KeyError")
    before = as_worded_now("AttributeError", "__enter__")
    now = "'int' object does not support the context manager protocol"
    assert as_worded_now("TypeError", now) == before
    assert as_worded_now("TypeError", f"{now} (missed __exit__ method)") == before
    assert as_worded_now("AttributeError", "__iter__") == (
        "AttributeError",
        "__iter__",
    )


# -- places ----------------------------------------------------------------------


def told(function, *args):
    with pytest.raises(Exception) as caught:
        function(*args)
    error = caught.value
    return raised(error.with_traceback(error.__traceback__.tb_next))


def before(rows, kind="ZeroDivisionError", message="division by zero"):
    text = "".join(f'  File "{f}", line {n}, in {name}\n' for f, n, name in rows)
    return Failure("k", "k", kind, message, text)


def rows_of(now, filename=None):
    return [(filename or row[0], row[1], row[2]) for row in now["frames"]]


def test_code_that_travelled_equals_any_file_on_either_side():
    now = told(tasks.decorated, [0])
    there = before(rows_of(now, "<dynamic-code>"))
    assert difference(there, now) is None
    here = {**now, "frames": rows_of(now, "<dynamic-code>")}
    assert difference(before(rows_of(now, "/srv/job.py")), here) is None
    assert difference(before(rows_of(now, "/srv/job.py")), now) is not None


def test_of_code_that_travelled_line_and_function_count():
    now = told(tasks.decorated, [0])
    *outer, (_, line, name) = rows_of(now, "<dynamic-code>")
    for row in (("<dynamic-code>", line + 1, name), ("<dynamic-code>", line, "other")):
        why = difference(before([*outer, row]), now)
        assert why is not None
        assert "at another line: before line " in why


def test_what_is_installed_there_may_be_a_folder_of_sources_here():
    script, library = "/home/me/job.py", "/home/me/lib/src/lib/core.py"
    installed = "/srv/lib/python3.11/site-packages/lib/core.py"
    now = {**told(tasks.decorated, [0])}
    now["frames"] = [(script, 7, "work"), (library, 30, "check")]
    there = before([(script, 7, "work"), (installed, 30, "check")])
    assert difference(there, now) is None
    elsewhere = before([(script, 9, "work"), (installed, 30, "check")])
    assert difference(elsewhere, now) is not None


def test_a_file_made_as_it_runs_may_have_another_number():
    now = {**told(tasks.decorated, [0]), "frames": [("<lambdified-3>", 2, "f")]}
    assert difference(before([("<lambdified-17>", 2, "f")]), now) is None
    assert difference(before([("<generated-3>", 2, "f")]), now) is not None


def test_of_what_had_not_failed_nothing_is_the_same():
    assert difference(Failure("k", "k", "", ""), told(tasks.silent, 0)) == ""


def test_of_a_recursion_neither_depth_nor_line_counts():
    now = told(tasks.recursive, 3)
    there = before(
        [(tasks.__file__, 1, "_one")],
        "RecursionError",
        "maximum recursion depth exceeded in comparison",
    )
    assert difference(there, now) is None


def test_a_message_that_dask_has_cut_and_its_class_with_it():
    now = told(tasks.too_long_of_strict, [0])
    # repr of Exception("Long error message", type(e), str(e)[:n])
    text = f"'Long error message', {tasks.Strict!r}, 'bad rows: x x x x x x x"
    assert difference(before([], "Exception", text), now) is None
    other = text.replace("bad rows", "no rows")
    assert difference(before([], "Exception", other), now) is not None
    of_other_class = text.replace("Strict", "Loose")
    assert difference(before([], "Exception", of_other_class), now) is not None


def test_a_statement_over_several_lines_is_one_place():
    now = told(tasks.over_lines, [0])
    ((filename, line, name),) = rows_of(now)
    why = {
        moved: difference(
            before([(filename, line + moved, name)], now["type"], now["message"]), now
        )
        for moved in (-6, -1, 3, 20)
    }
    assert why[-1] is None and why[3] is None
    assert why[-6] is not None and why[20] is not None


# -- other Pythons ---------------------------------------------------------------

_TELL = """
import json, sys
sys.path.insert(0, sys.argv[1])
import verdict_tasks as tasks
import traceback
told = {}
for name in sys.argv[2:]:
    try:
        getattr(tasks, name)([0])
    except Exception as error:
        text = "".join(traceback.format_tb(error.__traceback__.tb_next))
        told[name] = [type(error).__name__, str(error), text]
print(json.dumps(told))
"""
NAMES = [
    "in_list",
    "in_nested",
    "in_dict",
    "in_generator",
    "in_text",
    "over_lines",
    "over_a_header",
    "decorated",
    "mixed_quotes",
]


@pytest.fixture(scope="module", params=[10, 11, 12, 13, 14])
def other_python(request):
    """Each other minor version of Python that is there."""
    python = commands.other_python(request.param)
    folder = str(Path(tasks.__file__).parent)
    done = subprocess.run(
        [python, "-c", _TELL, folder, *NAMES],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_a_failure_under_another_python_is_the_same(other_python, name):
    there = Failure("k", "k", *other_python[name])
    assert difference(there, told(getattr(tasks, name), [0])) is None
