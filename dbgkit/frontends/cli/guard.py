"""Scripts without a main guard: one line in place of a page from each new process.

A spawned process first runs the script again
(multiprocessing/spawn.py). Without ``if __name__ == "__main__":`` it then starts
processes of its own, which multiprocessing refuses with a page of text in each.
"""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import AbstractContextManager
from types import TracebackType

from dbgkit.frontends.cli.children import run_in_children

_REFUSED = "An attempt has been made to start a new process before"


def quiet_without_guard() -> AbstractContextManager[None]:
    """Keep child processes quiet about a missing main guard."""
    return run_in_children(f"{__name__}:{keep_quiet.__name__}")


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
