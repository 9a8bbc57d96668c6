"""Debuggers that are not opened by us: dressed up, and put away."""

from __future__ import annotations

from typing import Any

from dbgkit.debugger import stack

# Where the debugger is kept, on the shell: a terminal one made anew for each prompt
# would leak an event loop and a thread each time.
KEPT = "_dbgkit_debugger"


def discard(shell: Any) -> None:
    """Take our debugger off the IPython shell that keeps it."""
    vars(shell).pop(KEPT, None)


def dress(debugger: Any, exception: BaseException) -> None:
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


def mixin_for(base: type[Any]) -> type[Any]:
    """The mixin that goes with a class derived from `pdb.Pdb`."""
    if hasattr(base, "hidden_frames"):
        from dbgkit.debugger.ipython import StopsInIPython

        return StopsInIPython
    from dbgkit.debugger.plain import StopsInPdb, StopsInPdbpp

    return StopsInPdbpp if hasattr(base, "_is_hidden") else StopsInPdb
