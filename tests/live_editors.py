"""An editor by script: the Debug Adapter Protocol over a plain socket."""

from __future__ import annotations

import json
import queue
import socket
import threading
from contextlib import contextmanager, suppress
from typing import Any

from watching import wait_until

from dbgkit.cluster.live import who_am_i
from dbgkit.cluster.talk import Talk
from dbgkit.debugger.editor import Relay
from dbgkit.source.stopped import Stopped

LIMIT = 20.0  # seconds for anything


class Refused(Exception):
    """A request that did not succeed."""


class Editor:
    """A connection of an editor."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), LIMIT)
        self.file = self.socket.makefile("rb")
        self.seq = 0
        self.events: list[Any] = []
        self.closed = False

    def send(self, command: Any, **arguments: Any) -> int:
        self.seq += 1
        message = {"type": "request", "seq": self.seq, "command": command}
        body = json.dumps({**message, "arguments": arguments}).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        return self.seq

    def _read(self) -> Any:
        length = 0
        while (line := self.file.readline()) not in (b"\r\n", b""):
            length = int(line.split(b":")[1])
        if not line:
            self.closed = True
            raise EOFError("the connection is closed")
        return json.loads(self.file.read(length))

    def ask(self, command: Any, **arguments: Any) -> Any:
        """A request; the body of the response."""
        seq = self.send(command, **arguments)
        while True:
            message = self._read()
            if message["type"] != "response":
                self.events.append(message)
            elif message["request_seq"] == seq:
                if not message["success"]:
                    raise Refused(message.get("message"))
                return message.get("body")

    def event(self, name: Any, **fields: Any) -> Any:
        """The next event of a name, whose body is given."""
        while True:
            for message in self.events:
                body = message.get("body") or {}
                if message["event"] == name and fields.items() <= body.items():
                    self.events.remove(message)
                    return body
            message = self._read()
            if message["type"] == "event":
                self.events.append(message)

    def begin(self, breakpoints: Any = None, **arguments: Any) -> Any:
        """As VS Code begins; the stack where the task stands."""
        self.capabilities = self.ask(
            "initialize", clientID="test", adapterID="debugpy", pathFormat="path",
            linesStartAt1=True, columnsStartAt1=True,
        )  # fmt: skip
        self.send("attach", **{"justMyCode": False, **arguments})
        self.event("initialized")
        self.verified = {
            path: self.ask(
                "setBreakpoints",
                source={"path": path},
                breakpoints=[{"line": line} for line in lines],
            )["breakpoints"]
            for path, lines in (breakpoints or {}).items()
        }
        self.ask("setFunctionBreakpoints", breakpoints=[])
        self.ask("setExceptionBreakpoints", filters=["uncaught"])
        self.ask("configurationDone")
        return self.stopped()

    def stopped(self) -> Any:
        """Wait until it stops; the frames there."""
        body = self.event("stopped")
        self.reason = body["reason"]
        self.thread = body["threadId"]
        return self.stack()

    def stack(self) -> Any:
        body = self.ask("stackTrace", threadId=self.thread, startFrame=0, levels=20)
        self.frames = body["stackFrames"]
        return self.frames

    def variables(self, frame: Any = 0) -> Any:
        """Local variables of a frame, as texts."""
        scopes = self.ask("scopes", frameId=self.frames[frame]["id"])["scopes"]
        reference = scopes[0]["variablesReference"]
        found = self.ask("variables", variablesReference=reference)["variables"]
        return {each["name"]: each["value"] for each in found}

    def evaluate(self, text: Any, frame: Any = 0, context: Any = "watch") -> Any:
        found = self.ask(
            "evaluate", expression=text, frameId=self.frames[frame]["id"],
            context=context,
        )  # fmt: skip
        return found["result"]

    def go(self, command: Any) -> Any:
        """Step, or continue, to the next stop; the frames there."""
        self.ask(command, threadId=self.thread)
        return self.stopped()

    def leave(self) -> None:
        self.ask("disconnect", terminateDebuggee=False)

    def close(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.file.close()
        self.socket.close()


class Edited:
    """A stop that an editor may debug; what the relay came to is ``ended``."""

    def __init__(self, client: Any, stop: Any, timeout: float = 10.0) -> None:
        self.said: list[str] = []
        self.port: queue.SimpleQueue[Any] = queue.SimpleQueue()
        who = f"{who_am_i(client)}, with debugpy"
        self.talk = Talk(client, stop.worker, stop.id, who, 10)
        self.relay = Relay(
            self.talk,
            Stopped().text,
            lambda message, port: self.port.put(port),
            self.said.append,
        )
        self.ended: Any = None
        self._thread = threading.Thread(target=self._run, args=(timeout,))
        self._thread.start()
        self.editor: Any = None

    def _run(self, timeout: float) -> None:
        self.ended = self.relay.run(timeout)
        self.talk.close()
        self.port.put(None)

    def connect(self) -> Any:
        port = self.port.get(timeout=LIMIT)
        if port is None:
            raise Refused(self.ended.why)
        self.editor = Editor(port)
        return self.editor

    def how(self) -> Any:
        """How it ended, once it has."""
        self._thread.join(LIMIT)
        assert not self._thread.is_alive(), "the session does not end"
        return getattr(self.ended, "how", self.ended)

    def close(self) -> None:
        if self.editor is not None:
            self.editor.close()
        if self._thread.is_alive():
            self.talk.put("lost")
        self._thread.join(LIMIT)


@contextmanager
def edited(client: Any, stop: Any, connect: bool = True, **options: Any) -> Any:
    """An editor that is connected to a stop, and its session."""
    session = Edited(client, stop, **options)
    try:
        if connect:
            session.connect()
        yield session
    finally:
        session.close()


def traces(dask_worker: Any = None) -> Any:
    """What a session of debugpy's leaves in a process while it is on; runs there."""
    import sys

    found = []
    if "pydevd" in sys.modules:
        if sys.modules["pydevd"].get_global_debugger() is not None:
            found.append("debugger")
        names = ("additional_info", "__pydevd_id__", "pydev_do_not_trace")
        for thread in threading.enumerate():
            found += [f"{thread.name}: {n}" for n in names if n in vars(thread)]
    found += [t.name for t in threading.enumerate() if "pydevd" in t.name]
    if sys.settrace.__name__ != "settrace":
        found.append("sys.settrace")
    hook = type(sys.breakpointhook).__name__
    if hook not in ("Hook", "builtin_function_or_method"):
        found.append(hook)
    monitoring = getattr(sys, "monitoring", None)
    if monitoring and monitoring.get_tool(monitoring.DEBUGGER_ID):
        found.append("monitoring")
    return found


def no_traces(client: Any) -> None:
    found: list[Any] = []

    def look() -> Any:
        found[:] = client.run(traces).values()
        return not any(found)

    try:
        wait_until(look, "debugpy has left nothing")
    except AssertionError as error:
        raise AssertionError(f"{error}: {found}") from None


def invited(path: Any) -> Any:
    """The configuration that was printed to a file, once it is there."""

    def look() -> Any:
        text = path.read_text() if path.exists() else ""
        begin, end = text.find("{"), text.rfind("}")
        return json.loads(text[begin : end + 1]) if 0 <= begin < end else None

    return wait_until(look, "an editor is invited")
