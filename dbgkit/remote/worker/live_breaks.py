"""Breakpoints of one debugger among others.

``bdb.Breakpoint`` has one list of all breakpoints of a process: here each debugger sees
and hits its own, and takes them along as it goes.
"""

from __future__ import annotations

import bdb
import sys
from types import FrameType
from typing import Any

from ..common.frames import is_machinery
from .live_source import Sources


class OwnBreaks(bdb.Bdb):
    """Mixin for a debugger whose breakpoints are its own."""

    sources: Sources

    def _load_breaks(self) -> None:
        """Private to bdb: take over all breakpoints that there are."""

    def canonic(self, filename: str) -> str:
        """As bdb's, but not for names that are no paths here."""
        return filename if filename in self.sources.names else super().canonic(filename)

    def file_of(self, frame: FrameType) -> str:
        """The name of a frame's file, as its owner knows it."""
        return self.canonic(self.sources.of(frame).file)

    def own_breaks(self) -> list[bdb.Breakpoint]:
        """Breakpoints that were set here, by number."""
        known = filter(None, bdb.Breakpoint.bpbynumber)
        return [each for each in known if self._is_own(each)]

    def _is_own(self, each: Any) -> bool:
        return getattr(each, "owner", None) is self

    def set_break(
        self,
        filename: str,
        lineno: int,
        temporary: bool = False,
        cond: str | None = None,
        funcname: str | None = None,
    ) -> str | None:
        """As bdb's, by texts that the worker may not have."""
        filename = self.canonic(filename)
        text = self.sources.lines_of_file(filename)
        if text is None or not text.line(lineno):
            return f"Line {filename}:{lineno} does not exist"
        lines = self.breaks.setdefault(filename, [])
        if lineno not in lines:
            lines.append(lineno)
        made: Any = bdb.Breakpoint(filename, lineno, temporary, cond, funcname)
        made.owner = self
        frame = getattr(self, "enterframe", None) or sys._getframe()
        while frame is not None:
            if self.break_anywhere(frame):
                frame.f_trace = self.trace_dispatch
            frame = frame.f_back
        return None

    def break_anywhere(self, frame: FrameType) -> bool:
        if not self.breaks or is_machinery(frame.f_code.co_filename):
            return False
        return self.file_of(frame) in self.breaks

    def break_here(self, frame: FrameType) -> bool:
        """Whether a breakpoint of this debugger's holds at this line."""
        if not self.break_anywhere(frame):
            return False
        lines = self.breaks[self.file_of(frame)]
        code = frame.f_code
        for lineno in (frame.f_lineno, code.co_firstlineno):
            if lineno not in lines:
                continue
            for each in bdb.Breakpoint.bplist.get((self.file_of(frame), lineno), []):
                if self._is_own(each) and _holds(each, frame):
                    self.currentbp = each.number
                    if each.temporary:
                        self.clear_bpbynumber(each.number)
                    return True
        return False

    def get_breaks(self, filename: str, lineno: int) -> list[Any]:
        found = bdb.Breakpoint.bplist.get((self.canonic(filename), lineno), [])
        return [each for each in found if self._is_own(each)]

    def get_bpbynumber(self, arg: Any) -> Any:
        found = super().get_bpbynumber(arg)
        if not self._is_own(found):
            raise ValueError(f"Breakpoint {arg} is of another session")
        return found

    def clear_break(self, filename: str, lineno: int) -> str | None:
        own = self.get_breaks(filename, lineno)
        for each in own:
            self._delete(each)
        return None if own else f"There is no breakpoint at {filename}:{lineno}"

    def clear_bpbynumber(self, arg: Any) -> str | None:
        try:
            self._delete(self.get_bpbynumber(arg))
        except ValueError as error:
            return str(error)
        return None

    def clear_all_breaks(self) -> str | None:
        for each in self.own_breaks():
            self._delete(each)
        self.breaks.clear()
        return None

    def _delete(self, each: Any) -> None:
        each.deleteMe()
        lines = self.breaks.get(each.file, [])
        if each.line in lines and not self.get_breaks(each.file, each.line):
            lines.remove(each.line)
            if not lines:
                del self.breaks[each.file]


def _holds(each: Any, frame: FrameType) -> bool:
    """Whether a breakpoint is to be stopped at; counts the hit.

    ``bdb.effective`` looks at those of all debuggers.
    """
    if not (each.enabled and bdb.checkfuncname(each, frame)):
        return False
    each.hits += 1
    if each.cond:
        try:
            if not eval(each.cond, frame.f_globals, frame.f_locals):
                return False
        except Exception:  # the user's own condition: better to stop than to miss it
            return True
    if each.ignore > 0:
        each.ignore -= 1
        return False
    return True
