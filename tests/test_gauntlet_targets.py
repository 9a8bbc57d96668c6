"""Whatever a user hands in, or nothing at all, leads to the task that failed."""

from __future__ import annotations

import asyncio
import sys
import threading

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import tasks
from dask.distributed import Client, as_completed, wait
from watching import (
    entered,
    forgotten,
    known_keys,
    own_frame,
    settle,
    unchanged,
    wait_until,
)

import dbgkit
from dbgkit.api import locate_all
from dbgkit.cluster.link import Link, extension_name
from dbgkit.errors import NoFailure, NoTask

pytestmark = pytest.mark.core


@pytest.fixture(autouse=True)
def no_exception_at_hand(monkeypatch):
    """The interpreter remembers no exception of another test."""
    for name in ("last_exc", "last_value", "last_type", "last_traceback"):
        monkeypatch.delattr(sys, name, raising=False)


def delayed_job():
    return dask.delayed(tasks.ratio)(
        dask.delayed(tasks.inc)(4), dask.delayed(tasks.inc)(-1)
    )


def bag_job():
    return db.from_sequence(range(20), npartitions=4).map(tasks.boom_at, 13)


def array_job():
    x = da.arange(20, chunks=5) * 1
    return x.map_blocks(tasks.bad_chunk, meta=np.array((), dtype=x.dtype))


def dataframe_job():
    frame = dd.from_pandas(pd.DataFrame({"x": range(20)}), npartitions=4)
    return frame.map_partitions(tasks.bad_part, meta=frame._meta)


JOBS = {
    "delayed": (delayed_job, "ratio", {"a": 5, "b": 0}, ZeroDivisionError),
    "bag": (bag_job, "boom_at", {"x": 13, "bad": 13}, ValueError),
    "array": (array_job, "bad_chunk", {"largest": 14}, ValueError),
    "dataframe": (dataframe_job, "bad_part", {"rows": 5}, ValueError),
}


@pytest.fixture(params=JOBS)
def job(request):
    """A collection that fails: how it is made, where, on what, with what."""
    return JOBS[request.param]


def newest_erred(dask_scheduler):
    return dask_scheduler.erred_tasks[0].key


def failed_compute(collection, error, **options):
    """What a compute raised; nothing of it is kept but the exception."""
    with pytest.raises(error) as caught:
        collection.compute(**options)
    return caught.value


def fail(client, function, *args, **options):
    """A future that has failed."""
    future = client.submit(function, *args, **options)
    wait_until(lambda: future.status == "error", f"{future} has failed")
    return future


# -- an exception of which nothing was kept ------------------------------------


def test_compute_raised_and_the_tasks_are_forgotten(client, job):
    make, function, values, error = job
    exception = failed_compute(make(), error)
    key = client.run_on_scheduler(newest_erred)
    forgotten(client)
    with unchanged(client):
        again = dbgkit.replay(exception)
    assert again.failure.key == key
    assert again.failure.source == "graph"
    assert again.outcome == "same"
    entered(again, function, **values)


def test_compute_raised_and_the_tasks_are_just_being_forgotten(client, job):
    make, function, values, error = job
    exception = failed_compute(make(), error)
    again = dbgkit.replay(exception)
    assert again.failure.key == client.run_on_scheduler(newest_erred)
    assert again.outcome == "same"
    entered(again, function, **values)
    forgotten(client)


def test_locate_alone_after_compute_raised(client, job):
    make, function, _, error = job
    exception = failed_compute(make(), error)
    forgotten(client)
    with unchanged(client):
        failure = dbgkit.locate(exception)
    assert failure.key == client.run_on_scheduler(newest_erred)
    assert failure.exception_type == error.__name__
    assert failure.message == str(exception)
    assert function in failure.traceback_text
    assert failure.worker in client.scheduler_info()["workers"]
    assert failure.when is not None


def test_an_exception_that_was_raised_from_the_failure(client):
    try:
        try:
            delayed_job().compute()
        except ZeroDivisionError as error:
            raise RuntimeError("the report could not be made") from error
    except RuntimeError as error:
        again = dbgkit.replay(error)
    assert again.failure.exception_type == "ZeroDivisionError"
    entered(again, "ratio", a=5, b=0)


def test_the_exception_being_handled_is_the_default_target(client):
    try:
        delayed_job().compute()
    except ZeroDivisionError:
        failure = dbgkit.locate()
    assert failure.exception_type == "ZeroDivisionError"
    assert failure.key == client.run_on_scheduler(newest_erred)


def test_the_last_exception_at_the_prompt_is_the_default_target(client, monkeypatch):
    exception = failed_compute(delayed_job(), ZeroDivisionError)
    monkeypatch.setattr(sys, "last_value", exception, raising=False)
    monkeypatch.setattr(sys, "last_exc", exception, raising=False)
    again = dbgkit.replay()
    entered(again, "ratio", a=5, b=0)


def test_300_parallel_failures_in_one_compute_find_the_one_that_was_raised(client):
    jobs = [dask.delayed(tasks.boom_slowly)(number) for number in range(300)]
    key_of = {job.key: number for number, job in enumerate(jobs)}
    with pytest.raises(ValueError) as caught:
        dask.compute(*jobs)
    settle(client)
    again = dbgkit.replay(caught.value)
    assert str(again.exception) == str(caught.value)
    entered(again, "boom_slowly", x=key_of[again.failure.key])


def test_300_failed_futures_are_each_matched_to_their_own_key(client):
    futures = client.map(tasks.boom_slowly, range(300))
    wait(futures)
    errors = {}
    for future in futures:
        with pytest.raises(ValueError) as caught:
            future.result()
        errors[future.key] = caught.value
    with unchanged(client):
        found = {key: dbgkit.locate(error).key for key, error in errors.items()}
    assert found == {key: key for key in errors}


def test_another_clients_failure_of_the_same_kind_comes_first(client):
    exception = failed_compute(delayed_job(), ZeroDivisionError)
    own = client.run_on_scheduler(newest_erred)
    with Client(client.scheduler.address, set_as_default=False) as other:
        theirs = fail(other, tasks.ratio, 8, 0)
        assert client.run_on_scheduler(newest_erred) == theirs.key
        with unchanged(other, settled=False):
            again = dbgkit.replay(exception)
    assert again.failure.key == own
    entered(again, "ratio", a=5, b=0)


def test_another_clients_failure_is_not_taken_for_the_own_newest(client):
    future = fail(client, tasks.ratio, 5, 0)
    with Client(client.scheduler.address, set_as_default=False) as other:
        fail(other, tasks.boom, 8)
        assert dbgkit.locate(client=client).key == future.key


def test_with_no_failure_of_ones_own_the_schedulers_newest_is_marked(client):
    with Client(client.scheduler.address, set_as_default=False) as other:
        theirs = fail(other, tasks.boom, 8)
        with unchanged(client):
            failure = dbgkit.locate(client=client)
        assert failure.key == theirs.key
    assert any("another client" in note for note in failure.notes)


def test_the_newest_failed_future_is_the_default_target(client):
    fail(client, tasks.boom, 1)
    newest = fail(client, tasks.ratio, 5, 0)
    finished = client.submit(tasks.inc, 1)
    wait(finished)
    with unchanged(client):
        assert dbgkit.locate().key == newest.key


def test_nothing_has_failed(client):
    with unchanged(client), pytest.raises(NoFailure):
        dbgkit.locate(client=client)


# -- futures, keys, collections ------------------------------------------------


def test_a_future(client):
    future = fail(client, tasks.ratio, 5, 0)
    with unchanged(client):
        again = dbgkit.replay(future)
    assert (again.failure.key, again.outcome) == (future.key, "same")
    assert (again.failure.attempts, again.failure.source) == (1, "scheduler")
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


# -- clients -------------------------------------------------------------------


def test_an_address_opens_a_client_and_closes_it(processes_client):
    future = fail(processes_client, tasks.ratio, 5, 0)
    with unchanged(processes_client):
        again = dbgkit.replay(
            future.key, client=processes_client.scheduler.address, timeout=20
        )
    assert again.failure.key == future.key
    assert Client.current() is processes_client
    entered(again, "ratio", a=5, b=0)


def test_two_clients_at_once(client):
    with Client(client.scheduler.address, set_as_default=False) as other:
        futures = {
            client: fail(client, tasks.ratio, 5, 0),
            other: fail(other, tasks.boom, 8),
        }
        found = {}

        def look(each, future):
            found[each] = [dbgkit.replay(future) for _ in range(5)]

        threads = [
            threading.Thread(target=look, args=pair) for pair in futures.items()
        ]
        with unchanged(client), unchanged(other):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        for each, replays in found.items():
            assert {r.failure.key for r in replays} == {futures[each].key}
            assert {r.outcome for r in replays} == {"same"}
        entered(found[client][-1], "ratio", a=5, b=0)
        entered(found[other][-1], "boom", doubled=16)


def handlers(dask_scheduler):
    return {
        "handlers": sorted(map(str, dask_scheduler.handlers)),
        "plugins": sorted(map(str, dask_scheduler.plugins)),
    }


def test_the_extension_can_be_taken_off(client):
    link = Link(client, 30)
    future = fail(client, tasks.ratio, 5, 0)
    link.visit()
    link.remove_extension()
    before = client.run_on_scheduler(handlers)
    assert not any("dbgkit" in name for name in [*before["handlers"]])
    dbgkit.locate(future)
    during = client.run_on_scheduler(handlers)
    assert f"{extension_name()}-visit" in during["handlers"]
    link.remove_extension()
    assert client.run_on_scheduler(handlers) == before
    # On first use it is there again.
    assert dbgkit.locate(future).key == future.key


def test_an_extension_that_another_client_took_off_is_put_back(client):
    future = fail(client, tasks.ratio, 5, 0)
    dbgkit.locate(future)
    with Client(client.scheduler.address, set_as_default=False) as other:
        link = Link(other, 30)
        link.visit()
        link.remove_extension()
    assert dbgkit.locate(future).key == future.key


async def _asynchronously(address):
    async with Client(address, asynchronous=True) as client:
        future = client.submit(tasks.ratio, 5, 0)
        await wait(future)
        failure = await dbgkit.locate(future)
        again = await dbgkit.replay(future)
        shown = await dbgkit.debug(future, prompt=False)
        with pytest.raises(ZeroDivisionError) as caught:
            await client.compute(delayed_job())
        awaited = await dbgkit.replay(caught.value)
        assert future.status == "error"
        return future.key, failure, again, shown, awaited


def test_an_asynchronous_client(cluster, capsys):
    key, failure, again, shown, awaited = asyncio.run(
        _asynchronously(cluster.scheduler_address)
    )
    assert failure.key == key
    assert again.outcome == shown.outcome == awaited.outcome == "same"
    entered(again, "ratio", a=5, b=0)
    entered(awaited, "ratio", a=5, b=0)
    assert "ZeroDivisionError" in capsys.readouterr().out


async def _asynchronous_cluster(processes):
    async with Client(
        asynchronous=True,
        processes=processes,
        n_workers=1,
        threads_per_worker=1,
        dashboard_address=":0",
    ) as client:
        held = client.submit(tasks.inc, 4)
        future = client.submit(tasks.ratio, held, 0)
        await wait(future)
        again = await dbgkit.replay(future)
        return future.key, again, await held


@pytest.mark.parametrize("processes", [True, False])
def test_an_asynchronous_client_with_its_own_cluster(processes):
    key, again, held = asyncio.run(_asynchronous_cluster(processes))
    assert (again.failure.key, again.outcome, held) == (key, "same", 5)
    entered(again, "ratio", a=5, b=0)


def test_a_cluster_with_tls(harmable):
    from distributed.security import Security

    security = Security.temporary()
    with harmable(
        n_workers=1, processes=True, protocol="tls://", security=security
    ) as client:
        assert client.scheduler.address.startswith("tls://")
        exception = failed_compute(delayed_job(), ZeroDivisionError)
        forgotten(client)
        with unchanged(client):
            again = dbgkit.replay(exception)
    assert again.outcome == "same"
    entered(again, "ratio", a=5, b=0)


# -- no cluster ----------------------------------------------------------------


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_a_failure_under_a_scheduler_of_this_process(job, scheduler):
    make, function, values, error = job
    exception = failed_compute(make(), error, scheduler=scheduler)
    again = dbgkit.replay(exception)
    assert again.failure.key is not None
    assert again.failure.source == "local"
    assert again.outcome == "same"
    entered(again, function, **values)


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_debug_enters_a_local_failure_as_it_happened(job, scheduler, capsys):
    make, function, values, error = job
    exception = failed_compute(make(), error, scheduler=scheduler)
    again = dbgkit.debug(exception, prompt=False)
    assert again.exception is exception
    entered(again, function, **values)
    assert function in capsys.readouterr().out


def test_a_failure_under_the_process_scheduler(job):
    make, function, values, error = job
    exception = failed_compute(make(), error, scheduler="processes", num_workers=1)
    again = dbgkit.replay(exception)
    assert again.outcome == "same"
    assert again.failure.key is not None
    entered(again, function, **values)


def test_a_local_failure_while_a_client_is_connected(client):
    exception = failed_compute(delayed_job(), ZeroDivisionError, scheduler="sync")
    with unchanged(client):
        again = dbgkit.replay(exception)
    assert again.failure.source == "local"
    entered(again, "ratio", a=5, b=0)


def needs_rows(frame):
    first = frame["x"].iloc[7]
    return frame.assign(y=1 / (first - first))


def test_meta_inference_of_a_dataframe(capsys):
    frame = dd.from_pandas(pd.DataFrame({"x": range(20)}), npartitions=4)
    with pytest.raises(Exception) as caught:
        frame.map_partitions(needs_rows)
    failure = dbgkit.locate(caught.value)
    assert (failure.source, failure.exception_type) == ("meta", "IndexError")
    with pytest.raises(NoTask):
        dbgkit.replay(caught.value)
    again = dbgkit.debug(caught.value, prompt=False)
    assert own_frame(again.exception).f_code.co_name == "needs_rows"
    assert "made-up data" in capsys.readouterr().out


def needs_numbers(block):
    size = len(block)
    raise TypeError(f"no numbers among {size}")


def test_meta_inference_of_an_array(capsys):
    with pytest.raises(Exception) as caught:
        da.ones((4, 4), chunks=2).map_blocks(needs_numbers, dtype=None).compute()
    failure = dbgkit.locate(caught.value)
    assert (failure.source, failure.exception_type) == ("meta", "TypeError")
    again = dbgkit.debug(caught.value, prompt=False)
    entered(again, "needs_numbers")
    assert "made-up data" in capsys.readouterr().out


def test_an_exception_that_has_nothing_to_do_with_dask(capsys):
    with pytest.raises(ZeroDivisionError) as caught:
        tasks.ratio(5, 0)
    failure = dbgkit.locate(caught.value)
    assert (failure.key, failure.source) == (None, "exception")
    again = dbgkit.debug(caught.value, prompt=False)
    entered(again, "ratio", a=5, b=0)
    assert "nothing to do with Dask" in capsys.readouterr().out


def test_an_exception_of_the_users_own_code_while_futures_are_failing(client):
    future = fail(client, tasks.ratio, 5, 0)

    def report(failed):
        raise KeyError("no such column")

    with pytest.raises(KeyError) as caught:
        report(future)
    with unchanged(client):
        failure = dbgkit.locate(caught.value)
    assert (failure.source, failure.key) == ("exception", None)
    assert known_keys(client) == {future.key}
