"""Headers of fused tasks of bags, and of calls of what is no plain function."""

from __future__ import annotations

import functools

import dask
import pytest

import dbgkit
from dbgkit import render

db = pytest.importorskip("dask.bag")

import provenance_tasks as job  # noqa: E402
import tasks  # noqa: E402


def raised(compute):
    with pytest.raises(Exception) as caught:
        compute()
    return caught.value


def numbers():
    return db.from_sequence(range(20), npartitions=4)


BAGS = {
    # name: the bag, the function, rows of the step that failed, what is fused
    "mapped": (
        lambda: numbers().map(tasks.boom_at, 13),
        "boom_at",
        ["x = 13", "bad = 13", "partition = [10, 11, 12, 13, 14]"],
        "boom_at",
    ),
    "mapped, named": (
        lambda: numbers().map(tasks.boom_at, bad=13).sum(),
        "boom_at",
        ["x = 13", "bad = 13", "partition = [10, 11, 12, 13, 14]"],
        "boom_at → sum",
    ),
    "reduced": (
        lambda: numbers().map(tasks.boom_at, 13).mean(),
        "boom_at",
        ["x = 13", "bad = 13", "partition = [10, 11, 12, 13, 14]"],
        "boom_at → mean_chunk",
    ),
    "mapped twice": (
        lambda: numbers().map(tasks.inc).map(tasks.boom_at, 13).frequencies(),
        "boom_at",
        ["x = 13", "bad = 13"],
        "inc → boom_at → frequencies",
    ),
    "the first of two": (
        lambda: numbers().map(tasks.boom_at, 13).map(tasks.inc).sum(),
        "boom_at",
        ["x = 13", "bad = 13", "partition = [10, 11, 12, 13, 14]"],
        "boom_at → inc → sum",
    ),
    "an object": (
        lambda: numbers().map(job.Scale(), offset=13).sum(),
        "Scale",
        ["value = 13", "offset = 13", "partition = [10, 11, 12, 13, 14]"],
        "Scale → sum",
    ),
    "filtered": (
        lambda: numbers().filter(job.is_far).count(),
        "is_far",
        ["partition = [0, 1, 2, 3, 4]"],
        "is_far → count",
    ),
    "filtered last": (
        lambda: numbers().filter(job.is_far),
        "is_far",
        ["partition = [0, 1, 2, 3, 4]"],
        "is_far",
    ),
    "folded": (
        lambda: numbers().fold(job.plus),
        "plus",
        ["partition = [0, 1, 2, 3, 4]"],
        "plus",
    ),
    "starmapped": (
        lambda: db.zip(numbers(), numbers()).starmap(job.plus),
        "plus",
        [],
        "zip → plus",
    ),
}


@pytest.mark.parametrize("case", BAGS)
def test_a_bags_task_is_told_by_the_users_function(processes_client, case):
    make, function, rows, fused = BAGS[case]
    error = raised(make().compute)
    number = 2 if "x = 13" in rows or case == "an object" else 0
    with dbgkit.replay(error) as again:
        assert again.outcome == "same"
        told = " ".join(render.header(again, width=200).split())
        (failed,) = (step for step in again.steps if step.failed)
    place = f'step "{function}" on partition {number}'
    assert failed.name == place
    assert f"task {place} (of 4, counted from 0) " in told
    if case != "an object":  # whose frame is that of ``__call__``
        assert dbgkit.locate(error).name == f"{place} (of 4, counted from 0)"
    assert f"fused {fused} step {place}" in told
    for row in rows:
        assert f" {row}" in told
    for internal in ("_MapChunk", "args[0]", "itertools", "repeat(", "object at"):
        assert internal not in told


def test_what_is_mapped_besides_the_items_is_told_of_the_function(processes_client):
    failure = dbgkit.locate(raised(numbers().map(tasks.boom_at, 13).sum().compute))
    told = [origin.text for origin in failure.came_from]
    assert told == ["from_sequence [10, 11, 12, 13, 14]", "boom_at(…, 13)"]


def test_a_function_that_two_steps_call_is_told_of_neither(processes_client):
    bag = numbers().map(tasks.boom_at, 13).map(tasks.boom_at, 40).sum()
    with dbgkit.replay(raised(bag.compute)) as again:
        (failed,) = (step for step in again.steps if step.failed)
        assert again.outcome == "same"
    assert "boom_at" not in failed.name


CALLS = {
    "object": (job.Scale(), "Scale"),
    "class": (job.Checked, "Checked"),
    "wrapped": (job.shifted, "shifted"),
    "cached": (job.kept, "kept"),
    "partial of an object": (functools.partial(job.Scale(), offset=1), "Scale"),
    "method": (job.Scale().__call__, "Scale.__call__"),
}


@pytest.mark.parametrize("case", CALLS)
def test_arguments_have_the_names_of_what_is_called(processes_client, case):
    function, _ = CALLS[case]
    error = raised(dask.delayed(function, pure=True)(1).compute)
    with dbgkit.replay(error) as again:
        told = render.header(again, width=200)
    failure = dbgkit.locate(error)
    calls = [origin.text for origin in failure.came_from if origin.call]
    assert "args[" not in told
    assert " value " in told.partition("inputs")[2].replace("value =", "value  =")
    assert all("(value=1" in call for call in calls), calls
    assert "object at 0x" not in failure.name
    assert "__" not in failure.name


def test_a_signature_is_read_of_no_object_that_would_hear_of_it():
    from dbgkit.remote.common.calls import parameter_names

    class Loud(type):
        def __getattribute__(cls, name):
            raise AssertionError(name)

    class Called(metaclass=Loud):
        def __getattribute__(self, name):
            raise AssertionError(name)

        def __call__(self, one, *rest, other=2):
            return one

    assert parameter_names(Called()) == ("one",)
    assert parameter_names(Called) == ()
    assert parameter_names(len) == ()
    assert parameter_names(object()) == ()
    assert parameter_names(dict) == ()
