"""What an editor's session relies on in debugpy, besides what such sessions test."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from dbgkit.remote.worker import live_dap_pydevd as used

pytest.importorskip("debugpy")


@pytest.fixture(scope="module")
def pydevd():
    return used.load()


def test_loading_leaves_the_hook_of_breakpoint_and_threading_alone():
    """In a process that had not loaded it."""
    code = """
import os, sys, threading
before = sys.breakpointhook, threading.enumerate.__code__, dict(os.environ)
from dbgkit.remote.worker.live_dap_pydevd import load
pydevd = load()
assert (sys.breakpointhook, threading.enumerate.__code__, dict(os.environ)) == before
from _pydevd_bundle import pydevd_constants
assert not pydevd_constants.PYDEVD_APPLY_PATCHING_TO_HIDE_PYDEVD_THREADS
assert sys.settrace.__name__ == "settrace" and sys.gettrace() is None
print("as before")
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert run.stdout.strip() == "as before", run.stderr
    assert run.stderr == ""


def test_numbers_of_reasons_and_states(pydevd):
    from _pydevd_bundle import pydevd_comm_constants as numbers
    from _pydevd_bundle.pydevd_constants import STATE_RUN

    assert numbers.CMD_SET_BREAK == used.BREAKPOINT
    assert numbers.CMD_ADD_EXCEPTION_BREAK == used.EXCEPTION
    assert STATE_RUN == used.RUN


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("initialize_network", ["sock", "terminate_on_socket_close"]),
        ("block_until_configuration_done", ["cancel"]),
        ("do_wait_suspend", ["thread", "frame", "event", "arg", "exception_type"]),
        ("set_tracing_for_untraced_contexts", ["breakpoints_changed"]),
        ("notify_thread_created", ["thread_id", "thread", "use_lock"]),
        ("post_internal_command", ["int_cmd", "thread_id"]),
        ("handle_breakpoint_condition", ["info", "pybreakpoint", "new_frame"]),
        ("handle_breakpoint_expression", ["pybreakpoint", "info", "new_frame"]),
        ("enable_tracing", ["thread_trace_func", "apply_to_all_threads"]),
        ("disable_tracing", []),
        ("start_auxiliary_daemon_threads", []),
        ("get_internal_queue_and_event", ["thread_id"]),
        ("_internal_get_file_type", ["abs_real_path_and_basename"]),
    ],
)
def test_what_is_called_and_replaced(pydevd, name, parameters):
    found = inspect.signature(getattr(pydevd.PyDB, name)).parameters
    assert [*found][1 : len(parameters) + 1] == parameters


def test_names_of_modules(pydevd):
    import pydevd_file_utils
    import pydevd_tracing
    from _pydevd_bundle import (
        pydevd_additional_thread_info,
        pydevd_frame_utils,
        pydevd_net_command_factory_json,
        pydevd_thread_lifecycle,
        pydevd_vm_type,
    )

    for owner, name in (
        (pydevd, "set_global_debugger"),
        (pydevd, "get_global_debugger"),
        (pydevd, "set_additional_thread_info"),
        (pydevd, "get_thread_id"),
        (pydevd, "stoptrace"),
        (pydevd_additional_thread_info, "remove_additional_info"),
        (pydevd_file_utils, "setup_client_server_paths"),
        (pydevd_frame_utils, "add_exception_to_frame"),
        (pydevd_thread_lifecycle, "internal_run_thread"),
        (pydevd_tracing, "restore_sys_set_trace_func"),
        (pydevd_vm_type, "setup_type"),
    ):
        assert callable(getattr(owner, name))
    factory = pydevd_net_command_factory_json.NetCommandFactoryJson
    source = inspect.getsource(factory._iter_visible_frames_info)
    fields = source[source.index("yield (") :].split(",")
    assert "new_filename_in_utf8" in fields[4] and "applied_mapping" in fields[6]
    assert hasattr(pydevd.SetupHolder, "setup")


@pytest.mark.skipif(not used.MONITORS, reason="it uses sys.monitoring from 3.12 on")
def test_code_that_it_watches_is_known(pydevd):
    """So that its events can be taken off again."""
    found = [
        sys.modules.get(f"_pydevd_sys_monitoring.{name}")
        for name in ("_pydevd_sys_monitoring_cython", "_pydevd_sys_monitoring")
    ]
    assert any(hasattr(m, "_code_to_func_code_info_cache") for m in found if m)
