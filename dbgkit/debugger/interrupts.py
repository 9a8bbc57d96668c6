"""Restoring Ctrl-C, which pdb's ``continue`` claims."""

from __future__ import annotations

import pdb
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """Restore the Ctrl-C handler from before a prompt, once the prompt was left.

    ``pdb.Pdb.do_continue`` has it break into the debugger again, and puts that right
    only at the next prompt: after a post-mortem there is nothing to go on with.
    """
    # Only there may a handler be set.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        owner = getattr(signal.getsignal(signal.SIGINT), "__self__", None)
        if isinstance(owner, pdb.Pdb) and before is not None:
            signal.signal(signal.SIGINT, before)
            _forget_previous()


def _forget_previous() -> None:
    """Private to pdb: the handler that its next prompt would put back."""
    if hasattr(pdb.Pdb, "_previous_sigint_handler"):
        pdb.Pdb._previous_sigint_handler = None
