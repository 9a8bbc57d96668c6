"""Is it the same failure?"""

from __future__ import annotations

import pytest

from dbgkit.model import Failure, Run
from dbgkit.remote.recording.raised import broken_repr, raised
from dbgkit.replays.outcome import difference, overall, run_of


def check(value):
    if value < 0:
        raise ValueError(f"negative: {value}")
    raise ValueError(f"too large: {value}")


def other_check(value):
    raise ValueError(f"negative: {value}")


def failed(function, *args):
    with pytest.raises(Exception) as caught:
        function(*args)
    error = caught.value
    # Without the frame of this file that called it.
    return error.with_traceback(error.__traceback__.tb_next)


def failure(kind="ValueError", message="negative: -3", line=10, function="check"):
    place = check.__code__.co_firstlineno + 2 if line == 10 else line
    text = f'  File "/srv/worker/test_unit_outcome.py", line {place}, in {function}\n'
    return Failure("k", "k", kind, message, text if function else "")


def outcome(before, error):
    return run_of(before, raised(error), 0.1).outcome


def test_same_class_message_and_line():
    assert outcome(failure(), failed(check, -3)) == "same"


def test_numbers_in_the_message_do_not_count():
    assert outcome(failure(), failed(check, -12345)) == "same"


def test_another_message_is_another_failure():
    before = failure(message="missing")
    assert outcome(before, failed(check, -3)) == "different"


def test_another_line_is_another_failure():
    assert outcome(failure(message="too large: 5"), failed(check, 5)) == "different"
    assert outcome(failure(), failed(other_check, -3)) == "different"


def test_another_class_is_another_failure():
    before = failure(kind="KeyError")
    assert outcome(before, failed(check, -3)) == "different"


def test_without_a_line_class_and_message_decide():
    before = failure(function="")
    assert outcome(before, failed(check, -3)) == "same"
    assert outcome(before, failed(check, 3)) == "different"


def test_a_message_that_was_cut_on_its_way_counts_as_the_same():
    before = failure(message="('Long error message', 'negative: -')")
    assert outcome(before, failed(check, -3)) == "same"


def test_no_exception_is_passed():
    assert run_of(failure(), None, 0.1) == Run("passed", seconds=0.1)


class Broken(Exception):
    def __repr__(self):
        raise LookupError("no repr 3")


def fail_broken():
    raise Broken("x")


def test_what_a_broken_repr_raised_stands_for_its_exception():
    error = failed(fail_broken)
    assert broken_repr(error) == ("LookupError", "no repr 3")
    assert broken_repr(ValueError("x")) is None
    before = failure(kind="LookupError", message="no repr 3", function="")
    assert outcome(before, error) == "same"


class Odd(Exception):
    def __repr__(self):
        return f"<sensor at {id(self):#x}: {self.args[0]}>"


def fail_odd(text):
    raise Odd(text)


def test_a_class_that_only_its_own_repr_is_left_of_is_compared_by_that():
    error = failed(fail_odd, "too hot")
    before = failure(kind="", message="<sensor at 0x7f00: too hot>", function="")
    assert outcome(before, error) == "same"
    assert outcome(before, failed(fail_odd, "too cold")) == "different"


def test_key_errors_are_the_same_whether_told_by_str_or_repr():
    def look_up():
        return {}["x"]

    error = failed(look_up)
    before = failure(kind="KeyError", message="'x'", function="")
    assert difference(before, raised(error)) is None


@pytest.mark.parametrize(
    ("outcomes", "whole"),
    [
        (["passed", "same", "different"], "same"),
        (["passed", "passed"], "passed"),
        (["passed", "different", "passed"], "different"),
        (["timeout", "died"], "timeout"),
        (["died", "same"], "same"),
    ],
)
def test_the_outcome_of_several_runs(outcomes, whole):
    assert overall(map(Run, outcomes)) == whole
