"""Scripts without a main guard: one line in place of a page from each new process.

A spawned process first runs the script again
(multiprocessing/spawn.py). Without ``if __name__ == "__main__":`` it then starts
processes of its own, which multiprocessing refuses with a page of text in each.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

_REFUSED = "An attempt has been made to start a new process before"
# Run in the new process before the script is: as little as can be, and never an error.
_IN_CHILD = (
    "__import__('dbgkit.frontends.cli.guard', fromlist=['keep_quiet']).keep_quiet() "
    "if __import__('importlib.util', fromlist=['find_spec']).find_spec('dbgkit') "
    "else None"
)


class _KeepsQuiet:
    """When unpickled in a new process, keeps it quiet about a missing guard."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (_IN_CHILD,)


@contextmanager
def quiet_without_guard() -> Iterator[None]:
    """Keep child processes quiet about a missing main guard.

    ``multiprocessing.spawn.get_preparation_data`` says what a new process gets
    before it runs the script; what it does not know of it leaves alone.
    """
    from multiprocessing import spawn

    before: Any = spawn.get_preparation_data

    def prepared(name: str) -> dict[str, Any]:
        data: dict[str, Any] = before(name)
        data["dbgkit"] = _KeepsQuiet()
        return data

    spawn.get_preparation_data = prepared
    try:
        yield
    finally:
        spawn.get_preparation_data = before


def keep_quiet() -> None:
    """In a new process: do not print the errors that a missing guard causes."""
    before = sys.excepthook

    def tell(
        kind: type[BaseException], error: BaseException, tb: TracebackType | None
    ) -> None:
        if not is_refused(error):
            before(kind, error, tb)

    sys.excepthook = tell
    for name in ("distributed.nanny", "distributed.deploy.spec"):
        logging.getLogger(name).addFilter(_tells_else)
    # A second scheduler finds the dashboard's port taken.
    warnings.filterwarnings("ignore", message=r"\s*Port \d+ is already in use")


def _tells_else(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return error is None or not is_refused(error)


def is_refused(error: BaseException) -> bool:
    """Whether an exception is due to a process that was started too early."""
    from dbgkit.targets.tracebacks import chain

    return any(
        _REFUSED in str(each) or str(each).endswith("failed to start.")
        for each in chain(error)
    )
