"""The gauntlet: tasks that submit tasks, of which an inner one fails.

The inner task is the root cause: it is located, counted and replayed, and the outer one
is named as the way there.
"""

from __future__ import annotations

import dask
import inner_tasks as tasks
import pytest
from distributed import Client, Future, wait
from watching import (
    clear_history,
    drop_inner,
    entered,
    known_keys,
    let_go_of_frames,
    look,
    unchanged,
    wait_until,
)

import dbgkit

HELD = [  # the inner task is still there
    tasks.by_worker_client,
    tasks.by_gather,
    tasks.by_await,
    tasks.by_executor,
    tasks.wrapping,
    tasks.while_handling,
]


@pytest.fixture(autouse=True)
def without_history(request):
    """The shared clusters remember failures of other tests, and inner tasks of them."""
    clients = [
        request.getfixturevalue(name)
        for name in ("client", "processes_client", "inproc_client")
        if name in request.fixturenames
    ]
    for client in clients:
        client.run_on_scheduler(clear_history)
    yield
    for client in clients:
        let_go(client)


def let_go(client, but=()):
    """Wait until no inner task is left, nor any other but these."""

    def gone():
        client.run(drop_inner)
        let_go_of_frames(client)
        return known_keys(client) == set(but)

    try:
        wait_until(gone, "inner tasks are forgotten")
    except AssertionError as error:
        tasks = client.run_on_scheduler(look)["tasks"]
        # Another test of this cluster is not to fail because of it.
        client.cancel([Future(key, client) for key in tasks], force=True)
        raise AssertionError(f"{error}; left, with who wants it: {tasks}") from None


def failed(client, function, *args):
    """Submit a call, and wait until it has failed, and all that it had submitted ran.

    ``Client.gather`` raises at the first error: others of its tasks run on meanwhile.
    """
    future = client.submit(function, *args, pure=False)
    wait(future, timeout=30)
    assert future.status == "error"
    wait_until(lambda: at_rest(client), "what the task submitted has run")
    return future


def at_rest(client):
    """Whether nothing runs, and the client has heard of it."""
    busy = ("waiting", "queued", "processing")
    states = [task[0] for task in client.run_on_scheduler(look)["tasks"].values()]
    pending = [each for each in client.futures.values() if each.status == "pending"]
    return not pending and not any(state in busy for state in states)


def wants(client, key):
    """Who wants a key."""
    return client.run_on_scheduler(look)["tasks"][key][-1]


def counted(client):
    """``{(class, function): (count, cascaded)}`` of all failures."""
    report = dbgkit.failures(client=client)
    return {
        (group.exception_type, group.location.rpartition(" in ")[2]): (
            group.count,
            group.cascaded,
        )
        for group in report.groups
    }


@pytest.mark.parametrize("function", HELD, ids=lambda each: each.__name__)
def test_the_inner_task_is_the_root_cause(client, function):
    # GIVEN a task that fails because of one that it has submitted
    outer = failed(client, function, 0)
    # WHEN it is located and counted
    with unchanged(client, settled=False):
        failure = dbgkit.locate(outer)
        found = counted(client)
    # THEN it is the inner one, once, and the outer one is the way there
    assert str(failure.key).startswith("ratio_of-")
    assert (failure.exception_type, failure.message) == (
        "ZeroDivisionError",
        "division by zero",
    )
    assert isinstance(failure.exception, ZeroDivisionError)
    assert failure.asked == outer.key
    assert failure.through == (outer.key,)
    assert any(repr(outer.key) in note for note in failure.notes)
    assert found == {("ZeroDivisionError", "ratio_of"): (1, 1)}


@pytest.mark.parametrize("function", HELD, ids=lambda each: each.__name__)
def test_the_inner_task_alone_is_run_again(client, function):
    outer = failed(client, function, 0)
    key = dbgkit.locate(outer).key
    # WHEN the outer one is replayed
    with unchanged(client, settled=False):
        before = wants(client, key)
        replay = dbgkit.replay(outer)
        # THEN the inner one is, with its own values
        assert replay.outcome == "same"
        assert replay.failure.key == key
        assert replay.plan.run_here == (key,)
        entered(replay, "ratio_of", x=0, weight=25)
        replay.close()
        # AND nobody wants it on our account
        assert wants(client, key) == before


@pytest.mark.parametrize("where", ["process", "worker"])
def test_the_inner_task_runs_elsewhere_too(client, where):
    outer = failed(client, tasks.wrapping, 0)
    with dbgkit.replay(outer, where=where) as replay:
        assert replay.outcome == "same"
        assert str(replay.failure.key).startswith("ratio_of-")


def test_the_report_names_inner_and_outer(client, capsys):
    outer = failed(client, tasks.wrapping, 0)
    dbgkit.debug(outer, prompt=False).close()
    said = " ".join(capsys.readouterr().out.split())
    assert "ZeroDivisionError: division by zero" in said
    assert "weight / x" in said
    assert outer.key in said


def test_an_exception_of_the_outer_task_leads_to_the_inner_one(client):
    outer = failed(client, tasks.wrapping, 0)
    with pytest.raises(tasks.Unpriced) as caught:
        outer.result()
    failure = dbgkit.locate(caught.value)
    assert str(failure.key).startswith("ratio_of-")
    assert failure.exception_type == "ZeroDivisionError"
    assert isinstance(failure.exception, ZeroDivisionError)
    assert failure.through == (outer.key,)


def test_the_last_failure_is_the_inner_one(client):
    outer = failed(client, tasks.by_worker_client, 0)
    failure = dbgkit.locate(client=client)
    assert (failure.through, failure.exception_type) == (
        (outer.key,),
        "ZeroDivisionError",
    )


def test_what_fell_of_the_outer_task_fell_of_the_inner_one(client):
    outer = client.submit(tasks.wrapping, 0, pure=False)
    below = client.submit(str, outer)
    wait(below)
    failure = dbgkit.locate(below)
    assert str(failure.key).startswith("ratio_of-")
    assert (failure.asked, failure.through) == (below.key, (outer.key,))
    assert counted(client) == {("ZeroDivisionError", "ratio_of"): (1, 2)}


@pytest.mark.parametrize("function", [tasks.nested, tasks.nested_wrapping])
def test_tasks_within_tasks_within_tasks(client, function):
    outer = failed(client, function, 0)
    with unchanged(client, settled=False):
        failure = dbgkit.locate(outer)
    assert str(failure.key).startswith("ratio_of-")
    assert failure.through[0] == outer.key
    assert len(failure.through) == 2
    assert counted(client) == {("ZeroDivisionError", "ratio_of"): (1, 2)}
    with dbgkit.replay(outer) as replay:
        assert replay.outcome == "same"
        entered(replay, "ratio_of", x=0)


def test_the_one_that_was_waited_for_is_told_from_its_siblings(client):
    outer = failed(client, tasks.of_many, 12)
    failure = dbgkit.locate(outer)
    assert failure.message == "no item 11"
    with dbgkit.replay(outer) as replay:
        entered(replay, "told", number=11)


def test_several_outer_tasks_of_one_inner_task_are_one_failure(client):
    outer = [failed(client, tasks.wrapping, 0) for _ in range(4)]
    assert counted(client) == {("ZeroDivisionError", "ratio_of"): (1, 4)}
    assert {dbgkit.locate(each).key for each in outer} == {dbgkit.locate(outer[0]).key}


def test_a_client_and_a_span_of_time_lead_to_the_inner_task(client):
    failed_ = failed(client, tasks.wrapping, 0)
    report = dbgkit.failures(client=client, of_client=client.id)
    (group,) = report.groups
    assert (group.exception_type, group.count, group.cascaded) == (
        "ZeroDivisionError",
        1,
        1,
    )
    recent = dbgkit.failures(client=client, since="1 minute")
    assert (recent.total, recent.cascaded) == (1, 1)
    del failed_


def test_tasks_that_fail_alike_on_their_own_stay_apart(client):
    """No frame of a client is between them: neither had submitted the other."""
    alone = [failed(client, each, 0) for each in (tasks.ratio_of, tasks.bystander)]
    assert [dbgkit.locate(each).key for each in alone] == [each.key for each in alone]
    assert all(dbgkit.locate(each).through == () for each in alone)
    assert counted(client) == {("ZeroDivisionError", "ratio_of"): (2, 0)}


def test_an_inner_failure_that_was_dealt_with_counts_alone(client):
    outer = client.submit(tasks.mended, 0, pure=False)
    wait(outer)
    assert outer.status == "finished"
    assert counted(client) == {("ZeroDivisionError", "ratio_of"): (1, 0)}


def test_an_error_that_looks_different_in_each_process(client):
    outer = failed(client, tasks.by_opaque, 3)
    failure = dbgkit.locate(outer)
    assert str(failure.key).startswith("opaque-")
    with dbgkit.replay(outer) as replay:
        entered(replay, "opaque", x=3)


def test_a_stored_error_is_not_taken_for_the_outcome(client):
    """What the outer task is handed in its replay has not run again."""
    # GIVEN an inner task whose exception looks like another one in the outer task
    inner = client.submit(tasks.unpicklable, 7)
    wait(inner)
    outer = failed(client, tasks.by_unpicklable, 7)
    assert dbgkit.locate(outer).key == outer.key
    # WHEN the outer one is replayed, the inner one being erred still
    with unchanged(client, settled=False):
        replay = dbgkit.replay(outer)
        # THEN the inner one alone was run, which is said
        assert replay.failure.key == inner.key
        assert replay.outcome == "same"
        entered(replay, "unpicklable", x=7)
        assert any("stored error" in note for note in replay.notes)
        replay.close()
        del replay


@pytest.mark.parametrize("where", ["here", "process", "worker"])
@pytest.mark.parametrize(
    "function",
    [
        tasks.by_unpicklable,
        tasks.by_unpicklable_async,
        tasks.and_again,
    ],
    ids=lambda each: each.__name__,
)
def test_a_stored_error_is_no_outcome_elsewhere_either(client, where, function):
    """A child and a worker have clients of their own, which are closed by then."""
    if where == "process" and client.scheduler.address.startswith("inproc"):
        pytest.skip("a child reaches no cluster of this process")
    # GIVEN an inner task whose exception looks like another one in the outer task
    inner = client.submit(tasks.unpicklable, 7)
    wait(inner)
    outer = failed(client, function, 7)
    assert dbgkit.locate(outer).key == outer.key
    # WHEN the outer one is replayed there, the inner one being erred still
    with dbgkit.replay(outer, where=where) as replay:
        # THEN the inner one alone was run there, which is said
        assert replay.failure.key == inner.key
        assert replay.failure.through == (outer.key,)
        assert (replay.outcome, replay.plan.where) == ("same", where)
        assert any("stored error" in note for note in replay.notes)


@pytest.mark.parametrize("where", ["process", "worker"])
def test_an_inner_task_that_runs_again_elsewhere_is_an_outcome(client, where):
    """Nobody holds the inner task: the one of the replay is a new one."""
    if where == "process" and client.scheduler.address.startswith("inproc"):
        pytest.skip("a child reaches no cluster of this process")
    outer = failed(client, tasks.by_compute, 0)
    wait_until(
        lambda: client.run(tasks.collect) and known_keys(client) == {outer.key},
        "the inner task is forgotten",
    )
    with dbgkit.replay(outer, where=where, times=2) as replay:
        assert replay.outcome == "same"
        assert replay.failure.key == outer.key
        assert not any("stored error" in note for note in replay.notes)


def test_an_inner_task_that_was_forgotten_is_told_of(client):
    """`dask.compute` lets go of what it has computed as it raises."""
    # GIVEN an outer task, whose inner one the scheduler has forgotten
    outer = failed(client, tasks.by_compute, 0)

    def only_outer():
        tasks.collect()
        client.run(tasks.collect)
        return known_keys(client) == {outer.key}

    wait_until(only_outer, "the inner task is forgotten")
    # WHEN looked at
    failure = dbgkit.locate(outer)
    # THEN the outer one it is, and what is left of the inner one is said
    assert (failure.key, failure.through) == (outer.key, ())
    (note,) = [note for note in failure.notes if "forgotten" in note]
    assert "'ratio_of-" in note
    assert "ZeroDivisionError('division by zero')" in note
    assert "in ratio_of" in note
    # AND it counts once, in this way too
    assert counted(client) == {("ZeroDivisionError", "ratio_of"): (1, 0)}
    (group,) = dbgkit.failures(client=client).groups
    assert group.example.key == outer.key


def test_the_recording_of_an_inner_task_that_was_forgotten(recorded):
    outer = failed(recorded, tasks.by_compute, 0)
    let_go(recorded, but=[outer.key])
    failure = dbgkit.locate(outer)
    assert failure.key == outer.key
    assert str(failure.forgotten).startswith("ratio_of-")
    # WHEN it is entered by what was recorded
    found = dbgkit.debug(outer, using="recording", prompt=False)
    # THEN the inner one is, with its own values
    assert found.key == failure.forgotten
    frame = [each for each in found.frames if each.own][-1]
    assert frame.function == "ratio_of"
    assert {name: value.text for name, value in frame.locals}["weight"] == "25"


def test_nobody_wants_on_our_account_what_a_replay_submitted(client):
    """The outer task has to be run, as of the inner one only a text is left."""
    outer = failed(client, tasks.by_compute, 0)
    wait_until(
        lambda: client.run(tasks.collect) and known_keys(client) == {outer.key},
        "the inner task is forgotten",
    )
    with dbgkit.replay(outer) as replay:
        assert replay.outcome == "same"
        assert replay.failure.key == outer.key
    del replay
    wait_until(
        lambda: known_keys(client) == {outer.key}, "what it submitted is let go of"
    )


IN_COROUTINES = [
    tasks.gathering,
    tasks.connected,
    tasks.computing,
    tasks.scattering,
    tasks.one_by_one,
    tasks.with_results,
    tasks.in_parts,
]


@pytest.mark.parametrize("function", IN_COROUTINES, ids=lambda each: each.__name__)
def test_a_coroutine_is_followed_and_run_again(client, function):
    # GIVEN a coroutine that fails because of a task that it has submitted
    outer = failed(client, function, 0)
    # WHEN it is replayed, the inner one is
    failure = dbgkit.locate(outer)
    assert str(failure.key).startswith("ratio_of-")
    assert failure.through == (outer.key,)
    with dbgkit.replay(outer) as replay:
        assert replay.outcome == "same"
        entered(replay, "ratio_of", x=0, weight=25)
    del failure, replay
    # AND where the inner one is forgotten, the outer one, with all that it asks for
    let_go(client, but=[outer.key])
    for where in (None, "worker"):
        with dbgkit.replay(outer, where=where) as replay:
            assert (replay.outcome, replay.failure.key) == ("same", outer.key)
        del replay
        let_go(client, but=[outer.key])


def test_a_coroutine_that_closes_its_workers_client(harmable):
    with harmable(processes=True, n_workers=1) as client:
        outer = failed(client, tasks.within, 0)
        for where in (None, "process", "worker"):
            with dbgkit.replay(outer, where=where) as replay:
                assert (replay.outcome, replay.failure.key) == ("same", outer.key)


def test_a_traceback_that_is_too_long_to_come_home(client):
    inner = client.submit(tasks.deep, 0)
    wait(inner)
    outer = failed(client, tasks.by_deep, 0)
    failure = dbgkit.locate(outer)
    assert (failure.key, failure.through) == (inner.key, (outer.key,))
    # AND where the history alone has it still
    del inner, failure
    let_go(client, but=[outer.key])
    (note,) = [note for note in dbgkit.locate(outer).notes if "forgotten" in note]
    assert "'deep-" in note


def test_what_the_client_itself_raises_was_handed_by_no_other_task(client):
    failures = [
        failed(client, each, 0)
        for each in (tasks.refused, tasks.refused_too, tasks.refused)
    ]
    assert [dbgkit.locate(each).key for each in failures] == [e.key for e in failures]
    assert all(dbgkit.locate(each).through == () for each in failures)
    assert sum(count for count, _ in counted(client).values()) == 3


def test_a_compute_of_which_nothing_was_kept(client):
    """Outer and graph are gone; the worker's client still holds the inner task."""
    with pytest.raises(tasks.Unpriced) as caught:
        dask.delayed(tasks.wrapping)(0).compute(scheduler=client)
    failure = dbgkit.locate(caught.value, client=client)
    assert str(failure.key).startswith("ratio_of-")
    assert failure.exception_type == "ZeroDivisionError"
    assert len(failure.through) == 1
    with dbgkit.replay(caught.value, client=client) as replay:
        assert replay.outcome == "same"
        entered(replay, "ratio_of", x=0)


def test_another_clients_outer_task(client):
    outer = failed(client, tasks.by_worker_client, 0)
    with Client(client.scheduler.address, set_as_default=False) as other:
        failure = dbgkit.locate(outer.key, client=other)
        assert failure.through == (outer.key,)
        with dbgkit.replay(outer.key, client=other) as replay:
            assert replay.outcome == "same"
            entered(replay, "ratio_of", x=0)
