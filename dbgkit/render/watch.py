"""The live screen: an overview of a cluster, updated regularly."""

from __future__ import annotations

import contextvars
import importlib.util
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime, timezone
from time import monotonic, sleep

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


def takes_screen() -> bool:
    """Whether a screen can be drawn on standard output."""
    console = Console()
    return console.is_terminal and not console.is_dumb_terminal


def watch(
    look: Callable[[], Glance],
    *,
    every: float,
    patience: float,
) -> Glance | None:
    """Show a cluster on the whole screen until ``q`` or Ctrl-C; give the last answer.

    ``look`` asks once, in a thread of its own. Questions never overlap, and there is at
    least as much time between two of them as one takes. What the first one raises is
    raised, and what another does after ``patience`` seconds without an answer.
    """
    console = Console(highlight=False, markup=False, emoji=False)
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
        self._asking: Future[Glance] | None = None
        self._began = 0.0

    def turn(self) -> None:
        """Take an answer that has arrived, and ask again when it is time to."""
        if self._asking is None:
            if monotonic() >= self._due:
                self._asking, self._began = _asked(self._look), monotonic()
            return
        if not self._asking.done():
            return
        asked, self._asking = self._asking, None
        now = monotonic()
        try:
            self._take(asked.result(), now, now - self._began)
        except DbgkitError as error:
            self.error = error
            self._due = now + AGAIN
            self._failed += 1
            # The first one may have used up all the patience, and the next one
            # connects anew.
            over = now - self._answered > self._patience and self._failed > 1
            if self.last is None or over:
                raise

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
        if self._asking is not None and monotonic() - self._began > SLOW:
            return f"{since}: the scheduler is slow to answer"
        return ""


def _asked(look: Callable[[], Glance]) -> Future[Glance]:
    """Ask in a thread of its own, so that screen and keys stay responsive."""
    answer: Future[Glance] = Future()
    context = contextvars.copy_context()

    def ask() -> None:
        try:
            answer.set_result(context.run(look))
        except BaseException as error:  # raised again by the thread that waits
            answer.set_exception(error)

    # The process may end while the scheduler is still awaited.
    threading.Thread(target=ask, name="dbgkit-look", daemon=True).start()
    return answer


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
