"""A session with a stopped task: one comm, kept open, in an event loop of its own.

Directly with the worker where it can be reached, else through the scheduler. The loop
is not the client's: with an asynchronous client, that one is blocked while somebody
types.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as TooLate
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distributed.comm import CommClosedError, connect

from dbgkit import advice
from dbgkit.cluster.clients import event_loop
from dbgkit.cluster.connection import address_of
from dbgkit.cluster.reach import CONNECT_LIMIT, reach_of
from dbgkit.cluster.shipping import live_name
from dbgkit.cluster.talk_forms import is_sound
from dbgkit.errors import SchedulerGone, WaitTimedOut
from dbgkit.remote.common.loops import begin_in

if TYPE_CHECKING:
    from distributed import Client

ENDING = 2.0  # seconds for the last message
# Sent after the question: who has no part of ours any more, and so says nothing to it,
# answers this (``Server.echo`` in distributed/core.py). A session passes it over.
_IF_OFF = {"op": "echo", "data": {"op": "refused", "why": "live is off", "gone": True}}


class Talk:
    """One session; a context manager. Used in one thread.

    `through` says whether the scheduler passes the messages on.
    """

    def __init__(
        self, client: Client, worker: str, stop: str, who: str, timeout: float
    ) -> None:
        self.client = client
        self.worker = worker
        self.through = False
        self._question = {"reply": False, "stop": stop, "who": who}
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        # Takes an editor's bytes at once, in the loop; false: it has gone.
        self.pass_on: Callable[[bytes], bool] | None = None
        self._comm: Any = None
        self._loop = asyncio.new_event_loop()
        self._reading: asyncio.Task[None] | None = None
        self._writing: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(
            target=self._run_loop, name="dbgkit-attach", daemon=True
        )
        self._thread.start()
        try:
            self._call(self._open(timeout), timeout + CONNECT_LIMIT)
        except BaseException:
            self.close()
            raise

    # -- in the thread that talks --------------------------------------------

    def next(self, limit: float | None = None) -> dict[str, Any]:
        """The next message; `queue.Empty` after the limit. Ctrl-C is let through.

        The last one has the op ``"ended"``, ``"refused"`` or ``"lost"``.
        """
        while True:
            try:
                # Windows does not interrupt a wait that has no limit.
                return self._messages.get(timeout=1.0 if limit is None else limit)
            except queue.Empty:
                if limit is not None:
                    raise

    def send(self, op: str, **message: Any) -> None:
        """Send a message; what cannot be sent is of a session that is over."""
        with suppress(RuntimeError):  # closed meanwhile
            self._loop.call_soon_threadsafe(self._write, {"op": op, **message})

    def put(self, op: str, **message: Any) -> None:
        """Have `next` give a message of our own, from any thread."""
        self._messages.put({"op": op, **message})

    def close(self) -> None:
        """Leave: the task waits on."""
        if self._loop.is_closed():
            return
        with suppress(TooLate, RuntimeError, OSError):
            self._call(self._close(), ENDING)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ENDING)

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _call(self, step: Any, limit: float) -> Any:
        calling = begin_in(self._loop, step)
        try:
            return calling.result(limit)
        except BaseException:
            calling.cancel()
            raise

    # -- in the loop ---------------------------------------------------------

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    async def _open(self, timeout: float) -> None:
        try:
            self._comm = await asyncio.wait_for(self._connected(), timeout)
        except asyncio.TimeoutError as error:
            raise WaitTimedOut(
                f"worker {self.worker} did not answer within {timeout:g} s",
                f"raise {advice.option('timeout')}",
            ) from error
        except OSError as error:
            raise SchedulerGone(
                f"worker {self.worker} cannot be reached: {error}",
                "check whether it, and the scheduler, still run",
            ) from error
        self._reading = asyncio.ensure_future(self._read())

    async def _connected(self) -> Any:
        """A comm on which the session has been asked for."""
        reach = reach_of(self.client)
        there = None
        if self.worker not in reach.missed:
            with suppress(OSError, asyncio.TimeoutError, ValueError):
                there = await self._connect(self.worker, CONNECT_LIMIT)
        name = live_name()
        if there is not None:
            await there.write({"op": f"{name}-session", **self._question})
            await there.write(_IF_OFF)
            return there
        self.through = True
        there = await self._connect(address_of(self.client), None)
        tunnel = {"op": f"{name}-tunnel", "worker": self.worker, **self._question}
        await there.write(tunnel)
        await there.write(_IF_OFF)
        self._remember(reach)
        return there

    def _remember(self, reach: Any) -> None:
        """The scheduler reaches a worker that cannot be reached from here."""

        def remember() -> None:
            reach.lose({self.worker})
            reach.remember({self.worker})

        event_loop(self.client).call_soon_threadsafe(remember)

    async def _connect(self, address: str, limit: float | None) -> Any:
        arguments = self.client.connection_args
        connecting = connect(address, timeout=limit, **arguments)
        return await asyncio.wait_for(connecting, limit)

    async def _read(self) -> None:
        try:
            while True:
                message = await self._comm.read()
                if not is_sound(message):
                    break
                if message["op"] != "dap" or self.pass_on is None:
                    self._messages.put(message)
                elif not self.pass_on(message["data"]):
                    self.put("editor-left")
                if message["op"] in ("ended", "refused"):
                    return
        except (CommClosedError, OSError):
            pass
        finally:
            # After the last message nobody reads it.
            self._messages.put({"op": "lost"})

    def _write(self, message: dict[str, Any]) -> None:
        async def write() -> None:
            with suppress(CommClosedError, OSError):
                await self._comm.write(message)

        task = asyncio.ensure_future(write())
        self._writing.add(task)
        task.add_done_callback(self._written)

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()

    async def _close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        if self._writing:  # what has been sent arrives, and nothing is left pending
            await asyncio.wait(self._writing, timeout=ENDING / 2)
        for task in self._writing:
            task.cancel()
        if self._comm is not None:
            await self._comm.close()
