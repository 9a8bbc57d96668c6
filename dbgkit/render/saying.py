"""How text is written: results on standard output, and our own lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from dbgkit.errors import CannotWrite
from dbgkit.remote.common.texts import in_line

# Signs of our own, rules of tables and branches of trees.
_IN_ASCII = str.maketrans(
    {
        "❱": ">", "→": "->", "…": "...", "·": "-", "×": "x", "÷": "/",
        "│": "|", "─": "-", "├": "|", "└": "`", "┌": "+", "┐": "+", "┘": "+",
        "█": "#", "▓": "#", "▒": "=", "░": ".", "━": "-", "╸": "-", "╺": "-",
        "▁": "_", "▂": "_", "▃": "-", "▄": "-", "▅": "=", "▆": "=", "▇": "#",
        "µ": "u", "–": "-", "—": "-", "“": '"', "”": '"', "‘": "'", "’": "'",
    }
)  # fmt: skip


def say(text: object, file: IO[str] | None = None) -> None:
    """Print a line of our own, by default on standard error."""
    file = file or sys.stderr
    if file is not None:  # closed: nothing can be said
        with suppress(OSError, ValueError):  # and no more where it is full
            print(f"dbgkit: {in_line(str(text))}", file=file)


def say_stopped(interrupt: KeyboardInterrupt) -> None:
    """Say that Ctrl-C stopped it; a stopped replay has more to say."""
    say(str(interrupt) or "stopped by Ctrl-C")


def put_text(text: str, file: IO[str] | None = None) -> None:
    """Write a text, whatever the encoding of standard output, or of another file.

    Raises `CannotWrite` where it is closed or full, and `BrokenPipeError` where nobody
    reads it any longer.
    """
    with writing(file) as stream:
        stream.write(writable(text, stream))
        stream.flush()


def writable(text: str, stream: IO[str] | None) -> str:
    """A text as a stream can write it: where it has no Unicode, signs in ASCII."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        plain = text.translate(_IN_ASCII)
        return plain.encode(encoding, "backslashreplace").decode(encoding)


class Writable:
    """A stream that any text can be written to; see `writable`."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(writable(text, self._stream))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def writing(file: IO[str] | None = None) -> Iterator[IO[str]]:
    """Where to write, standard output if not given; raises what `put_text` does."""
    stream = sys.stdout if file is None else file
    name = "standard output" if file is None else "the file"
    if stream is None or getattr(stream, "closed", False):
        raise CannotWrite(f"{name} is closed", "leave it open, or send it to a file")
    try:
        yield stream
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotWrite(
            f"{name} cannot be written: {error}",
            "send it to a file that can be written",
        ) from error
