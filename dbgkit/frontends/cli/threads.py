"""Failures in threads of a script: captured at once, reported as the script ends."""

from __future__ import annotations

import sys
import threading
import traceback
from typing import Any

from dbgkit.remote.common.texts import safe_str, visible
from dbgkit.render.words import said
from dbgkit.replays.capture import Capture
from dbgkit.targets.ending import to_debug
from dbgkit.targets.tracebacks import Trace, trace


class ThreadFailures:
    """Failures in threads, while inside; of the first, what a replay needs."""

    def __init__(self, kept: Capture) -> None:
        self.first: BaseException | None = None
        self.thread = ""  # the name of the thread that failed first
        self.count = 0  # how many failed because of Dask's tasks
        self._kept = kept
        self._lock = threading.Lock()
        # One object, so that it can be known again.
        self._ours = self._failed

    def __enter__(self) -> ThreadFailures:
        self._own = threading.excepthook
        threading.excepthook = self._ours
        return self

    def __exit__(self, *raised: object) -> None:
        # What somebody else has put in its place meanwhile stays.
        if threading.excepthook is self._ours:
            threading.excepthook = self._own

    def __str__(self) -> str:
        assert self.first is not None
        what = said(type(self.first).__name__, safe_str(self.first))
        others = f", and {self.count - 1} more after it" if self.count > 1 else ""
        return f"{self.thread} failed{others}: {what}"

    def _failed(self, args: Any) -> None:
        if self._own is threading.__excepthook__ and args.exc_value is not None:
            _print(args)
        else:
            self._own(args)
        error = to_debug(args.exc_value)
        if error is None:
            return
        found = trace(error)
        if not found.found:
            return
        with self._lock:
            self.count += 1
            if self.first is not None:
                return
            self.first, self.thread = error, _name(args.thread)
        client = _client(found)
        if client is not None:
            self._kept.take(client, error)


def _client(found: Trace) -> Any:
    if found.client is not None:
        return found.client
    return next((each.client for each in found.futures), None)


def _name(thread: Any) -> str:
    return thread.name if thread is not None else str(threading.get_ident())


def _print(args: Any) -> None:
    """As ``threading.excepthook`` prints it, with the source put back."""
    if issubclass(args.exc_type, SystemExit) or sys.stderr is None:
        return
    from dbgkit.source.shown import Shown

    text = "".join(traceback.format_exception(args.exc_value))
    name = _name(args.thread)
    sys.stderr.write(visible(f"Exception in thread {name}:\n{Shown().text(text)}"))
