"""The gauntlet: tasks that use what surrounds them on a worker, on real clusters."""

from __future__ import annotations

import gc

import pytest
import standin_tasks as tasks
from distributed import Event, Queue, Variable, wait
from jobs import submitter
from watching import entered, unchanged

import dbgkit
from dbgkit import errors
from dbgkit.model import Notice


@pytest.fixture
def failed(client):
    """Submit a call and wait until it has failed."""
    return submitter(client)


@pytest.fixture
def failed_there(processes_client):
    """As `failed`, on worker processes."""
    return submitter(processes_client)


def replayed(client, future, function, *, outcome="same", local=None, **options):
    """Replay: outcome, frame and locals are as given, and the cluster is as it was.

    Returns what was noted, and what was told on the way.
    """
    told = []
    with unchanged(client):
        replay = dbgkit.replay(future, notify=told.append, **options)
        assert replay.outcome == outcome, (replay.exception, replay.notes)
        entered(replay, function.__name__, **(local or {}))
        notes = replay.notes
        replay.close()
        del replay
        gc.collect()
    return notes, [event.text for event in told if isinstance(event, Notice)]


# -- leaving the pool, submitting work ---------------------------------------------


@pytest.mark.parametrize("where", ["here", "process"])
@pytest.mark.parametrize(
    ("function", "local"),
    [
        (tasks.secede_and_fail, {"x": 4}),
        (tasks.secede_and_rejoin, {"half": 2.0}),
        (tasks.use_key, {"same": True}),
    ],
)
def test_a_task_leaves_its_pool_and_comes_back(
    processes_client, failed_there, function, local, where
):
    future = failed_there(function, 4)
    replayed(processes_client, future, function, local=local, where=where)


@pytest.mark.parametrize(
    ("function", "local"),
    [
        (tasks.map_and_gather, {"values": [1, 2, 3, 4]}),
        (tasks.compute_within, {"total": 5}),
        (tasks.collection_within, {"total": 5}),
        (tasks.scatter_within, {"value": 5}),
        (tasks.await_the_client, {"values": [5, 6]}),
    ],
)
def test_work_within_a_task_really_runs_and_is_said_before(
    client, failed, function, local
):
    future = failed(function, 4)
    notes, told = replayed(client, future, function, local=local)
    assert any("really runs" in text for text in told)
    assert any("really ran" in note for note in notes)


@pytest.mark.parametrize(
    ("function", "local"),
    [(tasks.map_and_gather, {"values": [1]}), (tasks.with_lock_of_its_own, {"x": 1})],
)
def test_in_a_notebooks_loop_a_plain_task_is_none_of_it(
    processes_client, failed_there, function, local
):
    import asyncio

    future = failed_there(function, 1)

    async def cell():
        replayed(processes_client, future, function, local=local)

    asyncio.run(cell())


def test_a_task_does_not_close_the_client_that_it_is_given(client, failed):
    event = Event("standin-close")
    event.clear()
    future = failed(tasks.close_the_client, event.name, 4)
    event.set()
    replayed(client, future, tasks.close_the_client)
    assert client.status == "running"


def test_work_within_a_task_runs_from_a_child_too(processes_client, failed_there):
    future = failed_there(tasks.map_and_gather, 3)
    notes, _ = replayed(
        processes_client,
        future,
        tasks.map_and_gather,
        local={"values": [1, 2, 3]},
        where="process",
    )
    assert any("really ran" in note for note in notes)


# -- what is on the worker ---------------------------------------------------------


@pytest.fixture
def with_plugins(client):
    """Plugins that put things on the workers, and keep others to themselves."""
    client.register_plugin(tasks.Loader(3))
    client.register_plugin(tasks.Closed())
    yield
    client.unregister_worker_plugin("loader")
    client.unregister_worker_plugin("closed")


@pytest.mark.parametrize(
    ("function", "local"),
    [
        (tasks.use_plugin, {"value": 12}),
        (tasks.use_attribute, {"value": 12}),
        (tasks.use_state, {"told": (2, "running")}),
        (tasks.cache_on_worker, {"x": 4}),
    ],
)
def test_the_stand_in_has_what_the_worker_has_by_name(
    client, failed, with_plugins, function, local
):
    future = failed(function, 4)
    notes, told = replayed(client, future, function, local=local)
    assert (notes, told) == ((), [])


def test_a_child_asks_the_worker_for_what_it_has(processes_client, failed_there):
    processes_client.register_plugin(tasks.Loader(3))
    try:
        future = failed_there(tasks.use_plugin, 4)
        replayed(
            processes_client,
            future,
            tasks.use_plugin,
            local={"value": 12},
            where="process",
        )
    finally:
        processes_client.unregister_worker_plugin("loader")


@pytest.mark.parametrize(
    ("function", "name"),
    [(tasks.use_sockets, "sockets"), (tasks.use_closed_plugin, "plugins['closed']")],
)
def test_what_cannot_be_sent_is_named(client, failed, with_plugins, function, name):
    future = failed(function, 4)
    with unchanged(client), pytest.raises(errors.StandInLacks) as caught:
        dbgkit.replay(future)
    assert repr(name)[1:-1] in caught.value.message
    assert "where='worker'" in caught.value.hint


def test_what_the_worker_has_not_either_is_the_tasks_own_failure(client, failed):
    future = failed(tasks.use_no_such_attribute, 4)
    notes, _ = replayed(client, future, tasks.use_no_such_attribute)
    assert notes == ()


def test_a_value_that_the_worker_holds_is_read_by_its_key(client, failed):
    held = client.submit(tasks.inc, 7, pure=False)
    wait(held, timeout=30)
    (worker,) = client.who_has(held)[held.key]
    future = failed(tasks.use_data, held.key, workers=[worker])
    replayed(client, future, tasks.use_data, local={"value": 8})


def test_what_a_task_prints_for_clients_is_not_sent(client, failed, capsys):
    future = failed(tasks.print_and_fail, 4)
    before = client.get_events("standin-test")
    notes, _ = replayed(client, future, tasks.print_and_fail, local={"x": 4})
    assert client.get_events("standin-test") == before
    assert "2 events that the task logged or printed for clients: not sent" in notes


def test_a_task_that_asks_to_be_rescheduled_is_said_to(client, failed):
    event = Event("standin-reschedule")
    event.clear()
    future = failed(tasks.reschedule_or_fail, "standin-reschedule", 4)
    event.set()
    notes, _ = replayed(client, future, tasks.reschedule_or_fail, outcome="different")
    assert any("Reschedule" in note for note in notes)


# -- actors ------------------------------------------------------------------------


@pytest.fixture
def counter(client):
    """An actor, by its future."""
    future = client.submit(tasks.Counter, actor=True, pure=False)
    wait(future, timeout=30)
    return future


def count_of(client, counter):
    """What an actor has counted; asked for in a task, whatever this thread knows."""
    return client.submit(tasks.value_of, counter, pure=False).result(timeout=20)


ACTORS = [
    (tasks.use_actor, lambda actor: actor, {"value": "int"}),
    (tasks.use_actors, lambda actor: [actor], {"value": 1}),
    (tasks.use_actors, lambda actor: {"a": actor, "b": actor}, {"value": 2}),
    (tasks.use_actors, lambda actor: tasks.Holder(actor), {"value": 1}),
    (tasks.await_actor, lambda actor: actor, {"value": "int"}),
    (tasks.use_actor_attribute, lambda actor: actor, {"value": "int4"}),
]


@pytest.mark.parametrize(("function", "wrap", "local"), ACTORS)
@pytest.mark.parametrize("by", ["future", "handle"])
def test_calls_reach_the_real_actor(client, failed, counter, function, wrap, local, by):
    actor = counter if by == "future" else counter.result(timeout=20)
    if by == "future" and isinstance(wrap(actor), tasks.Holder):
        pytest.skip("Dask takes no futures out of dataclasses")
    future = failed(function, wrap(actor), 4)
    before = count_of(client, counter)
    _, told = replayed(client, future, function, timeout="10s")
    assert any("the real one" in text for text in told)
    if function is not tasks.use_actor_attribute:
        assert count_of(client, counter) > before


def test_a_child_reaches_the_real_actor(processes_client, failed_there):
    counter = processes_client.submit(tasks.Counter, actor=True, pure=False)
    future = failed_there(tasks.use_actor, counter, 4)
    before = count_of(processes_client, counter)
    replayed(processes_client, future, tasks.use_actor, where="process")
    assert count_of(processes_client, counter) == before + 4


def test_an_actor_within_an_input_is_reached(client, failed, counter):
    holder = client.submit(tasks.holder_of, counter, pure=False)
    future = failed(tasks.use_holder, holder, 4)
    replayed(client, future, tasks.use_holder, timeout="10s")


def test_an_actor_that_does_not_answer_is_waited_for_within_the_limit(
    client, failed, counter
):
    event = Event("standin-slow")
    event.clear()
    future = failed(tasks.wait_for_actor, counter, "standin-slow")
    event.set()
    with pytest.raises(errors.StandInLacks, match="not answered within 1 s"):
        dbgkit.replay(future, timeout="1s")


# -- queues, variables, events -----------------------------------------------------


@pytest.fixture
def queue(client):
    queue = Queue("standin-queue", client=client)
    yield queue
    queue.close()


def test_what_a_task_puts_into_a_queue_is_there_and_said_before(client, failed, queue):
    future = failed(tasks.put_into_queue, queue.name, 4)
    assert queue.get(timeout=10) == 4
    _, told = replayed(client, future, tasks.put_into_queue)
    assert queue.get(timeout=10) == 4
    assert any("puts into the queue" in text for text in told)


def test_an_empty_queue_is_waited_for_within_the_limit(client, failed, queue):
    queue.put(1)
    future = failed(tasks.take_from_queue, queue.name, 4)
    with unchanged(client), pytest.raises(errors.StandInLacks) as caught:
        dbgkit.replay(future, timeout="1s")
    assert f"the queue {queue.name!r}" in caught.value.message
    assert "longer timeout" in caught.value.hint


def test_a_future_from_a_queue_is_gathered(client, failed, queue):
    future = failed(tasks.future_from_queue, queue.name, 4)
    replayed(client, future, tasks.future_from_queue, local={"value": 5})


def test_the_use_of_a_queue_leaves_it_as_it_was(client, failed):
    def count(dask_scheduler):
        return dict(dask_scheduler.extensions["queues"].client_refcount)

    future = failed(tasks.put_into_queue, "standin-counted", 4)
    before = client.run_on_scheduler(count)
    replayed(client, future, tasks.put_into_queue)
    assert client.run_on_scheduler(count) == before


def test_variables_are_read_and_set(client, failed):
    variable = Variable("standin-variable", client=client)
    variable.set(3)
    future = failed(tasks.read_variable, variable.name, 4)
    replayed(client, future, tasks.read_variable, local={"value": 7})
    future = failed(tasks.set_variable, variable.name, 5)
    variable.set(0)
    _, told = replayed(client, future, tasks.set_variable)
    assert variable.get(timeout=10) == 5
    assert any("sets the variable" in text for text in told)
    variable.delete()


def test_an_event_that_is_not_set_is_waited_for_within_the_limit(client, failed):
    event = Event("standin-event")
    event.set()
    future = failed(tasks.wait_for_event, event.name, 4)
    replayed(client, future, tasks.wait_for_event, local={"value": True})
    event.clear()
    with unchanged(client), pytest.raises(errors.StandInLacks) as caught:
        dbgkit.replay(future, timeout="1s")
    assert "the event 'standin-event'" in caught.value.message
