"""What replays rely on in Dask around a task, pinned: one test for each private use."""

from __future__ import annotations

import inspect
import threading

import pytest
from distributed import Client, Future, Lock, Semaphore, Worker, get_worker
from distributed.actor import Actor, ProxyRPC
from distributed.core import PooledRPCCall
from distributed.scheduler import Scheduler
from distributed.utils import set_thread_state, thread_state
from watching import wait_until

from dbgkit.remote.common.leases import refreshed_by
from dbgkit.remote.worker.replay_waits import _CHANGES, _WAITS
from dbgkit.replays.standin_pool import PoolStandIn


def names_of(function):
    """All names that a function and those within it use."""
    code = inspect.unwrap(function).__code__
    found, stack = set(), [code]
    while stack:
        code = stack.pop()
        found |= {*code.co_names, *code.co_varnames, *code.co_freevars}
        stack += [each for each in code.co_consts if inspect.iscode(each)]
    return found


def parameters(function):
    return set(inspect.signature(function).parameters)


# -- the thread of a task (replays/standin_pool.py) ----------------------------------


def test_secede_and_rejoin_touch_these_parts_of_the_pool():
    from distributed import threadpoolexecutor as pool

    touched = names_of(pool.secede) | names_of(pool.rejoin)
    of_the_pool = {
        "_threads",
        "_adjust_thread_count",
        "_rejoin_lock",
        "_rejoin_list",
        "submit",
    }
    assert of_the_pool <= touched
    assert all(hasattr(PoolStandIn(), name) for name in of_the_pool)
    assert {"proceed", "executor"} <= touched


def test_a_thread_leaves_the_pool_and_comes_back():
    from distributed.threadpoolexecutor import rejoin, secede
    from distributed.threadpoolexecutor import thread_state as pool_state

    pool_state.executor, pool_state.proceed = pool, _ = PoolStandIn(), True
    try:
        secede()
        assert pool._threads == set()
        with pytest.raises(KeyError):
            secede()
        rejoin()
        assert pool._threads == {threading.current_thread()}
    finally:
        del pool_state.executor, pool_state.proceed


def test_worker_client_and_secede_read_the_state_of_the_thread():
    from distributed import secede, worker_client

    assert {"start_time", "key"} <= names_of(worker_client)
    assert {"start_time", "key", "handle_stimulus"} <= names_of(secede)
    with set_thread_state(start_time=1.0, key="a"):
        assert (thread_state.start_time, thread_state.key) == (1.0, "a")
    assert not hasattr(thread_state, "key")


# -- clients (replays/standin_client.py) ---------------------------------------------


def test_gather_and_scatter_ask_for_the_worker_that_they_run_on():
    assert "get_worker" in names_of(Client.gather)
    assert "get_worker" in names_of(Client.scatter)


def test_a_client_takes_its_own_futures_only():
    assert "mismatched_futures" in names_of(Client._gather)
    assert "_client" in names_of(Future.bind_client)


def test_queues_and_variables_go_through_their_clients_sync_and_scheduler():
    from distributed import Event, Queue, Variable

    for function in (Queue.get, Queue.put, Variable.get, Variable.set, Event.wait):
        assert {"client", "sync"} <= names_of(function)
    for function in (Queue._get, Queue._put, Variable._get, Event.wait):
        assert "scheduler" in names_of(function)
    assert "queue_release" in inspect.getsource(Queue.close)


def test_the_scheduler_counts_who_uses_a_queue():
    from distributed.queues import QueueExtension

    assert "client_refcount" in names_of(QueueExtension.create)
    assert "client_refcount" in names_of(QueueExtension.release)


# -- operations of the scheduler (remote/worker/replay_waits.py) ----------------


def test_operations_that_wait_have_a_timeout():
    from distributed.event import EventExtension
    from distributed.multi_lock import MultiLockExtension
    from distributed.queues import QueueExtension
    from distributed.variable import VariableExtension

    handlers = {
        "queue_get": QueueExtension.get,
        "queue_put": QueueExtension.put,
        "variable_get": VariableExtension.get,
        "variable_set": VariableExtension.set,
        "event_wait": EventExtension.event_wait,
        "multi_lock_acquire": MultiLockExtension.acquire,
    }
    assert handlers.keys() == _WAITS.keys()
    for function in handlers.values():
        assert "timeout" in parameters(function)


def test_the_scheduler_has_handlers_of_all_these_names(inproc_client):
    def handlers(dask_scheduler):
        return sorted(dask_scheduler.handlers)

    known = set(inproc_client.run_on_scheduler(handlers))
    assert {*_WAITS, *_CHANGES, "queue_create", "broadcast", "proxy"} <= known
    assert {
        "semaphore_register",
        "semaphore_acquire",
        "semaphore_release",
        "semaphore_refresh_leases",
        "semaphore_value",
        "semaphore_close",
    } <= known


def test_an_rpc_has_an_address_of_its_own_and_operations_for_the_rest():
    rpc = PooledRPCCall("tcp://127.0.0.1:1", None)
    assert rpc.address == "tcp://127.0.0.1:1"
    assert inspect.iscoroutinefunction(rpc.any_operation)
    assert hasattr(PooledRPCCall, "close_rpc")


def test_broadcast_leaves_out_workers_that_fail():
    assert {"msg", "workers", "on_error"} <= parameters(Scheduler.broadcast)
    assert "ignore" in inspect.getsource(Scheduler.broadcast)


# -- locks (remote/common/leases.py, remote/worker/replay_leases.py) ----------------


def test_a_lock_is_a_semaphore_with_one_lease():
    assert issubclass(Lock, Semaphore)
    lock = Lock("standin-contract", scheduler_rpc=object(), loop=None)
    assert (lock.max_leases, list(lock._leases)) == (1, [])


def test_the_loop_leads_to_the_semaphores_that_it_refreshes(processes_client):
    loop = processes_client.loop.asyncio_loop
    with Lock("standin-contract", loop=processes_client.loop) as lock:
        assert lock in refreshed_by(loop)
        assert len(lock._leases) == 1
        assert lock._scheduler is not None
        lock.refresh_callback.stop()
        wait_until(lambda: lock not in refreshed_by(loop), "it is refreshed no more")


def test_a_task_makes_its_locks_with_the_scheduler_of_its_worker(client):
    def same_scheduler():
        lock = Lock("standin-contract")
        worker = get_worker()
        return lock.scheduler is worker.scheduler and lock.loop is worker.loop

    assert client.submit(same_scheduler, pure=False).result(timeout=20)


def test_the_scheduler_keeps_leases_and_their_number_by_name(inproc_client):
    def look(dask_scheduler):
        extension = dask_scheduler.extensions["semaphores"]
        return extension.max_leases.get("standin-two"), len(
            extension.leases.get("standin-two", ())
        )

    semaphore = Semaphore(max_leases=2, name="standin-two")
    with semaphore:
        assert inproc_client.run_on_scheduler(look) == (2, 1)
    semaphore.close()
    assert inproc_client.run_on_scheduler(look) == (None, 0)


def test_a_worker_knows_what_runs_on_it(client):
    def running():
        worker = get_worker()
        key = worker.get_current_task()
        executing = {ts.key for ts in worker.state.executing}
        with worker.active_threads_lock:
            threads = set(worker.active_threads.values())
        return key in executing, key in threads, len(worker.state.long_running)

    told = client.submit(running, pure=False).result(timeout=20)
    assert told == (True, True, 0)


def test_a_process_knows_its_workers(client):
    def count():
        return get_worker() in list(Worker._instances)

    assert client.submit(count, pure=False).result(timeout=20)


# -- actors (replays/standin.py) ------------------------------------------------


def test_an_actor_asks_its_worker_for_loop_and_rpc():
    assert {"_worker", "loop"} <= names_of(Actor._io_loop.fget)
    assert {"_worker", "rpc"} <= names_of(Actor._worker_rpc.fget)
    assert "actor_execute" in names_of(Actor.__getattr__)
    assert "actor_attribute" in names_of(Actor.__getattr__)
    assert "thread_id" in names_of(Actor._asynchronous.fget)


def test_an_answer_of_an_actors_worker_may_be_an_error():
    assert {"status", "exception"} <= {
        text
        for code in [Actor.__getattr__.__code__]
        for text in inspect.getsource(Actor.__getattr__).replace('"', " ").split()
        if code
    }


def test_the_scheduler_passes_questions_to_a_worker_on():
    assert parameters(ProxyRPC.__init__) >= {"rpc", "address"}
    assert "proxy" in names_of(ProxyRPC.__getattr__)


# -- plugins (remote/worker/parts.py) -----------------------------------------------


def test_cloudpickles_pickler_asks_for_persistent_ids():
    import io
    import pickle

    from cloudpickle import Pickler

    class Named(Pickler):
        def persistent_id(self, each):
            return "named" if each is marked else None

    class Names(pickle.Unpickler):
        def persistent_load(self, each):
            return each

    marked = object()
    file = io.BytesIO()
    Named(file).dump([marked, lambda x: x + 1])
    name, function = Names(io.BytesIO(file.getvalue())).load()
    assert (name, function(1)) == ("named", 2)


def test_a_worker_has_its_plugins_by_name(client):
    def plugins():
        return isinstance(get_worker().plugins, dict)

    assert client.submit(plugins, pure=False).result(timeout=20)
