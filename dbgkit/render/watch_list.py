"""What is selected and open on the screen, and how keys change that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.segment import Segment, Segments

from dbgkit.render.style import LABEL
from dbgkit.render.text import Text
from dbgkit.render.watch_sections import Entry, Section, one_line

PAGE = 10  # entries
HELP = """\
  up, k            the entry above; in details: scroll up
  down, j          the entry below; in details: scroll down
  page up, down    ten entries; in details: a page
  home g, end G    the first, the last
  Enter, right, l  open what is selected: message, traceback, what to type to go on
  Esc, left, h     back to the list
  ?                this help, and back
  q, Ctrl-C        quit: what was seen last is printed
"""
KEYS = "Enter opens, ? helps, q quits"
_MOVES = {
    **dict.fromkeys(("up", "k"), -1),
    **dict.fromkeys(("down", "j"), 1),
    "page up": -PAGE,
    "page down": PAGE,
    **dict.fromkeys(("home", "g"), -(10**9)),
    **dict.fromkeys(("end", "G"), 10**9),
}
_OPEN = ("enter", "right", "l")
_BACK = ("escape", "left", "h", "back")


class Choice:
    """Which entry is selected, which is open, and how far that is scrolled."""

    def __init__(self) -> None:
        self.at: tuple[Any, ...] | None = None
        self.opened: Entry | None = None
        self.gone = False  # what is open has gone from the list meanwhile
        self.help = False
        self.top = 0  # the first line of the details that is shown
        self._index = 0
        self._entries: list[Entry] = []

    def take(self, sections: Sequence[Section]) -> None:
        """Take the lists of a new update; what was selected stays so."""
        self._entries = [entry for each in sections for entry in each.entries]
        ids = [entry.id for entry in self._entries]
        if self.at is None:
            begin = next((id_ for id_ in ids if id_[0] == "failure"), None)
            self._index = ids.index(begin) if begin in ids else 0
        elif self.at in ids:
            self._index = ids.index(self.at)
        self._select(self._index)
        if self.opened is not None:
            same = [entry for entry in self._entries if entry.id == self.opened.id]
            self.gone = not same
            self.opened = same[0] if same else self.opened

    def _select(self, index: int) -> None:
        if self._entries:
            self._index = max(0, min(index, len(self._entries) - 1))
            self.at = self._entries[self._index].id

    def press(self, key: str) -> None:
        """Do what a key says; quitting is for the caller."""
        if key == "?":
            self.help = not self.help
        elif self.help:
            self.help = key not in _BACK
        elif self.opened is not None:
            if key in _BACK:
                self.opened = None
            elif key in _MOVES:
                self.top = max(0, self.top + _MOVES[key])
        elif key in _MOVES:
            self._select(self._index + _MOVES[key])
        elif key in _OPEN and self._entries:
            self.opened, self.top, self.gone = self._entries[self._index], 0, False

    def details(self, console: Console, trouble: str) -> RenderableType:
        """What is open, as much of it as fits, with a line of what to press."""
        assert self.opened is not None
        width, height = console.size
        lines = folded(self.opened.details(), console, width)
        room = max(1, height - 2 - bool(trouble))
        self.top = max(0, min(self.top, len(lines) - room))
        shown = lines[self.top : self.top + room]
        text = "Esc goes back, q quits"
        if len(lines) > room:
            last = self.top + len(shown)
            text += f"; lines {self.top + 1} to {last} of {len(lines)}"
        if self.gone:
            text += "; it is no longer there"
        footer = [Text(text, LABEL)]
        if trouble:
            footer.append(Text(one_line(trouble, width), "bold red"))
        body = Segments([part for line in shown for part in (*line, Segment.line())])
        return Group(body, Text(""), *footer)


def folded(form: RenderableType, console: Console, width: int) -> list[list[Segment]]:
    """The lines of a form; what is wider than the screen goes on in the next one."""
    options = console.options.update(width=width, height=None)
    found: list[list[Segment]] = []
    for line in Segment.split_lines(console.render(form, options)):
        length = Segment.get_line_length(line)
        cuts = [*range(width, length, width), length]
        found += [list(part) for part in Segment.divide(line, cuts)] if line else [[]]
    return found


def help_form() -> RenderableType:
    """What the keys do."""
    return Group(Text("Keys", "bold"), Text(HELP), Text("Esc goes back", LABEL))
