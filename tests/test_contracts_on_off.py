"""What turning the recorder on and off builds on in Dask, each fact by name."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from conftest import own_cluster
from distributed import Client, Nanny, Scheduler, Worker
from distributed.core import Server, _expects_comm
from distributed.diagnostics.plugin import SchedulerPlugin, WorkerPlugin
from watching import wait_until

from dbgkit.cluster.clients import OWN_NAME, opened_client
from dbgkit.remote.common.handlers import Handler
from dbgkit.remote.scheduler.leftovers import OWN_CLIENT

pytestmark = pytest.mark.usefixtures("recorder_off")


class Slow(WorkerPlugin):
    """Takes its time to be set up."""

    async def setup(self, worker):
        self.ready = False
        await asyncio.sleep(0.5)
        self.ready = True


class Asks(SchedulerPlugin):
    """Asks each worker for something as soon as it is known of."""

    def __init__(self):
        self.answered = []
        self.asking = []

    def add_worker(self, scheduler, worker):
        self.asking.append(asyncio.ensure_future(self.ask(scheduler, worker)))

    async def ask(self, scheduler, worker):
        await scheduler.rpc(worker).identity()
        self.answered.append(worker)


def test_a_worker_that_joins_answers_once_its_plugins_are_set_up():
    with own_cluster(n_workers=0, processes=False) as client:
        client.register_plugin(Slow(), name="slow")
        asks = Asks()
        client.cluster.scheduler.add_plugin(asks, name="asks")
        client.cluster.scale(1)
        wait_until(lambda: asks.answered, "it has answered")
        (worker,) = client.cluster.workers.values()
        assert worker.plugins["slow"].ready


def test_a_plugin_that_a_preload_has_put_there_is_started_again():
    source = inspect.getsource(Scheduler.start_unsafe)
    assert source.index("self.preloads.start()") < source.index("plugin.start(self)")


def test_setting_up_a_plugin_is_awaited():
    for kind in (Worker, Nanny):
        source = inspect.getsource(kind.plugin_add)
        assert "isawaitable(result)" in source and "await result" in source


def test_a_server_has_handlers_by_name_and_keeps_what_has_handled_a_message():
    class Owner:
        async def answer(self, number):
            return number + 1

    owner = Owner()
    handler = Handler("op", owner, "answer")
    assert "_expects_comm(handler)" in inspect.getsource(Server._handle_comm)
    assert not _expects_comm(handler)
    assert asyncio.run(handler(number=1)) == 2
    before = _expects_comm.cache_info().currsize
    assert not _expects_comm(Handler("op", Owner(), "answer"))
    assert _expects_comm.cache_info().currsize == before
    del owner
    assert asyncio.run(handler(number=1)) is None


def test_the_id_of_a_client_has_its_name():
    with own_cluster(n_workers=0, processes=False) as client:
        address = client.scheduler.address
        with opened_client(address, 30) as opened:
            assert opened.id.startswith(OWN_CLIENT)
            assert f"Client-{OWN_NAME}-" == OWN_CLIENT
        with Client(address, set_as_default=False) as other:
            assert not other.id.startswith(OWN_CLIENT)


class Told(SchedulerPlugin):
    def __init__(self):
        self.gone = []

    def remove_client(self, scheduler, client):
        self.gone.append((client, client in scheduler._broker._topics))


def test_a_client_that_closes_is_told_of_and_leaves_a_topic():
    with own_cluster(n_workers=0, processes=False) as client:
        scheduler, told = client.cluster.scheduler, Told()
        scheduler.add_plugin(told, name="told")
        with Client(client.scheduler.address, set_as_default=False) as other:
            gone = other.id
        wait_until(lambda: gone not in scheduler.client_comms, "it has gone")
        assert told.gone == [(gone, True)]
        events = [event["action"] for _, event in scheduler.get_events(gone)]
        assert events == ["add-client", "remove-client", "remove-client"]


def test_a_scheduler_keeps_prefixes_and_computations_of_what_is_forgotten():
    with own_cluster(n_workers=1, processes=False) as client:
        scheduler = client.cluster.scheduler
        client.submit(abs, -1, key="abs-1").result()
        wait_until(lambda: not scheduler.tasks, "it is forgotten")
        prefix = scheduler.task_prefixes["abs"]
        wait_until(lambda: not prefix.groups, "its group is forgotten")
        assert not scheduler.task_groups
        (computation,) = scheduler.computations
        (group,) = computation.groups
        assert group.prefix is prefix
