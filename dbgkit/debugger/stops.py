"""Mixins for debuggers: the first stop, hidden frames, chained exceptions."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from tokenize import TokenError
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from dbgkit.debugger import stack
from dbgkit.debugger.escaping import Escaping
from dbgkit.debugger.stack import Location

if TYPE_CHECKING:
    from pdb import Pdb as _Base
else:
    _Base = object

HAS_EXCEPTIONS = sys.version_info >= (3, 13)  # pdb's ``exceptions``


def mixin_for(base: type[Any]) -> type[Any]:
    """The mixin that goes with a class derived from `pdb.Pdb`."""
    if hasattr(base, "hidden_frames"):
        return StopsInIPython
    return StopsInPdbpp if hasattr(base, "_is_hidden") else StopsInPdb


class StopsInOwn(_Base):
    """Mixin: the first stop of a post-mortem is the user's own frame."""

    stop_at: Location | None = None
    chained: tuple[BaseException, ...] = ()  # oldest first
    current: BaseException | None = None
    reads_no_rc = False  # see `cautious`

    def get_stack(
        self, f: FrameType | None, t: TracebackType | None
    ) -> tuple[list[tuple[FrameType, int]], int]:
        entries, index = super().get_stack(f, t)
        if f is None and entries:
            index = stack.first_stop(entries, self.stop_at)
        return entries, index

    def onecmd(self, line: str) -> bool:
        if not isinstance(self.stdout, Escaping):
            return super().onecmd(line)
        # Some commands print by themselves: IPython's pinfo.
        with redirect_stdout(self.stdout):
            return super().onecmd(line)

    def do_debug(self, arg: str) -> None:
        """debug code

        Enter a debugger within this one that steps through the code.
        """
        if self.reads_no_rc:  # that one would read it
            self.error("nothing of a file can be stepped through; p shows a value")
            return
        tracing = sys.gettrace()
        try:
            super().do_debug(arg)
        finally:
            # pdb goes on to trace, as if it had stopped in code that runs: its own
            # next command would stop it.
            sys.settrace(tracing)

    def do_longlist(self, arg: str) -> None:
        """ll | longlist

        List the whole source code for the current function or frame.
        """
        try:
            super().do_longlist(arg)
        except (TokenError, SyntaxError):
            # Of a recording there may be a part, or a text that is no Python.
            self.error("its source is not known as a whole: `list` shows what is known")

    do_ll = do_longlist

    def do_source(self, arg: str) -> None:
        """source expression

        Try to get source code for the given object and display it.
        """
        try:
            super().do_source(arg)
        except (TokenError, SyntaxError):
            self.error("its source is not known as a whole")

    def _get_tb_and_exceptions(
        self, tb_or_exc: TracebackType | BaseException | None
    ) -> tuple[tuple[BaseException, ...], TracebackType | None]:
        """What ``exceptions`` lists, members of groups too.

        Private to pdb (3.13) and to IPython.
        """
        if isinstance(tb_or_exc, BaseException):
            return stack.listed(tb_or_exc), tb_or_exc.__traceback__
        return (), tb_or_exc


class StopsInPdb(StopsInOwn):
    """Mixin for pdb, which knows of no hidden frames by itself."""

    skip_hidden = True

    def _hidden(self) -> list[bool]:
        """Whether each frame of the stack is left out; the current one never is."""
        return [
            self.skip_hidden and index != self.curindex and stack.is_hidden(frame)
            for index, (frame, _) in enumerate(self.stack)
        ]

    def print_stack_trace(self, *args: Any) -> None:
        """Print the stack, with a count in place of the frames left out."""
        hidden = self._hidden()
        if args or not any(hidden):
            super().print_stack_trace(*args)
            return
        skipped = 0
        for left_out, entry in zip([*hidden, False], [*self.stack, None], strict=True):
            if left_out:
                skipped += 1
                continue
            if skipped:
                self.message(f"  [... {skipped} hidden]")
                skipped = 0
            if entry is not None:
                self.print_stack_entry(entry)

    def do_up(self, arg: str) -> Any:
        """u(p) [count]

        Move to an older frame; hidden ones are not counted.
        """
        count = self._count(arg, range(self.curindex - 1, -1, -1))
        return None if count is None else super().do_up(count)

    do_u = do_up

    def do_down(self, arg: str) -> Any:
        """d(own) [count]

        Move to a newer frame; hidden ones are not counted.
        """
        count = self._count(arg, range(self.curindex + 1, len(self.stack)))
        return None if count is None else super().do_down(count)

    do_d = do_down

    def _count(self, arg: str, way: range) -> str | None:
        """How many frames to move so that ``arg`` of them are in sight.

        None where none is, which is then said. What pdb has to say of a wrong number,
        or at the end of the stack, is left to it.
        """
        try:
            wanted = int(arg or 1)
        except ValueError:
            return arg
        if wanted < 0 or not way:
            return arg
        hidden = self._hidden()
        seen = [moved for moved, at in enumerate(way, 1) if not hidden[at]]
        if not seen:
            self.error(f"{len(way)} more are hidden: `skip_hidden false` shows them")
            return None
        return str(seen[min(wanted, len(seen)) - 1])

    def do_skip_hidden(self, arg: str) -> None:
        """skip_hidden [true | false]

        Whether where, up and down leave out the frames of Dask and dbgkit.
        """
        given = arg.strip().lower()
        if given in ("true", "yes"):
            self.skip_hidden = True
        elif given in ("false", "no"):
            self.skip_hidden = False
        elif given:
            self.error("Usage: skip_hidden [true | false]")
            return
        else:
            self.message(f"skip_hidden = {self.skip_hidden}")

    if not HAS_EXCEPTIONS:

        def do_exceptions(self, arg: str) -> None:
            """exceptions [number]

            List the chain of exceptions, oldest first, or change to one of them.
            """
            if not arg:
                for number, exception in enumerate(self.chained):
                    shown = "-" if exception.__traceback__ is None else str(number)
                    mark = ">" if exception is self.current else " "
                    self.message(f"{mark} {shown:>3} {repr(exception)[:77]}")
                return
            if not arg.isdigit() or int(arg) >= len(self.chained):
                self.error("No exception with that number")
                return
            tb = self.chained[int(arg)].__traceback__
            if tb is None:
                self.error("This exception has no frames")
                return
            self.current = self.chained[int(arg)]
            self.setup(None, tb)
            self.print_stack_entry(self.stack[self.curindex])


class StopsInPdbpp(StopsInOwn):
    """Mixin for pdb++, which hides frames by itself, and has ``hf_unhide``."""

    def _is_hidden(self, frame: FrameType) -> bool:
        """Private to pdb++: which frames it takes out of the stack."""
        return stack.is_hidden(frame) or bool(super()._is_hidden(frame))  # type: ignore[misc]

    def do_skip_hidden(self, arg: str) -> Any:
        """skip_hidden [true | false]

        The same as hf_hide and hf_unhide.
        """
        show = arg.strip().lower() in ("false", "no")
        return self.onecmd("hf_unhide" if show else "hf_hide")


class StopsInIPython(StopsInOwn):
    """Mixin for IPython's debuggers, which can hide frames by themselves."""

    open = False

    def hidden_frames(self, entries: list[tuple[FrameType, int]]) -> list[bool]:
        """Which frames ``where``, ``up`` and ``down`` leave out."""
        hidden = super().hidden_frames(entries)  # type: ignore[misc]
        return [
            frame is not self.curframe and bool(left_out or stack.is_hidden(frame))
            for left_out, (frame, _) in zip(hidden, entries, strict=True)
        ]
