"""The gauntlet: tasks of a collective, whose tracker is gone.

A replay never waits for it: the task runs in a collective of its own.
"""

from __future__ import annotations

import functools
import inspect
import time
from importlib import util

import collective_tasks as tasks
import pytest
from collective_tasks import Training
from distributed import wait
from watching import clear_history, entered, forgotten, unchanged, wait_until

import dbgkit
from dbgkit.errors import NotHere
from dbgkit.remote.scheduler.followers import is_follower
from dbgkit.replays.collectives import ALONE
from dbgkit.replays.collectives_lightgbm import is_train_part

LIMIT = 8.0
WHERE = ["here", "process"]


@pytest.fixture
def tracker():
    found = tasks.Tracker()
    yield found
    found.close()


def failed(client, tracker, function, *args, **kwargs):
    """Submit a call, wait until it has failed, and have the tracker fall silent."""
    future = client.submit(function, *args, pure=False, **kwargs)
    wait(future, timeout=30)
    tracker.alive = False
    assert future.status == "error"
    return future


def calls(collective):
    params = {"rounds": 5}
    return [
        (tasks.train, (params, collective, 2), {}),
        (functools.partial(tasks.train, params), (collective, 2), {}),
        (tasks.train_by_name, (2,), {"params": params, "collective": collective}),
        (tasks.train_nested, (2, {"params": params, "collective": collective}), {}),
    ]


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("where", WHERE)
def test_nobody_waits_for_a_tracker_that_is_gone(
    processes_client, tracker, where, which
):
    # GIVEN a task of a collective, in which the user's callback has failed
    function, args, kwargs = calls(tracker.address)[which]
    future = failed(processes_client, tracker, function, *args, **kwargs)
    # WHEN replayed, as the tracker takes connections still and never answers
    start = time.monotonic()
    with (
        unchanged(processes_client, settled=False),
        dbgkit.replay(future, where=where, timeout=LIMIT) as replay,
    ):
        # THEN the callback's failure is the outcome, and how it ran is said
        assert replay.outcome == "same"
        assert ALONE in replay.notes
        assert ALONE in replay.plan.warnings
        if where == "here":
            entered(replay, "score", share=2, epoch=2, limit=0)
        else:
            assert replay.frames[-1].function == "score"
    assert time.monotonic() - start < LIMIT + 20


@pytest.mark.parametrize("where", WHERE)
def test_what_fails_among_several_only_is_no_false_same(
    processes_client, tracker, where
):
    future = failed(processes_client, tracker, tasks.of_size, 3, tracker.address)
    with dbgkit.replay(future, where=where, timeout=LIMIT) as replay:
        assert replay.outcome == "passed"
        assert ALONE in replay.notes


def test_no_worker_waits_for_the_tracker(processes_client, tracker):
    future = failed(
        processes_client, tracker, tasks.train, {"rounds": 5}, tracker.address, 2
    )
    with pytest.raises(NotHere, match="collective") as caught:
        dbgkit.replay(future, where="worker", timeout=LIMIT)
    assert "where='process'" in str(caught.value)


def test_other_tasks_run_as_they_are(processes_client):
    """An address alone, without a port, is no tracker's."""
    future = processes_client.submit(
        tasks.train, {"rounds": 5}, {"dmlc_task_id": "dmlc_tracker_uri"}, 2, pure=False
    )
    wait(future)
    with dbgkit.replay(future) as replay:
        assert replay.outcome == "same"
        assert ALONE not in replay.notes
        assert replay.args[1] == {"dmlc_task_id": "dmlc_tracker_uri"}


# --- XGBoost itself -----------------------------------------------------------


def make_callback(xgboost, fails_on):
    class Watch(xgboost.callback.TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            rank = xgboost.collective.get_rank()
            if fails_on is not None and rank != fails_on:
                return False
            ratio = 1 / (epoch - 2)
            return ratio > 100

    return Watch()


@pytest.fixture(scope="module")
def two_workers():
    if not (util.find_spec("xgboost") or util.find_spec("lightgbm")):
        pytest.skip("neither of them is installed")
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as made,
        Client(made) as client,
    ):
        yield client


def spread(client):
    """Data of which each worker has a part, and what is to be learned of it."""
    import dask.array as da

    parts = []
    for worker in client.scheduler_info()["workers"]:
        x = da.random.random((200, 3), chunks=(100, 3))
        parts.append(client.persist([x, (x[:, 0] > 0.5).astype(int)], workers=[worker]))
        wait(parts[-1])
    x, y = (da.concatenate(each) for each in zip(*parts, strict=True))
    x, y = client.persist([x, y])
    wait([x, y])
    return x, y


def trained(client, fails_on):
    """The exception of a training, whose callback fails on one worker, or on all."""
    xgboost = pytest.importorskip("xgboost")
    from xgboost import dask as distributed_xgboost

    x, y = spread(client)
    client.run_on_scheduler(clear_history)
    with pytest.raises((ZeroDivisionError, xgboost.core.XGBoostError)) as caught:
        distributed_xgboost.train(
            client,
            {"objective": "binary:logistic"},
            distributed_xgboost.DaskDMatrix(client, x, y),
            num_boost_round=4,
            callbacks=[make_callback(xgboost, fails_on)],
        )
    return caught.value


def all_failed(client):
    """Wait until both workers have."""
    wait_until(
        lambda: len(client.run_on_scheduler(texts)) == 2, "both workers have failed"
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fails_on", [0, 1])
def test_the_callback_is_the_root_cause_in_xgboost(two_workers, fails_on):
    error = trained(two_workers, fails_on)
    # At once, though the other one may be the first that is heard of.
    failure = dbgkit.locate(error, client=two_workers)
    all_failed(two_workers)
    keys = two_workers.run_on_scheduler(tasks.failed_keys)
    for target in (error, None, *keys):
        again = dbgkit.locate(target, client=two_workers)
        assert again.key == failure.key
    assert failure.exception_type == "ZeroDivisionError"
    assert "in after_iteration" in failure.traceback_text
    assert any(map(is_follower, two_workers.run_on_scheduler(texts)))
    start = time.monotonic()
    with dbgkit.replay(error, client=two_workers, timeout=LIMIT) as replay:
        assert ALONE in replay.notes
        # Rank 0 alone there is, so that the callback of rank 1 fails in nothing.
        assert replay.outcome == ("same" if fails_on == 0 else "passed")
    assert time.monotonic() - start < LIMIT


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("where", WHERE)
def test_the_callback_runs_again_in_xgboost(two_workers, where):
    error = trained(two_workers, None)
    all_failed(two_workers)
    with dbgkit.replay(error, client=two_workers, where=where, timeout=30) as replay:
        assert replay.outcome == "same"
        assert ALONE in replay.notes
        if where == "here":
            entered(replay, "after_iteration", epoch=2, rank=0)


def texts(dask_scheduler):
    """All that failed, whether it is forgotten by now or not."""
    return [entry.exception_text for entry in dask_scheduler.erred_tasks]


def test_what_follows_in_a_collective_is_told_by_its_text():
    follower = (
        "XGBoostError('[02:05:21] /__w/xgboost/xgboost/src/collective/result.cc:83: "
        "[histogram.h:197|02:05:21]:\\n\\n- [allreduce.cc:135|02:05:21]: Ring failed"
    )
    assert is_follower(follower)
    assert not is_follower("XGBoostError('[02:05:21] src/objective/regression.cc:99')")
    assert not is_follower("ValueError('/collective/')")
    assert not is_follower(None)


def test_who_has_failed_is_before_the_others_though_heard_of_later(processes_client):
    # GIVEN a training, in which a follower's failure is heard of first
    follower = processes_client.submit(tasks.fall, pure=False)
    wait(follower)
    root = processes_client.submit(tasks.score, 2, 2, pure=False)
    wait(root)
    below = processes_client.submit(lambda *models: models, [follower, root])
    wait(below)
    # THEN the one that all of it began with comes first
    failure = dbgkit.locate(below)
    assert failure.key == root.key
    assert failure.exception_type == "ZeroDivisionError"
    assert follower.key in failure.others


# --- what followers are counted with ------------------------------------------


def groups_of(client):
    found = dbgkit.failures(client=client).groups
    return {each.exception_type: (each.count, each.cascaded) for each in found}


@pytest.fixture
def clean(processes_client):
    forgotten(processes_client)
    processes_client.run_on_scheduler(clear_history)
    return processes_client


SCORE = (tasks.score, 2, 2)
FALL = (tasks.fall,)


@pytest.mark.parametrize("first", ["root", "follower"])
def test_followers_are_counted_with_what_they_follow(clean, tmp_path, first):
    # GIVEN a training, of which one worker failed and two followed
    training = Training(clean, tmp_path, SCORE, FALL, FALL)
    below = clean.submit(lambda model: model, training.futures[1])
    training.fail(*((0, 1, 2) if first == "root" else (1, 2, 0)))
    wait(below)
    # THEN it is one failure, because of which the others have failed
    ((kind, (count, cascaded)),) = groups_of(clean).items()
    assert (kind, count) == ("ZeroDivisionError", 1)
    assert cascaded == 3


def test_each_training_has_its_own_followers(clean, tmp_path):
    """What followers raise is alike in both."""
    one = Training(clean, tmp_path, SCORE, FALL).fail(0, 1)
    other = Training(clean, tmp_path, (tasks.of_size_two,), FALL, FALL).fail(1, 2, 0)
    assert groups_of(clean) == {"ZeroDivisionError": (1, 1), "LookupError": (1, 2)}
    assert one.futures and other.futures


def test_forgotten_followers_are_counted_so_too(clean, tmp_path):
    dbgkit.failures(client=clean)
    training = Training(clean, tmp_path, SCORE, FALL).fail(1, 0)
    training.futures.clear()
    forgotten(clean)
    assert groups_of(clean) == {"ZeroDivisionError": (1, 1)}


def test_followers_of_nothing_are_failures_of_their_own(clean, tmp_path):
    alone = Training(clean, tmp_path, FALL, FALL).fail(0, 1)
    kept = [*alone.futures, clean.submit(tasks.score, 2, 2, pure=False)]
    wait(kept)
    assert groups_of(clean) == {"XGBoostError": (2, 0), "ZeroDivisionError": (1, 0)}
    kept.clear()
    alone.futures.clear()
    forgotten(clean)
    assert groups_of(clean) == {"XGBoostError": (2, 0), "ZeroDivisionError": (1, 0)}


@pytest.mark.filterwarnings("ignore")
def test_a_training_of_xgboost_is_one_failure(two_workers):
    before = groups_of(two_workers).get("ZeroDivisionError", (0, 0))
    kept = trained(two_workers, 0)
    all_failed(two_workers)
    assert kept is not None
    found = groups_of(two_workers)
    assert "XGBoostError" not in found
    count, cascaded = found["ZeroDivisionError"]
    assert count == before[0] + 1
    assert cascaded > before[1]


# --- LightGBM -----------------------------------------------------------------


def watch(env):
    """The user's callback."""
    left = env.iteration - 2
    return 1 / left


@pytest.fixture
def untrained(two_workers):
    """The exception of a training by LightGBM, whose callback fails."""
    lightgbm = pytest.importorskip("lightgbm")
    pytest.importorskip("sklearn")
    x, y = spread(two_workers)
    model = lightgbm.DaskLGBMClassifier(client=two_workers, n_estimators=4, verbose=-1)
    with pytest.raises(ZeroDivisionError) as caught:
        model.fit(x, y, callbacks=[watch])
    return caught.value


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("where", WHERE)
def test_the_callback_runs_again_in_lightgbm(two_workers, untrained, where):
    """The socket that the task was given is left out, as nothing can bring it."""
    with dbgkit.replay(
        untrained, client=two_workers, where=where, timeout=LIMIT
    ) as replay:
        assert replay.outcome == "same"
        assert ALONE in replay.notes
        if where == "here":
            entered(replay, "watch", left=0)
            assert replay.kwargs["num_machines"] == 1
            assert replay.kwargs["remote_socket"] is None


@pytest.mark.filterwarnings("ignore")
def test_no_worker_waits_for_the_others_of_lightgbm(two_workers, untrained):
    with pytest.raises(NotHere, match="collective"):
        dbgkit.replay(untrained, client=two_workers, where="worker", timeout=LIMIT)


def test_what_is_known_of_lightgbm_holds():
    """A contract: its private function, and the names of what it takes."""
    lightgbm = pytest.importorskip("lightgbm")
    pytest.importorskip("sklearn")
    from dask._task_spec import Task

    function = lightgbm.dask._train_part
    assert is_train_part(Task("a", function))
    assert not is_train_part(Task("a", lightgbm.dask._concat))
    parameters = inspect.signature(function).parameters
    assert {"machines", "num_machines", "local_listen_port"} <= parameters.keys()
    if hasattr(lightgbm.dask, "_RemoteSocket"):
        assert "remote_socket" in parameters
