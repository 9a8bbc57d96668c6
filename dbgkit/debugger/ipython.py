"""IPython's debugger, in a terminal and in Jupyter."""

from __future__ import annotations

import sys
from typing import Any

from dbgkit.debugger.cautious import careful
from dbgkit.debugger.interrupts import interrupts_kept
from dbgkit.debugger.others import KEPT
from dbgkit.debugger.stack import Location
from dbgkit.debugger.stops import StopsInIPython
from dbgkit.model.display import running_shell


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
            with careful(debugger, exception):
                debugger.interaction(None, exception)
    finally:
        debugger.open = False
        debugger.forget()  # or the frames would live on until the next prompt


def _debugger() -> Any:
    """The debugger that the running shell keeps for us, made on first use."""
    shell = running_shell()
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
