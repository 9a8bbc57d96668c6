"""Records in the logs that a scheduler, worker or nanny keeps of itself."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

from .texts import safe_repr

MOST_RECORDS = 5_000
MOST_TEXT = 1_000  # characters of an exception
# What ``Worker.plugin_add`` and ``Nanny.plugin_add`` log (distributed).
_STARTING = "Starting Worker plugin %s"
_FAILED = "Worker plugin %s failed to setup"
_SETUP = re.compile(
    r"(?:Worker|Nanny) plugin (?P<plugin>.{1,300}?) failed to setup\n(?P<text>.*)", re.S
)
# With it, also what was before that is over.
_OVER = re.compile(r"(?:Starting|Removing) Worker plugin (?P<plugin>.{1,300})$", re.M)

FailedPlugin = tuple[str, str]  # its name, and the error
# What ``Worker.execute`` logs (distributed/worker.py).
_COMPUTE = "Compute Failed\nKey:"


class LoggedFailure(NamedTuple):
    """What a worker logs of a task that failed; the last two as Python spells them."""

    key: str
    exception: str
    traceback: str


def logged_failure(line: str) -> LoggedFailure | None:
    """The failure that a line of a worker's log is about, if it is about one.

    A line may hold anything, and be long: to read it costs what a look for a word does.
    """
    _, found, text = line.partition(_COMPUTE)
    # The last two are of one line each, so that nothing in them looks like a heading.
    text, raised_at, traceback = text.rpartition("\nTraceback: ")
    text, raised, exception = text.rpartition("\nException: ")
    key, state, _ = text.partition("\nState: ")
    if not (found and raised_at and raised and state):
        return None
    return LoggedFailure(key.lstrip(" "), exception, traceback)


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
    known: set[str] = set()
    for line in lines:
        text = str(line[-1])
        if over := _OVER.search(text):
            known.add(over["plugin"])
        if (failed := failed_setup(text)) and failed[0] not in known:
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
