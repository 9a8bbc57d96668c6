"""What a debugger on a worker reads and writes: messages of a session, bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .live_prompt import Asked, Interrupted

MOST_OUTPUT = 200_000  # characters of one command's output
PART = 8_000  # characters of one message


class Box:
    """Stands for stdin and stdout of a debugger.

    ``between`` is called with messages that are no command, while one is waited for.
    """

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, stop: Asked, between: Callable[[dict[str, Any]], None]) -> None:
        self.stop = stop
        self.between = between
        self.prompt = ""
        self.answered = 0  # lines that a session has sent
        self._parts: list[str] = []
        self._waiting = 0
        self._written = 0
        self._left_out = 0

    # -- as a file -----------------------------------------------------------

    def write(self, text: str) -> int:
        """Take output, as far as it is wanted."""
        if self.stop.visitor is None:
            return len(text)
        kept = text[: max(0, MOST_OUTPUT - self._written)]
        self._written += len(kept)
        self._left_out += len(text) - len(kept)
        if kept:
            self._parts.append(kept)
        self._waiting += len(kept)
        if self._waiting > PART and not self.prompt:
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Send what was written, but not a prompt, which is told with the question."""
        text = "".join(self._parts).removesuffix(self.prompt)
        self._parts.clear()
        self._waiting = 0
        for start in range(0, len(text), PART):
            self.stop.say({"op": "output", "text": text[start : start + PART]})

    def isatty(self) -> bool:
        return False

    def readline(self, size: int = -1) -> str:
        """The next command, at a prompt; or a line of one that goes on."""
        return self.command() + "\n"

    # -- for the debugger ----------------------------------------------------

    def command(self) -> str:
        """Wait for the next command."""
        self._end_output()
        wanted: dict[str, Any] | None = None
        while True:
            if wanted is None:
                wanted = {
                    "op": "prompt",
                    "prompt": self.prompt,
                    "answered": self.answered,
                }
                message = self.stop.read(wanted)
            else:
                message = self.stop.read()
            op = message["op"]
            if op == "do":
                self.answered += 1
                return str(message["line"])
            if op == "interrupt":  # of a line that was never sent: it is asked again
                wanted = None
                continue
            self.between(message)
            if op in ("entered", "left", "interrupt"):
                self._end_output()
                wanted = None

    def line(self, prompt: str) -> str:
        """A line of input for code that runs at the prompt; `EOFError` without one."""
        self._end_output()  # each answer is one more of the user's
        wanted: dict[str, Any] | None = {"op": "input", "prompt": prompt}
        while True:
            message = self.stop.read(wanted)
            wanted = None
            op = message["op"]
            if op == "interrupt":
                raise Interrupted
            if op == "left" or (op == "input" and message.get("text") is None):
                raise EOFError
            if op == "input":
                return str(message["text"])
            self.between(message)

    def _end_output(self) -> None:
        """Send the rest of a command's output, and how much of it was left out."""
        self.flush()
        if self._left_out:
            text = f"[… {self._left_out:,} more characters are left out]\n"
            self.stop.say({"op": "output", "text": text})
        self._written = self._left_out = 0
