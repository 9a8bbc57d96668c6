"""Says what ended a script once: by its report, else by Python's traceback."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

from dbgkit.frontends.cli.held import HeldBlocks
from dbgkit.model import Failure, Progress, Recording
from dbgkit.model.display import is_terminal
from dbgkit.remote.common.texts import safe_str, visible
from dbgkit.render.words import said


class Telling:
    """Prints the traceback of what ended a script, unless its report says as much.

    A report begins with the exception and its line. Where it goes to another place than
    standard error, or the user has an ``excepthook``, the traceback is printed at once.
    """

    def __init__(self, error: BaseException | None, held: HeldBlocks) -> None:
        self._error = error
        self._held = held
        self._untold = error is not None
        self._notify: Any = None
        if sys.excepthook is not sys.__excepthook__ or not _one_place():
            self.by_traceback()

    def begin(self, notify: Any) -> None:
        """Say on a terminal that it is looked for, if that takes long."""
        self._notify = notify
        if self._untold and self._error is not None:
            what = said(type(self._error).__name__, safe_str(self._error), 100)
            notify(Progress(f"{what}: finding its task", 0, 0))

    def before(self, shown: Failure | Recording, prompting: bool) -> bool:
        """Before a report: whether it is to leave out the exception, just printed."""
        self._notify.close()
        self._held.settle(_keys(shown))
        alone = prompting and isinstance(shown, Failure) and shown.kind == "none"
        printed = self._untold and (alone or not self._is_said(shown))
        if printed:
            self.by_traceback()
        if prompting:
            self.told()
        return printed and alone

    def told(self) -> None:
        """Note that the report was shown."""
        self._untold = False

    def by_traceback(self) -> None:
        """Print the traceback, if nothing else has said it."""
        if not self._untold or self._error is None:
            return
        self.told()
        _print_exception(self._error)

    def _is_said(self, shown: Failure | Recording) -> bool:
        """Whether a report says the class and the message of what ended the script."""
        kind = shown.exception_type.rpartition(".")[2]
        same = kind == type(self._error).__name__
        return same and shown.message.strip() == safe_str(self._error).strip()


def _keys(shown: Failure | Recording) -> set[str]:
    """Of the failures that a report shows, or counts."""
    if isinstance(shown, Recording):
        return {str(shown.key)}
    return {str(key) for key in (shown.key, *shown.others, *shown.through)}


def _print_exception(error: BaseException) -> None:
    """Print it as Python does, with files and lines of code that travelled by value."""
    if sys.excepthook is not sys.__excepthook__:
        sys.excepthook(type(error), error, error.__traceback__)
        return
    from dbgkit.source.shown import Shown

    text = Shown().text("".join(traceback.format_exception(error)))
    sys.stderr.write(visible(text))


def _one_place() -> bool:
    """Whether standard output and standard error are seen together."""
    if is_terminal(sys.stdout) and is_terminal(sys.stderr):
        return True
    try:
        files = [os.fstat(each.fileno()) for each in (sys.stdout, sys.stderr)]
    except (AttributeError, OSError, ValueError):  # closed, or no file
        return False
    return os.path.samestat(*files)
