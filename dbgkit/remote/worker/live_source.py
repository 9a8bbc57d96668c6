"""Source of a stopped task's code: the client's own, where the worker has none."""

from __future__ import annotations

import linecache
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from ..common.codes import fingerprint, is_dynamic
from ..common.texts import sendable
from .live_prompt import Asked, GoOn

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
    return place_in(frame.f_code, frame.f_globals, line or frame.f_lineno)


def place_in(code: CodeType, spaces: dict[str, Any], line: int | None) -> PlaceForm:
    """A line of some code, by default its first."""
    line = line or code.co_firstlineno
    file = code.co_filename
    known = "" if is_dynamic(file) else linecache.getline(file, line, spaces)
    return {
        "name": sendable(code.co_name[:LONGEST]),
        "line": line,
        "mark": "" if known else fingerprint(code),
        "module": sendable(str(spaces.get("__name__", ""))[:LONGEST]),
        "file": sendable(_home(code, spaces)),
        "text": sendable(known.strip()[:LONGEST]),
    }


def _home(code: CodeType, spaces: dict[str, Any]) -> str:
    """The file of some code; else of the module that it travelled from."""
    home = spaces.get("__file__")
    dynamic = is_dynamic(code.co_filename)
    return home if dynamic and isinstance(home, str) and home else code.co_filename


class Sources:
    """Texts of code, as they are asked for; used in the stopped thread."""

    def __init__(self, stop: Asked) -> None:
        self.stop = stop
        self.names: set[str] = set()  # of files, as the client calls them
        self._known: dict[CodeType, Text] = {}
        # Code that a session's client has no text of either.
        self._unknown: set[tuple[Any, CodeType]] = set()

    def of(self, frame: FrameType) -> Text:
        """The text of a frame's code, as far as anybody has it."""
        return self.of_code(frame.f_code, frame.f_globals)

    def of_code(self, code: CodeType, spaces: dict[str, Any]) -> Text:
        """The same for code that may not run now; ``spaces``: its globals."""
        self._find({code: spaces})
        return self._known.get(code) or Text(_home(code, spaces))

    def known(self, code: CodeType) -> Text | None:
        """The text of some code, if it has been found before."""
        return self._known.get(code)

    def find(self, frames: Iterable[FrameType]) -> None:
        """Look the code of some frames up, all at once."""
        self._find({frame.f_code: frame.f_globals for frame in frames})

    def _find(self, codes: Mapping[CodeType, dict[str, Any]]) -> None:
        missing: dict[CodeType, dict[str, Any]] = {}
        for code, spaces in codes.items():
            if code in self._known or (self.stop.visitor, code) in self._unknown:
                continue
            file = code.co_filename
            own = () if is_dynamic(file) else tuple(linecache.getlines(file, spaces))
            if own:
                self._known[code] = Text(file, own)
            else:
                missing[code] = spaces
        if missing and self.stop.visitor is not None:
            self._ask(missing)

    def forget(self) -> None:
        """Refer to no code any more."""
        self._known.clear()
        self._unknown.clear()

    def lines_of_file(self, file: str) -> Text | None:
        """What is known of a file by its name."""
        known = list(self._known.values())  # others may look while it is added to
        found = (each for each in known if each.file == file)
        text = next(found, None)
        if text is None and (lines := linecache.getlines(file)):
            text = Text(file, tuple(lines))
        return text

    def _ask(self, missing: Mapping[CodeType, dict[str, Any]]) -> None:
        """Ask the client for the texts of some code."""
        places = [place_in(code, spaces, None) for code, spaces in missing.items()]
        wanted: dict[str, Any] | None = {"op": "sources", "codes": places}
        while True:
            try:
                message = self.stop.read(wanted)
            except GoOn:  # the next to read at the prompt is told, or the debugger
                return
            wanted = None
            if message["op"] in ("left", "interrupt", "entered"):
                return
            if message["op"] == "sources":
                break
        for code, found in zip(missing, message["found"], strict=False):
            text = _text_of(found)
            if text is None:
                self._unknown.add((self.stop.visitor, code))
            else:
                self._known[code] = text
                self.names.add(text.file)


def _text_of(found: Any) -> Text | None:
    """A text as a client has sent it; None: it has none."""
    try:
        lines = tuple(map(str, found["lines"]))
        return Text(str(found["file"]), lines, int(found["first"]))
    except (KeyError, TypeError, ValueError):
        return None
