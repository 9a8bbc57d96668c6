"""The last error of a task that is tried again, from the log of its worker.

Dask keeps it nowhere else. This file is sent to workers as source: standard library and
distributed only. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..common.log_records import logged_failure, records_of
from ..common.parsing import literal

if TYPE_CHECKING:
    from ..common.wire_why_workers import LoggedError

MOST_TEXT = 5_000  # characters of an exception
# As ``Worker.execute`` writes it (distributed/worker.py).
_FAILED = "Compute Failed"


def last_errors(keys: list[Any], dask_worker: Any = None) -> list[LoggedError]:
    """The newest error of each of some tasks that this worker has logged."""
    lines = (
        (record.created, record.getMessage())
        for record in records_of(dask_worker)
        if str(record.msg).startswith(_FAILED)
    )
    return errors_in(lines, keys)


def errors_in(
    lines: Iterable[tuple[float, str]], keys: Iterable[Any]
) -> list[LoggedError]:
    """The first error of each of some tasks, of lines of a log, the newest first."""
    left = {str(key): key for key in keys}
    found: list[LoggedError] = []
    for when, line in lines:
        if not left:
            break
        logged = logged_failure(line)
        if logged is None or logged.key not in left:
            continue
        try:
            text = str(literal(logged.exception))
        except ValueError:
            continue  # a line that was cut
        key = left.pop(logged.key)
        found.append({"key": key, "when": when, "error": text[:MOST_TEXT]})
    return found
