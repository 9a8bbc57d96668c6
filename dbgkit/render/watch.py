"""The live screen: an overview of a cluster, updated regularly."""

from __future__ import annotations

import importlib.util
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from time import monotonic, sleep
from typing import IO

from rich.console import Console, RenderableType
from rich.live import Live

from dbgkit.errors import DbgkitError
from dbgkit.model import Glance
from dbgkit.model.display import is_terminal
from dbgkit.render import words
from dbgkit.render.text import Text
from dbgkit.render.watch_overview import Overview
from dbgkit.render.words import clock

TICK = 0.1  # seconds between two readings of the keyboard
AGAIN = 1.0  # seconds until a failed question is asked again
SLOW = 3.0  # seconds of waiting for an answer that are worth a word
LONGEST_REST = 30.0  # seconds between two questions, however long they take


def takes_screen(file: IO[str] | None = None) -> bool:
    """Whether a screen can be drawn on a file, standard output if not given."""
    console = Console(file=file)
    return console.is_terminal and not console.is_dumb_terminal


def watch(
    look: Callable[[], Glance],
    *,
    every: float = 2.0,
    patience: float = 30.0,
    file: IO[str] | None = None,
) -> Glance | None:
    """Show a cluster on the whole screen until ``q`` or Ctrl-C.

    Questions never overlap, and there is at least as much time between two of them as
    one takes.

    Parameters
    ----------
    look : callable
        Asks once; called in a thread of its own.
    every : float
        Seconds from one question to the next.
    patience : float
        Seconds to continue without an answer.
    file : file, optional
        A terminal; standard output if not given.

    Returns
    -------
    Glance or None
        The last answer; None if it was ended before there was one.

    Raises
    ------
    DbgkitError
        The first question failed, or no other was answered for `patience` seconds.
    """
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    screen = _Screen(look, every, patience)
    with _keys() as pressed:
        try:
            with Live(
                screen.form(), console=console, screen=True, auto_refresh=False
            ) as live:
                _follow(screen, live, console, pressed)
        except KeyboardInterrupt:
            pass
    return screen.last


def _follow(
    screen: _Screen, live: Live, console: Console, pressed: Callable[[], str]
) -> None:
    shown: tuple[object, ...] = ()
    while not any(key in "qQ" for key in pressed()):
        screen.turn()
        # The age of what is shown is in seconds, and the window may change.
        now = (screen.last, screen.error, console.size, int(monotonic()))
        if now != shown:
            shown = now
            live.update(screen.form(), refresh=True)


class _Screen:
    """What is on the screen, and when to ask next."""

    def __init__(
        self, look: Callable[[], Glance], every: float, patience: float
    ) -> None:
        self._look = look
        self._every = every
        self._patience = patience
        self.first: Glance | None = None
        self.last: Glance | None = None
        self.error: DbgkitError | None = None
        self._failed = 0  # questions in a row
        self._answered = monotonic()  # the last time
        self._answered_at = datetime.now(timezone.utc)
        self._due = 0.0
        self._asking: _Asking | None = None

    def turn(self) -> None:
        """Take an answer that has arrived, and ask again when it is time to."""
        if self._asking is None:
            if monotonic() >= self._due:
                self._asking = _Asking(self._look)
            return
        if not self._asking.done.is_set():
            return
        asked, self._asking = self._asking, None
        now = monotonic()
        if asked.glance is not None:
            self._take(asked.glance, now, now - asked.began)
        elif isinstance(asked.error, DbgkitError):
            self.error = asked.error
            self._due = now + AGAIN
            self._failed += 1
            # The first one may have used up all the patience, and the next one
            # connects anew.
            over = now - self._answered > self._patience and self._failed > 1
            if self.last is None or over:
                raise asked.error
        elif asked.error is not None:
            raise asked.error

    def _take(self, glance: Glance, now: float, took: float) -> None:
        self.first = self.first or glance
        self.last = glance
        self.error, self._failed = None, 0
        self._answered, self._answered_at = now, datetime.now(timezone.utc)
        self._due = now + max(self._every - took, min(took, LONGEST_REST))

    def form(self) -> RenderableType:
        if self.last is None:
            waited = monotonic() - self._answered
            return Text(f"asking the scheduler, for {waited:.0f} s (q quits)")
        footer = (
            f"updated {clock(self.last.taken.end)}, took "
            f"{words.duration(self.last.took)}; every {self._every:g} s; q quits"
        )
        return Overview(
            self.last,
            first=self.first,
            footer=footer,
            trouble=self._trouble(),
            screen=True,
        )

    def _trouble(self) -> str:
        silence = monotonic() - self._answered
        since = f"no answer since {clock(self._answered_at)}"
        if self.error is not None:
            left = self._patience - silence
            go_on = f"quitting in {left:.0f} s" if left > 0 else "trying once more"
            return f"{since}, {go_on}: {self.error.message}"
        waiting = self._asking
        if waiting is not None and monotonic() - waiting.began > SLOW:
            return f"{since}: the scheduler is slow to answer"
        return ""


class _Asking:
    """One question, in a thread of its own, so that screen and keys stay responsive."""

    def __init__(self, look: Callable[[], Glance]) -> None:
        self.began = monotonic()
        self.done = threading.Event()
        self.glance: Glance | None = None
        self.error: BaseException | None = None
        self._look = look
        # The process may end while the scheduler is still awaited.
        threading.Thread(target=self._run, name="dbgkit-look", daemon=True).start()

    def _run(self) -> None:
        try:
            self.glance = self._look()
        except BaseException as error:  # raised again by the thread that waits
            self.error = error
        finally:
            self.done.set()


@contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """A function that waits for a moment and returns what was typed meanwhile."""
    # Without a terminal to type at, or on a system without termios, Ctrl-C ends it.
    if not is_terminal(sys.stdin) or importlib.util.find_spec("termios") is None:
        yield _no_keys
        return
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)

    def pressed() -> str:
        if not select.select([number], [], [], TICK)[0]:
            return ""
        typed = os.read(number, 64).decode("ascii", "replace")
        return typed or _no_keys()

    try:
        tty.setcbreak(number)
        yield pressed
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _no_keys() -> str:
    sleep(TICK)
    return ""
