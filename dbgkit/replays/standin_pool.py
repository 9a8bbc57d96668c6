"""A thread that stands in for one of a worker's pool, so that its task may leave it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class PoolStandIn:
    """What ``secede`` and ``rejoin`` touch (distributed/threadpoolexecutor.py).

    A thread that leaves is replaced by none, and one that comes back is let in.
    """

    def __init__(self) -> None:
        self._threads = {threading.current_thread()}
        self._rejoin_list: list[tuple[threading.Thread, threading.Event]] = []
        self._rejoin_lock = threading.Lock()

    def _adjust_thread_count(self) -> None:
        """A pool would start another thread."""

    def submit(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """``rejoin`` submits nothing to have a thread check who waits to come back."""
        with self._rejoin_lock:
            waiting, self._rejoin_list = self._rejoin_list, []
        for thread, event in waiting:
            self._threads.add(thread)
            event.set()


@contextmanager
def in_a_pool(worker: Any, key: Any, coroutine: bool) -> Iterator[None]:
    """Set what Dask keeps by thread, as ``_run_task`` (distributed/worker.py) does.

    Two states: the pool's own, and that of ``distributed.utils``.
    """
    from distributed.threadpoolexecutor import thread_state as pool_state
    from distributed.utils import set_thread_state

    if coroutine:
        yield
        return
    names = ("executor", "proceed")
    before = {name: vars(pool_state).get(name, _ABSENT) for name in names}
    pool_state.executor, pool_state.proceed = PoolStandIn(), True
    state = {"worker": worker}
    try:
        with set_thread_state(start_time=time.time(), execution_state=state, key=key):
            yield
    finally:
        for name, value in before.items():
            if value is _ABSENT:
                vars(pool_state).pop(name, None)
            else:
                setattr(pool_state, name, value)


_ABSENT = object()
