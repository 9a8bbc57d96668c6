"""What we rely on in Dask, by name: a release that changes it fails here first.

Public names are not listed. Each test says in its name which fact it pins; the code
that relies on it cites Dask's file.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import traceback
import weakref
from types import SimpleNamespace

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import distributed.shuffle
import numpy as np
import pandas as pd
import pytest
import tasks
from dask._expr import HLGExpr
from dask._task_spec import (
    Alias,
    DataNode,
    Dict,
    GraphNode,
    List,
    Task,
    TaskRef,
    convert_legacy_graph,
    execute_graph,
)
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from distributed import Client, Future, Scheduler
from watching import forgotten, wait_until

from dbgkit.cluster.clients import scheduler_is_here
from dbgkit.remote.common.frames import walk


def parameters(function):
    return list(inspect.signature(function).parameters)


def raised(function, *args, error=Exception, **options):
    with pytest.raises(error) as caught:
        function(*args, **options)
    return caught.value


def frames(exception, function, file):
    """Frames of one function of Dask in a traceback."""
    return [
        frame
        for frame, _ in walk(exception.__traceback__)
        if frame.f_code.co_name == function and frame.f_code.co_filename.endswith(file)
    ]


def fail(client, function, *args):
    future = client.submit(function, *args, pure=False)
    wait_until(lambda: future.status == "error", "it has failed")
    return future


# -- dask.base.compute, and what makes its expression (targets/tracebacks.py) --------


def collections():
    frame = dd.from_pandas(pd.DataFrame({"x": range(20)}), npartitions=4)
    x = da.arange(20, chunks=5)
    return {
        "delayed": dask.delayed(tasks.boom)(1),
        "bag": db.from_sequence(range(20), npartitions=4).map(tasks.boom_at, 13),
        "array": x.map_blocks(tasks.bad_chunk, meta=np.array((), dtype=x.dtype)),
        "dataframe": frame.map_partitions(tasks.bad_part, meta=frame._meta),
    }


@pytest.mark.parametrize("kind", collections())
def test_compute_keeps_its_expression_and_schedule_in_its_locals(inproc_client, kind):
    error = raised(collections()[kind].compute, error=ValueError)
    (frame,) = frames(error, "compute", "dask/base.py")[-1:]
    local = frame.f_locals
    assert {"collections", "expr", "keys", "schedule"} <= set(local)
    assert local["schedule"].__self__ is inproc_client
    graph = convert_legacy_graph(dict(local["expr"].__dask_graph__()))
    erred = inproc_client.run_on_scheduler(
        lambda dask_scheduler: dask_scheduler.erred_tasks[0].key
    )
    assert erred in graph
    assert isinstance(graph[erred], GraphNode)


@pytest.mark.parametrize("kind", collections())
def test_collections_make_the_expression_that_compute_makes(inproc_client, kind):
    from dask._expr import FinalizeCompute
    from dask.base import collections_to_expr

    collection = collections()[kind]
    error = raised(collection.compute, error=ValueError)
    (frame,) = frames(error, "compute", "dask/base.py")[-1:]
    made = FinalizeCompute(collections_to_expr([collection], True)).optimize()
    keys = set(convert_legacy_graph(dict(made.__dask_graph__())))
    then = set(convert_legacy_graph(dict(frame.f_locals["expr"].__dask_graph__())))
    # The last step, which puts the result together, may have a key of its own.
    assert all("finalize" in str(key) for key in keys ^ then)
    assert keys & then or keys == then
    assert made.__dask_keys__()


def test_persist_is_in_the_same_file_with_its_collections():
    from dask.base import persist

    assert inspect.getsourcefile(persist).endswith("base.py")
    assert "collections" in persist.__code__.co_varnames
    assert "schedule" in persist.__code__.co_varnames


# -- dask.local (a scheduler of this process) ---------------------------------------


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_execute_task_calls_the_users_function_with_key_task_and_data(scheduler):
    job = dask.delayed(tasks.ratio)(5, 0)
    error = raised(job.compute, error=ZeroDivisionError, scheduler=scheduler)
    *_, frame = (frame for frame, _ in walk(error.__traceback__))
    while frame is not None and frame.f_code.co_name != "execute_task":
        frame = frame.f_back
    assert frame is not None
    assert frame.f_code.co_filename.replace("\\", "/").endswith("dask/local.py")
    local = frame.f_locals
    assert local["key"] == job.key
    assert isinstance(local["task"], GraphNode)
    assert not local["task"].dependencies - set(local["data"])


def test_get_sync_takes_nodes_and_tells_callbacks_before_each():
    from dask.callbacks import Callback
    from dask.local import get_sync

    seen = []
    graph = {"a": DataNode("a", 4), "b": Task("b", tasks.inc, TaskRef("a"))}
    with Callback(
        pretask=lambda key, graph, state: seen.append((key, dict(state["cache"])))
    ):
        assert get_sync(graph, ["b"]) in (5, (5,), [5])
    assert [key for key, _ in seen] == ["b"]
    assert seen[0][1]["a"] == 4


# -- dask._task_spec (replays/nodes.py) ----------------------------------------------


def test_tasks_have_func_args_kwargs_and_dependencies():
    task = Task("t", tasks.ratio, TaskRef("a"), b=TaskRef("b"))
    assert (task.key, task.func) == ("t", tasks.ratio)
    assert [arg.key for arg in task.args] == ["a"]
    assert {name: arg.key for name, arg in task.kwargs.items()} == {"b": "b"}
    assert set(task.dependencies) == {"a", "b"}
    assert task({"a": 6, "b": 3}) == 2


def test_nested_nodes_are_called_with_what_they_depend_on():
    inner = List(TaskRef("a"), Dict({"k": TaskRef("b")}))
    task = Task("t", tasks.same, inner)
    (argument,) = task.args
    assert isinstance(argument, GraphNode)
    assert argument({key: key.upper() for key in argument.dependencies}) == [
        "A",
        {"k": "B"},
    ]


def test_substitute_renames_dependencies_and_gives_the_key():
    inner = Task(None, tasks.inc, TaskRef("b"))
    task = Task("t", tasks.same, List(TaskRef("a"), inner))
    renamed = task.substitute({"a": "x", "b": "y"}, key="z")
    assert renamed.key == "z"
    assert set(renamed.dependencies) == {"x", "y"}
    assert renamed({"x": 1, "y": 2}) == [1, 3]
    assert (task.key, set(task.dependencies)) == ("t", {"a", "b"})


def test_substitute_of_nothing_leaves_what_can_be_given_another_key():
    for node in (Task("t", tasks.inc, 1), DataNode("t", 1), List(1, 2)):
        copied = node.substitute({}, key="z")
        copied.key = "z"
        assert copied.key == "z"
        assert copied({}) == node({})


def test_an_alias_has_a_target_that_it_depends_on():
    alias = Alias("a", "b")
    assert (alias.key, alias.target) == ("a", "b")
    assert set(alias.dependencies) == {"b"}
    assert alias({"b": 5}) == 5


def test_a_fused_task_has_its_steps_outkey_and_inkeys_in_its_args():
    fused = Task.fuse(
        Task("one", tasks.inc, TaskRef("in")),
        Task("two", tasks.ratio, TaskRef("one"), 0),
        key="fused",
    )
    assert fused.func.__name__ == "_execute_subgraph"
    steps, outkey, inkeys, *references = fused.args
    assert set(steps) == {"one", "two"}
    assert outkey == "two"
    assert list(inkeys) == ["in"]
    assert [reference.key for reference in references] == ["in"]
    assert fused.key == "fused"


def test_execute_graph_keeps_key_node_cache_and_order_in_its_locals():
    fused = Task.fuse(
        Task("one", tasks.inc, TaskRef("in")),
        Task("two", tasks.ratio, TaskRef("one"), 0),
        key="fused",
    )
    error = raised(fused, {"in": 4}, error=ZeroDivisionError)
    (frame,) = frames(error, "execute_graph", "_task_spec.py")
    local = frame.f_locals
    assert frame.f_code is execute_graph.__code__
    assert local["key"] == "two"
    assert local["node"].func is tasks.ratio
    assert local["cache"]["one"] == 5
    assert local["priorities"]["one"] < local["priorities"]["two"]
    assert {"one", "two"} <= set(local["dsk"])


def test_legacy_tuples_become_nodes():
    graph = convert_legacy_graph({"a": 4, "b": (tasks.inc, "a"), "c": "b"})
    assert all(isinstance(node, GraphNode) for node in graph.values())
    assert graph["b"]({"a": 4}) == 5
    assert isinstance(graph["c"], Alias)


def test_private_keys_may_run_what_another_key_ran(client):
    held = client.submit(tasks.inc, 4)
    node = Task("t", tasks.inc, TaskRef(held.key)).substitute({}, key="private")
    (future,) = client.get({"private": node}, ["private"], sync=False)
    assert future.result() == 6
    assert held.status == "finished"


# -- the client (cluster/clients.py, link.py) ---------------------------------------


def test_a_future_has_its_state_and_its_client(inproc_client):
    future = fail(inproc_client, tasks.ratio, 5, 0)
    assert future._client is inproc_client
    assert future._state is inproc_client.futures[future.key]
    assert isinstance(future._state.exception, ZeroDivisionError)
    assert future._state.status == "error"
    assert inproc_client.submit(tasks.inc, 1)._state.exception is None


def test_result_raises_the_very_exception_that_the_state_holds(inproc_client):
    future = fail(inproc_client, tasks.ratio, 5, 0)
    assert raised(future.result) is future._state.exception


def test_get_keeps_its_graph_and_client_in_its_locals(inproc_client):
    graph = {"x": 4, "y": (tasks.ratio, "x", 0)}
    error = raised(inproc_client.get, graph, "y", error=ZeroDivisionError)
    (frame,) = frames(error, "get", "distributed/client.py")
    local = frame.f_locals
    assert local["self"] is inproc_client
    assert {"x", "y"} <= set(convert_legacy_graph(dict(local["dsk"].__dask_graph__())))


def test_schedulers_of_this_process_are_known(inproc_client):
    assert scheduler_is_here(inproc_client)
    assert isinstance(Scheduler._instances, weakref.WeakSet)
    apart = SimpleNamespace(_scheduler_identity={"id": "Scheduler-elsewhere"})
    assert not scheduler_is_here(apart)


def test_a_graph_of_layers_is_not_hashed_as_it_is_sent():
    class Hashed:
        def __dask_tokenize__(self):
            raise AssertionError("it was hashed")

    layer = MaterializedLayer({"sent": Task("sent", id, Hashed())})
    graph = HighLevelGraph({"a": layer}, {"a": set()})
    assert layer.mapping is graph.layers["a"].mapping
    assert HLGExpr(graph)._name


def test_the_identity_of_the_scheduler_is_at_hand(client):
    assert client._scheduler_identity["id"] == client.scheduler_info()["id"]
    other = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.id)
    assert client._scheduler_identity["id"] == other
    assert client._scheduler_identity["started"] == client.run_on_scheduler(
        lambda dask_scheduler: dask_scheduler.time_started
    )


def test_a_client_names_its_comm_loop_cluster_and_status(client):
    assert hasattr(client, "scheduler_comm")
    assert client.loop.asyncio_loop.is_running()
    assert client.status == "running"
    assert client.scheduler.address.startswith(("tcp://", "inproc://"))
    assert client.cluster.scheduler.erred_tasks is not None


def test_a_client_that_could_not_connect_has_a_loop_to_close():
    assert Client._Client__loop is None
    made = Client.__new__(Client)
    with pytest.raises(ValueError, match="unknown address scheme"):
        made.__init__("nowhere://x:1", set_as_default=False)
    assert made._Client__loop is not None
    made.close()
    assert made.status == "closed"


def test_clients_exit_through_two_methods_of_their_own_class():
    assert "__exit__" in Client.__dict__
    assert "__aexit__" in Client.__dict__
    assert parameters(Client.__exit__)[0] == "self"


def test_an_op_without_handler_is_answered_with_none(client):
    async def ask():
        return await client.scheduler.no_such_handler_of_dbgkit()

    assert client.sync(ask) is None


def test_gather_from_workers_takes_who_has_and_gives_four_things(client):
    from distributed.utils_comm import gather_from_workers

    assert parameters(gather_from_workers)[:2] == ["who_has", "rpc"]
    held = client.submit(tasks.inc, 4)
    assert held.result() == 5
    (address,) = client.who_has(held)[held.key]

    async def pull():
        return await gather_from_workers(
            {held.key: {address}, "no-such-key": {address}}, rpc=client.rpc
        )

    data, missing, unreadable, dead = client.sync(pull)
    assert data == {held.key: 5}
    assert (list(missing), list(unreadable), list(dead)) == (["no-such-key"], [], [])


def test_the_scheduler_gathers_for_those_who_cannot(client):
    held = client.submit(tasks.inc, 4)
    assert held.result() == 5

    async def pull():
        return await client.scheduler.gather(keys=[held.key])

    response = client.sync(pull)
    assert (response["status"], response["data"]) == ("OK", {held.key: 5})


def test_dask_pickles_by_value_what_the_main_module_defines():
    from distributed.protocol.pickle import dumps, loads

    assert loads(dumps(lambda x: x + 1))(1) == 2


# -- the scheduler (remote/scheduler/extension.py) ----------------------------------

TASK_FIELDS = [
    "key",
    "state",
    "run_spec",
    "exception_blame",
    "erred_on",
    "exception",
    "exception_text",
    "traceback_text",
    "suspicious",
    "retries",
    "annotations",
    "group",
    "who_wants",
    "who_has",
    "dependencies",
    "nbytes",
    "type",
    "actor",
    "worker_restrictions",
    "host_restrictions",
    "resource_restrictions",
    "loose_restrictions",
]
ENTRY_FIELDS = ("key", "timestamp", "erred_on", "exception_text", "traceback_text")
WORKER_FIELDS = (
    "address",
    "local_directory",
    "memory_limit",
    "name",
    "nanny",
    "nthreads",
    "pid",
    "status",
)


def describe(dask_scheduler, key="", fields=(), client=""):
    """What one visit reads, as found on a scheduler; runs there."""
    ts = dask_scheduler.tasks[key]
    entry = dask_scheduler.erred_tasks[0]
    worker = next(iter(dask_scheduler.workers.values()))
    return {
        "missing": [
            (type(thing).__name__, name)
            for thing, names in zip((ts, entry, worker), fields, strict=True)
            for name in names
            if not hasattr(thing, name)
        ],
        "blame": ts.exception_blame.key,
        "is_node": hasattr(ts.run_spec, "dependencies"),
        "sizes": sum(ts.group.states.values()),
        "text": ts.exception_text,
        "erred": entry.key,
        "history": dask_scheduler.erred_tasks.maxlen,
        "wants": [each.key for each in dask_scheduler.clients[client].wants_what],
        "wanted_by": [each.client_key for each in ts.who_wants],
        "allowed": dask_scheduler.allowed_failures,
        "handlers": type(dask_scheduler.handlers).__name__,
    }


def test_tasks_of_the_scheduler_have_the_fields_that_one_visit_reads(client):
    future = fail(client, tasks.ratio, 5, 0)
    found = client.run_on_scheduler(
        describe,
        key=future.key,
        fields=(TASK_FIELDS, ENTRY_FIELDS, WORKER_FIELDS),
        client=client.id,
    )
    assert found["missing"] == []
    assert found["blame"] == found["erred"] == future.key
    assert found["is_node"]
    assert found["sizes"] == 1
    assert found["text"] == "ZeroDivisionError('division by zero')"
    assert found["wants"] == [future.key]
    assert found["wanted_by"] == [client.id]
    assert found["allowed"] >= 0
    assert found["handlers"] == "dict"
    assert found["history"] == 100


def test_the_history_of_failures_is_newest_first_and_outlives_the_task(client):
    first = fail(client, tasks.ratio, 5, 0)
    second = fail(client, tasks.boom, 5)
    keys = [second.key, first.key]
    del first, second
    forgotten(client)
    found = client.run_on_scheduler(
        lambda dask_scheduler: [entry.key for entry in dask_scheduler.erred_tasks]
    )
    assert found[:2] == keys


def test_a_released_task_keeps_its_run_spec_until_it_is_forgotten(client):
    first = client.submit(tasks.inc, 4)
    last = client.submit(tasks.boom, first)
    key = first.key
    del first
    wait_until(lambda: last.status == "error", "it has failed")

    def look(dask_scheduler):
        ts = dask_scheduler.tasks[key]
        return ts.state, ts.run_spec is not None

    wait_until(
        lambda: client.run_on_scheduler(look) == ("released", True),
        "its state is released, and its run spec there",
    )


def test_plugins_are_started_and_named(client):
    from distributed.diagnostics.plugin import SchedulerPlugin

    assert inspect.iscoroutinefunction(SchedulerPlugin.start)
    assert inspect.iscoroutinefunction(SchedulerPlugin.before_close)
    # Client.register_plugin reads `idempotent` off the plugin.
    assert "idempotent" in inspect.getsource(type(client).register_plugin)
    assert "name" in parameters(client.register_plugin)
    assert hasattr(client, "unregister_scheduler_plugin")


# -- what a failure looks like when it gets home ------------------------------------


class Unpicklable(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.lock = __import__("threading").Lock()


def test_error_messages_have_text_of_exception_and_frames():
    from distributed.core import error_message

    try:
        tasks.ratio(5, 0)
    except ZeroDivisionError as error:
        # It reads the frames of the exception that is being handled.
        message = error_message(error)
        lines = traceback.format_tb(error.__traceback__)
    assert message["exception_text"] == "ZeroDivisionError('division by zero')"
    assert message["traceback_text"].startswith('  File "')
    assert message["traceback_text"].endswith(lines[-1])
    assert message["status"] == "error"


def test_what_does_not_pickle_comes_home_as_its_repr():
    from distributed.core import clean_exception, error_message

    error = raised(_raise, Unpicklable("too big to go"))
    message = error_message(error)
    _, home, _ = clean_exception(**_plain(message))
    assert type(home) is Exception
    assert home.args == (repr(error),)
    assert message["exception_text"] == repr(error)


def _raise(error):
    raise error


def _plain(message):
    """A message as it is after the way through a comm: bytes for what was wrapped."""
    return {
        name: getattr(value, "data", value)
        for name, value in message.items()
        if name != "status"
    }


def test_long_messages_are_cut_and_say_so():
    from distributed.core import error_message, truncate_exception

    assert truncate_exception(ValueError("x" * 50), 10).args[0] == "Long error message"
    with dask.config.set({"distributed.admin.max-error-length": 100}):
        text = error_message(ValueError("x" * 10_000))["exception_text"]
    assert "Long error message" in text


def test_a_killed_worker_has_its_task_and_travels_as_bytes():
    from distributed.protocol.pickle import dumps, loads
    from distributed.scheduler import KilledWorker, Scheduler

    error = KilledWorker("key", None, 3)
    assert (error.task, error.last_worker) == ("key", None)
    assert isinstance(dumps(error), bytes)
    assert loads(dumps(error)).task == "key"
    # It is handed over pickled, without exception_text.
    source = inspect.getsource(Scheduler.remove_worker)
    assert "pickle.dumps(" in source and "KilledWorker(" in source
    assert "exception_text" not in source.split("KilledWorker(")[1].split(")")[0]


def test_workers_log_key_exception_and_frames_of_what_failed(client):
    from dbgkit.remote.common.log_records import logged_failure

    future = fail(client, tasks.boom, 123)
    lines = wait_until(
        lambda: [
            found
            for logs in client.get_worker_logs().values()
            for _, line in logs
            if (found := logged_failure(line)) and found.key == future.key
        ],
        "the worker's log has it",
    )
    assert lines[0].exception == repr("ValueError('cannot take 123')")
    assert "in boom" in lines[0].traceback


# -- meta inference -----------------------------------------------------------------


def fails_on_meta(value):
    raise TypeError("no numbers")


def test_meta_errors_of_dataframes_have_their_cause():
    frame = dd.from_pandas(pd.DataFrame({"x": range(4)}), npartitions=2)
    error = raised(frame.map_partitions, fails_on_meta, error=ValueError)
    assert str(error).startswith("Metadata inference failed")
    assert isinstance(error.__cause__ or error.__context__, TypeError)


def test_meta_errors_of_arrays_have_what_was_caught_among_the_locals():
    error = raised(da.ones(4, chunks=2).map_blocks, fails_on_meta, error=ValueError)
    assert str(error).startswith("`dtype` inference failed")
    (frame,) = frames(error, "apply_infer_dtype", "core.py")
    assert isinstance(frame.f_locals["exc_value"], TypeError)


# -- workers, as a task sees them (replays/standin.py) --------------------------


def test_get_worker_reads_the_context_variable():
    from distributed import get_worker
    from distributed.worker import _worker_cvar

    stand_in = object()
    token = _worker_cvar.set(stand_in)
    try:
        assert get_worker() is stand_in
    finally:
        _worker_cvar.reset(token)


def test_get_client_asks_the_worker_for_its_client():
    from distributed import get_client
    from distributed.worker import Worker, _worker_cvar

    assert "timeout" in parameters(Worker._get_client)

    class StandIn:
        contact_address = address = "tcp://127.0.0.1:1"

        def _get_client(self, timeout=None):
            return "its client"

    token = _worker_cvar.set(StandIn())
    try:
        assert get_client() == "its client"
    finally:
        _worker_cvar.reset(token)


def test_worker_client_asks_for_secede_and_events():
    from distributed import worker_client

    names = inspect.unwrap(worker_client).__code__.co_names
    assert "get_worker" in names
    assert "get_client" in names


# -- shuffles -----------------------------------------------------------------------


def test_tasks_of_p2p_shuffles_are_of_the_shuffle_package():
    modules = {
        name: importlib.import_module(f"distributed.shuffle.{name}")
        for _, name, _ in pkgutil.iter_modules(distributed.shuffle.__path__)
    }
    assert {"_core", "_shuffle", "_merge", "_rechunk"} <= set(modules)
    assert issubclass(modules["_core"].P2PBarrierTask, Task)
    assert modules["_core"].P2PBarrierTask.__module__.startswith("distributed.shuffle")
    for name, function in (
        ("_shuffle", "shuffle_transfer"),
        ("_shuffle", "shuffle_unpack"),
        ("_merge", "merge_unpack"),
        ("_rechunk", "rechunk_transfer"),
        ("_rechunk", "rechunk_unpack"),
    ):
        found = getattr(modules[name], function)
        assert found.__module__.startswith("distributed.shuffle")


def test_actors_methods_fail_in_a_file_of_their_own():
    from distributed import actor

    assert actor.__file__.endswith("actor.py")
    assert "distributed" in actor.__file__


def test_futures_know_their_class():
    assert Future.__module__.startswith("distributed")
    assert sys.modules["distributed"].Future is Future
