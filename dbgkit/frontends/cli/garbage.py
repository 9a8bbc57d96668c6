"""Garbage of a command: one that is over in a second collects none.

Python would go through all that was imported several times, as it is imported and as
the process ends: a quarter of what a command costs.
"""

from __future__ import annotations

import gc

_kept = False  # of this process, since a command has begun


def keep_garbage() -> None:
    """Collect none from now on; only for a process that ends with the command."""
    global _kept
    _kept = gc.isenabled()
    gc.disable()


def collect_garbage() -> None:
    """Collect it as ever: the command stays, or runs code that is not ours."""
    global _kept
    if _kept:
        _kept = False
        gc.enable()


def leave_garbage() -> None:
    """Have Python collect none as it ends, if none was collected before."""
    if _kept:
        gc.freeze()
