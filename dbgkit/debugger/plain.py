"""pdb, and the debuggers that are built on it."""

from __future__ import annotations

from typing import Any

from dbgkit.debugger import stack
from dbgkit.debugger.cautious import careful
from dbgkit.debugger.interrupts import interrupts_kept
from dbgkit.debugger.recording import is_foreign
from dbgkit.debugger.stack import Location
from dbgkit.debugger.stops import HAS_EXCEPTIONS, mixin_for


def enter(
    base: type[Any], exception: BaseException, header: str, stop_at: Location | None
) -> None:
    """Post-mortem with a class derived from `pdb.Pdb`."""
    options = {"readrc": False} if is_foreign(exception) else {}
    debugger = type(f"Dbgkit{base.__name__}", (mixin_for(base), base), {})(**options)
    debugger.stop_at = stop_at
    debugger.chained = stack.listed(exception)
    debugger.current = exception
    debugger.message(header)
    debugger.reset()
    # From 3.13 on, pdb finds the chained exceptions itself.
    with interrupts_kept(), careful(debugger, exception):
        debugger.interaction(
            None, exception if HAS_EXCEPTIONS else exception.__traceback__
        )
