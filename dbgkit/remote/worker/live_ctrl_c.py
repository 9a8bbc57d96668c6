"""Ctrl-C in a terminal goes to every process there, workers of a LocalCluster too.

At a prompt it is not meant for them: while a task waits, a worker that has a nanny
leaves it to the nanny, which ends its worker if it is ended itself.
"""

from __future__ import annotations

import signal
import threading
from typing import Any


class CtrlC:
    """What a worker's process makes of Ctrl-C, while something waits there."""

    def __init__(self) -> None:
        self._before: Any = None

    def leave_to_nanny(self, worker: Any) -> None:
        """Ignore it from now on, unless it is the only way to end this process."""
        here = threading.current_thread() is threading.main_thread()
        if here and worker.nanny and self._before is None:
            self._before = signal.signal(signal.SIGINT, signal.SIG_IGN)

    def take_back(self) -> None:
        """Undo that, unless somebody has set it otherwise meanwhile."""
        before, self._before = self._before, None
        here = threading.current_thread() is threading.main_thread()
        if not here or before is None:
            return
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            signal.signal(signal.SIGINT, before)
