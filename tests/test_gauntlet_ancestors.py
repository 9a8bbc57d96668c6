"""All that leads to a failure, run here; and what a replay says before it runs."""

from __future__ import annotations

import dask
import pytest
import tasks
from distributed import wait
from jobs import FUSED, failed, hows, newest_erred
from watching import (
    entered,
    forgotten,
    known_keys,
    unchanged,
)

import dbgkit
from dbgkit.errors import Declined, RecomputeRefused
from dbgkit.model import Notice, Plan, Progress


def chain(client, length):
    """A future that fails after a chain of others, none of which is held."""
    future = client.submit(tasks.inc, 0)
    keys = [future.key]
    for _ in range(length - 1):
        future = client.submit(tasks.inc, future)
        keys.append(future.key)
    last = client.submit(tasks.boom, future)
    del future
    return failed(last), keys


def test_ancestors_of_a_future_run_here_and_no_more(client):
    other = client.submit(tasks.inc, 100)
    future, keys = chain(client, 4)
    with unchanged(client):
        again = dbgkit.replay(future, scope="ancestors")
    assert again.outcome == "same"
    assert sorted(again.plan.run_here) == sorted([*keys, future.key])
    assert again.plan.run_here[-1] == future.key
    assert again.plan.recompute == () and again.plan.pull_bytes == 0
    assert again.scope == "ancestors"
    entered(again, "boom", x=4, doubled=8)
    assert other.status in ("finished", "pending")


def test_ancestors_take_from_the_cluster_what_it_holds(client):
    held = client.submit(tasks.inc, 4)
    gone = client.submit(tasks.inc, held)
    future = client.submit(tasks.boom, gone)
    name = gone.key
    del gone
    failed(future)
    with unchanged(client):
        again = dbgkit.replay(future, scope="ancestors")
    assert set(again.plan.run_here) == {name, future.key}
    assert hows(again.plan) == {name: "run", held.key: "pull"}
    entered(again, "boom", x=6, doubled=12)


@pytest.mark.parametrize("kind", FUSED)
def test_ancestors_of_a_persisted_collection(client, kind):
    make, bad, function, values = FUSED[kind]
    collection = make().persist()
    wait(collection)
    result = bad(collection).persist()
    wait(result)
    with unchanged(client):
        again = dbgkit.replay(result, scope="ancestors")
    assert again.outcome == "same"
    assert list(hows(again.plan).values()) == ["pull"]
    entered(again, function, **values)


@pytest.mark.parametrize("kind", FUSED)
def test_ancestors_of_a_compute_that_let_go_of_everything(client, kind):
    make, bad, function, values = FUSED[kind]
    with pytest.raises(ValueError) as caught:
        bad(make()).compute()
    key = client.run_on_scheduler(newest_erred)
    forgotten(client)
    with unchanged(client):
        again = dbgkit.replay(caught.value, scope="ancestors")
    assert (again.failure.key, again.outcome) == (key, "same")
    assert again.plan.run_here[-1] == key
    entered(again, function, **values)


def test_ancestors_in_a_process_of_its_own(client):
    future, keys = chain(client, 3)
    with unchanged(client):
        again = dbgkit.replay(future, scope="ancestors", where="process")
    assert (again.outcome, again.where) == ("same", "process")
    assert len(again.plan.run_here) == len(keys) + 1
    entered(again, "boom", x=3, doubled=6)


# -- plans ---------------------------------------------------------------------


def test_a_dry_run_gives_the_plan_and_runs_nothing(client):
    future, keys = chain(client, 2)
    with unchanged(client):
        plan = dbgkit.replay(future, dry_run=True)
        assert known_keys(client) == {*keys, future.key}
    assert (plan.key, plan.scope, plan.where) == (future.key, "task", "here")
    assert set(plan.recompute) == set(keys)
    assert plan.run_here == (future.key,)
    assert any("runs again" in warning for warning in plan.warnings)


def test_a_dry_run_of_a_compute_that_let_go_of_everything(client):
    job = dask.delayed(tasks.ratio)(dask.delayed(tasks.inc)(4), 0)
    with pytest.raises(ZeroDivisionError) as caught:
        job.compute()
    forgotten(client)
    with unchanged(client):
        plan = dbgkit.replay(caught.value, dry_run=True)
        assert known_keys(client) == set()
    assert plan.key == job.key
    assert list(hows(plan).values()) == ["recompute"]


def test_recompute_false_raises_and_computes_nothing(client):
    future, keys = chain(client, 2)
    with unchanged(client), pytest.raises(RecomputeRefused) as caught:
        dbgkit.replay(future, recompute=False)
    assert "2 tasks" in str(caught.value)
    assert future.key in str(caught.value)
    assert keys[0] in known_keys(client)


def test_recompute_false_does_where_all_is_held(client):
    held = client.submit(tasks.inc, 4)
    future = failed(client.submit(tasks.boom, held))
    with unchanged(client):
        again = dbgkit.replay(future, recompute=False)
    entered(again, "boom", x=5, doubled=10)


def test_a_plan_that_is_turned_down(client):
    future, _ = chain(client, 2)
    told = []

    def decline(event):
        told.append(event)
        return False

    with unchanged(client), pytest.raises(Declined):
        dbgkit.replay(future, notify=decline)
    assert [type(event) for event in told] == [Plan]


def test_what_notify_is_told(client):
    held = client.submit(tasks.inc, 4)
    future = failed(client.submit(tasks.boom, held))
    told = []
    with unchanged(client):
        dbgkit.replay(future, notify=told.append)
    stages = [event.stage for event in told if isinstance(event, Progress)]
    assert isinstance(told[0], Plan)
    assert set(stages) == {"pull", "times"}
    assert not [event for event in told if isinstance(event, Notice)]


def test_several_runs_of_a_task_with_literal_inputs(client):
    future = failed(client.submit(tasks.ratio, 5, 0))
    with unchanged(client):
        again = dbgkit.replay(future, times=4)
    assert again.tally == {"same": 4}
    assert len(again.runs) == 4
    entered(again, "ratio", a=5, b=0)
