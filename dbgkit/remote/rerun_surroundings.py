"""What surrounds a task that runs again on a worker: that worker, but for its states.

This file is sent to workers as source: standard library, dask and distributed only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from time import time
from typing import Any


class InPlaceOfWorker:
    """Passes for the worker in a task that runs again.

    What is read comes from the worker itself; what is set stays here; and what would
    leave a trace (a client, events, news of the task's state) goes elsewhere.
    """

    def __init__(self, worker: Any, key: Any) -> None:
        self._dbgkit_worker = worker
        self._dbgkit_key = key
        self._dbgkit_client: Any = None
        self._dbgkit_asked = False
        self._dbgkit_events = 0
        self._dbgkit_stack = ExitStack()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._dbgkit_worker)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dbgkit_worker, name)

    def get_current_task(self) -> Any:
        """``Worker.get_current_task`` looks into the worker's own threads."""
        return self._dbgkit_key

    def handle_stimulus(self, *events: Any) -> None:
        """``secede`` (distributed/worker.py) tells the worker so; not this one."""

    def log_event(self, topic: Any, message: Any) -> None:
        """Counted, and not sent."""
        if topic not in ("worker-client", "worker-get-client"):  # Dask's own
            self._dbgkit_events += 1

    def _get_client(self, timeout: float | None = None) -> Any:
        """What ``distributed.get_client`` asks a worker for (distributed/worker.py).

        A client of the task's own: the worker's, once opened, stays.
        """
        self._dbgkit_asked = True
        if self._dbgkit_client is None:
            from distributed import Client

            worker = self._dbgkit_worker
            asynchronous = _runs_in_loop()
            options = {} if timeout is None else {"timeout": timeout}
            self._dbgkit_client = client = Client(
                worker.scheduler.address,
                loop=None if asynchronous else worker.loop,
                security=worker.security,
                set_as_default=False,
                asynchronous=asynchronous,
                direct_to_workers=True,
                name="dbgkit-replay",
                **options,
            )
            if not asynchronous:
                self._dbgkit_stack.enter_context(client.as_current())
        return self._dbgkit_client

    @property
    def client(self) -> Any:
        return self._get_client()


def notes_of(stand_in: InPlaceOfWorker) -> list[str]:
    """What is to be known of what the task asked its worker for."""
    notes = []
    if stand_in._dbgkit_asked:
        notes.append("the task asked for a client: work it submitted really ran")
    if stand_in._dbgkit_events:
        count = stand_in._dbgkit_events
        what = "1 event" if count == 1 else f"{count:,} events"
        notes.append(f"{what} that the task logged or printed for clients: not sent")
    return notes


def close_client(stand_in: InPlaceOfWorker) -> None:
    """Close the client that the task asked for, from the task's thread."""
    client = stand_in._dbgkit_client
    # In another context than it was entered in, nothing is left to be undone.
    with suppress(ValueError):
        stand_in._dbgkit_stack.close()
    if client is not None and not client.asynchronous:
        client.close()


def run_to_end(coroutine: Any, stand_in: InPlaceOfWorker) -> Any:
    """Run a coroutine in a loop of its own, and close there what it opened."""

    async def run() -> Any:
        try:
            return await coroutine
        finally:
            client = stand_in._dbgkit_client
            if client is not None and client.asynchronous:
                stand_in._dbgkit_client = None
                await client.close()

    return asyncio.run(run())


def _runs_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@contextmanager
def in_place_of_worker(worker: Any, key: Any) -> Iterator[InPlaceOfWorker]:
    """Have ``get_worker`` answer with a stand-in, in this thread.

    ``distributed.worker._worker_cvar`` is what ``get_worker`` reads.
    """
    from distributed.worker import _worker_cvar

    stand_in = InPlaceOfWorker(worker, key)
    token = _worker_cvar.set(stand_in)
    try:
        yield stand_in
    finally:
        try:
            close_client(stand_in)
        finally:
            _worker_cvar.reset(token)


def as_task(worker: Any, key: Any) -> AbstractContextManager[Any]:
    """Have this thread pass for one that runs a task, so that it may secede.

    As ``_run_task`` (distributed/worker.py) does, but for ``Worker.active_threads``.
    The thread itself has to be one of Dask's ``ThreadPoolExecutor``.
    """
    from distributed.utils import set_thread_state

    state: AbstractContextManager[Any] = set_thread_state(
        start_time=time(), execution_state=worker.execution_state, key=key
    )
    return state
