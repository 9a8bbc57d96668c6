"""Runs of a task in forks: each may die or hang, and nothing else does.

Nothing has to be copied for them, and all have one hash seed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from dbgkit.errors import NotHere
from dbgkit.replays.lifeline import Lifeline
from dbgkit.replays.process import describe_exit

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_shrink import Described

_LENGTH = struct.Struct("!Q")  # of what a run has written
_LOOK = 0.05  # seconds between two looks at what a run holds
_LEAST = 2.0  # seconds that a part may take, however fast the whole was
_TIMES = 5  # as long as the whole took, a part may take


def refuse_without_forks() -> None:
    """Raise on a system that has none."""
    if not hasattr(os, "fork"):
        raise NotHere(
            f"shrinking in processes needs forks, which {sys.platform} does not have",
            "run it where the task's workers are, or in a subsystem for Linux",
        )


class Forks:
    """Runs a task in a fork of this process, once for each part of its input.

    ``once`` are seconds for the whole; a part gets some times of what that took.
    ``memory`` are bytes that a run may take besides what it begins with.
    """

    def __init__(self, folder: str, once: float, memory: int) -> None:
        self.folder, self.once, self.memory = folder, once, memory
        self._limit: float | None = None

    def run(self, call: Callable[[], Described | None]) -> Described | None:
        """What a run raises; for one that died or took too long, how it ended."""
        limit = self.once if self._limit is None else self._limit
        began = time.monotonic()
        reading, writing = os.pipe()
        pid = self._fork(call, reading, writing, limit)
        os.close(writing)
        try:
            data, why = self._watch(pid, reading, began + limit)
        finally:
            os.close(reading)
            status = _reap(pid)
        took = time.monotonic() - began
        if self._limit is None:
            self._limit = min(self.once, max(_LEAST, _TIMES * took))
            if why == "timeout":
                self._limit = self.once
        if data:
            found: Described | None = json.loads(data)
            return found
        if why == "timeout":
            return _ended("timeout", f"it did not end within {limit:g} s")
        return _ended("died", why or describe_exit(status))

    def _fork(
        self,
        call: Callable[[], Described | None],
        reading: int,
        writing: int,
        limit: float,
    ) -> int:
        import warnings

        parent = os.getpid()
        with warnings.catch_warnings():
            # Threads of this process do not continue there; its time is bounded.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid:
            return pid
        import gc

        gc.disable()  # garbage would be the parent's: clients, threads' locks
        code = 70
        try:
            os.close(reading)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
            Lifeline(parent, self.folder, limit).begin()
            data = json.dumps(call()).encode()
            # Processes that the task has started may hold the pipe open.
            with os.fdopen(writing, "wb") as file:
                file.write(_LENGTH.pack(len(data)) + data)
            code = 0
        finally:
            os._exit(code)

    def _watch(self, pid: int, reading: int, end: float) -> tuple[bytes, str]:
        """What it wrote, and why it was killed."""
        import psutil

        found = bytearray()
        process = psutil.Process(pid)
        held: int | None = None
        while True:
            ready, _, _ = select.select([reading], [], [], _LOOK)
            if ready:
                part = os.read(reading, 2**20)
                found += part
                head, data = found[: _LENGTH.size], bytes(found[_LENGTH.size :])
                whole = len(head) == _LENGTH.size and _LENGTH.unpack(head)[0]
                if not part or (whole and len(data) >= whole):
                    return data, ""
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                return b"", "timeout"
            with suppress(psutil.Error):  # it has just ended
                resident = process.memory_info().rss
                held = resident if held is None else held
                if resident - held > self.memory:
                    os.kill(pid, signal.SIGKILL)
                    return b"", "memory: it took more than the limit"


def _reap(pid: int) -> int | None:
    """The exit status of a child, which is killed if it goes on."""
    for _ in range(100):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _ended(kind: str, message: str) -> Described:
    """A run without an outcome of its own, in the form of what one raises."""
    return {
        "form": {
            "type": kind,
            "message": message,
            "text": message,
            "broken_repr": None,
            "frames": [],
            "chain": [],
            "cut": False,
        },
        "hints": [],
        "in_text": "",
        "place": None,
    }
