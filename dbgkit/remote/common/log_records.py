"""Records in the logs that a scheduler, worker or nanny keeps of itself."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from .texts import safe_repr

MOST_RECORDS = 5_000
MOST_TEXT = 1_000  # characters of an exception
# What ``Worker.plugin_add`` and ``Nanny.plugin_add`` log (distributed).
_STARTING = "Starting Worker plugin %s"
_FAILED = "Worker plugin %s failed to setup"
_SETUP = re.compile(
    r"(?:Worker|Nanny) plugin (?P<plugin>.+?) failed to setup\n(?P<text>.*)", re.S
)

FailedPlugin = tuple[str, str]  # its name, and the error


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


# -- plugins whose ``setup`` failed: they stay, and only the log has the error --------


def failed_plugins(worker: Any) -> list[FailedPlugin]:
    """Those that are on a worker, and whose newest attempt at a setup failed."""
    found: dict[str, str] = {}
    known: set[str] = set()
    for record in records_of(worker):
        if record.msg not in (_STARTING, _FAILED) or not record.args:
            continue
        name = str(record.args[0] if isinstance(record.args, tuple) else record.args)
        if record.msg == _FAILED and name not in known and name in worker.plugins:
            found[name] = safe_repr(error_of(record), MOST_TEXT)
        known.add(name)
    return list(found.items())


def logged_plugins(lines: Iterable[Any]) -> list[FailedPlugin]:
    """The same from the lines of a worker's log in a dump, the newest first."""
    found: dict[str, str] = {}
    for line in lines:
        if failed := failed_setup(str(line[-1])):
            found.setdefault(*failed)
    return list(found.items())


def failed_setup(text: str) -> FailedPlugin | None:
    """The plugin of an entry in a log that says that ``setup`` failed."""
    found = _SETUP.search(text)
    return None if found is None else (found["plugin"], last_line(found["text"]))


def last_line(text: str) -> str:
    """The last line of an entry in a log, where its exception is."""
    lines = text.strip().splitlines()
    return lines[-1][:MOST_TEXT] if lines else ""
