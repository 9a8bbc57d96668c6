"""Source and breakpoints at the prompt of a stopped task.

By texts that the worker may not have: see `live_source`.
"""

from __future__ import annotations

import pdb
import reprlib
from collections.abc import Iterator
from types import FrameType
from typing import Any

from .live_breaks import OwnBreaks


class Listing(OwnBreaks, pdb.Pdb):
    """Mixin for pdb: it shows the client's source, and breakpoints of its own."""

    def defaultFile(self) -> str:
        assert self.curframe is not None
        return self.file_of(self.curframe)

    def checkline(self, filename: str, lineno: int) -> int:
        """As pdb's, by texts that the worker may not have."""
        text = self.sources.lines_of_file(self.canonic(filename))
        line = "" if text is None else text.line(lineno).strip()
        if not line or line.startswith(("#", '"""', "'''")):
            self.error("Blank or comment" if text else "Its source is not known")
            return 0
        return lineno

    def format_stack_entry(
        self, frame_lineno: tuple[FrameType, int], lprefix: str = ": "
    ) -> str:
        frame, lineno = frame_lineno
        text = self.sources.of(frame)
        entry = f"{self.canonic(text.file)}({lineno!r}){frame.f_code.co_name}()"
        names = frame.f_locals
        if "__return__" in names:
            entry += f"->{reprlib.repr(names['__return__'])}"
        line = text.line(lineno).strip() if lineno else ""
        return f"{entry}{lprefix}{line}" if line else entry

    def do_list(self, arg: str) -> None:
        assert self.curframe is not None
        try:
            first, last = self._range(arg)
        except ValueError:
            self.error(f"Error in argument: {arg!r}")
            return
        self.lastcmd = "list"
        self._list(first, last)

    do_list.__doc__ = pdb.Pdb.do_list.__doc__
    do_l = do_list

    def _range(self, arg: str) -> tuple[int, int]:
        """The lines that ``list`` shows."""
        assert self.curframe is not None
        if arg and arg != ".":
            first, _, last = (part.strip() for part in arg.partition(","))
            if not last:
                start = max(1, int(first) - 5)
                return start, start + 10
            end = int(last)
            return int(first), int(first) + end if end < int(first) else end
        known = getattr(self, "lineno", None)
        if known is None or arg == ".":
            start = max(1, self.curframe.f_lineno - 5)
        else:
            start = known + 1
        return start, start + 10

    def _list(self, first: int, last: int) -> None:
        assert self.curframe is not None
        text = self.sources.of(self.curframe)
        end = text.first + len(text.lines) - 1
        if not text.lines:
            self.error("its source is not known here, nor to your client")
            return
        first = max(first, text.first)
        lines = [text.line(number) for number in range(first, min(last, end) + 1)]
        breaks = self.breaks.get(self.canonic(text.file), [])
        self._print_lines(lines, first, breaks, self.curframe)
        self.lineno = min(last, end)  # type: ignore[assignment, unused-ignore]
        if end < last:
            self.message("[EOF]")

    def do_longlist(self, arg: str) -> None:
        assert self.curframe is not None
        found = self.curframe.f_code
        self._list(found.co_firstlineno, max(_lines(found), default=0))

    do_longlist.__doc__ = pdb.Pdb.do_longlist.__doc__
    do_ll = do_longlist

    # -- breakpoints -----------------------------------------------------------

    def do_break(self, arg: str, temporary: Any = False) -> Any:
        if arg:
            place, _, condition = arg.partition(",")
            code, spaces = self._function(place.strip())
            if code is None:
                return super().do_break(arg, temporary)
            file = self.sources.of_code(code, spaces).file
            line = min(n for n in _lines(code) if n > code.co_firstlineno)
            error = self.set_break(file, line, bool(temporary), condition.strip())
            if error:
                self.error(error)
                return None
            made = self.own_breaks()[-1]
            self.message(f"Breakpoint {made.number} at {made.file}:{made.line}")
            return None
        if own := self.own_breaks():
            self.message("Num Type         Disp Enb   Where")
        for each in own:
            self.message(each.bpformat())
        return None

    def _function(self, text: str) -> tuple[Any, dict[str, Any]]:
        """The code and globals of a function that a text names; None: it names none."""
        try:
            found = self._getval_quietly(text)
        except Exception:  # a line's number, or a place
            return None, {}
        found = getattr(found, "__func__", found)
        code = getattr(found, "__code__", None)
        several = code and any(n > code.co_firstlineno for n in _lines(code))
        return (code, found.__globals__) if several else (None, {})

    def _getval_quietly(self, text: str) -> Any:
        assert self.curframe is not None
        return eval(text, self.curframe.f_globals, self.curframe.f_locals)

    def lookupmodule(self, filename: str) -> str | None:
        """As pdb's, by names that are the client's too."""
        for name in self.sources.names:
            if name == filename or name.endswith((f"/{filename}", f"\\{filename}")):
                return name
        return super().lookupmodule(filename)

    do_break.__doc__ = pdb.Pdb.do_break.__doc__
    do_b = do_break

    def do_clear(self, arg: str) -> Any:
        if arg:
            return super().do_clear(arg)
        for each in self.own_breaks():
            self.message(f"Deleted {each}")
        return self.clear_all_breaks()

    do_clear.__doc__ = pdb.Pdb.do_clear.__doc__
    do_cl = do_clear


def _lines(found: Any) -> Iterator[int]:
    for _, _, number in found.co_lines():
        if number:
            yield number
    for each in found.co_consts:
        if hasattr(each, "co_lines"):
            yield from _lines(each)
