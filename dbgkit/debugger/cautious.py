"""Prompts on recordings: what they print is escaped, and no ``.pdbrc`` is run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from dbgkit.debugger.recording import RecordedError, is_foreign
from dbgkit.remote.common.texts import visible

# Debuggers colour what they show. Recorded texts with the character that these begin
# with are not restored: see `model.kept`.
_COLOUR = re.compile(r"(\x1b\[[0-9;]{0,40}m)")


class Escaping:
    """A stream that escapes what a terminal would obey, except colours."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        pieces = _COLOUR.split(text)
        pieces[::2] = map(visible, pieces[::2])
        self._stream.write("".join(pieces))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def careful(debugger: Any, exception: BaseException) -> Iterator[None]:
    """Have a debugger show a recording as such; afterwards it is as before."""
    if not isinstance(exception, RecordedError):
        yield
        return
    stdout, lines = debugger.stdout, debugger.rcLines
    debugger.stdout = Escaping(stdout)
    if is_foreign(exception):
        debugger.rcLines = []  # pdb runs them as it opens, once
    try:
        yield
    finally:
        debugger.stdout = stdout
        if is_foreign(exception):
            debugger.rcLines = lines
