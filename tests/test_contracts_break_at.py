"""What `break_at` relies on in Dask, pdb and Python itself."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import pytest
from break_at_tasks import SUMMED_LINE, doubled, summed
from distributed.worker_state_machine import TaskState

from dbgkit.remote.common.worker_code import BREAKING, WATCHED
from dbgkit.remote.scheduler.break_at import _python
from dbgkit.remote.worker.break_at_spec import Breaking
from dbgkit.remote.worker.recorder_spec import Watched

lines = pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12")


def test_wrappers_of_run_specs_know_each_other_by_name():
    assert (Watched.__name__, Breaking.__name__) == (WATCHED, BREAKING)


def test_a_scheduler_knows_the_pythons_of_its_workers(client):
    def pythons(dask_scheduler):
        return [ws.versions["host"]["python"] for ws in dask_scheduler.workers.values()]

    found = client.run_on_scheduler(pythons)
    here = ".".join(map(str, sys.version_info[:2]))
    assert len(found) == 2 and all(each.startswith(f"{here}.") for each in found)

    worker = SimpleNamespace(versions={"host": {"python": "3.11.4.final.0"}})
    assert _python(worker) == (3, 11)


def test_a_run_spec_can_be_put_in_place_of_anothers(client):
    assert {"run_spec", "annotations"} <= {*TaskState.__dataclass_fields__}

    def is_coro(dask_worker, key):
        ts = dask_worker.state.tasks.get(key)
        return None if ts is None else ts.run_spec.is_coro

    future = client.submit(doubled, 3, key="contract-spec")
    assert future.result(30) == 7
    assert False in client.run(is_coro, key="contract-spec").values()


def test_a_trace_function_gives_a_frames_own():
    """What it returns is the frame's from there on; None leaves that as it is."""
    seen = []

    def called(frame, event, arg):
        return at_line if frame.f_code is doubled.__code__ else None

    def at_line(frame, event, arg):
        seen.append(frame.f_lineno)
        frame.f_trace = None
        return frame.f_trace

    def run():
        sys.settrace(called)
        try:
            doubled(3)
        finally:
            sys.settrace(None)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [doubled.__code__.co_firstlineno + 1]


@lines
def test_events_of_a_line_come_from_the_start_on_and_are_disabled_each():
    monitoring = sys.monitoring
    tool = next(t for t in (3, 4) if monitoring.get_tool(t) is None)
    code, seen, others = summed.__code__, [], []

    def start(found, offset):
        if found is not code:
            return monitoring.DISABLE
        others.append(sys._getframe(1).f_code)
        monitoring.set_local_events(tool, code, monitoring.events.LINE)
        return None

    def line(found, number):
        seen.append(number)
        return None if number == SUMMED_LINE else monitoring.DISABLE

    monitoring.use_tool_id(tool, "a test")
    try:
        monitoring.register_callback(tool, monitoring.events.PY_START, start)
        monitoring.register_callback(tool, monitoring.events.LINE, line)
        monitoring.set_events(tool, monitoring.events.PY_START)
        summed(3)
        first = [*seen]
        seen.clear()
        summed(3)
    finally:
        monitoring.set_events(tool, 0)
        monitoring.set_local_events(tool, code, 0)
        monitoring.free_tool_id(tool)
    assert first[0] == code.co_firstlineno + 1  # the first line comes first
    assert first.count(SUMMED_LINE) == 3 and seen == [SUMMED_LINE] * 3
    assert others == [code, code]


@lines
def test_a_tool_is_named():
    tool = next(t for t in (3, 4) if sys.monitoring.get_tool(t) is None)
    sys.monitoring.use_tool_id(tool, "a test")
    with pytest.raises(ValueError):
        sys.monitoring.use_tool_id(tool, "another")
    sys.monitoring.free_tool_id(tool)
