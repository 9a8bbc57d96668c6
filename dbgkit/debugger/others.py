"""Debuggers that others open: made to stop as ours do, and ours removed again."""

from __future__ import annotations

from typing import Any

from dbgkit.debugger import stack
from dbgkit.debugger.stops import mixin_for

# Where the debugger is kept, on the shell: a terminal one is made for each prompt
# would leak an event loop and a thread each time.
KEPT = "_dbgkit_debugger"


def adopt(debugger: Any, exception: BaseException) -> None:
    """Have a debugger that somebody else made stop and hide as ours do.

    Parameters
    ----------
    debugger : pdb.Pdb
        Or of a class derived from it, IPython's and pdb++'s among them. It is given
        a class of its own, so others of its class stay as they were.
    exception : BaseException
        What it is about to open.
    """
    base = type(debugger)
    debugger.__class__ = type(base.__name__, (mixin_for(base), base), {})
    debugger.chained = stack.listed(exception)
    debugger.current = exception


def discard(shell: Any) -> None:
    """Remove our debugger from the IPython shell that keeps it."""
    vars(shell).pop(KEPT, None)
