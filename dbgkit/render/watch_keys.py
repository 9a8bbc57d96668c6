"""Keys of a terminal, and the signals that reach whoever has changed its settings."""

from __future__ import annotations

import importlib.util
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import sleep
from types import FrameType
from typing import Any

from dbgkit.model.display import is_terminal
from dbgkit.render.watch_asking import TICK

ALONE = 0.05  # seconds in which the rest of a sequence follows its escape

_NAMES = {
    "A": "up",
    "B": "down",
    "C": "right",
    "D": "left",
    "H": "home",
    "F": "end",
    "1~": "home",
    "4~": "end",
    "5~": "page up",
    "6~": "page down",
    "7~": "home",
    "8~": "end",
}
_KEY = re.compile(r"\x1b[\[O](?P<sequence>[0-9;]*[A-Za-z~])|(?P<key>.)", re.DOTALL)
_PLAIN = {"\r": "enter", "\n": "enter", "\x1b": "escape", "\x7f": "back", "\b": "back"}


def keys_in(typed: str) -> list[str]:
    r"""The keys that a terminal sent: their names, or what they write.

    >>> keys_in("j\x1b[A\x1bOB\x1b[6~\x1b\r")
    ['j', 'up', 'down', 'page down', 'escape', 'enter']
    """
    found = []
    for key in _KEY.finditer(typed):
        if key["sequence"] is None:
            found.append(_PLAIN.get(key["key"], key["key"]))
        elif name := _NAMES.get(key["sequence"]):
            found.append(name)
    return found


def has_keys() -> bool:
    """Whether keys can be read: at a terminal, on a system that has termios."""
    return is_terminal(sys.stdin) and importlib.util.find_spec("termios") is not None


@contextmanager
def listening() -> Iterator[Callable[[], list[str]]]:
    """A function that waits for a moment and gives the keys pressed meanwhile.

    The terminal's settings are put back at the end. Without keys it only waits.
    """
    if not has_keys():
        yield _no_keys
        return
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)

    def pressed() -> list[str]:
        if not select.select([number], [], [], TICK)[0]:
            return []
        typed = os.read(number, 64)
        if not typed:  # it was hung up
            return _no_keys()
        while (
            typed.endswith((b"\x1b", b"\x1b[", b"\x1bO"))
            and (select.select([number], [], [], ALONE)[0])
        ):
            more = os.read(number, 64)
            if not more:
                break
            typed += more
        return keys_in(typed.decode("ascii", "replace"))

    try:
        tty.setcbreak(number)
        yield pressed
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _no_keys() -> list[str]:
    sleep(TICK)
    return []


class Signals:
    """Notes signals that end or suspend the process, to be delivered afterwards.

    Only the main thread has any; elsewhere nothing is noted.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGTERM", "SIGHUP", "SIGTSTP"):
                number = getattr(signal, name, None)
                # None: some other code than Python's handles it.
                if number is not None and signal.getsignal(number) is not None:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number

    def suspend(self) -> bool:
        """Stop until the process is continued, if that is what was received."""
        if self.received is None or self.received != getattr(signal, "SIGTSTP", None):
            return False
        number, self.received = self.received, None
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._note)
        return True

    def deliver(self) -> None:
        """Let a signal that was received take effect, now that all is put back."""
        if self.received is not None:
            os.kill(os.getpid(), self.received)
