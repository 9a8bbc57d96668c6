"""Whatever of a failure a user still has in hand leads to the task that failed."""

from __future__ import annotations

import dask
import pytest
import tasks
from distributed import Lock, TimeoutError, as_completed, wait
from jobs import array_job, delayed_job, fail, failed_compute, newest_erred
from watching import (
    entered,
    forgotten,
    settle,
    unchanged,
    wait_until,
)

import dbgkit
from dbgkit.api.locate import locate_all
from dbgkit.errors import NotFailed


def test_a_future(client):
    future = fail(client, tasks.ratio, 5, 0)
    with unchanged(client):
        again = dbgkit.replay(future)
    assert (again.failure.key, again.outcome) == (future.key, "same")
    assert (again.failure.attempts, again.failure.found_in) == (1, "scheduler")
    entered(again, "ratio", a=5, b=0)


def test_a_list_of_futures(client):
    good = client.submit(tasks.inc, 1)
    bad = fail(client, tasks.ratio, 5, 0)
    with unchanged(client):
        assert dbgkit.locate([good, bad]).key == bad.key


def test_of_several_failed_futures_the_earliest_is_taken(client):
    first = fail(client, tasks.ratio, 5, 0)
    second = fail(client, tasks.boom, 5)
    with unchanged(client):
        failure = dbgkit.locate([second, first])
    assert failure.key == first.key
    assert failure.others == (second.key,)


@pytest.mark.parametrize(
    "key", ["plain-key", ("tuple-key", 3), ("nested", "key", 0), "('text', 1)"]
)
def test_a_key_and_a_key_as_text(client, key):
    future = fail(client, tasks.ratio, 5, 0, key=key)
    with unchanged(client):
        assert dbgkit.locate(key).key == future.key
        again = dbgkit.replay(str(key))
    assert again.failure.key == key
    entered(again, "ratio", a=5, b=0)


def test_a_persisted_collection_with_one_bad_chunk(client, job):
    make, function, values, _ = job
    collection = make().persist()
    wait(collection)
    key = client.run_on_scheduler(newest_erred)
    with unchanged(client):
        again = dbgkit.replay(collection)
    assert again.failure.key == key
    assert again.outcome == "same"
    entered(again, function, **values)


def test_a_collection_that_was_not_persisted(client, job):
    make, function, values, error = job
    collection = make()
    failed_compute(collection, error)
    key = client.run_on_scheduler(newest_erred)
    forgotten(client)
    with unchanged(client):
        again = dbgkit.replay(collection)
    assert again.failure.key == key
    assert again.outcome == "same"
    entered(again, function, **values)


def test_a_collection_on_top_of_a_persisted_one_with_a_bad_chunk(client):
    chunks = array_job().persist()
    wait(chunks)
    key = client.run_on_scheduler(newest_erred)
    with unchanged(client):
        again = dbgkit.replay(chunks.sum())
    assert again.failure.key == key
    entered(again, "bad_chunk", largest=14)


def test_a_persisted_future_that_raised_through_a_later_compute(client):
    chunks = array_job().persist()
    wait(chunks)
    key = client.run_on_scheduler(newest_erred)
    exception = failed_compute(chunks.sum(), ValueError)
    settle(client)
    with unchanged(client):
        again = dbgkit.replay(exception)
    assert again.failure.key == key
    entered(again, "bad_chunk", largest=14)


def test_downstream_of_the_failure(client):
    cause = fail(client, tasks.ratio, 5, 0)
    middle = client.submit(tasks.inc, cause)
    last = client.submit(tasks.inc, middle)
    wait_until(lambda: last.status == "error", "it has spread")
    for target in (last, last.key, middle):
        with unchanged(client):
            again = dbgkit.replay(target)
        assert again.failure.key == cause.key
        assert again.outcome == "same"
        entered(again, "ratio", a=5, b=0)
    assert dbgkit.locate(last).asked == last.key


def test_downstream_of_a_failure_whose_future_is_gone(client):
    cause = client.submit(tasks.ratio, 5, 0)
    last = client.submit(tasks.inc, cause)
    key = cause.key
    del cause
    wait_until(lambda: last.status == "error", "it has spread")
    with unchanged(client):
        again = dbgkit.replay(last)
    assert again.failure.key == key
    entered(again, "ratio", a=5, b=0)


def test_as_completed_loop(client):
    futures = client.map(tasks.boom_at, range(8), bad=5)
    with pytest.raises(ValueError) as caught:
        for future in as_completed(futures):
            future.result()
    with unchanged(client):
        again = dbgkit.replay(caught.value)
    assert again.failure.key == futures[5].key
    entered(again, "boom_at", x=5, bad=5)


def test_as_completed_with_results_keeps_nothing_but_the_loop(client):
    futures = client.map(tasks.boom_at, range(8), bad=5)
    key = futures[5].key
    with pytest.raises(ValueError) as caught:
        for _ in as_completed(futures, with_results=True):
            pass
    with unchanged(client):
        assert dbgkit.locate(caught.value).key == key


def test_gather_of_many(client):
    futures = client.map(tasks.boom_at, range(8), bad=5)
    key = futures[5].key
    with pytest.raises(ValueError) as caught:
        client.gather(futures)
    del futures
    with unchanged(client):
        again = dbgkit.replay(caught.value)
    assert again.failure.key == key
    entered(again, "boom_at", x=5)


def test_map_of_1000_with_10_failures_of_2_kinds(client):
    futures = client.map(tasks.boom_of_two_kinds, range(1000))
    wait(futures)
    failed = {f.key for f in futures if f.status == "error"}
    with unchanged(client):
        failure = dbgkit.locate(futures)
        causes = locate_all(futures)
    assert {failure.key, *failure.others} == failed
    assert len(failed) == 10
    assert sorted(cause.exception_type for cause in causes) == [
        "KeyError",
        "ValueError",
    ]
    for cause in causes:
        with unchanged(client):
            again = dbgkit.replay(cause)
        assert again.outcome == "same"
        assert again.failure.key == cause.key
        entered(again, "boom_of_two_kinds")


def test_a_failure_that_was_located_before(client):
    future = fail(client, tasks.ratio, 5, 0)
    failure = dbgkit.locate(future)
    with unchanged(client):
        again = dbgkit.replay(failure)
    assert again.failure.key == future.key
    entered(again, "ratio", a=5, b=0)


def test_a_replay_that_was_made_before(client):
    future = fail(client, tasks.ratio, 5, 0)
    first = dbgkit.replay(future)
    with unchanged(client):
        again = dbgkit.replay(first)
    assert again.failure.key == future.key
    entered(again, "ratio", a=5, b=0)


def test_a_closed_replay_is_still_a_target(client):
    exception = failed_compute(delayed_job(), ZeroDivisionError)
    forgotten(client)
    with dbgkit.replay(exception) as first:
        pass
    entered(dbgkit.replay(first), "ratio", a=5, b=0)


def test_a_mixed_list_of_targets(client):
    future = fail(client, tasks.ratio, 5, 0)
    exception = failed_compute(array_job(), ValueError)
    located = dbgkit.locate([future, exception])
    assert {located.key, *located.others} >= {future.key}
    causes = locate_all([future, exception])
    assert [cause.exception_type for cause in causes] == [
        "ZeroDivisionError",
        "ValueError",
    ]


def test_what_has_finished_is_not_taken_where_something_has_failed(client):
    good = client.submit(tasks.inc, 1)
    collection = delayed_job()
    failed_compute(collection, ZeroDivisionError)
    settle(client)
    with unchanged(client):
        again = dbgkit.replay([good, collection])
    assert (again.failure.key, again.outcome) == (collection.key, "same")
    entered(again, "ratio", a=5, b=0)


def test_a_persisted_collection_that_has_not_failed(client):
    collection = dask.delayed(tasks.inc)(4).persist()
    wait(collection)
    with unchanged(client):
        with pytest.raises(NotFailed):
            dbgkit.locate(collection)
        again = dbgkit.replay(collection)
    assert (again.outcome, again.result) == ("passed", 5)


def test_failures_that_were_located_apart_are_put_in_order(client):
    first = fail(client, tasks.ratio, 5, 0)
    second = fail(client, tasks.boom, 5)
    located = [dbgkit.locate(second), dbgkit.locate(first)]
    with unchanged(client):
        again = dbgkit.replay(located)
    assert again.failure.key == first.key
    assert again.failure.others == (second.key,)
    entered(again, "ratio", a=5, b=0)


def test_one_failure_handed_in_three_ways_is_one(client):
    future = fail(client, tasks.ratio, 5, 0)
    with pytest.raises(ZeroDivisionError) as caught:
        future.result()
    with unchanged(client):
        failure = dbgkit.locate([future.key, caught.value, future])
    assert (failure.key, failure.others) == (future.key, ())


def test_a_wait_that_timed_out_leads_to_what_has_failed(client):
    future = fail(client, tasks.ratio, 5, 0)
    lock = Lock("gauntlet")
    assert lock.acquire(timeout=10)
    waiting = client.submit(tasks.wait_for, "gauntlet")
    try:
        with pytest.raises(TimeoutError) as caught:
            wait([future, waiting], timeout=0.05)
        failure = dbgkit.locate(caught.value)
    finally:
        lock.release()
    assert failure.key == future.key
    assert waiting.result() is None


def test_with_nothing_the_last_computation_that_failed_is_meant(client):
    first = fail(client, tasks.ratio, 1, 0, key="first-1")
    wait_until(lambda: client.run_on_scheduler(is_idle), "the first is over")
    second = fail(client, tasks.ratio, 2, 0, key="second-1")
    assert dbgkit.locate(client=client).key == "second-1"
    assert dbgkit.replay(client=client).args == (2, 0)
    second.release()
    wait_until(
        lambda: dbgkit.locate(client=client).key == "first-1", "the second is forgotten"
    )
    assert first.status == "error"


def is_idle(dask_scheduler=None):
    return dask_scheduler.is_idle
