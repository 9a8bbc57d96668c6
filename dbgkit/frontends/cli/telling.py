"""Says what ended a script once: by its report, else by Python's traceback."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from dbgkit.frontends.cli.held import HeldBlocks
from dbgkit.model import Failure, Progress, Recording
from dbgkit.model.display import is_terminal
from dbgkit.remote.common.texts import safe_str, visible
from dbgkit.render.notifier import Notifier
from dbgkit.render.saying import say
from dbgkit.render.words import count, listed, said, short_key

_NAMED = 3  # keys


class Telling:
    """Prints the traceback of what ended a script, unless its report says as much.

    A report begins with the exception and its line. Where it goes to another place than
    standard error, or the user has an ``excepthook``, the traceback is printed at once.
    """

    def __init__(
        self, error: BaseException | None, held: HeldBlocks, notify: Notifier
    ) -> None:
        self._error = error
        self._held = held
        self.notify = notify
        self._untold = error is not None
        self._alike: list[str] = []  # keys of others that failed in the same way
        if sys.excepthook is not sys.__excepthook__ or not _one_place():
            self.by_traceback()

    @contextmanager
    def finding(self) -> Iterator[None]:
        """Say on a terminal what it is that is looked for, if that takes long."""
        if self._untold and self._error is not None:
            what = said(type(self._error).__name__, safe_str(self._error), 100)
            self.notify(Progress(f"{what}: finding its task", 0, 0))
        try:
            yield
        finally:
            self.notify.close()

    def before(self, shown: Failure | Recording, prompting: bool) -> bool:
        """Before a report: whether it is to leave out the exception, just printed."""
        self.notify.close()
        self._alike = self._held.settle(_keys(shown))
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

    def name_others(self) -> None:
        """Name those that failed in the same way, whose logs were left out."""
        if self._alike:
            number = count(len(self._alike), "more task")
            keys = list(map(short_key, self._alike))
            say(f"{number} failed in the same way: {listed(keys, _NAMED)}")

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
