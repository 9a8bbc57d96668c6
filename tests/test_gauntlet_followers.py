"""The gauntlet: of a collective, the failure that the others only follow is located.

By whatever it is asked for, and as `dbgkit.failures` counts it.
"""

from __future__ import annotations

import gc
import threading
import time
import traceback

import collective_tasks as tasks
import dask
import pytest
from collective_tasks import Training
from conftest import own_cluster
from distributed import Client, wait
from watching import clear_history, entered, forgotten, unchanged, wait_until

import dbgkit
from dbgkit.cluster import link
from dbgkit.errors import DbgkitError
from dbgkit.remote.scheduler.followers import Leaders, Runs

NAMES = ("fn", "fn", "gn", "fn", "fn")
SCORE = (tasks.score, 2, 2)  # the user's callback, which fails
FALL = (tasks.fall,)  # what the others raise because of it
ORDERS = {"the leader is heard of first": (0, 1), "a follower is": (1, 0)}


@pytest.fixture(params=ORDERS.values(), ids=list(ORDERS))
def order(request):
    """In which order two failures are heard of."""
    return request.param


@pytest.fixture
def clean(processes_client):
    processes_client.run_on_scheduler(clear_history)
    return processes_client


def error_of(future):
    """The exception of a future, as it is raised."""
    with pytest.raises((ZeroDivisionError, LookupError, tasks.XGBoostError)) as caught:
        future.result(timeout=30)
    return caught.value


def is_leader(failure, training, asked=None):
    """Assert that a failure is that of the first task, and that it is said why."""
    assert failure.key == training.keys[0]
    assert failure.exception_type == "ZeroDivisionError"
    assert failure.message == "division by zero"
    assert "in score" in failure.traceback_text
    assert training.keys[1] not in failure.others
    if asked is not None:
        assert failure.asked == asked
        (note,) = [note for note in failure.notes if "collective" in note]
        assert training.keys[1] in note
        assert "XGBoostError(" in note
    return True


def counted(client):
    """Of each group: the class, the keys, and how many fell because of these."""
    groups = dbgkit.failures(client=client).groups
    return [(each.exception_type, each.keys, each.cascaded) for each in groups]


def test_a_follower_leads_to_the_failure_that_it_followed(clean, tmp_path, order):
    training = Training(clean, tmp_path, SCORE, FALL).fail(*order)
    wait(training.futures)
    leader, follower = training.futures
    with unchanged(clean, settled=False):
        for target in (follower, follower.key, error_of(follower)):
            failure = dbgkit.locate(target, client=clean)
            assert is_leader(failure, training, asked=follower.key)
        # What failed first is told as it was.
        failure = dbgkit.locate(leader)
        assert is_leader(failure, training)
        assert failure.asked is None
        assert is_leader(dbgkit.locate(client=clean), training)
        assert is_leader(dbgkit.locate(training.futures), training)
    assert counted(clean) == [("ZeroDivisionError", (leader.key,), 1)]


def test_what_is_made_of_all_of_them_does_too(clean, tmp_path, order):
    training = Training(clean, tmp_path, SCORE, FALL, FALL)
    model = training.gather()
    training.fail(*order, 2)
    wait([model, *training.futures])
    for target in (model, error_of(model), None):
        failure = dbgkit.locate(target, client=clean)
        assert is_leader(failure, training)
    assert dbgkit.locate(model).asked == model.key
    # The exception is that task's own, where it is here.
    assert isinstance(dbgkit.locate(error_of(model)).exception, ZeroDivisionError)
    assert counted(clean) == [("ZeroDivisionError", (training.keys[0],), 3)]


def test_the_prompt_is_at_the_leaders_line(clean, tmp_path, order):
    training = Training(clean, tmp_path, SCORE, FALL).fail(*order)
    with dbgkit.replay(error_of(training.futures[1]), client=clean) as replay:
        assert replay.outcome == "same"
        entered(replay, "score", share=2, epoch=2)
        assert is_leader(replay.failure, training, asked=training.keys[1])


# --- what is not heard of yet ---------------------------------------------------


@pytest.fixture
def patient(monkeypatch):
    """However slow the machine is, who failed first is heard of in time."""
    monkeypatch.setattr(link, "PATIENCE", 20.0)


def test_who_failed_first_is_awaited(clean, tmp_path, patient):
    # GIVEN a training of which a follower alone is heard of so far
    training = Training(clean, tmp_path, SCORE, FALL)
    model = training.gather()
    error = error_of(training.fail(1) and model)
    # WHEN it is asked for, and the exception of who failed first comes only then
    later = threading.Timer(0.3, training.go_on, [0])
    later.start()
    failure = dbgkit.locate(error, client=clean, timeout="80s")
    later.join()
    # THEN that one is located
    assert is_leader(failure, training)


def test_it_is_not_awaited_for_long(clean, tmp_path):
    training = Training(clean, tmp_path, SCORE, FALL).fail(1)
    start = time.monotonic()
    failure = dbgkit.locate(training.futures[1])
    assert time.monotonic() - start < link.PATIENCE + 5
    assert failure.key == training.keys[1]
    # Nor where no other of them runs.
    training.fail(0)
    alone = Training(clean, tmp_path, FALL).fail(0)
    start = time.monotonic()
    assert dbgkit.locate(alone.futures[0]).key == alone.keys[0]
    assert time.monotonic() - start < link.PATIENCE


# --- healthy opposites ----------------------------------------------------------


def test_what_failed_before_it_began_is_not_what_it_followed(clean, tmp_path, patient):
    # GIVEN a failure of the same prefix just before a training began
    before = Training(clean, tmp_path, (tasks.of_size_two,)).fail(0)
    training = Training(clean, tmp_path, SCORE, FALL)
    # WHEN the training fails, a follower at first, and right after that failure
    training.fail(1)
    later = threading.Timer(0.3, training.go_on, [0])
    later.start()
    failure = dbgkit.locate(training.futures[1], timeout="80s")
    later.join()
    # THEN it is told by its own
    assert is_leader(failure, training, asked=training.keys[1])
    assert dbgkit.locate(before.futures[0]).exception_type == "LookupError"
    assert sorted(counted(clean)) == [
        ("LookupError", (before.keys[0],), 0),
        ("ZeroDivisionError", (training.keys[0],), 1),
    ]


def test_nor_is_what_began_after_it_had_failed(clean, tmp_path):
    alone = Training(clean, tmp_path, FALL).fail(0)
    after = Training(clean, tmp_path, SCORE).fail(0)
    assert dbgkit.locate(alone.futures[0]).exception_type == "XGBoostError"
    assert dbgkit.locate(after.futures[0]).exception_type == "ZeroDivisionError"
    assert sorted(counted(clean)) == [
        ("XGBoostError", (alone.keys[0],), 0),
        ("ZeroDivisionError", (after.keys[0],), 0),
    ]


def test_two_failures_of_one_function_stay_two(clean, tmp_path, order):
    both = Training(clean, tmp_path, SCORE, (tasks.of_size_two,)).fail(*order)
    kinds = [dbgkit.locate(each).exception_type for each in both.futures]
    assert kinds == ["ZeroDivisionError", "LookupError"]
    assert [cascaded for *_, cascaded in counted(clean)] == [0, 0]


def test_followers_of_nothing_are_located_as_they_are(clean, tmp_path):
    alone = Training(clean, tmp_path, FALL, FALL).fail(0, 1)
    keys = [dbgkit.locate(each).key for each in alone.futures]
    assert keys == alone.keys
    assert not any("collective" in note for note in dbgkit.locate(alone.keys[0]).notes)
    assert [cascaded for *_, cascaded in counted(clean)] == [0]


def test_of_another_function_is_not_of_the_collective(clean, tmp_path):
    training = Training(clean, tmp_path, FALL)
    other = clean.submit(tasks.score, 2, 2, pure=False)
    wait(other)
    training.fail(0)
    assert dbgkit.locate(training.futures[0]).exception_type == "XGBoostError"


def test_two_trainings_at_once_are_told_apart_by_what_needs_them(clean, tmp_path):
    # GIVEN two trainings at the same time, whose failures are heard of criss-cross
    one = Training(clean, tmp_path, SCORE, FALL)
    other = Training(clean, tmp_path, (tasks.of_size_two,), FALL)
    models = one.gather(), other.gather()
    one.fail(0)
    other.fail(1)
    one.fail(1)
    other.fail(0)
    wait(models)
    # THEN each follower has its own, though another one's was nearer in time
    assert is_leader(dbgkit.locate(one.futures[1]), one, asked=one.keys[1])
    found = dbgkit.locate(other.futures[1])
    assert (found.key, found.exception_type) == (other.keys[0], "LookupError")
    assert dbgkit.locate(error_of(models[1])).key == other.keys[0]
    assert [cascaded for *_, cascaded in counted(clean)] == [2, 2]


# --- what is forgotten ------------------------------------------------------------


def test_the_exception_alone_leads_to_it(clean, tmp_path, order):
    # GIVEN the exception of a follower, without anything in its traceback
    training = Training(clean, tmp_path, SCORE, FALL).fail(*order)
    error = error_of(training.futures[1])
    traceback.clear_frames(error.__traceback__)
    error.__traceback__ = None
    # WHEN the scheduler has forgotten the tasks as well
    training.futures.clear()
    gc.collect()
    forgotten(clean)
    # THEN its history tells of the other
    failure = dbgkit.locate(error, client=clean)
    assert is_leader(failure, training, asked=training.keys[1])
    assert any("forgotten" in note for note in failure.notes)
    with pytest.raises(DbgkitError, match="forgotten"):
        dbgkit.replay(error, client=clean)


def test_so_does_a_follower_that_is_still_there(clean, tmp_path, order):
    training = Training(clean, tmp_path, SCORE, FALL).fail(*order)
    follower = training.futures.pop()
    training.futures.clear()
    gc.collect()
    forgotten(clean, but=[follower.key])
    failure = dbgkit.locate(follower)
    assert is_leader(failure, training, asked=follower.key)
    assert counted(clean) == [("ZeroDivisionError", (training.keys[0],), 1)]
    with pytest.raises(DbgkitError, match="forgotten"):
        dbgkit.replay(follower)


def computed(client, training):
    """The exception of a computation of a training, of which a follower failed first.

    Another client holds its tasks: else the rest is cancelled as soon as that one has
    failed.
    """
    caught = []
    train = dask.delayed(tasks.take_part, pure=False)
    parts = [train(*args, dask_key_name=args[1]) for args in training.arguments()]
    model = dask.delayed(list)(parts)

    def compute():
        try:
            model.compute(scheduler=client, optimize_graph=False)
        except tasks.XGBoostError as error:
            caught.append(error)

    with Client(client.scheduler.address, set_as_default=False) as other:
        held = other.compute(parts, optimize_graph=False)
        training.have_begun()
        running = threading.Thread(target=compute)
        running.start()
        wait_until(
            lambda: len(client.run_on_scheduler(wanting, key=training.keys[1])) == 1,
            "they are computed",
        )
        training.fail(1)
        running.join(timeout=30)
        training.fail(0)
        del held
    del parts
    forgotten(client)
    return caught[0]


def wanting(dask_scheduler, key):
    """What needs a task."""
    return [str(ts.key) for ts in dask_scheduler.tasks[key].dependents]


def test_of_a_graph_its_task_runs_again_here(clean, tmp_path):
    training = Training(clean, tmp_path, SCORE, FALL, submit=False)
    error = computed(clean, training)
    assert isinstance(error, tasks.XGBoostError)
    failure = dbgkit.locate(error, client=clean)
    assert is_leader(failure, training, asked=training.keys[1])
    assert failure.found_in == "graph"
    with dbgkit.replay(error, client=clean) as replay:
        assert replay.outcome == "same"
        entered(replay, "score", share=2, epoch=2)


def test_of_a_cluster_that_is_closed_as_well(tmp_path):
    with own_cluster() as client:
        training = Training(client, tmp_path, SCORE, FALL, submit=False)
        error = computed(client, training)
    failure = dbgkit.locate(error, client=client)
    assert is_leader(failure, training, asked=training.keys[1])


# --- the recorder -----------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False], ids=["there", "forgotten"])
def test_its_recording_is_entered(clean, tmp_path, order, there):
    dbgkit.record(client=clean).off()
    with dbgkit.record(client=clean):
        training = Training(clean, tmp_path, SCORE, FALL).fail(*order)
        error = error_of(training.futures[1])
        if not there:
            error.__traceback__ = None
            training.futures.clear()
            gc.collect()
            forgotten(clean)
        assert is_leader(dbgkit.locate(error, client=clean), training)
        recording = dbgkit.debug(error, client=clean, using="recording", prompt=False)
        assert recording.key == training.keys[0]
        assert recording.frames[-1].function == "score"


# --- the criterion ----------------------------------------------------------------


def test_too_far_apart_in_time_is_not_of_one_collective():
    leaders: Leaders[str] = Leaders()
    one, two, other, undated, asked = (
        f"{name}-{'0' * 31}{n}" for n, name in enumerate(NAMES)
    )
    leaders.note(one, 1_000.0, "one")
    leaders.note(two, 1_001.0, "two")
    leaders.note(other, 1_002.0, "other")
    leaders.note(undated, None, "undated")
    runs = Runs({})
    assert leaders.of(asked, 1_000.4, runs) == "one"
    assert leaders.of(asked, 1_002.0, runs) == "two"
    assert leaders.of(asked, 1_400.0, runs) is None
    assert leaders.of("gone-" + asked, 1_000.0, runs) is None
    runs.read([(asked, "waiting", "processing", {}, "", 1_000.3)], {"fn"})
    assert leaders.of(asked, 1_000.4, runs) == "two"
