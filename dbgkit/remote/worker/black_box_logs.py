"""Warnings and errors that are logged in a worker's process, for its black box."""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..common.boxes import (
    ERRORS,
    LOGGED,
    LOGGED_AT,
    LOGGED_BYTES,
    LOGGED_LINES,
    read_logged,
)

if TYPE_CHECKING:
    from mmap import mmap

    from ..common.wire_deaths import LoggedForm

Note = Callable[[logging.LogRecord], None]
MOST = 40  # lines between two samples; more are counted
SIGNALS = "distributed._signals"  # logs what signal a worker was sent, as information
_STDERR = 2
_LONGEST_PATH = 300
_DIGITS = re.compile(r"\d+")


class LogWatch:
    """Sees warnings and errors of this process, of whatever logger, as they are made.

    Python has one factory of log records, which this wraps. A handler would have to be
    added to the root logger, and would silence what Python logs where there is none.
    """

    def __init__(self, note: Note) -> None:
        self.note: Note | None = note
        self.before = logging.getLogRecordFactory()
        self._here = threading.local()
        self._pid = os.getpid()
        logging.setLogRecordFactory(self)

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self.before(*args, **kwargs)
        level = getattr(record, "levelno", None)
        # Of `logging.makeLogRecord` it is not set yet. What is logged while a record is
        # being noted, by a message's own code say, is not noted itself.
        if type(level) is not int or (
            level < logging.WARNING and record.name != SIGNALS
        ):
            return record
        note = self.note
        # A forked child would write over lines of this process, and wait for a lock
        # that another thread held as it was forked.
        if note is None or os.getpid() != self._pid:
            return record
        if not getattr(self._here, "noting", False):
            self._here.noting = True
            try:
                note(record)
            finally:
                self._here.noting = False
        return record

    def stop(self) -> None:
        """Undo it, also where somebody has wrapped the factory after this."""
        self.note = None
        if logging.getLogRecordFactory() is self:
            logging.setLogRecordFactory(self.before)
            return
        later: Any = logging.getLogRecordFactory()
        while later is not None and type(later).__name__ == type(self).__name__:
            if later.before is self:  # another version's
                later.before = self.before
                return
            later = later.before


class LoggedLines:
    """The lines of a box's file that say what was logged."""

    def __init__(self, place: mmap) -> None:
        self._map = place
        self._lock = threading.Lock()
        # Line -> its place and how often it was logged, the oldest first.
        self._placed: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._count = self._left_out = 0

    def sampled(self) -> int:
        """Make room for as many again; returns how many were left out until now."""
        self._count = 0
        return self._left_out

    def has_room(self) -> bool:
        """Whether one more may be added before the next sample; else it is counted."""
        self._count += 1
        if self._count <= MOST:
            return True
        self._left_out += 1
        return False

    def add(self, when: float, level: int, text: str) -> None:
        """Add a line in place of the oldest, or of one with other numbers in it."""
        alike = _DIGITS.sub("0", text)
        with self._lock:
            place, times = self._placed.pop(alike, (-1, 0))
            if place < 0 and len(self._placed) < LOGGED_LINES:
                place = len(self._placed)
            elif place < 0:
                place, _ = self._placed.popitem(last=False)[1]
            self._placed[alike] = place, times + 1
        at = LOGGED_AT + place * LOGGED_BYTES
        written = text.encode("utf-8", ERRORS)[: LOGGED_BYTES - LOGGED.size]
        head = LOGGED.pack(when, times + 1, max(0, min(level, 999)), len(written))
        with suppress(ValueError):  # it was closed meanwhile
            self._map[at : at + len(head) + len(written)] = head + written

    def read(self) -> list[LoggedForm]:
        return read_logged(self._map[:])


def stderr_file() -> str:
    """The file that standard error goes to; empty for a terminal or a pipe, say.

    What C code writes there, as its process ends, is nowhere else.
    """
    try:
        if not stat.S_ISREG(os.fstat(_STDERR).st_mode):
            return ""
        return os.readlink(f"/proc/self/fd/{_STDERR}")[:_LONGEST_PATH]
    except (OSError, AttributeError):  # closed; a system without /proc, or links
        return ""


def stderr_size() -> int:
    """Bytes in that file."""
    try:
        return os.fstat(_STDERR).st_size
    except OSError:
        return 0
