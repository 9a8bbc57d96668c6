"""Source of a stopped task's code: the client's own, where the worker has none."""

from __future__ import annotations

import linecache
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from ..common.codes import file_of_frame, fingerprint, is_dynamic
from ..common.texts import sendable
from .live_prompt import Asked

if TYPE_CHECKING:
    from ..common.wire_live import PlaceForm

LONGEST = 300  # characters of a line, and of names


@dataclass(frozen=True)
class Text:
    """A file by the name that its owner knows it by, and lines of it."""

    file: str
    lines: tuple[str, ...] = ()
    first: int = 1  # the number of the first of the lines

    def line(self, number: int) -> str:
        """A line, by its number; empty where it is not known."""
        at = number - self.first
        return self.lines[at] if 0 <= at < len(self.lines) else ""


def place_of(frame: FrameType, line: int | None = None) -> PlaceForm:
    """Where a frame stands, for somebody who may have its source."""
    code = frame.f_code
    line = (line or frame.f_lineno or code.co_firstlineno) if line != 0 else 0
    known = "" if is_dynamic(code.co_filename) else _own_line(frame, line)
    return {
        "name": sendable(code.co_name[:LONGEST]),
        "line": line,
        "mark": "" if known else fingerprint(code),
        "module": sendable(str(frame.f_globals.get("__name__", ""))[:LONGEST]),
        "file": sendable(file_of_frame(frame)),
        "text": sendable(known.strip()[:LONGEST]),
    }


def _own_line(frame: FrameType, line: int) -> str:
    return linecache.getline(frame.f_code.co_filename, line, frame.f_globals)


class Sources:
    """Texts of code, as they are asked for; used in the stopped thread."""

    def __init__(self, stop: Asked) -> None:
        self.stop = stop
        self._known: dict[CodeType, Text] = {}
        # Code that a session's client has no text of either.
        self._unknown: set[tuple[Any, CodeType]] = set()

    def of(self, frame: FrameType) -> Text:
        """The text of a frame's code, as far as anybody has it."""
        self.find([frame])
        code = frame.f_code
        return self._known.get(code) or Text(self._name(frame))

    def find(self, frames: Iterable[FrameType]) -> None:
        """Look the code of some frames up, all at once."""
        missing: dict[CodeType, FrameType] = {}
        for frame in frames:
            code = frame.f_code
            if code in self._known or (self.stop.visitor, code) in self._unknown:
                continue
            own = () if is_dynamic(code.co_filename) else self._own(frame)
            if own:
                self._known[code] = Text(code.co_filename, own)
            else:
                missing[code] = frame
        if missing and self.stop.visitor is not None:
            self._ask(missing)

    def lines_of_file(self, file: str) -> Text | None:
        """What is known of a file by its name."""
        found = (each for each in self._known.values() if each.file == file)
        text = next(found, None)
        if text is None and (lines := linecache.getlines(file)):
            text = Text(file, tuple(lines))
        return text

    def _own(self, frame: FrameType) -> tuple[str, ...]:
        file = frame.f_code.co_filename
        return tuple(linecache.getlines(file, frame.f_globals))

    def _name(self, frame: FrameType) -> str:
        return file_of_frame(frame)

    def _ask(self, missing: Mapping[CodeType, FrameType]) -> None:
        """Ask the client for the texts of some code."""
        places = [place_of(frame) for frame in missing.values()]
        wanted: dict[str, Any] | None = {"op": "sources", "codes": places}
        while True:
            message = self.stop.read(wanted)
            wanted = None
            if message["op"] in ("left", "interrupt", "entered"):
                return
            if message["op"] == "sources":
                break
        for code, found in zip(missing, message["found"], strict=False):
            if found:
                lines, first = tuple(map(str, found["lines"])), int(found["first"])
                self._known[code] = Text(str(found["file"]), lines, first)
            else:
                self._unknown.add((self.stop.visitor, code))
