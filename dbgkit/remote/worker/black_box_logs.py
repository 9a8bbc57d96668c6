"""Warnings and errors that are logged in a worker's process, for its black box."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

Note = Callable[[logging.LogRecord], None]


class LogWatch:
    """Sees each log record of this process, of whatever logger, as it is made.

    Python has one factory of log records, which this wraps. A handler would have to be
    added to the root logger, and would silence what Python logs where there is none.
    """

    def __init__(self, note: Note) -> None:
        self.note: Note | None = note
        self.before = logging.getLogRecordFactory()
        self._here = threading.local()
        logging.setLogRecordFactory(self)

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self.before(*args, **kwargs)
        level = getattr(record, "levelno", None)
        # Of `logging.makeLogRecord` it is not set yet. What is logged while a record is
        # being noted, by a message's own code say, is not noted itself.
        if type(level) is not int or level < logging.WARNING:
            return record
        note = self.note
        if note is not None and not getattr(self._here, "noting", False):
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
