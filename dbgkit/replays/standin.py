"""What surrounds a replayed task: a stand-in for its worker, in one of its threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from distributed.protocol.pickle import dumps

from dbgkit.cluster.clients import event_loop
from dbgkit.cluster.extension import extension_name
from dbgkit.cluster.shipping import ShippedFunction
from dbgkit.errors import StandInLacks
from dbgkit.model import Notice
from dbgkit.remote.common.loops import begin_in
from dbgkit.remote.worker.replay_leases import Tools
from dbgkit.remote.worker.replay_waits import (
    LoopInPlace,
    RpcInPlace,
    SchedulerInPlace,
    close_connected,
    coroutines_loop,
    of_a_coroutine,
)
from dbgkit.replays.standin_client import SUBMITS, Base, ClientStandIn, own_client
from dbgkit.replays.standin_parts import MappingStandIn, Parts, PartStandIn
from dbgkit.replays.standin_pool import in_a_pool

_DASKS_OWN = ("worker-client", "worker-get-client")  # topics of events
_GIVE_BACK = 10.0  # seconds for the scheduler to take back what the task has taken


class WorkerStandIn:
    """Answers for the worker in a replayed task, and names what it lacks.

    Its attributes, plugins and state are the real worker's, read by name, as far as
    they can be sent. What is set on it stays here. What the task submits, asks an actor
    or puts into a queue really happens, after a notice; events are kept here; no wait
    exceeds the limit; and locks are released.

    Parameters
    ----------
    key : Key
        The task's.
    address, known : str, mapping
        The worker's, and what the scheduler knows of it.
    open_client : callable
        Gives the client to go through, or None if there is no cluster.
    notify : callable
        Is passed a `Notice` before something happens on the cluster.
    limit, most : float, int
        Seconds that each wait may take, and bytes that a part of the worker may have.
    """

    def __init__(
        self,
        key: Any,
        address: str,
        known: Mapping[str, Any],
        open_client: Callable[[], Any],
        notify: Callable[[Any], Any],
        limit: float,
        most: int,
    ) -> None:
        self.address = self.contact_address = self.worker_address = address
        self.name = known.get("name", address)
        self.id = f"dbgkit-stand-in-{address}"
        self.memory_limit = known.get("memory_limit")
        self.events: list[tuple[Any, Any]] = []
        self.submits = False
        self.active_threads: dict[int, Any] = {}
        self._key = key
        self.notify = notify
        self._said: dict[str, None] = {}
        self._limit = limit
        self._lock = threading.RLock()
        self._outside = contextvars.copy_context()
        self._base = Base(open_client)
        self._tools = Tools(
            limit,
            f"{extension_name()}-ask",
            dumps(ShippedFunction("common.leases", "find_leases")),
            self._say,
            StandInLacks,
        )
        self.loop = self.io_loop = LoopInPlace(lambda: self._reached().loop)
        self._scheduler = SchedulerInPlace(self._reach, self._tools)
        self._clients: dict[int, ClientStandIn] = {}
        self._current = ExitStack()
        named = {"worker": self, "loop": self.loop, "scheduler": self._scheduler}
        self._parts = Parts(address, self._base, limit, most, named)
        self.plugins = MappingStandIn(self._parts, (("a", "plugins"),))
        self.data = MappingStandIn(self._parts, (("a", "data"),))
        self.state = PartStandIn(self._parts, (("a", "state"),))

    # -- what Dask asks a worker for ----------------------------------------

    def _get_client(self, timeout: float | None = None) -> Any:
        """What ``distributed.get_client`` asks a worker for (distributed/worker.py)."""
        base = self._reached()
        running = coroutines_loop()
        mine = running is not None
        place = id(running) if mine else 0
        with self._lock:
            if place not in self._clients:
                client = own_client(base, self._limit) if mine else base
                if mine:  # what `as_completed` takes, as a worker's own is
                    self._current.enter_context(client.as_current())
                self._clients[place] = ClientStandIn(
                    client, self._scheduler, self._announce, self._outside
                )
            return self._clients[place]

    def rpc(self, address: str) -> RpcInPlace:
        """What actors are asked through (distributed/actor.py): the scheduler.

        Their workers may be out of reach of this process.
        """
        return RpcInPlace(lambda: self._proxy(address), address, self._tools)

    def _proxy(self, address: str) -> tuple[Any, Any]:
        from distributed.actor import ProxyRPC

        scheduler, loop = self._reach()
        return ProxyRPC(scheduler, address), loop

    def get_current_task(self) -> Any:
        return self._key

    def handle_stimulus(self, *events: Any) -> None:
        """``secede`` (distributed/worker.py) notifies the worker: there is none."""

    def log_event(self, topic: Any, message: Any) -> None:
        """Kept here, and not sent."""
        if topic not in _DASKS_OWN:
            self.events.append((topic, message))

    def __getattr__(self, name: str) -> Any:
        # Not properties: their AttributeErrors would end up here again.
        if name in ("client", "_client"):
            return self._get_client()
        if name == "scheduler":
            self._reached()
            return self._scheduler
        if name == "thread_id":
            return None  # no thread of the task is that of the worker's loop
        if name == "local_directory":
            return _temporary_folder()
        if name.startswith("__"):
            raise AttributeError(name)
        return self._parts.read((("a", name),))

    # -- one run ------------------------------------------------------------

    def in_child(self, open_client: Callable[[], Any]) -> None:
        """Go on in a fork, which has none of its parent's threads.

        Locks and actors that were read before lead to this stand-in's loop and
        scheduler, so that they go on with it.
        """
        self._lock = threading.RLock()
        self._clients.clear()
        self._base.reopen(open_client)

    def begin(self, key: Any) -> None:
        """Say which task runs from now on."""
        self._key = key
        self.active_threads[threading.get_ident()] = key

    def end(self) -> None:
        """Release, at the end of a run, what the task has acquired and not released."""
        self.active_threads.clear()
        if not self._base.opened or self._base.runs_here():
            return
        client = self._reached()
        giving = begin_in(event_loop(client), self._give_back(client))
        try:
            giving.result(_GIVE_BACK)
        except (TimeoutError, asyncio.TimeoutError, concurrent.futures.TimeoutError):
            giving.cancel()
            self._say("locks that the task had acquired may not have been released")
        except OSError as error:  # the cluster is gone, and its locks with it
            self._say(f"locks that the task had acquired were not released: {error}")

    async def _give_back(self, client: Any) -> None:
        for name in await self._scheduler.dbgkit_give_back():
            client._send_to_scheduler({"op": "queue_release", "name": name})

    async def close_coroutine(self) -> None:
        """Close the client that a coroutine had in the loop that runs here."""
        client = self._clients.pop(id(coroutines_loop()), None)
        with suppress(ValueError):  # entered in a part of the coroutine: left with it
            self._current.close()
        if client is not None:
            await close_connected(client._dbgkit_client)

    def notes(self) -> list[str]:
        """Notes on what the task asked its worker for."""
        notes = [
            f"the task asked its worker for {name!r}, which the stand-in does not have"
            for name in self._parts.lacked
        ]
        if self.submits:
            notes.append("the task asked for a client: work it submitted really ran")
        notes += self._said
        if self.events:
            count = len(self.events)
            what = "1 event" if count == 1 else f"{count:,} events"
            notes.append(
                f"{what} that the task logged or printed for clients: not sent"
            )
        return notes

    # -- the cluster --------------------------------------------------------

    def _announce(self) -> None:
        if not self.submits:
            self.submits = True
            self.notify(Notice(SUBMITS))

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said[text] = None
            self.notify(Notice(text))

    def _reached(self) -> Any:
        client = self._base.client()
        if client is None:
            raise StandInLacks(
                "the replayed task asks for a client, and there is no cluster",
                "connect a Client, or have the task submit nothing",
            )
        return client

    def _reach(self) -> tuple[Any, Any]:
        client = self._reached()
        return client.scheduler, event_loop(client)


@contextmanager
def reading(stand_in: Any) -> Iterator[None]:
    """Have what is unpickled here find the stand-in: actors, locks, futures.

    ``distributed.worker._worker_cvar`` is what ``get_worker`` reads. With None,
    nothing is done: then there was no worker either.
    """
    if stand_in is None:
        yield
        return
    from distributed.worker import _worker_cvar

    token = _worker_cvar.set(stand_in)
    try:
        yield
    finally:
        _worker_cvar.reset(token)


@contextmanager
def in_place_of_worker(
    stand_in: WorkerStandIn | None, only: Any, notify: Callable[[Any], Any]
) -> Iterator[WorkerStandIn | None]:
    """Have this thread look like one in which a worker runs a task.

    ``only`` is the task, if it is run alone: a coroutine cannot secede, as what runs in
    a worker's loop cannot. ``notify`` is passed a `Notice` before something happens on
    the cluster. Without a stand-in nothing is done.
    """
    if stand_in is None:
        yield None
        return
    stand_in.notify = notify
    coroutine = bool(getattr(only, "is_coro", False))
    with reading(stand_in):
        stand_in.begin(stand_in.get_current_task())
        try:
            with in_a_pool(stand_in, stand_in.get_current_task(), coroutine):
                yield stand_in
        finally:
            stand_in.end()


async def to_its_end(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a task's coroutine, and close what it has opened in its loop."""
    from distributed.worker import _worker_cvar

    worker: Any = _worker_cvar.get(None)
    of_a_coroutine()
    try:
        return await coroutine
    finally:
        if type(worker) is WorkerStandIn:
            await worker.close_coroutine()


def _temporary_folder() -> str:
    try:
        return tempfile.gettempdir()
    except OSError as error:
        raise StandInLacks(
            f"the replayed task asks for a folder to write to: {error}",
            "set TMPDIR to a folder that can be written to",
        ) from None
