"""A stream for what a debugger prints of a recording."""

from __future__ import annotations

import re
from typing import IO, Any

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
