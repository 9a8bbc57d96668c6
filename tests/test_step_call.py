"""The call that failed, without Dask around it, and its arguments as they were."""

from __future__ import annotations

import os
from functools import partial

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import pandas as pd
import pytest
from bundle_tasks import Scale, awaited, blockwise, grow, number, once, per_row, ratio
from distributed import Future, KilledWorker, wait

from dbgkit.api.locate import locate_here
from dbgkit.replays.by_name import RunTask, for_each
from dbgkit.replays.planning import Wanted
from dbgkit.replays.preparing import prepare
from dbgkit.replays.step_call import try_call


def silent(event):
    return None


def tried(target, client=None, **wanted):
    """What was handed over, with copies of its arguments, and how it went."""
    wanted = Wanted(**wanted)
    if isinstance(target, Future):
        wait(target, timeout=60)
    failure = locate_here(target, client, "30s", wanted)[0]
    handed = []

    def hand_over(call):
        values = [*call.args, *call.kwargs.values()]
        handed.append((call, [repr(value) for value in values]))

    return try_call(prepare(failure, wanted, silent), hand_over, silent), handed


def failing(compute):
    with pytest.raises(Exception) as failed:
        compute()
    return failed.value


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_text("1\n2\nx\n3\n")
    pd.DataFrame({"x": range(10)}).to_csv(tmp_path / "a.csv", index=False)
    return tmp_path


def test_a_plain_task_is_its_call(client):
    future = client.submit(ratio, 3, y=2)
    found, handed = tried(future, client)
    assert found.outcome == "same" and found.call.what == "step"
    assert found.call.function is ratio or found.call.function.__name__ == "ratio"
    assert (found.call.args, found.call.kwargs) == ((3,), {"y": 2})
    assert len(handed) == 1


def test_delayed_calls_are_of_the_function_with_values(client):
    lazy = dask.delayed(ratio)(dask.delayed(int)("3"), y=dask.delayed(int)("4"))
    found, _ = tried(failing(lazy.compute), client)
    assert found.outcome == "same"
    assert (found.call.args, found.call.kwargs) == ((3,), {"y": 4})


def test_a_partition_is_taken_out_of_dasks_wrapper(client):
    frame = dd.from_pandas(pd.DataFrame({"x": range(10)}), npartitions=2)
    meta = {"x": int, "z": float}
    lazy = frame.map_partitions(per_row, limit=3, meta=meta)
    found, _ = tried(failing(lazy.compute), client)
    assert found.outcome == "same" and found.call.function.__name__ == "per_row"
    assert found.call.args[0].x.tolist() == [5, 6, 7, 8, 9]
    assert found.call.kwargs == {"limit": 3}


def test_a_step_of_a_fused_task_has_what_the_steps_before_it_gave(client, folder):
    lazy = dd.read_csv(folder / "*.csv").map_partitions(
        per_row, limit=3, meta={"x": int, "z": float}
    )
    found, _ = tried(failing(lazy.sum().compute), client)
    assert found.outcome == "same" and found.call.function.__name__ == "per_row"
    assert found.call.args[0].x.tolist() == [*range(10)]


@pytest.mark.parametrize("lines", [True, False], ids=["lines", "items"])
def test_a_bags_function_is_called_for_each_item(client, folder, lines):
    if lines:
        lazy = db.read_text(folder / "*.txt").map(str.strip).map(number)
        items = ["1", "2", "x", "3"]
    else:
        lazy = db.from_sequence(range(6), npartitions=2).map(ratio, y=2).filter(bool)
        items = [3, 4, 5]
    found, _ = tried(failing(lazy.compute), client)
    assert found.outcome == "same" and found.call.function is for_each
    assert found.call.args[1] == items


def test_a_builtin_function_of_a_bag_is_found_where_it_is_taken_from(client, folder):
    lazy = db.read_text(folder / "*.txt").map(str.strip).map(int).filter(bool)
    found, _ = tried(failing(lazy.compute), client)
    assert found.outcome == "same" and found.call.function is for_each
    assert found.call.args == (int, ["1", "2", "x", "3"])


def test_what_only_dasks_wrapper_raises_is_the_whole_task(client):
    frame = dd.from_pandas(pd.DataFrame({"x": range(3)}), npartitions=1)
    lazy = frame.map_partitions(lambda part: part, meta={"y": int})
    found, _ = tried(failing(lazy.compute), client)
    assert found.outcome == "same" and found.call.what == "task"
    assert isinstance(found.call.function, RunTask)
    with pytest.raises(ValueError, match="do not match"):
        found.call.function()


def test_arguments_are_handed_over_as_they_were(client):
    found, handed = tried(client.submit(grow, client.submit(list, (1, 2))), client)
    assert found.outcome == "same"
    assert handed[-1][1] == ["[1, 2]"]
    lazy = da.ones((4, 4), chunks=2).map_blocks(blockwise, dtype=float)
    found, handed = tried(failing(lazy.compute), client)
    assert found.outcome == "same"
    assert handed[-1][1] == ["array([[1., 1.],\n       [1., 1.]])"]


def test_coroutines_objects_methods_and_partials(client):
    for function in (awaited, Scale(0), Scale(2).times, partial(ratio, y=2)):
        future = client.submit(function, 0 if function is awaited else 3)
        found, _ = tried(future, client)
        assert found.outcome == "same", function
        assert found.call.what == "step"


def test_a_task_that_passes_is_handed_over_whole_if_dask_wraps_it(client, tmp_path):
    future = client.submit(once, str(tmp_path / "there"))
    found, handed = tried(future, client)
    assert found.outcome == "passed" and found.call.what == "step"
    assert [call.what for call, _ in handed] == ["step"]
    frame = dd.from_pandas(pd.DataFrame({"x": range(3)}), npartitions=1)
    path = str(tmp_path / "here")
    lazy = frame.map_partitions(lambda part: once(path) or part, meta=frame._meta)
    found, handed = tried(failing(lazy.compute), client)
    assert found.outcome == "passed" and found.call.what == "task"
    assert [call.what for call, _ in handed] == ["step", "task"]


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_without_a_cluster(scheduler, folder):
    lazy = dd.read_csv(folder / "*.csv").map_partitions(
        per_row, limit=3, meta={"x": int, "z": float}
    )
    error = failing(lambda: lazy.compute(scheduler=scheduler))
    found, _ = tried(error)
    assert found.outcome == "same" and found.call.function.__name__ == "per_row"
    assert found.call.args[0].x.tolist() == [*range(10)]


def test_what_killed_a_worker_is_handed_over_and_not_run(mortals):
    future = mortals.submit(os._exit, 3, key="killer-of-step-call")
    with pytest.raises(KilledWorker):
        future.result(timeout=60)
    found, handed = tried(future, mortals)
    assert found.outcome == "" and found.exception is None
    assert [(call.function, call.args) for call, _ in handed] == [(os._exit, (3,))]
