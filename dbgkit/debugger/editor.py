"""An editor debugs a stopped task: it connects here, and its bytes go to the worker."""

from __future__ import annotations

import queue
import select
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from dbgkit.debugger.live import CANCELLED, Conversation, Ended, ended_by

HOST = "127.0.0.1"
WINDOW = 60.0  # seconds in which the editor is to connect
LEAVING = 3.0  # seconds for the worker to say what becomes of the task
PART = 64_000  # bytes read at once
PATIENCE = 30.0  # seconds for the editor to take what it is sent


class EditorTalk(Conversation, Protocol):
    """What is needed of a session: see ``cluster.talk.Talk``."""

    pass_on: Callable[[bytes], bool] | None

    def put(self, op: str, **message: Any) -> None:
        """Have `next` give a message of our own."""


@dataclass
class Unable:
    """Why an editor cannot debug the task, and what to do; it waits on."""

    why: str
    hint: str
    late: bool = False  # it was waited for


class Listener:
    """A port of this machine's own, for one connection.

    ``talk`` is told ``"editor"`` as it connects and ``"editor-left"`` as it leaves;
    what it sends goes to the worker as it comes.
    """

    def __init__(self, talk: EditorTalk) -> None:
        self.talk = talk
        self._server = socket.create_server((HOST, 0), backlog=1)
        self._socket: socket.socket | None = None
        self._closed = False
        self._thread = threading.Thread(
            target=self._run, name="dbgkit-editor", daemon=True
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.getsockname()[1])

    def start(self) -> None:
        """Take the first connection, and no other."""
        self._thread.start()

    def send(self, data: bytes) -> bool:
        """Send bytes to the editor; false if it has gone."""
        try:
            if self._socket is not None:
                self._socket.sendall(data)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close both, and end the thread."""
        self._closed = True
        for each in (self._socket, self._server):
            if each is not None:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        if self._thread.ident is not None:
            self._thread.join(LEAVING)

    def _run(self) -> None:
        try:
            self._socket = self._accepted()
            if self._socket is None:
                return
            self._socket.settimeout(PATIENCE)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.talk.put("editor")
            while data := self._received(self._socket):
                self.talk.send("dap", data=data)
        except (OSError, ValueError):  # closed here meanwhile
            pass
        self.talk.put("editor-left")

    def _accepted(self) -> socket.socket | None:
        while not self._closed:
            ready, _, _ = select.select([self._server], [], [], 0.2)
            if ready:
                found, _ = self._server.accept()
                self._server.close()  # nobody else
                return found
        return None

    def _received(self, source: socket.socket) -> bytes:
        while not self._closed:
            with suppress(TimeoutError):
                return source.recv(PART)
        return b""


class Relay:
    """One session of an editor."""

    def __init__(
        self,
        talk: EditorTalk,
        source: Callable[[Any], Any],
        invite: Callable[[dict[str, Any], int], None],
        say: Callable[[str], None],
    ) -> None:
        self.talk = talk
        self.source = source
        self.invite = invite
        self.say = say
        self._stop: dict[str, Any] | None = None
        self._header: dict[str, Any] = {}
        self._listener: Listener | None = None
        self._until: float | None = None  # when a wait is over
        self._asked = self._connected = False

    def run(self, timeout: float) -> Ended | Unable:
        """Relay until the session ends; gives how it did.

        ``timeout``: seconds for the worker to be ready.
        """
        self._until = monotonic() + timeout
        try:
            while True:
                try:
                    ended = self._take(self.talk.next(self._left()))
                except queue.Empty:
                    return self._too_late(timeout)
                if ended is not None:
                    return ended
        except KeyboardInterrupt:
            self.talk.send("detach")
            return Ended("detached", self._stop)
        finally:
            if self._listener is not None:
                self._listener.close()

    def _left(self) -> float | None:
        return None if self._until is None else max(0.01, self._until - monotonic())

    def _too_late(self, timeout: float) -> Ended | Unable:
        if self._listener is None:
            why = f"it was not at its prompt within {timeout:g} s: it runs, it seems"
            return Unable(why, "try again once it has stopped", late=True)
        if self._until is not None and self._connected:
            return Ended("detached", self._stop)  # the worker has not said
        return Unable(
            f"no editor has connected to {HOST}:{self._listener.port} within "
            f"{WINDOW:g} s",
            "start it again, and then the configuration that it prints",
            late=True,
        )

    def _take(self, message: dict[str, Any]) -> Ended | Unable | None:
        op = message["op"]
        if op == "prompt" and not self._asked:
            self._asked = True
            system = "WINDOWS" if sys.platform == "win32" else "UNIX"
            self.talk.send("debugpy", system=system)
        elif op == "here":
            self._stop, self._header = message["stop"], message
        elif op == "ready":
            self._listen()
        elif op == "editor":
            self._connected, self._until = True, None
            self.talk.send("connected")
            self.say("an editor has connected; Ctrl-C here leaves, and the task waits")
        elif op == "editor-left":
            self._leave()
        elif op == "sources":
            found = [self.source(each) for each in message["codes"]]
            self.talk.send("sources", found=found)
        elif op == "told":
            self.say(CANCELLED)
        elif op == "unable":
            return Unable(str(message["why"]), str(message["hint"]))
        elif op in ("ended", "refused", "lost"):
            return ended_by(message, self._stop)
        return None

    def _listen(self) -> None:
        self._listener = Listener(self.talk)
        self.talk.pass_on = self._listener.send
        self._until = monotonic() + WINDOW
        self._listener.start()
        self.invite(self._header, self._listener.port)

    def _leave(self) -> None:
        """Tell the worker that the editor has gone, and wait for what it says."""
        self.talk.send("dap-left")
        self._until = monotonic() + LEAVING
