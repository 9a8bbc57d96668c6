"""Whose cluster, and by which way: addresses, loops, TLS, several at once."""

from __future__ import annotations

import asyncio
import inspect
import os
import tempfile
import threading
from contextlib import suppress

import pytest
import tasks
from distributed import Client, wait
from jobs import delayed_job, fail, failed_compute
from watching import entered, forgotten, remove_extension, unchanged

import dbgkit
from dbgkit.cluster.extension import extension_name
from dbgkit.cluster.link import Link
from dbgkit.errors import NotHere


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

        threads = [threading.Thread(target=look, args=pair) for pair in futures.items()]
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
    remove_extension(client)
    before = client.run_on_scheduler(handlers)
    assert not any(name.startswith(extension_name()) for name in before["handlers"])
    dbgkit.locate(future)
    during = client.run_on_scheduler(handlers)
    assert f"{extension_name()}-visit" in during["handlers"]
    remove_extension(client)
    assert client.run_on_scheduler(handlers) == before
    # On first use it is there again.
    assert dbgkit.locate(future).key == future.key


def test_an_extension_that_another_client_took_off_is_put_back(client):
    future = fail(client, tasks.ratio, 5, 0)
    dbgkit.locate(future)
    with Client(client.scheduler.address, set_as_default=False) as other:
        link = Link(other, 30)
        link.visit()
        remove_extension(other)
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


# What each verb is called with, where a task has failed.
SAVED = f"{tempfile.gettempdir()}/dbgkit-{os.getpid()}.dbgkit"
TESTED = f"{tempfile.gettempdir()}/test_gauntlet_clients_{os.getpid()}.py"
CALLS = {
    dbgkit.attach: lambda key: {},
    dbgkit.break_at: lambda key: {"place": "no-such-prefix"},
    dbgkit.deaths: lambda key: {},
    dbgkit.debug: lambda key: {"target": key, "prompt": False},
    dbgkit.doctor: lambda key: {},
    dbgkit.failures: lambda key: {},
    dbgkit.live: lambda key: {},
    dbgkit.locate: lambda key: {"target": key},
    dbgkit.peek: lambda key: {},
    dbgkit.record: lambda key: {},
    dbgkit.recordings: lambda key: {"target": key},
    dbgkit.replay: lambda key: {"target": key},
    dbgkit.report: lambda key: {},
    dbgkit.save: lambda key: {"target": key, "path": SAVED},
    dbgkit.story: lambda key: {"target": key},
    dbgkit.tasks: lambda key: {},
    dbgkit.to_test: lambda key: {
        "target": key,
        "path": TESTED,
        "overwrite": True,
    },
    dbgkit.why: lambda key: {"target": key},
    dbgkit.watch: lambda key: {},
}
each_verb = pytest.mark.parametrize("verb", CALLS, ids=lambda verb: verb.__name__)


def test_every_verb_is_among_them():
    verbs = [getattr(dbgkit, name) for name in dbgkit.__all__]
    verbs = {verb for verb in verbs if inspect.isfunction(verb)}
    magics = {dbgkit.load_ipython_extension, dbgkit.unload_ipython_extension}
    # A file is loaded without asking a cluster; what is called here has nothing to
    # shrink (see test_shrink_places.py).
    assert verbs - magics - {dbgkit.load, dbgkit.shrink} <= set(CALLS)


@pytest.fixture(autouse=True, scope="module")
def nothing_left():
    yield
    for path in (SAVED, TESTED):
        with suppress(FileNotFoundError):
            os.remove(path)


@each_verb
def test_a_verb_says_what_it_returns(verb):
    signature = inspect.signature(verb)
    assert "asynchronous" in signature.parameters
    assert signature.return_annotation not in ("Any", inspect.Signature.empty)


@each_verb
def test_a_verb_is_awaited_with_any_client_where_it_is_to_be(verb, client):
    future = fail(client, tasks.ratio, 5, 0)
    called = CALLS[verb](future.key)
    at_once = verb(**called, asynchronous=False)
    called["asynchronous"] = True

    async def awaited():
        pending = verb(**called)
        assert inspect.isawaitable(pending)
        return await pending

    later = asyncio.run(awaited())
    if verb in (dbgkit.break_at, dbgkit.live, dbgkit.record):
        assert isinstance(later, type(at_once))
        off = asyncio.run(later.off())
        assert verb is not dbgkit.record or not off.others
        at_once.off()
    else:
        assert type(later) is type(at_once)


@each_verb
def test_a_verb_does_not_block_the_loop_that_answers_it(verb, cluster):
    async def asked():
        address = cluster.scheduler_address
        async with Client(address, asynchronous=True) as client:
            future = client.submit(tasks.ratio, 5, 0)
            await wait(future)
            with pytest.raises(NotHere, match="asynchronous=False"):
                verb(**CALLS[verb](future.key), asynchronous=False)
            return await asyncio.to_thread(
                verb, **CALLS[verb](future.key), client=client, asynchronous=False
            )

    answer = asyncio.run(asked())
    assert not inspect.isawaitable(answer)


async def _recorder_in_a_block(address):
    async with Client(address, asynchronous=True) as client:
        async with dbgkit.record(asynchronous=True) as recorder:
            future = client.submit(tasks.ratio, 5, 0)
            await wait(future)
            held = await dbgkit.recordings(asynchronous=True)
        off = await recorder.off()
        return future.key, held, off


def test_a_recorder_that_is_awaited(cluster):
    key, held, off = asyncio.run(_recorder_in_a_block(cluster.scheduler_address))
    assert key in [each.key for each in held]
    assert not off.others


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
