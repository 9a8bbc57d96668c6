"""The Debug Adapter Protocol as bytes, and what debugpy takes for its socket."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable
from typing import Any

LONGEST_HEADER = 4_000  # bytes
LONGEST = 16_000_000  # bytes of a message
_END = b"\r\n\r\n"
Message = dict[str, Any]


class NotTheProtocol(ValueError):
    """What came is not the Debug Adapter Protocol."""


class Framing:
    """Messages in a stream of bytes, which comes in any parts."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete with these bytes."""
        self._waiting += data
        found = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> Message | None:
        end = self._waiting.find(_END)
        if end < 0 or end > LONGEST_HEADER:
            if len(self._waiting) > LONGEST_HEADER:
                raise NotTheProtocol("there is no header")
            return None
        start = end + len(_END)
        size = _size_in(bytes(self._waiting[:end]))
        if len(self._waiting) < start + size:
            return None
        body = bytes(self._waiting[start : start + size])
        del self._waiting[: start + size]
        try:
            message = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise NotTheProtocol("a message is no JSON") from error
        if not isinstance(message, dict):
            raise NotTheProtocol("a message is no object")
        return message


def _size_in(header: bytes) -> int:
    """The length that a header tells."""
    for line in header.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            text = value.strip()
            if text.isdigit() and len(text) < 12 and int(text) <= LONGEST:
                return int(text)
    raise NotTheProtocol("a header tells no length, or too much")


def packed(message: Message) -> bytes:
    """A message as bytes."""
    body = json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class Wire:
    """Stands for a connected socket, in debugpy's threads that read and write.

    ``send`` is called with each message of debugpy's, in its own thread.
    """

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._incoming: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._rest = b""
        self._framing = Framing()
        self._closed = False

    def put(self, message: Message) -> None:
        """Hand a message to debugpy, from any thread."""
        self._incoming.put(packed(message))

    # -- as a socket ---------------------------------------------------------

    def recv(self, size: int) -> bytes:
        """Wait for bytes; none once it is closed."""
        if not self._rest and not self._closed:
            self._rest = self._incoming.get()
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def sendall(self, data: bytes) -> None:
        """Take bytes of debugpy's."""
        if self._closed:
            raise BrokenPipeError("closed")
        for message in self._framing.feed(data):
            self._send(message)

    def settimeout(self, limit: float | None) -> None:
        """It waits as long as it takes."""

    def shutdown(self, how: int) -> None:
        """As `close`."""
        self.close()

    def close(self) -> None:
        """End what waits for bytes."""
        if not self._closed:
            self._closed = True
            self._incoming.put(b"")
