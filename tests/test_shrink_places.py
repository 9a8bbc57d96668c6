"""`shrink` on a worker and in processes: nothing changes there, and it ends."""

from __future__ import annotations

import os
import signal

import dask
import pandas as pd
import pytest
import shrink_tasks as tasks
from conftest import forget_modules_of, own_cluster
from distributed import Client, LocalCluster, wait
from distributed.security import Security
from watching import unchanged, wait_until

import dbgkit
from dbgkit import errors
from dbgkit.model import Plan, Progress
from dbgkit.remote.common.shrink_cuts import Budget
from dbgkit.replays.capture import capturing
from dbgkit.replays.planning import Wanted

FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="it has no forks")
PLACES = ("here", "worker", pytest.param("process", marks=FORKS))


def failed(client, function, *args, **options):
    future = client.submit(function, *args, pure=False, **options)
    wait(future)
    return future


def left(found):
    return [each.position for each in found.culprits]


def traces(client):
    """Threads and attributes that a shrink has on workers."""
    return [each for each in client.run(_traces).values() if any(each)]


def _traces(dask_worker):
    import threading

    threads = [t.name for t in threading.enumerate() if "dbgkit-shrink" in t.name]
    return threads, [name for name in vars(dask_worker) if "dbgkit" in name]


# --- the same everywhere --------------------------------------------------------


def test_a_task_that_has_not_failed_is_refused(client):
    future = failed(client, sum, [1, 2])
    with pytest.raises(errors.NotFailed):
        dbgkit.shrink(future)


@pytest.mark.parametrize("where", [None, *PLACES])
def test_the_same_is_found_in_each_place(client, where):
    frame = client.submit(tasks.table, amount="n/a", key="frame")
    future = failed(client, tasks.amounts_as_floats, frame)
    with unchanged(client):
        found = dbgkit.shrink(future, where=where)
    assert found.where == (where or "here")
    assert found.verdict == "one" and left(found) == [tasks.BAD]
    assert found.inputs["frame"].to_dict("records") == [{"amount": "n/a"}]
    assert found.runs <= 30 and found.rows_tested <= 3 * found.rows
    assert dbgkit.replay(found).outcome == "same"
    assert not traces(client)


def test_large_inputs_are_shrunk_where_they_are(processes_client):
    client = processes_client
    rows = client.submit(tasks.with_minus_one, 400_000, 123_456, key="rows")
    future = failed(client, tasks.raise_slowly, rows)
    events = []
    found = dbgkit.shrink(future, notify=events.append)
    assert found.where == "worker" and found.inputs == {"rows": [-1]}
    (plan,) = (each for each in events if isinstance(each, Plan))
    assert plan.pull_bytes == 0 and found.worker == plan.worker


def test_an_input_that_the_task_changes_stays_as_it_is(client):
    rows = client.submit(tasks.with_minus_one, 200, 100, key="rows")
    future = failed(client, tasks.in_place, rows)
    before = rows.result()
    for where in ("here", "worker"):
        dbgkit.shrink(future, where=where)
        assert rows.result() == before


def test_inputs_that_are_gone_are_computed_again_in_place(processes_client):
    client = processes_client
    rows = client.submit(tasks.with_minus_one, key="gone")
    future = failed(client, tasks.raise_slowly, rows)
    rows.release()
    wait_until(lambda: not client.who_has().get("gone"), "it is gone")
    with unchanged(client):
        assert dbgkit.shrink(future, where="worker").inputs == {"gone": [-1]}


def test_a_task_may_be_a_coroutine(processes_client):
    future = failed(processes_client, refuse, tasks.with_minus_one(50, 7))
    for where in ("here", "worker"):
        assert left(dbgkit.shrink(future, where=where)) == [7]


async def refuse(rows):
    if -1 in rows:
        raise ValueError("there is a -1")


def test_several_inputs_on_several_workers(processes_client):
    client = processes_client
    first, last = client.nthreads()
    one = client.submit(tasks.table, workers=[first], key="one")
    other = client.submit(tasks.table, amount="n/a", workers=[last], key="other")
    future = failed(client, tasks.appended, one, other)
    found = dbgkit.shrink(future, where="worker")
    assert [(e.input, e.position) for e in found.culprits] == [("other", tasks.BAD)]
    assert len(found.inputs["one"]) == 0


def test_a_progress_on_a_worker_is_told(processes_client):
    events = []
    future = failed(processes_client, slow, tasks.with_minus_one())
    found = dbgkit.shrink(future, where="worker", notify=events.append)
    steps = [e for e in events if isinstance(e, Progress) and e.stage == "shrink"]
    assert steps and steps[-1].total == 1_000 and left(found) == [700]


def slow(rows):
    import time

    time.sleep(0.3 if len(rows) > 2 else 0)
    if -1 in rows:
        raise ValueError("there is a -1")


# --- where it ends ----------------------------------------------------------------


def test_a_part_that_hangs_ends_it_on_a_worker_with_the_best_so_far():
    with own_cluster(n_workers=1) as client:
        future = failed(client, tasks.hangs_on_some, tasks.with_minus_one())
        found = dbgkit.shrink(future, where="worker", timeout="1s")
        assert found.stopped == "hang" and not found.minimal
        assert "still runs" in found.notes[-1]
        assert dbgkit.replay(found, where="process").outcome == "same"


@FORKS
@pytest.mark.parametrize("function", [tasks.hangs_on_some, tasks.kills_on_some])
def test_a_part_that_hangs_or_kills_is_passed_over_in_processes(
    processes_client, function
):
    future = failed(processes_client, function, tasks.with_minus_one())
    found = dbgkit.shrink(future, where="process", timeout="2s")
    assert found.verdict == "one" and left(found) == [700] and found.minimal


@FORKS
def test_what_killed_its_worker_is_shrunk_in_processes():
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        own_cluster(n_workers=1) as client,
    ):
        rows = client.submit(tasks.with_minus_one, key="rows")
        future = failed(client, tasks.killed_by, rows)
        for where in ("here", "worker"):
            with pytest.raises(errors.WouldKill):
                dbgkit.shrink(future, where=where)
        found = dbgkit.shrink(future)
        assert found.where == "process" and found.inputs == {"rows": [-1]}
        assert dbgkit.replay(found).outcome == "died"


def test_a_worker_that_dies_on_the_way_leaves_the_best_so_far():
    with own_cluster(n_workers=1) as client:
        future = failed(client, kills_late, tasks.with_minus_one())
        found = dbgkit.shrink(future, where="worker")
        assert found.stopped == "gone" and not found.minimal and not found.inputs
        assert found.shrinkage[0].left <= 500
        assert "died of a part of the input" in found.notes[-1]


def kills_late(rows):
    """With exactly 125 rows its process dies, after a time in which it was asked."""
    import time

    if -1 in rows and len(rows) == 125:
        time.sleep(2.5)
        os._exit(3)
    if -1 in rows:
        raise ValueError("there is a -1")


def interrupts():
    """Presses Ctrl-C once, as something was left out."""
    left = [signal.SIGINT]

    def notify(event):
        if isinstance(event, Progress) and event.done and left:
            signal.raise_signal(left.pop())

    return notify


def test_ctrl_c_ends_it_on_a_worker(processes_client):
    future = failed(processes_client, slow, tasks.with_minus_one())
    found = dbgkit.shrink(future, where="worker", notify=interrupts())
    assert found.stopped == "ctrl-c" and found.shrinkage[0].left < 1_000
    assert dbgkit.replay(found).outcome == "same"
    wait_until(lambda: not traces(processes_client), "it has ended there too")


@FORKS
def test_ctrl_c_ends_it_in_processes(processes_client):
    future = failed(processes_client, slow, tasks.with_minus_one())
    found = dbgkit.shrink(future, where="process", notify=interrupts())
    assert found.stopped == "ctrl-c" and found.shrinkage[0].left < 1_000


@pytest.mark.parametrize("where", PLACES)
def test_the_limit_of_runs_holds_in_each_place(processes_client, where):
    future = failed(processes_client, tasks.raise_slowly, tasks.with_minus_one())
    found = dbgkit.shrink(future, where=where, runs=5)
    assert (found.runs, found.stopped) == (5, "runs")
    assert dbgkit.replay(found).outcome == "same"


def test_a_budget_is_asked_before_each_run():
    budget = Budget(deadline=float("inf"), runs=2, stop=lambda: "")
    budget.check(1)
    with pytest.raises(Exception, match="runs"):
        budget.check(2)


# --- targets ------------------------------------------------------------------


def test_an_asynchronous_client_is_awaited(inproc):
    import asyncio

    from distributed import Client

    async def main():
        async with Client(inproc.scheduler_address, asynchronous=True) as client:
            future = client.submit(tasks.raise_slowly, tasks.with_minus_one(50, 7))
            await wait(future)
            return await dbgkit.shrink(future)

    assert left(asyncio.run(main())) == [7]


def test_what_was_taken_as_a_client_closed_is_shrunk_here():
    with capturing(Wanted(), lambda event: None):
        try:
            with own_cluster(n_workers=1, processes=False) as client:
                rows = client.submit(tasks.with_minus_one, 100, 7)
                client.submit(tasks.raise_slowly, rows).result()
        except ValueError as error:
            found = dbgkit.shrink(error)
    assert found.where == "here" and left(found) == [7]


def test_what_has_no_parts_is_refused(client):
    with pytest.raises(errors.NotHere, match="no input that could be shrunk"):
        dbgkit.shrink(failed(client, pd.Timestamp, "nonsense-of-one-line"))
    with pytest.raises(errors.NotHere, match="no input that could be shrunk"):
        dbgkit.shrink(failed(client, divided, 1, 0))


def divided(a, b):
    return a / b


def test_an_exception_of_no_task_is_refused():
    with pytest.raises(errors.NoTask):
        dbgkit.shrink(ZeroDivisionError("of nobody"))


def test_a_smallest_input_that_is_too_large_is_not_brought(processes_client):
    rows = processes_client.submit(tasks.with_minus_one, 200_000, 7, key="rows")
    future = failed(processes_client, tasks.raise_slowly, rows)
    found = dbgkit.shrink(future, where="worker", runs=1, max_bytes="100 kB")
    assert not found.inputs and found.stopped == "runs"
    assert "was not brought: raise max_bytes=" in found.notes[-1]


def test_a_task_before_it_that_fails_by_now_is_told(processes_client, tmp_path):
    client, marker = processes_client, tmp_path / "marker"
    rows = client.submit(fails_later, [*range(20)], str(marker), key="before")
    future = failed(client, tasks.first_row, rows)
    rows.release()
    wait_until(lambda: not client.who_has().get("before"), "it is gone")
    found = dbgkit.shrink(future, where="worker")
    assert found.failure.key == "before" and found.original.key == future.key
    assert "'before', which leads to it, failed" in found.notes[0]


def fails_later(rows, marker):
    with open(marker, "a+") as file:
        file.write("x")
        file.seek(0)
        if len(file.read()) > 1 and 7 in rows:
            raise ValueError("later")
    return rows


@FORKS
def test_processes_that_a_task_leaves_behind_keep_nothing_waiting(processes_client):
    rows = tasks.with_minus_one(30, 7)
    future = failed(processes_client, leave_one_behind, rows)
    found = dbgkit.shrink(future, where="process", time="20s", timeout="5s")
    assert left(found) == [7] and not found.stopped


def leave_one_behind(rows):
    """As it ends, a process that it has forked lives on for a while."""
    import time

    if os.fork() == 0:
        time.sleep(3)
        os._exit(0)
    if -1 in rows:
        raise ValueError("there is a -1")


ONLY_THERE = """
class Row:
    def __init__(self, value):
        self.value = value

def made(count):
    return [Row(number) for number in range(count)]

def halves(rows):
    return [1 / (row.value - 7) for row in rows]
"""


def test_code_that_only_the_workers_have_runs_there(tmp_path, monkeypatch):
    (tmp_path / "only_there.py").write_text(ONLY_THERE)
    with own_cluster(n_workers=1) as client:
        client.run(add_path, str(tmp_path))
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(tmp_path))
            import only_there

            rows = client.submit(only_there.made, 50, key="rows")
            future = failed(client, only_there.halves, rows)
        forget_modules_of(tmp_path)
        notices = []
        found = dbgkit.shrink(future, notify=lambda event: notices.append(str(event)))
    assert found.where == "worker" and left(found) == [7]
    assert any("it cannot be read here: it runs" in each for each in notices)
    assert not found.inputs and found.failure is found.original
    assert "cannot be read here" in " ".join(found.notes)


def add_path(path):
    import sys

    sys.path.append(path)


def test_nobody_waits_for_it_any_more():
    """A client that is gone asks no more: then no further run begins."""
    import asyncio
    from types import SimpleNamespace

    from dbgkit.remote.worker.shrink import ALONE, Course, forget

    async def main():
        worker = SimpleNamespace(_dbgkit_shrinks={})
        course = Course({"name": "x", "timeout": 30.0, "nbytes": 0}, worker)
        worker._dbgkit_shrinks["x"] = course
        assert course.why_stop() == ""
        course.asked -= ALONE + 1
        assert course.why_stop() == "gone"
        forget(course)
        assert not vars(worker)

    asyncio.run(main())


def test_a_cluster_may_be_secured():
    pytest.importorskip("cryptography")
    secured = Security.temporary()
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            security=secured,
            dashboard_address=":0",
        ) as cluster,
        Client(cluster) as client,
    ):
        rows = [{"x": 1}] * 50 + [{"x": "n/a"}] + [{"x": 2}] * 50
        rows = client.submit(list, rows, key="rows-tls")
        future = client.submit(tasks.total, rows, key="total-tls")
        wait(future, timeout=60)
        for where in ("worker", "process"):
            shrunk = dbgkit.shrink(future, where=where)
            assert (shrunk.verdict, shrunk.where) == ("one", where)
            assert [each.position for each in shrunk.culprits] == [50]
