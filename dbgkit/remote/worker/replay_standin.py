"""Stand-in for the worker in a task that is replayed on it: without its states."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
    suppress,
)
from time import time
from typing import Any

from ..common.carried import carried_by
from ..common.loops import begin_in
from .replay_leases import Tools
from .replay_waits import (
    LoopInPlace,
    RpcInPlace,
    SchedulerInPlace,
    close_connected,
    connect_first,
    coroutines_loop,
    of_a_coroutine,
)

_GIVE_BACK = 10.0  # seconds for the scheduler to take back what the task has taken


class InPlaceOfWorker:
    """Stands in for the worker in a replayed task.

    Attributes are read from the worker itself; those that are set stay here; and what
    would leave a trace (a client, events, the task's state) goes elsewhere.
    """

    def __init__(
        self, worker: Any, key: Any, ask: str, find: bytes, limit: float
    ) -> None:
        self._dbgkit_worker = worker
        self._dbgkit_key = key
        self._dbgkit_client: Any = None
        self._dbgkit_asked = False
        self._dbgkit_events = 0
        self._dbgkit_stack = ExitStack()
        self._dbgkit_said: dict[str, None] = {}
        self._dbgkit_tools = Tools(
            limit, ask, find, lambda text: self._dbgkit_said.update({text: None}), _lack
        )
        base = worker.loop.asyncio_loop
        self.scheduler = SchedulerInPlace(
            lambda: (worker.scheduler, base), self._dbgkit_tools
        )
        self.loop = LoopInPlace(lambda: worker.loop)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._dbgkit_worker)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dbgkit_worker, name)

    def rpc(self, address: str) -> Any:
        """What actors are asked through (distributed/actor.py)."""
        worker = self._dbgkit_worker
        loop = worker.loop.asyncio_loop
        return RpcInPlace(
            lambda: (worker.rpc(address), loop), address, self._dbgkit_tools
        )

    def get_current_task(self) -> Any:
        """``Worker.get_current_task`` looks into the worker's own threads."""
        return self._dbgkit_key

    def handle_stimulus(self, *events: Any) -> None:
        """``secede`` (distributed/worker.py) notifies the worker; ignored here."""

    def log_event(self, topic: Any, message: Any) -> None:
        """Counted, and not sent."""
        if topic not in ("worker-client", "worker-get-client"):  # Dask's own
            self._dbgkit_events += 1

    def _get_client(self, timeout: float | None = None) -> Any:
        """What ``distributed.get_client`` asks a worker for (distributed/worker.py).

        A client for this task only: the worker's would stay open.
        """
        self._dbgkit_asked = True
        if self._dbgkit_client is None:
            from distributed import Client

            worker = self._dbgkit_worker
            asynchronous = coroutines_loop() is not None
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
            if asynchronous:
                connect_first(client)
            else:
                scheduler = client.scheduler
                loop = worker.loop.asyncio_loop
                client.scheduler = SchedulerInPlace(
                    lambda: (scheduler, loop), self._dbgkit_tools
                )
            self._dbgkit_stack.enter_context(client.as_current())
        return self._dbgkit_client

    @property
    def client(self) -> Any:
        return self._get_client()


def notes_of(stand_in: InPlaceOfWorker) -> list[str]:
    """Notes on what the task asked its worker for."""
    notes = []
    if stand_in._dbgkit_asked:
        notes.append("the task asked for a client: work it submitted really ran")
    notes += stand_in._dbgkit_said
    if stand_in._dbgkit_events:
        count = stand_in._dbgkit_events
        what = "1 event" if count == 1 else f"{count:,} events"
        notes.append(f"{what} that the task logged or printed for clients: not sent")
    return notes


class StandInLacks(AttributeError):
    """The task asked for something that a replay does not provide."""


def _lack(message: str, hint: str) -> StandInLacks:
    return StandInLacks(f"{message}; {hint}")


def give_back(stand_in: InPlaceOfWorker) -> None:
    """Release locks and queues, from the task's thread."""
    worker = stand_in._dbgkit_worker
    client = stand_in._dbgkit_client

    async def give() -> None:
        queues = await stand_in.scheduler.dbgkit_give_back()
        if isinstance(getattr(client, "scheduler", None), SchedulerInPlace):
            queues += await client.scheduler.dbgkit_give_back()
        for name in queues:
            client._send_to_scheduler({"op": "queue_release", "name": name})

    try:
        giving = begin_in(worker.loop.asyncio_loop, give())
    except RuntimeError:  # the worker has closed: the scheduler takes them back
        return
    giving.result(_GIVE_BACK)


def close_client(stand_in: InPlaceOfWorker) -> None:
    """Close the client that the task asked for, from the task's thread."""
    client = stand_in._dbgkit_client
    _no_longer_current(stand_in)
    if client is not None and not client.asynchronous:
        client.close()


def _no_longer_current(stand_in: InPlaceOfWorker) -> None:
    # In another context than it was entered in, nothing is left to be undone.
    with suppress(ValueError):
        stand_in._dbgkit_stack.close()


def run_to_end(coroutine: Any, stand_in: InPlaceOfWorker) -> Any:
    """Run a coroutine in a loop of its own, and close there what it opened."""

    async def run() -> Any:
        of_a_coroutine()
        try:
            return await coroutine
        finally:
            client = stand_in._dbgkit_client
            if client is not None and client.asynchronous:
                _no_longer_current(stand_in)
                stand_in._dbgkit_client = None
                await close_connected(client)

    return asyncio.run(run())


@contextmanager
def in_place_of_worker(
    worker: Any, key: Any, ask: str, find: bytes, limit: float
) -> Iterator[InPlaceOfWorker]:
    """Make ``get_worker`` return a stand-in, in this thread.

    It reads ``distributed.worker._worker_cvar``. ``ask``, ``find`` and ``limit`` are
    those of `replay_leases.Tools`.
    """
    from distributed.worker import _worker_cvar

    stand_in = InPlaceOfWorker(worker, key, ask, find, limit)
    token = _worker_cvar.set(stand_in)
    try:
        yield stand_in
    finally:
        try:
            give_back(stand_in)
            close_client(stand_in)
        finally:
            _worker_cvar.reset(token)


def as_task(worker: Any, key: Any) -> AbstractContextManager[Any]:
    """Make this thread count as one that runs a task, so that it may secede.

    As ``_run_task`` (distributed/worker.py) does, but for ``Worker.active_threads``.
    The thread itself has to be one of Dask's ``ThreadPoolExecutor``.
    """
    from distributed.utils import set_thread_state

    state: AbstractContextManager[Any] = set_thread_state(
        start_time=time(), execution_state=worker.execution_state, key=key
    )
    return state


def call_as_task(
    worker: Any, stand_in: InPlaceOfWorker, key: Any, node: Any, inputs: dict[Any, Any]
) -> Any:
    """Call one node as a worker does; a coroutine in a loop of its own."""
    stand_in._dbgkit_key = key
    # What runs in a worker's loop is no task that could secede.
    coroutine = bool(getattr(node, "is_coro", False))
    with nullcontext() if coroutine else as_task(worker, key):
        result = node(inputs)
        if inspect.iscoroutine(result):
            return run_to_end(result, stand_in)
    carried = carried_by(result)
    if carried is not None:
        raise carried
    return result
