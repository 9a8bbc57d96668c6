"""What the recorder builds on in Dask, each fact by name."""

from __future__ import annotations

import gc
import os
import time
import weakref

import pytest
from distributed import Client, rpc, wait
from distributed.diagnostics.plugin import SchedulerPlugin, WorkerPlugin
from distributed.utils import get_traceback
from tasks import ratio
from watching import forgotten, settle, state_of, wait_until


@pytest.fixture
def client(inproc):
    with Client(inproc) as client:
        forgotten(client)
        yield client


class Spy(WorkerPlugin):
    """Sees a task's states, and what its run spec is then."""

    def __init__(self):
        self.seen = []

    def setup(self, worker):
        self.worker = worker

    def transition(self, key, start, finish, **kwargs):
        spec = self.worker.state.tasks[key].run_spec
        text = self.worker.state.tasks[key].exception_text
        self.seen.append((finish, spec is not None, bool(text)))


def test_worker_plugins_hear_of_executing_before_the_run_spec_is_read(client):
    client.register_plugin(Spy(), name="spy")
    try:
        future = client.submit(ratio, 1, 0, pure=False)
        wait(future)
        found = client.run(lambda dask_worker: dask_worker.plugins["spy"].seen)
        (seen,) = [each for each in found.values() if each]
    finally:
        client.unregister_worker_plugin("spy")
    assert ("executing", True, False) in seen
    # The text is there by the time that plugins hear of the failure.
    assert any(finish == "error" and told for finish, _, told in seen)


class Listener(SchedulerPlugin):
    def __init__(self):
        self.heard = []

    def start(self, scheduler):
        self.scheduler = scheduler

    def log_event(self, topic, msg):
        if topic == "contract":
            # The topic's own list can be dropped at once.
            self.heard.append((msg, topic in self.scheduler._broker._topics))
            self.scheduler._broker._topics.pop(topic, None)


def test_events_on_a_workers_stream_reach_plugins_of_the_scheduler(client):
    client.register_plugin(Listener(), name="listener")
    try:

        def send(dask_worker):
            dask_worker.batched_stream.send(
                {"op": "log-event", "topic": "contract", "msg": {"key": ("x", 1)}}
            )

        client.run(send, workers=[next(iter(client.scheduler_info()["workers"]))])
        settle(client)
        heard, kept = client.run_on_scheduler(
            lambda dask_scheduler: (
                dask_scheduler.plugins["listener"].heard,
                "contract" in dask_scheduler._broker._topics,
            )
        )
    finally:
        client.unregister_scheduler_plugin("listener")
    assert [(dict(msg)["key"], there) for msg, there in heard] == [(("x", 1), True)]
    assert not kept


def test_a_client_that_never_connected_can_want_keys(client):
    future = client.submit(ratio, 4, 2, key="wanted-by-nobody")
    wait(future)

    def want(dask_scheduler):
        dask_scheduler.client_desires_keys(["wanted-by-nobody"], "contract")

    def let_go(dask_scheduler):
        dask_scheduler.client_releases_keys(["wanted-by-nobody"], "contract")
        return dask_scheduler.clients.pop("contract").client_key

    client.run_on_scheduler(want)
    del future
    settle(client)
    assert client.run_on_scheduler(
        lambda dask_scheduler: dask_scheduler.tasks["wanted-by-nobody"].state
    ) == ("memory")
    assert client.run_on_scheduler(let_go) == "contract"
    forgotten(client)


def test_outer_frames_of_the_workers_own_files_are_left_out_of_tracebacks():
    def outer():
        inner()

    def inner():
        raise ValueError

    name = os.path.join("distributed", "worker", "<dbgkit recorder>")
    outer.__code__ = outer.__code__.replace(co_filename=name)
    this = test_outer_frames_of_the_workers_own_files_are_left_out_of_tracebacks
    own = this.__code__.co_filename
    try:
        outer()
    except ValueError as error:
        entry = error.__traceback__.tb_next
        try:
            raise error.with_traceback(entry)
        except ValueError:
            left = get_traceback()
    names = []
    while left is not None:
        names.append((left.tb_frame.f_code.co_filename, left.tb_frame.f_code.co_name))
        left = left.tb_next
    # This frame raised it again, so it is the first; the one below is the worker's.
    assert names[0][0] == own
    assert names[-1] == (own, "inner")


def test_a_tasks_dependencies_are_still_held_while_it_counts_as_processing(client):
    """So the recording, which is sent ahead of the failure, can have them kept."""
    values = client.submit(ratio, 0, 1, key="input-held")
    future = client.submit(ratio, 1, values, key="uses-it")
    del values
    wait(future)
    # Once the failure is known they are let go of.
    wait_until(
        lambda: client.run_on_scheduler(state_of, key="input-held") == "released",
        "the input is released",
    )


def test_the_scheduler_has_worker_plugins_as_they_were_pickled(client):
    # Used by `recordings_switch.Switch.on`.
    def kinds(dask_scheduler):
        return {
            name: type(each) for name, each in dask_scheduler.worker_plugins.items()
        }

    client.register_plugin(Spy(), name="spy")
    try:
        assert client.run_on_scheduler(kinds)["spy"] is bytes
    finally:
        client.unregister_worker_plugin("spy")


def test_workers_answer_a_broadcast_by_their_handlers(client):
    async def asked(dask_scheduler):
        for worker in workers_of(dask_scheduler):
            worker.handlers["told"] = told
        found = await dask_scheduler.broadcast(
            msg={"op": "told", "limits": {"a": 1}}, on_error="ignore"
        )
        for worker in workers_of(dask_scheduler):
            del worker.handlers["told"]
        return list(found.values())

    def workers_of(scheduler):
        from distributed import Worker

        mine = scheduler.workers
        return [each for each in Worker._instances if each.address in mine]

    def told(limits):
        return limits["a"] + 1

    assert set(client.run_on_scheduler(asked)) == {2}


class States(WorkerPlugin):
    """Hears of each change of a task's state, as it was recommended."""

    def __init__(self):
        self.heard = []

    def transition(self, key, start, finish, **kwargs):
        self.heard.append((start, finish))


def test_a_run_ends_by_what_dask_recommends_then(client, tmp_path):
    """Of a task that is cancelled as it runs, plugins hear twice."""

    def heard(dask_worker):
        return dask_worker.plugins["states"].heard

    def found():
        return [each for some in client.run(heard).values() for each in some]

    client.register_plugin(States(), name="states")
    try:
        future = client.submit(fails_when_there, str(tmp_path / "go"), pure=False)
        wait_until(lambda: ("ready", "executing") in found(), "it runs")
        future.cancel()
        wait_until(lambda: ("executing", "released") in found(), "it is cancelled")
        assert ("cancelled", "error") not in found()
        (tmp_path / "go").touch()
        wait_until(lambda: ("cancelled", "error") in found(), "it ended")
    finally:
        client.unregister_worker_plugin("states")


def fails_when_there(path):
    end = time.monotonic() + 30
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.01)
    raise ValueError


class Kept:
    def handle(self, number):
        return number


def test_what_has_handled_a_message_is_kept_for_good(client):
    """So handlers are no methods of what should go: see `recorder._configure`."""

    async def handled(dask_scheduler):
        kept = Kept()
        dask_scheduler.handlers["kept"] = kept.handle
        async with rpc(dask_scheduler.address) as scheduler:
            await scheduler.kept(number=1)
        del dask_scheduler.handlers["kept"]
        left = weakref.ref(kept)
        del kept
        gc.collect()
        return left() is not None

    assert client.run_on_scheduler(handled)
