"""The prompt of a task that is stopped on a worker: what is typed goes there."""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from time import time
from typing import Any, Protocol

from dbgkit.debugger.live_readers import Reader, reader_here
from dbgkit.remote.common.sentences import seconds

IMPATIENT = 0.2  # seconds between two Ctrl-C that were not one
COMPLETING = 2.0  # seconds for completions to arrive
LAST_WORDS = {
    "continued": "it goes on, beside the worker's threads, until it ends",
    "finished": "the task has ended",
    "aborted": "aborted: the task fails",
    "limit": "nobody has typed anything for too long: it has gone on by itself",
    "off": "live was turned off: it has gone on by itself",
    "cancelled": "the task was cancelled: it has gone on, and its result is dropped",
    "closing": "its worker closes",
}
HELD = "held"  # the state of a failure
_LAST_OF_HELD = {
    "dropped": "dropped: its memory is free",
    "limit": "it has been let go: nobody has typed anything for too long",
    "off": "it has been let go: holding failures was turned off",
    "memory": "it has been let go: its worker's memory is short",
    "number": "it has been let go: its worker holds too many",
    "closing": "its worker closes",
}
LOST = "the connection to its worker is lost"
CANCELLED = "the task was cancelled meanwhile: what it returns will be dropped"


class Conversation(Protocol):
    """What is needed of a session: see ``cluster.talk.Talk``."""

    def next(self, limit: float | None = None) -> dict[str, Any]:
        """The next message."""

    def send(self, op: str, **message: Any) -> None:
        """Send a message."""


@dataclass
class Ended:
    """How a session ended, and the last that was known of its stop."""

    how: str
    stop: dict[str, Any] | None
    until: float = 0.0
    why: str = ""  # it was refused
    gone: bool = False  # it was refused because the stop is over


def ended_by(message: dict[str, Any], stop: dict[str, Any] | None) -> Ended:
    """How the last message of a session says that it ended."""
    return Ended(
        message.get("how", message["op"]),
        stop,
        message.get("until", 0),
        str(message.get("why", "")),
        bool(message.get("gone", False)),
    )


class Prompt:
    """One session at a prompt."""

    def __init__(
        self,
        talk: Conversation,
        reader: Reader,
        source: Callable[[Any], Any],
        header: Callable[[dict[str, Any]], str],
    ) -> None:
        self.talk = talk
        self.reader = reader
        self.source = source
        self.header = header
        self._stop: dict[str, Any] | None = None
        self._number = 0
        self._sent = 0  # lines
        self._interrupted = 0.0
        self._queued: list[dict[str, Any]] = []

    def run(self) -> Ended:
        """Converse until the session ends; gives how it did."""
        while True:
            try:
                ended = self._take(self._next())
            except KeyboardInterrupt:
                if not self._interrupt():
                    self.talk.send("detach")
                    return Ended("detached", self._stop)
                continue
            if ended is not None:
                return ended

    def _next(self) -> dict[str, Any]:
        return self._queued.pop(0) if self._queued else self.talk.next()

    def _interrupt(self) -> bool:
        """Interrupt what runs over there; whether to go on waiting for it."""
        now = time()
        again = self._interrupted and now - self._interrupted > IMPATIENT
        self._interrupted = self._interrupted or now
        if again:
            self.put("\nleft: what runs there does not answer to Ctrl-C\n")
            return False
        self.put("\ninterrupting; Ctrl-C once more leaves\n")
        self.talk.send("interrupt")
        return True

    def _take(self, message: dict[str, Any]) -> Ended | None:
        """Act on a message; gives the end, if it is the last."""
        op = message["op"]
        if op == "output":
            self.put(str(message["text"]))
        elif op == "prompt":
            self._prompted(message)
        elif op == "input":
            self._interrupted = 0.0
            self._input(str(message["prompt"]))
        elif op == "here":
            self._stop = message["stop"]
            self.put(self.header(message))
        elif op == "sources":
            found = [self.source(each) for each in message["codes"]]
            self.talk.send("sources", found=found)
        elif op == "told":
            self.put(f"{CANCELLED}\n")
        elif op in ("ended", "refused", "lost"):
            return ended_by(message, self._stop)
        return None

    def _prompted(self, message: dict[str, Any]) -> None:
        """Answer a prompt, unless a line was sent since it was asked."""
        if message["answered"] >= self._sent:
            self._sent = message["answered"]
            self._interrupted = 0.0
            self._command(str(message["prompt"]))

    def _command(self, prompt: str) -> None:
        while True:
            try:
                line = self.reader.read(prompt, self._complete)
            except KeyboardInterrupt:
                self.put("\n")
                continue
            except EOFError:
                self.put("\n")
                line = "EOF"
            self.talk.send("do", line=line)
            self._sent += 1
            return

    def _input(self, prompt: str) -> None:
        try:
            self.talk.send("input", text=self.reader.read(prompt, None))
        except EOFError:
            self.put("\n")
            self.talk.send("input", text=None)
        except KeyboardInterrupt:
            self.put("\n")
            self.talk.send("interrupt")

    def _complete(self, text: str, line: str, begin: int, end: int) -> list[str]:
        """Ask the stopped thread for completions; none if it does not answer."""
        self._number += 1
        self.talk.send(
            "complete", number=self._number, text=text, line=line, begin=begin, end=end
        )
        until = time() + COMPLETING
        while (left := until - time()) > 0:
            try:
                message = self.talk.next(left)
            except queue.Empty:
                return []
            if message["op"] != "completions":
                self._queued.append(message)
                if message["op"] in ("ended", "lost"):
                    return []
            elif message["number"] == self._number:
                return [str(each) for each in message["found"]]
        return []

    def put(self, text: str) -> None:
        """Write to the terminal, or the notebook."""
        out = sys.stdout
        if out is not None:
            out.write(text)
            out.flush()


def converse(
    talk: Conversation,
    source: Callable[[Any], Any],
    header: Callable[[dict[str, Any]], str],
    reader: Reader | None = None,
) -> Ended:
    """Open a prompt on a session, and wait until it ends.

    Parameters
    ----------
    talk : Conversation
    source : callable
        Gives the text of a place: see ``source.stopped.Stopped.text``.
    header : callable
        What to show above the prompt, of a message ``here``.
    reader : Reader, optional
        By default the one of this front end.
    """
    with reader_here() if reader is None else nullcontext(reader) as reading:
        return Prompt(talk, reading, source, header).run()


def last_words(ended: Ended, again: str) -> str:
    """What to say at the end; ``again``: how to enter it again."""
    if ended.how == "refused":
        return ended.why
    is_held = (ended.stop or {}).get("state") == HELD
    if ended.how == "lost":
        waits = "the failure is held" if is_held else "the task waits"
        return f"{LOST}: if it still runs, {waits}; {again} enters it again"
    if ended.how != "detached":
        known = _LAST_OF_HELD if is_held else LAST_WORDS
        return known.get(ended.how, ended.how)
    until = ended.until or (ended.stop or {}).get("until", 0.0)
    left = seconds(max(0.0, until - time()))
    if is_held:
        return f"it is still held, for {left} more: {again} enters it again"
    return (
        f"it still waits, for {left} more: {again} enters it again, where c goes on "
        "and abort fails it"
    )
