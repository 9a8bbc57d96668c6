"""One session with a stopped task: messages over one comm, until that is closed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import NoneType
from typing import Any

from distributed.comm import CommClosedError

from ..common.texts import sendable
from .live_stop import Stop

TEXT = 10_000  # characters of one line that is typed
_COMPLETE = {"number": int, "text": str, "line": str, "begin": int, "end": int}
# What each message has to have: the task's own thread takes it, and must not fail.
_FORMS: dict[str, dict[str, Any]] = {
    "do": {"line": str},
    "input": {"text": (str, NoneType)},
    "sources": {"found": (list, tuple)},
    "complete": _COMPLETE,
    # of an editor
    "debugpy": {"system": str},
    "connected": {},
    "dap": {"data": bytes},
}


class Session:
    """Passes messages between a client and a stop, in the worker's event loop."""

    def __init__(self, comm: Any, stop: Stop, who: str) -> None:
        self.stop = stop
        self.who = who
        self._comm = comm
        self._loop = asyncio.get_running_loop()
        self._outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the client, from any thread."""
        whole = {name: _sendable(value) for name, value in message.items()}
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._outgoing.put_nowait, whole)

    async def run(self) -> None:
        """Talk until one of both sides ends it."""
        self.stop.enter(self)
        sending = asyncio.ensure_future(self._send_all())
        receiving = asyncio.ensure_future(self._receive_all())
        both = {sending, receiving}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.stop.leave(self)
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _send_all(self) -> None:
        """Send what is to be sent, until the message that ends the session."""
        while True:
            message = await self._outgoing.get()
            await self._comm.write(message)
            if message["op"] == "ended":
                return

    async def _receive_all(self) -> None:
        with suppress(CommClosedError, OSError):
            while True:
                message = await self._comm.read()
                if not (isinstance(message, dict) and self._take(message)):
                    return

    def _take(self, message: dict[str, Any]) -> bool:
        """Take a message of the client's; whether more may follow."""
        op = message.get("op")
        if op == "interrupt":
            self.stop.interrupt()
        elif op == "detach":
            return False
        elif op == "dap-left":
            if self.stop.guest is not None:
                self.stop.guest.end()
        elif op in _FORMS:
            if not _fits(message, _FORMS[op]):
                return False
            if op == "dap":
                self.stop.take(message["data"])
                return True
            if op == "do":
                message["line"] = message["line"][:TEXT]
            return self.stop.deliver(message)
        return True


def _fits(message: dict[str, Any], form: dict[str, Any]) -> bool:
    return all(isinstance(message.get(name), kind) for name, kind in form.items())


def _sendable(value: Any) -> Any:
    """Texts that can be sent: what a value shows of itself may be half of a pair."""
    if isinstance(value, list):
        return [_sendable(each) for each in value]
    return sendable(value) if isinstance(value, str) else value


async def refuse(comm: Any, why: str, *, gone: bool = False) -> None:
    """Tell a client that there is nothing to enter, or that it may not."""
    with suppress(CommClosedError, OSError):
        await comm.write({"op": "refused", "why": why, "gone": gone})
