"""A cluster that is followed: on a screen of its own, or line by line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

from dbgkit.model import Glance
from dbgkit.render import words
from dbgkit.render.console import printed
from dbgkit.render.saying import Writable, put_text
from dbgkit.render.text import Text
from dbgkit.render.watch_asking import Asking, each_answer
from dbgkit.render.watch_keys import Signals, has_keys, listening
from dbgkit.render.watch_list import KEYS, Choice, help_form
from dbgkit.render.watch_overview import Overview
from dbgkit.render.watch_sections import sections_of
from dbgkit.render.words import clock

Look = Callable[[], Glance]


def takes_screen() -> bool:
    """Whether a screen can be drawn on standard output."""
    console = Console()
    return console.is_terminal and not console.is_dumb_terminal


def on_screen(
    look: Look, every: float, patience: float, updates: int | None
) -> Glance | None:
    """Show a cluster on the whole screen until ``q`` or Ctrl-C; give the last answer.

    For ``look`` and ``patience`` see `Asking`. The terminal is put back as it was,
    whatever ends it; suspended and continued, it is drawn anew.
    """
    file: Any = Writable(sys.stdout)
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    screen = _Screen(Asking(look, every, patience), updates)
    with Signals() as signals:
        try:
            while not screen.over:
                with (
                    listening() as pressed,
                    Live(
                        screen.form(console),
                        console=console,
                        screen=True,
                        auto_refresh=False,
                    ) as live,
                ):
                    _follow(screen, live, console, pressed, signals)
                if not signals.suspend():
                    break
        except KeyboardInterrupt:
            pass
    signals.deliver()
    return screen.asking.last


def _follow(
    screen: _Screen,
    live: Live,
    console: Console,
    pressed: Callable[[], list[str]],
    signals: Signals,
) -> None:
    """Until the screen is over, or a signal has come."""
    shown: tuple[object, ...] = ()
    while signals.received is None:
        keys = pressed()
        for key in keys:
            screen.press(key)
        screen.turn()
        if screen.over:
            return
        # The age of what is shown is in seconds, and the window may change.
        asking = screen.asking
        now = (asking.count, asking.error, console.size, int(monotonic()))
        if keys or now != shown:
            shown = now
            live.update(screen.form(console), refresh=True)


class _Screen:
    """What is on the screen: the list, what is open of it, or the help."""

    def __init__(self, asking: Asking, updates: int | None = None) -> None:
        self.asking = asking
        self.over = False
        self._updates = updates
        self._choice = Choice() if has_keys() else None

    def press(self, key: str) -> None:
        if key in "qQ":
            self.over = True
        elif self._choice is not None:
            self._choice.press(key)

    def turn(self) -> None:
        before = self.asking.count
        self.asking.turn()
        last = self.asking.last
        if self.asking.count == before or last is None:
            return
        if self._choice is not None:
            self._choice.take(sections_of(last, self.asking.first))
        if self._updates is not None:
            self.over = self.over or self.asking.count >= self._updates

    def form(self, console: Console) -> RenderableType:
        last, choice = self.asking.last, self._choice
        leave = "Ctrl-C quits" if choice is None else "q quits"
        if last is None:
            waited = f"asking the scheduler, for {self.asking.waited:.0f} s"
            return Text(f"{waited} ({leave})")
        if choice is not None and choice.help:
            return help_form()
        if choice is not None and choice.opened is not None:
            return choice.details(console, self.asking.trouble())
        footer = (
            f"updated {clock(last.taken.end)}, took {words.duration(last.took)}, "
            f"every {self.asking.every:g} s; {leave if choice is None else KEYS}"
        )
        return Overview(
            last,
            first=self.asking.first,
            footer=footer,
            trouble=self.asking.trouble(),
            screen=True,
            at=None if choice is None else choice.at,
        )


# -- without a screen ------------------------------------------------------------


def in_place(show: Callable[[Glance], object]) -> Callable[..., Glance | None]:
    """A function that has each update shown, until Ctrl-C."""

    def follow(
        look: Look, every: float, patience: float, updates: int | None
    ) -> Glance | None:
        asking = Asking(look, every, patience)
        try:
            for glance in each_answer(asking, updates):
                show(glance)
        except KeyboardInterrupt:
            pass
        return asking.last

    return follow


def in_blocks(
    look: Look, every: float, patience: float, updates: int | None
) -> Glance | None:
    """Print a cluster each time that it has changed, until Ctrl-C.

    Times, and how much memory workers use, do not count as a change.
    """
    before: object = None

    def show(glance: Glance) -> None:
        nonlocal before
        now = _state(glance)
        if now != before:
            block = printed(Overview(glance), width=100, color=False)
            put_text(block if before is None else f"\n{block}")
            before = now

    return in_place(show)(look, every, patience, updates)


def _state(glance: Glance) -> object:
    """What counts as a change."""
    report, why = glance.failures, glance.why
    groups = [(g.exception_type, g.location, g.pattern, g.count) for g in report.groups]
    causes = [(each.cause, each.summary) for each in (why, *why.others)]
    workers = sorted((load.address, load.status) for load in glance.loads)
    counts = report.total, report.cascaded, report.healed
    return glance.summary, glance.workers, groups, counts, causes, workers
