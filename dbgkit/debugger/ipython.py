"""IPython's debugger, in a terminal and in Jupyter."""

from __future__ import annotations

import sys
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from dbgkit.debugger import choose, stack
from dbgkit.debugger.dressing import KEPT
from dbgkit.debugger.interrupts import interrupts_kept
from dbgkit.debugger.stack import Location

if TYPE_CHECKING:
    from IPython.core.debugger import Pdb as _Base
else:
    _Base = object


def enter(exception: BaseException, header: str, stop_at: Location | None) -> None:
    """Post-mortem with the shell's own kind of debugger."""
    from IPython.core.display_trap import DisplayTrap

    debugger = _debugger()
    debugger.stop_at = stop_at
    debugger.skip_hidden = True
    debugger.stdout = sys.stdout
    debugger.open = True
    try:
        # As IPython's own %debug does: values are shown by Python's own hook.
        with DisplayTrap(hook=sys.__displayhook__), interrupts_kept():
            print(header, file=debugger.stdout)
            debugger.reset()
            debugger.interaction(None, exception)
    finally:
        debugger.open = False
        debugger.forget()  # or the frames would live on until the next prompt


def _debugger() -> Any:
    """The debugger that the running shell keeps for us, made on first use."""
    shell = choose.running_shell()
    if shell is None:
        # ipdb was asked for outside IPython: its debugger brings up a shell.
        from IPython.terminal.debugger import TerminalPdb

        return _derive(TerminalPdb)()
    kept = vars(shell).get(KEPT)
    if isinstance(kept, shell.debugger_cls) and not kept.open:
        return kept
    made = _derive(shell.debugger_cls)()
    if kept is None or not kept.open:  # else one within the other, for a moment
        setattr(shell, KEPT, made)
    return made


def _derive(base: type[Any]) -> type[Any]:
    return type(f"Dbgkit{base.__name__}", (StopsInIPython, base), {})


class StopsInIPython(_Base):  # type: ignore[misc, valid-type, unused-ignore]
    """Mixin: stops in the user's own frame, leaves out Dask's and ours."""

    stop_at: Location | None = None
    open = False

    def get_stack(
        self, f: FrameType | None, t: TracebackType | None
    ) -> tuple[list[tuple[FrameType, int]], int]:
        entries, index = super().get_stack(f, t)
        if f is None and entries:
            index = stack.first_stop(entries, self.stop_at)
        return entries, index

    def _get_tb_and_exceptions(
        self, tb_or_exc: TracebackType | BaseException | None
    ) -> tuple[tuple[BaseException, ...], TracebackType | None]:
        """Private to IPython: what ``exceptions`` lists, members of groups too."""
        if isinstance(tb_or_exc, BaseException):
            return stack.listed(tb_or_exc), tb_or_exc.__traceback__
        return (), tb_or_exc

    def hidden_frames(self, entries: list[tuple[FrameType, int]]) -> list[bool]:
        """Which frames ``where``, ``up`` and ``down`` leave out."""
        hidden = super().hidden_frames(entries)
        return [
            frame is not self.curframe and bool(left_out or stack.is_hidden(frame))
            for left_out, (frame, _) in zip(hidden, entries, strict=True)
        ]
