"""Records in the logs that a scheduler, worker or nanny keeps of itself."""

from __future__ import annotations

import logging
from itertools import islice
from typing import Any

MOST_RECORDS = 5_000


def records_of(server: Any) -> list[logging.LogRecord]:
    """The newest records of a server, newest first.

    ``Server._deque_handler`` (distributed/node.py) keeps them as they were logged;
    ``get_logs`` would format each, traceback and all. Servers of one process share
    their records.
    """
    kept = server._deque_handler.deque
    return list(islice(reversed(kept), MOST_RECORDS))


def error_of(record: logging.LogRecord) -> BaseException | None:
    """The exception that was logged with a record."""
    return record.exc_info[1] if record.exc_info else None
