"""The real inputs: wherever they are, and with nothing changed by looking at them."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import tasks
from distributed import wait
from jobs import FUSED, failed, hows, newest_erred
from watching import (
    entered,
    forgotten,
    own_frame,
    settle,
    unchanged,
)

import dbgkit
from dbgkit.errors import RecomputeFailed
from dbgkit.model import Plan, Progress

# -- where inputs are ----------------------------------------------------------


def test_literal_inputs(client):
    future = failed(client.submit(tasks.ratio, 5, b=0))
    with unchanged(client):
        again = dbgkit.replay(future)
    assert (again.failure.key, again.outcome) == (future.key, "same")
    assert (again.args, again.kwargs, again.inputs) == ((5,), {"b": 0}, {})
    assert again.function.__name__ == "ratio"
    entered(again, "ratio", a=5, b=0)


def test_the_ratio_of_the_readme(client):
    ina, inb = [5, 25, 30], [5, 0, 6]
    parts = [dask.delayed(tasks.ratio)(a, b) for a, b in zip(ina, inb, strict=True)]
    with pytest.raises(ZeroDivisionError) as caught:
        dask.delayed(tasks.total)(parts).compute()
    forgotten(client)
    with unchanged(client):
        again = dbgkit.replay(caught.value)
    assert again.failure.key == parts[1].key
    assert again.outcome == "same"
    entered(again, "ratio", a=25, b=0)


def test_a_released_dependency_is_computed_again_under_a_private_key(client):
    first = client.submit(tasks.inc, 4)
    second = client.submit(tasks.inc, first)
    future = client.submit(tasks.boom, second)
    key = second.key
    del first, second
    failed(future)
    told = []
    with unchanged(client) as before:
        states = {name: row[0] for name, row in before["tasks"].items()}
        again = dbgkit.replay(future, notify=told.append)
    assert states[key] == "released"
    assert again.outcome == "same"
    assert again.inputs == {key: 6}
    assert hows(again.plan) == {key: "recompute"}
    assert key in again.plan.recompute and not again.plan.own_keys
    assert isinstance(told[0], Plan)
    assert any(isinstance(t, Progress) and t.stage == "recompute" for t in told)
    entered(again, "boom", x=6, doubled=12)


def test_a_held_dependency_stays_finished_and_usable(client):
    held = client.submit(tasks.inc, 4)
    future = failed(client.submit(tasks.boom, held))
    with unchanged(client):
        for _ in range(3):
            again = dbgkit.replay(future)
            assert hows(again.plan) == {held.key: "pull"}
            assert again.outcome == "same"
            entered(again, "boom", x=5, doubled=10)
    assert held.status == "finished"
    assert client.submit(tasks.inc, held).result() == 6


def test_held_and_released_inputs_at_once(client):
    held = client.submit(tasks.inc, 4)
    gone = client.submit(tasks.inc, -1)
    future = client.submit(tasks.ratio, held, gone)
    name = gone.key
    del gone
    failed(future)
    with unchanged(client):
        again = dbgkit.replay(future)
    assert hows(again.plan) == {held.key: "pull", name: "recompute"}
    assert again.inputs == {held.key: 5, name: 0}
    entered(again, "ratio", a=5, b=0)


def test_inputs_deep_in_containers(client):
    held = client.submit(tasks.inc, 4)
    future = failed(
        client.submit(tasks.boom_on_records, {"rows": [held, 2]}, limit=(held, 1))
    )
    with unchanged(client):
        again = dbgkit.replay(future)
    assert again.outcome == "same"
    entered(again, "boom_on_records", records={"rows": [5, 2]}, limit=(5, 1))


@pytest.mark.parametrize("value", [[3, 0], {"one": 1}, np.arange(6)])
def test_scattered_input(client, value):
    (scattered,) = client.scatter([value], hash=False)
    future = failed(client.submit(tasks.boom_with_size, scattered))
    with unchanged(client):
        again = dbgkit.replay(future)
    assert again.outcome == "same"
    assert hows(again.plan) == {scattered.key: "pull"}
    np.testing.assert_equal(again.inputs[scattered.key], value)
    entered(again, "boom_with_size", size=len(value))


def test_broadcast_input(client):
    (scattered,) = client.scatter([[1, 2, 3]], broadcast=True, hash=False)
    future = failed(client.submit(tasks.boom_with_size, scattered))
    with unchanged(client):
        again = dbgkit.replay(future)
    entered(again, "boom_with_size", size=3)


@pytest.mark.parametrize("kind", FUSED)
def test_a_persisted_collection_is_pulled_where_its_next_step_fails(client, kind):
    make, bad, function, values = FUSED[kind]
    collection = make().persist()
    wait(collection)
    with pytest.raises(ValueError) as caught:
        bad(collection).compute()
    settle(client)
    with unchanged(client):
        again = dbgkit.replay(caught.value)
    assert again.outcome == "same"
    assert list(hows(again.plan).values()) == ["pull"]
    assert again.plan.recompute == ()
    entered(again, function, **values)
    assert collection.compute() is not None


@pytest.mark.parametrize("kind", FUSED)
def test_a_fused_pipeline_has_its_steps_and_live_values(client, kind):
    make, bad, function, values = FUSED[kind]
    # DataFrames are fused where they are persisted.
    collection = bad(make()).persist()
    wait(collection)
    with unchanged(client):
        again = dbgkit.replay(collection)
    assert (again.failure.key, again.outcome) == (
        client.run_on_scheduler(newest_erred),
        "same",
    )
    assert len(again.steps) >= 2
    assert [step.failed for step in again.steps] == [
        *[False] * (len(again.steps) - 1),
        True,
    ]
    last = again.steps[-1]
    assert function in (last.function, *last.name.split('"'))
    (value,) = [v for v in last.inputs.values() if not isinstance(v, (str, int))]
    if kind != "bag":  # a bag's steps hand on iterators
        assert 13 in np.asarray(value)
    entered(again, function, **values)


def test_a_graph_fused_by_hand_has_its_intermediate_values(client):
    from dask._task_spec import Task, TaskRef

    steps = [
        Task("raised", tasks.inc, 4),
        Task("divided", tasks.ratio, TaskRef("raised"), 0),
    ]
    fused = Task.fuse(*steps, key="fused")
    futures = client.get({"fused": fused}, ["fused"], sync=False)
    failed(futures[0])
    with unchanged(client):
        again = dbgkit.replay(futures)
    assert [(step.key, step.function, step.failed) for step in again.steps] == [
        ("raised", "inc", False),
        ("divided", "ratio", True),
    ]
    assert again.steps[-1].inputs == {"raised": 5}
    entered(again, "ratio", a=5, b=0)


# -- what is not to change -----------------------------------------------------


def test_an_ancestor_that_fails_when_it_is_computed_again(client, tmp_path):
    path = tmp_path / "value.txt"
    path.write_text("4")
    first = client.submit(tasks.read_number, str(path))
    second = client.submit(tasks.inc, first)
    future = client.submit(tasks.boom, second)
    key = first.key
    del first, second
    failed(future)
    path.unlink()
    with (
        unchanged(client) as before,
        pytest.raises(RecomputeFailed) as caught,
    ):
        dbgkit.replay(future)
    assert caught.value.key == key
    assert "FileNotFoundError" in str(caught.value)
    assert "scope='ancestors'" in caught.value.hint
    assert before["tasks"][future.key][1] == future.key
    assert future.status == "error"
    with unchanged(client):
        again = dbgkit.replay(future, scope="ancestors")
    assert again.outcome == "different"
    assert isinstance(again.exception, FileNotFoundError)
    entered(again, "read_number", path=str(path))


def test_a_task_that_changes_its_input_in_place(client):
    held = client.submit(list, [1])
    future = failed(client.submit(tasks.append_and_fail, held, 5))
    on_worker = held.result()
    with unchanged(client):
        for _ in range(2):
            again = dbgkit.replay(future)
            assert again.outcome == "same"
            assert own_frame(again.exception).f_locals["values"] == [1, 5, 5]
    assert held.result() == on_worker == [1, 5]


def test_a_change_in_place_is_named_where_the_outcome_is_another(client):
    held = client.submit(list, [1, 2])
    future = failed(client.submit(tasks.append, held, 5))
    with unchanged(client):
        again = dbgkit.replay(future)
    assert again.failure.message == "three values: [1, 2, 5]"
    assert again.outcome == "passed"
    assert again.result == 4
    assert any("in place" in note and held.key in note for note in again.notes)
    assert held.result() == [1, 2, 5]


def test_literals_that_a_task_changes_stay_as_they_are(client):
    future = failed(client.submit(tasks.append_and_fail, [1], 5))
    first = dbgkit.replay(future)
    with unchanged(client):
        second = dbgkit.replay(future, times=3)
    assert first.outcome == second.outcome == "same"
    assert first.args[0] == second.args[0]
    assert len({run.message for run in second.runs}) == 1
    entered(second, "append_and_fail", value=5)


def test_each_of_several_runs_has_fresh_inputs(client):
    held = client.submit(list, [1])
    future = failed(client.submit(tasks.append_and_fail, held, 5))
    with unchanged(client):
        again = dbgkit.replay(future, times=3)
    assert [run.message for run in again.runs] == ["cannot take 3 values"] * 3
    assert again.tally == {"same": 3}
    assert held.result() == [1, 5]
    entered(again, "append_and_fail", value=5)


def test_held_arrays_stay_as_they_are(client):
    held = client.submit(np.ones, 5)
    future = failed(client.submit(tasks.zero_and_fail, held))
    before = held.result().copy()
    with unchanged(client):
        again = dbgkit.replay(future)
    assert again.outcome == "same"
    entered(again, "zero_and_fail", size=5)
    np.testing.assert_array_equal(held.result(), before)


def test_recomputed_inputs_that_are_changed_are_not_the_clusters(client):
    base = client.submit(list, [1])
    middle = client.submit(tasks.same, base)
    future = client.submit(tasks.append_and_fail, middle, 5)
    del middle
    failed(future)
    held = base.result()
    with unchanged(client):
        again = dbgkit.replay(future)
    assert again.outcome == "same"
    entered(again, "append_and_fail", value=5)
    assert base.result() == held
