"""What Dask logs of a failed task, held back until dbgkit has shown that failure.

A worker logs seven lines of each task that fails, long before the exception has reached
the script. Processes that log them on the console put them into a file instead; what
dbgkit does not show is printed: soon, if the script goes on, else before its end.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

MOST_BYTES = 20_000_000  # that are held back: what comes then is logged as ever
SOON = 2.0  # seconds until a script that goes on sees what was logged
_LOOKS = 0.5  # seconds between looks whether something was
_LOGGER = "distributed.worker"
_BEGINS = "Compute Failed\n"


class Block(NamedTuple):
    """What one attempt of a task was logged with."""

    when: float
    key: str
    raised: str  # the exception's text, and the traceback's
    text: str


class HeldBlocks:
    """Holds Dask's blocks back, here and in processes that are started, while inside.

    ``ending``: whether the script is about to end with an exception.
    """

    def __init__(self, ending: Callable[[], object]) -> None:
        self._ending = ending
        self._held: list[Block] = []
        self._read = 0  # bytes of the file
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._undo = ExitStack()

    def __enter__(self) -> HeldBlocks:
        from dbgkit.frontends.cli.children import run_in_children

        folder = tempfile.mkdtemp(prefix="dbgkit-")
        self._undo.callback(shutil.rmtree, folder, ignore_errors=True)
        self._path = os.path.join(folder, "held")
        place = f"{__name__}:{hold_back.__name__}"
        self._undo.enter_context(run_in_children(place, self._path))
        self._undo.callback(hold_back(self._path))
        watcher = threading.Thread(target=self._watch, name="dbgkit-held", daemon=True)
        watcher.start()
        self._undo.callback(watcher.join, 10)
        self._undo.callback(self._stop.set)
        return self

    def __exit__(self, *raised: object) -> None:
        with self._undo:
            self.settle(())

    def settle(self, shown: Collection[str]) -> list[str]:
        """Print what is held back, but for that of keys that are shown.

        Nor that of others that have failed alike, which are given to be named.
        """
        with self._lock:
            self._look()
            known = {each.raised for each in self._held if each.key in shown}
            _print(each.text for each in self._held if each.raised not in known)
            alike = [each.key for each in self._held if each.raised in known]
            self._held.clear()
        return [key for key in dict.fromkeys(alike) if key not in shown]

    def _watch(self) -> None:
        while not self._stop.wait(_LOOKS):
            if self._ending():
                continue
            with self._lock:
                self._look()
                until = time.time() - SOON
                _print(each.text for each in self._held if each.when < until)
                self._held[:] = [each for each in self._held if each.when >= until]

    def _look(self) -> None:
        """Read what was put into the file meanwhile, up to the last whole line."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._read)
                new = file.read()
        except OSError:  # nothing has failed yet
            return
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            # Not what was cut, on a full disk: its process has logged it as ever.
            with suppress(ValueError, TypeError):
                self._held.append(Block(*json.loads(line)))


def _print(texts: Iterator[str]) -> None:
    for text in texts:
        with suppress(OSError, ValueError, AttributeError):  # closed, or full
            sys.stderr.write(text)


def hold_back(path: str) -> Callable[[], None]:
    """Have this process put its blocks into a file; gives what undoes that."""
    logger, held = logging.getLogger(_LOGGER), _Held(path)
    logger.addFilter(held)
    return lambda: logger.removeFilter(held)


class _Held(logging.Filter):
    """Puts what the console would show of a block into a file.

    ``Worker.execute`` (distributed/worker.py) logs it with key, state, task, and the
    texts of the exception and of the traceback.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith(_BEGINS) or not record.args:
            return True
        handlers = list(_handlers(record))
        consoles = [each for each in handlers if _is_console(each)]
        if not consoles:
            return True
        try:
            self._write(record, consoles)
        except Exception:  # no room, or no folder any more; or the formatter raises,
            return True  # which a handler survives, but who logs would not
        for handler in handlers:
            if handler not in consoles:
                handler.handle(record)
        return False

    def _write(self, record: logging.LogRecord, consoles: list[Any]) -> None:
        assert isinstance(record.args, tuple)
        text = "".join(each.format(record) + each.terminator for each in consoles)
        raised = " ".join(map(str, record.args[3:]))
        line = json.dumps(Block(record.created, str(record.args[0]), raised, text))
        # At once, as others write there too; on a line of its own, also where the one
        # before was cut.
        data = f"\n{line}\n".encode()
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.fstat(file).st_size + len(data) > MOST_BYTES:
                raise OSError(errno.EFBIG, "too much is held back", self._path)
            if os.write(file, data) < len(data):
                raise OSError(errno.ENOSPC, "not written in full", self._path)
        finally:
            os.close(file)


def _handlers(record: logging.LogRecord) -> Iterator[logging.Handler]:
    """The handlers that would get a record, as ``Logger.callHandlers`` finds them."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        for handler in logger.handlers:
            if record.levelno >= handler.level and handler.filter(record):
                yield handler
        logger = logger.parent if logger.propagate else None


def _is_console(handler: logging.Handler) -> bool:
    if not isinstance(handler, logging.StreamHandler):
        return False
    return handler.stream in (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__)
