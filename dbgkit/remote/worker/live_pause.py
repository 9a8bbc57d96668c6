"""What a worker and its scheduler make of a paused task: a pause misleads nobody.

Its thread leaves the pool, the profiler does not sample it, and the pause is taken out
of each duration.
"""

from __future__ import annotations

import threading
from time import time
from typing import Any

from distributed import threadpoolexecutor as pool
from distributed.metrics import context_meter
from distributed.worker import thread_state
from distributed.worker_state_machine import SecedeEvent

METRIC = "paused at a breakpoint"  # in Dask's fine performance metrics


class _Threads:
    """The threads of a pool, for one that has left: leaving it again is no error."""

    def __init__(self, threads: Any) -> None:
        self._threads = threads

    def remove(self, thread: threading.Thread) -> None:
        self._threads.discard(thread)


class _LeftPool:
    """A pool that this thread has left: `secede` and `rejoin` work as they do in it.

    ``secede`` (distributed/threadpoolexecutor.py) raises a KeyError in a thread that
    has left already, and the task itself does not know that it has.
    """

    def __init__(self, executor: Any) -> None:
        self._executor = executor

    @property
    def _threads(self) -> _Threads:
        return _Threads(self._executor._threads)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Called by ``rejoin``: from then on this thread is in the pool again."""
        pool.thread_state.executor = self._executor
        return self._executor.submit(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)


def leave_pool(worker: Any, key: Any) -> bool:
    """Give the slot of this thread's task back, without a word of how long it took.

    ``distributed.secede`` would report the time until here as the task's duration.
    False: the task itself has left before.
    """
    executor = getattr(pool.thread_state, "executor", None)
    if isinstance(executor, _LeftPool):
        return False
    if executor is not None:
        if threading.current_thread() not in executor._threads:
            return False
        pool.secede()
        pool.thread_state.executor = _LeftPool(executor)
    event = SecedeEvent(
        key=key, compute_duration=None, stimulus_id=f"dbgkit-breakpoint-{time()}"
    )
    worker.loop.add_callback(worker.handle_stimulus, event)
    return True


class Pause:
    """Pauses of one thread's task, one after the other; used in that thread."""

    def __init__(self, worker: Any, key: Any) -> None:
        self.worker = worker
        self.key = key
        self.total = 0.0  # seconds, so far
        self._since: float | None = None

    def begin(self, since: float | None = None) -> None:
        """The task does nothing of its own from now on, or since then."""
        if self._since is not None:
            return
        self._since = time() if since is None else since
        worker, me = self.worker, threading.get_ident()
        with worker.active_threads_lock:
            worker.active_threads.pop(me, None)
        # A heartbeat goes through these, in the loop.
        _in_loop(worker, worker.active_keys.discard, self.key)

    def end(self) -> None:
        """It goes on; the time until now was none of its own."""
        if self._since is None:
            return
        length, self._since = time() - self._since, None
        self.total += length
        thread_state.start_time += length
        context_meter.digest_metric(METRIC, length, "seconds")
        worker = self.worker
        with worker.active_threads_lock:
            worker.active_threads[threading.get_ident()] = self.key
        _in_loop(worker, _shift, worker, self.key, length)


class NoPause(Pause):
    """In place of it where no task waits."""

    def begin(self, since: float | None = None) -> None:
        pass

    def end(self) -> None:
        pass


def _shift(worker: Any, key: Any, length: float) -> None:
    ts = worker.state.tasks.get(key)
    if ts is not None and ts.start_time is not None:
        ts.start_time += length
        worker.active_keys.add(key)


def _in_loop(worker: Any, function: Any, *args: Any) -> None:
    worker.loop.add_callback(function, *args)


def take_out(startstops: Any, pause: float) -> None:
    """Take a pause out of how long a task took, as it is about to be reported.

    ``WorkerState._handle_execute_success`` (distributed/worker_state_machine.py) has
    just added the run; what is sent refers to the same list.
    """
    for entry in reversed(startstops):
        if entry["action"] == "compute":
            entry["start"] = min(entry["stop"], entry["start"] + pause)
            return
