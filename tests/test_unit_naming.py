"""Keys in human words."""

from __future__ import annotations

import pytest

from dbgkit.targets.naming import name_of, prefix_of, step_of

TOKEN = "9f86d081884c7d659a2feaa0c55ad015"


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        (f"ratio-{TOKEN}", "ratio"),
        ((f"boom-{TOKEN}", 3), "boom"),
        ("ratio", "ratio"),
        (("x", 0, 1), "x"),
    ],
)
def test_prefix_is_the_key_without_its_token(key, prefix):
    assert prefix_of(key) == prefix


@pytest.mark.parametrize(
    ("key", "size", "step", "name"),
    [
        (f"ratio-{TOKEN}", None, "", 'task "ratio"'),
        (f"ratio-{TOKEN}", 30, "share", 'task "share"'),
        (
            (f"boom-{TOKEN}", 6),
            10,
            "",
            'step "boom" on partition 6 (of 10, counted from 0)',
        ),
        ((f"boom-{TOKEN}", 6), None, "", 'step "boom" on partition 6'),
        # A group that has shrunk since: a size below the number would be a lie.
        ((f"boom-{TOKEN}", 6), 3, "", 'step "boom" on partition 6'),
        ((f"sum-{TOKEN}", 0, 2), 9, "", 'step "sum" on chunk (0, 2), one of 9'),
        ((f"sum-{TOKEN}", 1, 0), 1, "", 'step "sum" on chunk (1, 0)'),
        ((f"sum-{TOKEN}", 0, 2), None, "", 'step "sum" on chunk (0, 2)'),
        ((f"split-{TOKEN}", 0, "left"), 4, "", 'step "split" at 0, left'),
        (None, None, "", "no task"),
        (None, None, "share", 'function "share"'),
    ],
)
def test_a_key_in_human_words(key, size, step, name):
    assert name_of(key, size, step) == name


def test_a_step_is_named_for_the_outermost_own_function():
    text = (
        '  File "/env/lib/python3.11/site-packages/dask/_task_spec.py", line 7, in f\n'
        '  File "/home/me/job.py", line 3, in clean\n'
        '  File "/home/me/job.py", line 9, in parse\n'
        '  File "/env/lib/python3.11/site-packages/pandas/io.py", line 7, in read\n'
    )
    assert step_of(text) == "clean"


@pytest.mark.parametrize(
    ("function", "step"), [("<lambda>", "lambda"), ("<listcomp>", ""), ("<module>", "")]
)
def test_a_function_without_a_name_is_called_as_dask_calls_it(function, step):
    assert step_of(f'  File "/home/me/job.py", line 3, in {function}\n') == step


@pytest.mark.parametrize(
    ("place", "name"),
    [
        # As in dask/array/overlap.py: an index and 0.9 more or less.
        ((0.9, 1), "edge of chunk (1, 1)"),
        ((1 - 0.9, 1), "edge of chunk (0, 1)"),
        ((2.1,), "edge of chunk (2,)"),
        ((1.9, 3.1, 0), "edge of chunk (2, 3, 0)"),
        ((1.0, 2), 'step "getitem" at 1.0, 2'),
    ],
)
def test_parts_that_overlapping_chunks_share_are_named_for_their_chunk(place, name):
    assert name_of((f"getitem-{TOKEN}", *place), 9) == name


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("read-csv", "read_csv"),
        ("readparquetpyarrowfs", "read_parquet"),
        ("fromdelayed", "from_delayed"),
    ],
)
def test_what_dask_calls_in_its_own_way_is_called_as_the_user_does(prefix, name):
    assert name_of((f"{prefix}-{TOKEN}", 0)) == f'step "{name}" on partition 0'
