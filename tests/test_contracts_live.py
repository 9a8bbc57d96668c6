"""What live sessions rely on in Dask, pdb, IPython and Python itself."""

from __future__ import annotations

import bdb
import inspect
import pdb
import sys
import threading

import pytest
from distributed import Worker, get_worker, secede
from distributed import threadpoolexecutor as pool
from distributed.comm import connect
from distributed.core import _expects_comm
from distributed.worker import _worker_cvar, thread_state
from distributed.worker_state_machine import (
    LongRunningMsg,
    SecedeEvent,
    TaskFinishedMsg,
    TaskState,
)
from live_tasks import awaiting

import dbgkit
from dbgkit.remote.common.handlers import CommHandler, Handler
from dbgkit.remote.worker.live_held import is_short_of_memory
from dbgkit.remote.worker.live_hook import Hook, key_of_coroutine


def _here():
    worker = get_worker()
    with worker.active_threads_lock:
        known = worker.active_threads[threading.get_ident()]
    return (
        thread_state.key,
        known,
        thread_state.execution_state["worker"] is worker,
        isinstance(thread_state.start_time, float),
        _worker_cvar.get() is worker,
        threading.current_thread() in pool.thread_state.executor._threads,
        thread_state.key in worker.active_keys,
        worker.state.tasks[thread_state.key].start_time is not None,
    )


def test_what_a_task_finds_of_its_worker(client):
    key, known, *others = client.submit(_here, key="contract-here").result(10)
    assert key == known == "contract-here" and all(others)


async def _key():
    return key_of_coroutine(sys._getframe())


def test_the_key_of_an_async_task(client):
    assert client.submit(_key, key="contract-async").result(10) == "contract-async"
    assert inspect.iscoroutinefunction(awaiting)


def _twice():
    secede()
    try:
        pool.secede()
    except KeyError:
        return "refused"
    return "allowed"


def test_a_second_secede_of_a_thread_is_a_key_error(client):
    assert client.submit(_twice, pure=False).result(10) == "refused"


def test_durations_may_be_left_out():
    assert "compute_duration" in SecedeEvent.__dataclass_fields__
    message = LongRunningMsg(key="x", run_id=1, compute_duration=None, stimulus_id="s")
    assert message.to_dict()["compute_duration"] is None


def test_what_is_sent_refers_to_the_tasks_own_list():
    ts = TaskState("x")
    ts.startstops.append({"action": "compute", "start": 1.0, "stop": 2.0})
    source = inspect.getsource(sys.modules["distributed.worker_state_machine"])
    assert "startstops=ts.startstops" in source
    assert "startstops" in TaskFinishedMsg.__dataclass_fields__


def test_a_handler_gets_the_comm_by_its_name():
    owner = Hook()
    assert _expects_comm(CommHandler("a", owner, "b"))
    assert not _expects_comm(Handler("a", owner, "b"))
    assert callable(Worker.handle_stimulus)


def test_a_property_is_looked_up_before_it_is_called():
    """So the frame above what is called is that of the caller."""
    found = []

    class Called(Hook):
        def _chosen(self, frame):
            assert frame is sys._getframe().f_back.f_back
            return lambda *args: found.append(sys._getframe().f_back)

    Called()()
    assert found == [sys._getframe()]


@pytest.mark.parametrize(
    "name",
    ["_cmdloop", "_getval", "_getval_except", "_complete_expression", "_print_lines"],
)
def test_pdb_has_what_is_replaced_or_used(name):
    assert callable(getattr(pdb.Pdb, name))


def test_bdb_keeps_breakpoints_for_all():
    assert callable(bdb.Bdb._load_breaks)
    assert {"bplist", "bpbynumber", "next"} <= {*vars(bdb.Breakpoint)}
    assert callable(bdb.checkfuncname)


def test_ipythons_terminal_has_a_line_editor():
    from IPython.terminal import debugger, ptutils

    assert callable(debugger.PromptSession) and callable(debugger.InMemoryHistory)
    assert callable(ptutils.Completer) and callable(ptutils.Completion)
    assert callable(ptutils.IPythonPTLexer)


def test_aborted_arrives_without_dbgkit():
    import pickle
    import subprocess

    from dbgkit.remote.common.aborting import Aborted

    data = pickle.dumps(Aborted("by alice")).hex()
    code = (
        "import sys, pickle; sys.modules['dbgkit'] = None; "
        f"error = pickle.loads(bytes.fromhex({data!r})); print(repr(error))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert run.stdout.strip() == "RuntimeError('by alice')", run.stderr
    assert type(pickle.loads(bytes.fromhex(data))) is Aborted
    assert dbgkit.errors.DbgkitError not in Aborted.__mro__


def test_what_has_no_handler_is_passed_over_and_an_echo_answered(client):
    """`cluster.talk`: a server goes on with the comm's next message."""

    async def ask(address):
        comm = await connect(address, **client.connection_args)
        try:
            await comm.write({"op": "no-such-thing", "reply": False})
            await comm.write({"op": "echo", "data": {"op": "said"}})
            return await comm.read()
        finally:
            await comm.close()

    for address in (client.scheduler.address, *client.nthreads()):
        assert client.sync(ask, address) == {"op": "said"}


def _memory_of(dask_worker):
    manager = dask_worker.memory_manager
    fractions = manager.memory_spill_fraction, manager.memory_pause_fraction
    used = dask_worker.monitor.get_process_memory()
    return manager.memory_limit, fractions, used


def _is_short(dask_worker, fraction):
    manager = dask_worker.memory_manager
    before, manager.memory_spill_fraction = manager.memory_spill_fraction, fraction
    try:
        return is_short_of_memory(dask_worker)
    finally:
        manager.memory_spill_fraction = before


def test_what_a_worker_says_of_its_memory(client):
    for limit, fractions, used in client.run(_memory_of).values():
        assert limit > used > 10_000_000
        assert all(0 < each < 1 for each in fractions)
    assert not any(client.run(_is_short, fraction=0.99).values())
    assert all(client.run(_is_short, fraction=1e-6).values())


def test_what_calls_a_task_has_a_frame_that_is_known_again():
    code = inspect.unwrap(Worker.execute).__code__
    assert code.co_name == "execute" and "key" in code.co_varnames


@pytest.mark.skipif(sys.version_info < (3, 12), reason="pdb has no $_frame")
def test_pdb_keeps_convenience_variables_by_a_method_of_its_own():
    names = list(inspect.signature(pdb.Pdb.set_convenience_variable).parameters)
    assert names == ["self", "frame", "name", "value"]
