"""All that is used of debugpy's own names, on a worker that has it.

debugpy is asked for nothing but its tracer (pydevd): it opens no socket, starts no
process, and traces the one thread that has stopped. Its part for a process is made for
a session, and taken off with it.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from types import FrameType
from typing import Any, Protocol

from ..common.frames import is_machinery

OLDEST = (1, 8, 17)
RUN = 1  # STATE_RUN
BREAKPOINT, EXCEPTION = 111, 122  # CMD_SET_BREAK, CMD_ADD_EXCEPTION_BREAK
MONITORS = sys.version_info >= (3, 12)
# What it leaves on threads that it has looked at.
_MARKS = ("additional_info", "__pydevd_id__", "stop_reason")
_QUIET = {
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "PYDEVD_APPLY_PATCHING_TO_HIDE_PYDEVD_THREADS": "0",
    "PYDEVD_USE_FRAME_EVAL": "NO",
}
_PDB = tuple(f"{os.sep}{name}.py" for name in ("pdb", "bdb", "cmd"))


class Owner(Protocol):
    """What a session does where debugpy would do something."""

    thread: threading.Thread

    def is_over(self) -> bool:
        """Whether the session has ended, and its thread is not to be traced."""

    def stands(self, frame: FrameType, event: str, wait: Callable[[], Any]) -> None:
        """The thread has come to a stop: ``wait`` there until it is to go on."""

    def runs(self, command: Callable[[], Any]) -> None:
        """Something is to run in the thread, as it stands."""

    def after(self) -> None:
        """The thread has left debugpy's code, and the session is over."""

    def shown(self, frame: FrameType) -> str:
        """The file of a frame's code, if that travelled by value."""


def load() -> Any:
    """debugpy's tracer.

    Raises
    ------
    ImportError
        The worker has no debugpy, or one that is too old.
    """
    version = import_module("debugpy").__version__
    parts = re.findall(r"\d+", version)[:3]
    if tuple(map(int, parts)) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise ImportError(f"it has version {version}, and {needed} is needed")
    if "pydevd" in sys.modules:
        return import_module("pydevd")
    hook = sys.breakpointhook
    with _environment():
        try:
            import_module("debugpy.server")
            return import_module("pydevd")
        finally:
            # It puts one of its own there.
            sys.breakpointhook = hook


@contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _QUIET}
    os.environ.update(_QUIET)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def is_used(pydevd: Any) -> bool:
    """Whether something in this process is debugged by it already."""
    return pydevd.get_global_debugger() is not None


class Tracer:
    """Its part for this process, while a session lasts."""

    def __init__(self, owner: Owner, wire: Any) -> None:
        self.owner = owner
        self._pydevd = load()
        self._closed = False
        self._setup = self._pydevd.SetupHolder.setup
        if MONITORS:
            # What is kept of a thread is of a session that is over.
            _monitoring().reset_thread_local_info()
        self.db = _db_class(self._pydevd.PyDB, owner)()
        import_module("pydevd_tracing").restore_sys_set_trace_func()
        self.db.multi_threads_single_notification = False
        self.db.frame_eval_func = None
        self._show_files()
        if not MONITORS:
            self.db.trace_dispatch = _bounded(self.db.trace_dispatch, owner)
        import_module("_pydevd_bundle.pydevd_vm_type").setup_type()
        self._pydevd.SetupHolder.setup = {
            "client": "127.0.0.1",
            "server": False,
            "port": 0,
            "multiprocess": False,
            "skip-notify-stdin": True,
        }
        self.db.initialize_network(wire, terminate_on_socket_close=False)

    def _show_files(self) -> None:
        """Have frames of code by value shown with the client's file."""
        factory, owner = self.db.cmd_factory, self.owner
        visible = factory._iter_visible_frames_info

        def shown(*args: Any, **kwargs: Any) -> Iterator[Any]:
            for each in visible(*args, **kwargs):
                file = owner.shown(each[1])
                yield (*each[:4], file, each[5], True, *each[7:]) if file else each

        factory._iter_visible_frames_info = shown

    def configure(self, cancel: threading.Event) -> bool:
        """Wait until the editor is ready; false if it was cancelled."""
        self.db.block_until_configuration_done(cancel=_Both(cancel))
        if cancel.is_set():
            return False
        self.db.start_auxiliary_daemon_threads()
        if MONITORS:
            _monitoring().start_monitoring(all_threads=True)
        return True

    def stand(self, frame: FrameType, event: str, arg: Any) -> None:
        """Stop the thread, which is this one, at a frame, as at a breakpoint."""
        kind = EXCEPTION if event == "exception" else BREAKPOINT
        thread = self.owner.thread
        if event == "exception":
            frames = import_module("_pydevd_bundle.pydevd_frame_utils")
            frames.add_exception_to_frame(frame, arg)
        self.db.disable_tracing()  # it is to stop there, and not on the way
        self._pydevd.set_additional_thread_info(thread)
        self.db.set_suspend(thread, kind, suspend_requested=True)
        # Its breakpoints may be in what is running already.
        self.db.set_trace_for_frame_and_parents(thread.ident, frame)
        self.db.do_wait_suspend(thread, frame, event, arg)
        if not self.owner.is_over():
            self.db.enable_tracing()

    def pass_by(self) -> None:
        """Do not stop where it was about to; go on stepping, if it does."""
        info = self._pydevd.set_additional_thread_info(self.owner.thread)
        if self.is_at_breakpoint():
            info.pydev_step_cmd = -1
        info.pydev_state = RUN
        info.update_stepping_info()

    def is_at_breakpoint(self) -> bool:
        """Whether it has stopped because of one, and not because it steps."""
        return getattr(self.owner.thread, "stop_reason", None) == BREAKPOINT

    def is_to_run(self) -> bool:
        """Whether the thread has been told to go on, and may still stand."""
        info = getattr(self.owner.thread, "additional_info", None)
        return info is not None and info.pydev_state == RUN

    def wake(self) -> None:
        """Have the thread leave a stop, from any thread."""
        life = import_module("_pydevd_bundle.pydevd_thread_lifecycle")
        info = self._pydevd.set_additional_thread_info
        life.internal_run_thread(self.owner.thread, set_additional_thread_info=info)
        self.nudge()

    def nudge(self) -> None:
        """Have the thread look now whether it is to go on, and not in 0.2 s."""
        if not self._closed:
            name = self._pydevd.get_thread_id(self.owner.thread)
            self.db.get_internal_queue_and_event(name)[1].set()

    def close(self) -> None:
        """Take it off, from any thread, without waiting for anything."""
        if self._closed:
            # Its own thread may have been in debugpy's code as it was closed.
            _unmark([self.owner.thread])
            return
        self._closed = True
        db = self.db
        db.pydb_disposed = True
        if self._pydevd.get_global_debugger() is db:
            self._pydevd.set_global_debugger(None)
        self._pydevd.SetupHolder.setup = self._setup
        import_module("atexit").unregister(self._pydevd.stoptrace)
        for thread in list(db.created_pydb_daemon_threads):
            thread.do_kill_pydev_thread()
        if MONITORS:
            _leave_monitoring()
        files = import_module("pydevd_file_utils")
        files.setup_client_server_paths([])
        db.get_cache_file_type().clear()
        _unmark(threading.enumerate())


def _unmark(threads: Iterable[threading.Thread]) -> None:
    """Take off what it has left on threads."""
    infos = import_module("_pydevd_bundle.pydevd_additional_thread_info")
    forget = infos.remove_additional_info
    for thread in threads:
        marks = vars(thread)
        if (info := marks.get("additional_info")) is not None:
            with suppress(TypeError):  # somebody else's
                forget(info)
        for name in _MARKS:
            marks.pop(name, None)


def _monitoring() -> Any:
    return import_module("_pydevd_sys_monitoring.pydevd_sys_monitoring")


def _leave_monitoring() -> None:
    """Give its tool of ``sys.monitoring`` back, with its events in all code."""
    found: Any = getattr(sys, "monitoring", None)
    tool = found.DEBUGGER_ID
    for name in ("_pydevd_sys_monitoring_cython", "_pydevd_sys_monitoring"):
        module = sys.modules.get(f"_pydevd_sys_monitoring.{name}")
        cache = getattr(module, "_code_to_func_code_info_cache", None)
        if cache is not None:
            if found.get_tool(tool) == "pydevd":
                for code in list(cache):
                    found.set_local_events(tool, code, 0)
            cache.clear()
    _monitoring().stop_monitoring(all_threads=True)


def _is_not_traced(file: str) -> bool:
    """Files in which nothing stops, and which no stack shows."""
    return is_machinery(file) or file.endswith(_PDB)


class _Both:
    """An event that ends a wait; debugpy sets it too, once it has waited."""

    def __init__(self, event: threading.Event) -> None:
        self.is_set = event.is_set

    def set(self) -> None:
        """It has waited: that is no cancelling."""


class _Command:
    """A command of the editor's, as it runs in the thread."""

    def __init__(self, command: Any, owner: Owner) -> None:
        self._command = command
        self._owner = owner

    def can_be_executed_by(self, thread: str) -> bool:
        return bool(self._command.can_be_executed_by(thread))

    def do_it(self, db: Any) -> None:
        self._owner.runs(lambda: self._command.do_it(db))


def _bounded(trace: Any, owner: Owner) -> Any:
    """A trace function that is one no longer than its session.

    Only the thread itself can stop being traced: it does at its next event.
    """

    def traced(frame: FrameType, event: str, arg: Any) -> Any:
        if owner.is_over():
            if getattr(sys.gettrace(), "owner", None) is owner:
                sys.settrace(None)
            return None
        local = trace(frame, event, arg)
        if owner.is_over():  # since now: another debugger may take over
            owner.after()
            return frame.f_trace
        if local is trace:
            return traced
        is_bounded = local is None or hasattr(local, "owner")
        return local if is_bounded else _bounded(local, owner)

    vars(traced)["owner"] = owner
    return traced


def _db_class(base: Any, owner: Owner) -> Any:
    """Its class for a process, bounded to one thread."""

    def is_mine() -> bool:
        return threading.get_ident() == owner.thread.ident

    class Db(base):  # type: ignore[misc]
        def _internal_get_file_type(self, names: Any) -> Any:
            if _is_not_traced(names[0]):
                return self.PYDEV_FILE
            return super()._internal_get_file_type(names)

        def enable_tracing(
            self, thread_trace_func: Any = None, apply_to_all_threads: bool = False
        ) -> None:
            if thread_trace_func is not None and not MONITORS:
                thread_trace_func = _bounded(thread_trace_func, owner)
            super().enable_tracing(thread_trace_func, False)

        def set_tracing_for_untraced_contexts(
            self, breakpoints_changed: bool = False
        ) -> None:
            if MONITORS and breakpoints_changed:
                _monitoring().update_monitor_events()
            frame = sys._current_frames().get(owner.thread.ident or 0)
            if frame is not None:
                self.set_trace_for_frame_and_parents(owner.thread.ident, frame)
            if MONITORS:
                _monitoring().restart_events()

        def notify_thread_created(
            self, thread_id: str, thread: Any, use_lock: bool = True
        ) -> None:
            if thread is owner.thread:
                super().notify_thread_created(thread_id, thread, use_lock)

        def post_internal_command(self, int_cmd: Any, thread_id: str) -> None:
            mine = thread_id != "*"
            command = _Command(int_cmd, owner) if mine else int_cmd
            super().post_internal_command(command, thread_id)

        def set_suspend(self, thread: Any, *args: Any, **options: Any) -> None:
            if thread is owner.thread:
                super().set_suspend(thread, *args, **options)

        def do_wait_suspend(
            self,
            thread: Any,
            frame: Any,
            event: str,
            arg: Any,
            exception_type: Any = None,
        ) -> None:
            if thread is not owner.thread:
                return
            wait = super().do_wait_suspend
            owner.stands(
                frame, event, lambda: wait(thread, frame, event, arg, exception_type)
            )

        def handle_breakpoint_condition(self, *args: Any) -> bool:
            return is_mine() and bool(super().handle_breakpoint_condition(*args))

        def handle_breakpoint_expression(self, *args: Any) -> None:
            if is_mine():
                super().handle_breakpoint_expression(*args)

    return Db
