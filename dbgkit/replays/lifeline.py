"""A child process of a replay ends with its parent, and has its own limit.

Normally the parent ends it in time; this is for when the parent is gone, or stopped.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time

import psutil

GONE = 70  # the exit status of a child without a parent; nobody is there to read it
_LOOK = 0.2  # seconds between two checks of the parent
_SLACK = 60.0  # seconds for a parent that is there to end it first


class Lifeline:
    """A thread of the child that ends the child, whatever else runs there.

    ``limit`` are the seconds for the task, once it has begun; the folder that the two
    of them share is removed if the parent is gone.
    """

    def __init__(self, parent: int, folder: str, limit: float) -> None:
        self._parent, self._folder, self._limit = parent, folder, limit
        self._end: float | None = None
        thread = threading.Thread(target=self._watch, name="dbgkit-lifeline")
        thread.daemon = True
        thread.start()

    def begin(self) -> None:
        """The task begins; the system ends code that never lets this thread run."""
        self._end = time.monotonic() + self._limit + _SLACK
        _limit_processor(self._limit + _SLACK)

    def _watch(self) -> None:
        while is_parent(self._parent):
            if self._end is not None and time.monotonic() > self._end:
                os._exit(GONE)
            time.sleep(_LOOK)
        shutil.rmtree(self._folder, ignore_errors=True)
        os._exit(GONE)


def is_parent(pid: int) -> bool:
    """Whether a process is there, and this one's parent."""
    if sys.platform == "win32":
        return psutil.pid_exists(pid)
    # A process that outlives its parent gets another one.
    return os.getppid() == pid


def _limit_processor(seconds: float) -> None:
    """Bound the processor time: code that never lets another thread run ends too."""
    if sys.platform == "win32":
        return
    import resource

    used = sum(os.times()[:2])
    wanted = int(used + seconds * (os.cpu_count() or 1)) + 1
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    known = [each for each in (soft, hard) if each != resource.RLIM_INFINITY]
    if all(wanted < each for each in known):
        resource.setrlimit(resource.RLIMIT_CPU, (wanted, hard))
