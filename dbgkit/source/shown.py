"""Frames known from text or a recording, with their files and source.

For code that travelled by value, a traceback's text has neither. A task's run spec, or
a recorded fingerprint, says which code it was and so leads to its file; without them,
the function's name and line do, if only one candidate spans that line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dbgkit.model import Failure, FrameSummary, RecordedCause, Recording
from dbgkit.remote.common.codes import is_cell, is_dynamic, mark_of
from dbgkit.remote.common.frame_codes import FrameCode, codes_for, own_place
from dbgkit.remote.common.frames import own_line_of_text
from dbgkit.source.finding import Found, Index
from dbgkit.source.places import cell_name, cells_alike, place, split_line
from dbgkit.source.texts import local_line, local_lines

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_failures import CodeForm

FILE = "file"  # where a failure was found: a bundle
AROUND = 5  # lines of source, before and after
_FRAME = re.compile(
    # Members of groups are printed behind a margin.
    r'^(?P<margin>(?: *\| )?)  File "(?P<file>.+?)", line (?P<line>\d{1,9}), '
    r"in (?P<name>.+)$(?P<source>\n(?P=margin)    )?",
    re.MULTILINE,
)
_PLACE = re.compile(
    r'File "(?P<file>[^"\n]+)", line (?P<line>\d{1,9}), in (?P<name>[\w<>]+)'
)


class Shown:
    """Puts files and source where they are missing, for one call.

    Without an ``index``, it uses only what this process knows by itself.
    """

    def __init__(self, index: Index | None = None) -> None:
        self.index = Index() if index is None else index

    def text(self, text: str, codes: Iterable[Any] = ()) -> str:
        """A traceback's text, with the real files and lines of source."""
        known = {(name, int(line)): rest for name, line, *rest in codes}

        def put(found: re.Match[str]) -> str:
            filename, line, name = found["file"], int(found["line"]), found["name"]
            if found["source"] and not (is_dynamic(filename) or is_cell(filename)):
                return found[0]
            shown = found[0]
            home = self._home(filename, line, name, known.get((name, line)))
            if home is not None:
                shown = shown.replace(f'"{filename}"', f'"{home.filename}"', 1)
                filename = home.filename
            elif not cell_name(filename):
                return shown  # another machine's file: there may be another one here
            source = local_line(filename, line).strip()
            if found["source"] or not source:
                return shown
            return f"{shown}\n{found['margin']}    {source}"

        return _FRAME.sub(put, text)

    def logged(self, text: str) -> str:
        """A log's text, which may quote a traceback, with the real files."""

        def put(found: re.Match[str]) -> str:
            filename, line, name = found["file"], int(found["line"]), found["name"]
            home = self._home(filename, line, name)
            if home is None:
                return found[0]
            return f'File "{cell_name(home.filename) or home.filename}"' + (
                found[0].removeprefix(f'File "{filename}"')
            )

        return _PLACE.sub(put, text)

    def _home(
        self, filename: str, line: int, name: str, code: Any = None
    ) -> Found | None:
        """Where a frame's code is, if its text does not say so already."""
        if code and code[0]:
            return self.index.find_text(name, line, *code)
        if not is_dynamic(filename):
            return None
        return self.index.find_text(name, line, mark_of(filename))

    def failure(self, failure: Failure) -> str:
        """The traceback's text of a failure, ready to show."""
        if failure.found_in == FILE:
            return failure.traceback_text  # what is here is another machine's
        return self.text(failure.traceback_text, codes_of_failure(failure))

    def place(self, failure: Failure, expected: tuple[int, str] | None = None) -> str:
        """``file.py:12 in ratio``: the innermost line of the user's own code; or empty.

        Cells with equal code are all named. With ``expected``, it is also empty if line
        and function differ.
        """
        codes = () if failure.found_in == FILE else codes_of_failure(failure)
        found = own_line_of_text(self.failure(failure))
        if found is None or expected not in (None, found[1:]):
            return ""
        filename, line, name = found
        if not cell_name(filename):
            filename = re.split(r"[/\\]", filename)[-1]
        return f"{place(filename, line)} in {name}{self._alike(failure, codes)}"

    def _alike(self, failure: Failure, codes: tuple[FrameCode, ...]) -> str:
        if failure.found_in == FILE:
            return ""
        own = own_place(failure.traceback_text, codes)
        home = self._home(*own) if own else None
        cells = cells_alike((home.filename, *home.others)) if home else ""
        return f" ({cells})" if cells else ""

    def line(self, text: str) -> str:
        """``file.py:12 in work``, ready to show."""
        found = split_line(text)
        if found is None:
            return text
        filename, line, rest = found
        name, _, source = rest.partition(": ")
        home = self._home(filename, line, name)
        if home is not None:
            filename = home.filename
            if not source:
                source = local_line(filename, line).strip()
        where = f"{place(filename, line)} in {name}"
        return f"{where}: {source}" if source else where

    def frame(
        self, frame: FrameSummary, secret_names: Iterable[str] = ()
    ) -> FrameSummary:
        """A recorded frame with its file and source, if it had none."""
        dynamic = is_dynamic(frame.filename)
        if frame.source and not dynamic:
            return frame
        home = self._home(frame.filename, frame.lineno, frame.function, frame.code)
        if home is None:
            # The file of a cell is named by a digest of its text.
            if not cell_name(frame.filename):
                return frame
            home = Found(frame.filename)
        source = frame.source or _around(home, frame.lineno, secret_names)
        return replace(frame, filename=home.filename, source=source)

    def recording(self, recording: Recording) -> Recording:
        """A recording whose frames have their files and source."""
        if recording.foreign:
            return recording

        def frames(of: Recording | RecordedCause) -> tuple[FrameSummary, ...]:
            return tuple(self.frame(one, recording.secret_names) for one in of.frames)

        codes = [
            (frame.function, frame.lineno, *frame.code)
            for frame in recording.frames
            if frame.code
        ]
        return replace(
            recording,
            frames=frames(recording),
            causes=tuple(
                replace(each, frames=frames(each)) for each in recording.causes
            ),
            traceback_text=self.text(recording.traceback_text, codes),
        )


def codes_of_failure(failure: Failure) -> tuple[FrameCode, ...]:
    """Which code its frames ran: as the scheduler reports it, or from its graph."""
    evidence = failure.evidence
    if evidence.codes or not evidence.graph or failure.key not in evidence.graph:
        return evidence.codes
    return codes_for(evidence.graph[failure.key], failure.traceback_text)


def codes_from_wire(codes: Iterable[CodeForm]) -> tuple[FrameCode, ...]:
    """Codes from what the scheduler reports of a failure."""
    return tuple(FrameCode(*one) for one in codes)


def shown_text(failure: Failure) -> str:
    """The traceback's text of a failure, ready to show."""
    return Shown(failure.evidence.index).failure(failure)


def _around(
    home: Found, lineno: int, secret_names: Iterable[str]
) -> tuple[tuple[int, str], ...]:
    """Numbered lines around one, within its function, secrets hidden."""
    from dbgkit.remote.secrets.redact import numbered_lines

    lines = local_lines(home.filename)
    if not 0 < lineno <= len(lines):
        return ()
    first, last = max(1, lineno - AROUND), min(len(lines), lineno + AROUND)
    if home.last:
        first, last = max(first, home.first), max(lineno, min(last, home.last))
    return tuple(numbered_lines(lines, first, last, extra=secret_names))
