"""Fields of a label and a text; commands in them can be copied from any terminal.

A line that is too long is folded, and a line break within a command would be copied
too. So such a command has a line of its own, which the terminal itself wraps: that
copies as one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text as RichText

from dbgkit import advice
from dbgkit.remote.common.texts import visible
from dbgkit.render.style import LABEL, NOTE
from dbgkit.render.text import Text


class Fields:
    """Rows of a label, at least so many columns wide, and what it says."""

    def __init__(self, label_width: int) -> None:
        self._label_width = label_width
        self._rows: list[tuple[str, RenderableType]] = []

    def add(
        self, label: str, value: RenderableType, style: str = "", indent: str = "  "
    ) -> None:
        """Add one; a `str` is shown in the style."""
        if isinstance(value, str):
            value = Text(value, style=style, overflow="fold")
        self._rows.append((f"{indent}{label}", value))

    def add_each(self, label: str, texts: Iterable[str], style: str = "") -> None:
        """Add several, with the label before the first of them only."""
        for text in texts:
            self.add(label, text, style)
            label = ""

    def __bool__(self) -> bool:
        return bool(self._rows)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        labels = (cell_len(label) for label, _ in self._rows)
        width = max([self._label_width, *labels])
        table = _table()
        for label, value in self._rows:
            # As wide as all: rich's releases differ in what ``min_width`` is of.
            first = padded(label, width)
            free = options.max_width - width - 1
            for part, is_command in _parts(value, free, console):
                if is_command:
                    if first.strip():
                        table.add_row(first, "")
                    if table.row_count:
                        yield table
                    yield part
                    table = _table()
                else:
                    table.add_row(first, part)
                first = " " * width
        if table.row_count:
            yield table


def notes_form(notes: Iterable[str]) -> list[RenderableType]:
    """Notes as fields; nothing if there are none."""
    fields = Fields(11)
    fields.add_each("note", notes, NOTE)
    return [fields] if fields else []


def page_form(page: str) -> list[RenderableType]:
    """Where all this is followed live; nothing if there is no such page."""
    fields = Fields(11)
    if page:
        fields.add("live", Text(page, overflow="fold"))
    return [fields] if fields else []


def padded(text: str, width: int, right: bool = False) -> str:
    """A text as wide as a column."""
    blanks = " " * max(0, width - cell_len(text))
    return blanks + text if right else text + blanks


def _table() -> Table:
    table = Table.grid(padding=(0, 1), pad_edge=False)
    table.add_column(style=LABEL, no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    return table


def _parts(
    value: RenderableType, width: int, console: Console
) -> Iterator[tuple[RenderableType, bool]]:
    """A value, and whether it needs the whole line; one that is too long in its parts.

    A command that would be broken in two is a part of its own. Only one that is longer
    than the column leaves it.
    """
    if not isinstance(value, RichText) or cell_len(value.plain) <= width:
        yield value, False
        return
    start = 0
    lines = value.wrap(console, max(1, width), overflow="fold")
    for first, last in _broken(value.plain, [line.plain for line in lines]):
        before = value[start:first]
        before.rstrip()
        if before.plain.strip():
            yield before, False
        command = value[first:last]
        command.no_wrap, command.overflow = True, "ignore"
        yield command, cell_len(command.plain) > width
        start = last
    rest = value[start:]
    if start:  # what followed the command on its line is of no use on the next
        rest = rest[len(rest.plain) - len(rest.plain.lstrip(" ,.;:")) :]
    if rest.plain:
        yield rest, False


def _broken(text: str, lines: Sequence[str]) -> list[tuple[int, int]]:
    """Where commands are that the lines of a text have broken in two, in order."""
    found: list[tuple[int, int]] = []
    # The longest first: one may be the beginning of another.
    for command in sorted(map(visible, advice.made()), key=len, reverse=True):
        whole = sum(line.count(command) for line in lines)
        if whole == text.count(command):
            continue
        at = text.find(command)
        while at >= 0:
            end = at + len(command)
            if all(end <= first or at >= last for first, last in found):
                found.append((at, end))
            at = text.find(command, end)
    return sorted(found)
