"""Which step the frames of a traceback are of."""

from __future__ import annotations

import functools
import inspect

import pytest
from dask._task_spec import Task

from dbgkit.remote.common.calls import call_of
from dbgkit.remote.common.origins_steps import (
    MOST_FRAMES,
    Candidate,
    failed_step,
    frames_in,
)

TASK_SPEC = ("/x/site-packages/dask/_task_spec.py", 765, "__call__")
COMPUTE = ("/x/site-packages/dask/base.py", 700, "compute")
SCRIPT = ("/home/me/job.py", 3, "<module>")
NEXT = ("/x/site-packages/dask/bag/core.py", 2000, "__next__")


def first(value):
    return value


def second(value):
    return value


def generated(values):
    yield from values


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


class Called:
    def __call__(self, value):
        return value


both = (lambda value: value + 1, lambda value: value + 2)


def step(function, *args):
    node = Task(None, function, *args)
    return Candidate(node, call_of(node), node.func)


def frame(function, line=1):
    """Of a function, where it was called in another folder than it is in here."""
    code = function.__code__
    name = inspect.getsourcefile(function).rsplit("/", 1)[-1]
    return f"/elsewhere/{name}", code.co_firstlineno + line, code.co_name


def chosen(steps, *frames):
    found = failed_step(steps, frames)
    return None if found is None else steps.index(found)


STEPS = [step(first, 1), step(second, 2)]


@pytest.mark.parametrize(
    ("frames", "index"),
    [
        ([frame(first)], 0),
        ([TASK_SPEC, frame(second)], 1),
        ([SCRIPT, COMPUTE, frame(second)], 1),
        ([SCRIPT, COMPUTE, COMPUTE, TASK_SPEC, TASK_SPEC, frame(second)], 1),
        # A helper of the step's, which is a step too.
        ([TASK_SPEC, frame(first), frame(second)], 0),
        # What the step submitted itself.
        ([frame(first), COMPUTE, frame(second)], 0),
        # Of a function that none of the steps is known to call.
        ([TASK_SPEC, SCRIPT, frame(second)], None),
        ([frame(first, 500)], None),
        ([SCRIPT], None),
        ([TASK_SPEC], None),
        ([], None),
    ],
)
def test_of_plain_functions(frames, index):
    assert chosen(STEPS, *frames) == index


def test_where_two_steps_call_the_same_it_is_not_certain():
    assert chosen([step(first, 1), step(first, 2)], frame(first)) is None


def test_functions_of_one_name_are_told_apart_by_their_lines():
    text = "def same(value):\n    return value\n" * 2
    namespace, steps = {}, []
    for lines in (text.splitlines()[:2], ["", "", *text.splitlines()[2:]]):
        exec(compile("\n".join(lines), "/here/job.py", "exec"), namespace)
        steps.append(step(namespace["same"], 1))
    assert chosen(steps, ("/there/job.py", 2, "same")) == 0
    assert chosen(steps, ("/there/job.py", 4, "same")) == 1
    assert chosen(steps, ("/there/other.py", 4, "same")) is None
    assert chosen(steps, (r"C:\there\job.py", 4, "same")) == 1


def test_of_functions_in_one_line_it_is_not_certain():
    assert chosen([step(each, 1) for each in both], frame(both[0], 0)) is None


def test_what_wraps_the_users_function():
    steps = [step(decorated(first), 1), step(functools.partial(second, 1))]
    assert chosen(steps, frame(steps[0].call[0]), frame(first)) == 0
    assert chosen(steps, frame(second)) == 1


def test_objects_that_are_called():
    assert chosen([step(first, 1), step(Called(), 1)], frame(Called.__call__)) == 1


def test_what_has_no_frames_is_not_guessed():
    assert chosen([step(int, "x"), step(float, "x")], TASK_SPEC) is None


def test_a_step_that_a_later_one_takes_from():
    lazy = step(generated, [1])
    assert chosen([step(first, 1), lazy], frame(first), frame(generated)) == 1


def test_a_step_of_a_bag_that_a_later_one_takes_from():
    pytest.importorskip("dask.bag")
    from dask.bag.core import map_chunk

    steps = [step(first, 1), step(map_chunk, second, [1], None, {})]
    assert chosen(steps, frame(first), NEXT, frame(second)) == 1
    # Perhaps it is a helper of the first.
    assert chosen(steps, frame(first), frame(second)) is None


def test_so_many_frames_are_read():
    text = f'  File "/elsewhere/job.py", line 3, in {"f" * 100}\n    f()\n' * 5_000
    assert len(frames_in(text)) == MOST_FRAMES
    assert frames_in("no traceback") == frames_in("") == []
