"""Labelled facts, of which a command can be copied out of any terminal.

A line that is too long is folded, and a line end within a command would be copied with
it. So such a command has a line of its own, which the terminal itself continues: to it
that is one line still.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text as RichText

from dbgkit.model import advice
from dbgkit.remote.common.texts import visible
from dbgkit.render.text import Text

_STYLE = "dim"  # of labels


class Facts:
    """Rows of a label and what it says.

    Parameters
    ----------
    label_width : int
        Columns of the labels, at the least.
    """

    def __init__(self, label_width: int) -> None:
        self._label_width = label_width
        self._rows: list[tuple[Text, RenderableType]] = []

    def add_row(self, label: Text, value: RenderableType) -> None:
        """Add one fact."""
        self._rows.append((label, value))

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        width = self._width()
        table = _table()
        for label, value in self._rows:
            first = _padded(label, width)
            room = options.max_width - width - 1
            for part, is_command in _parts(value, room, console):
                if is_command:
                    if first.plain.strip():
                        table.add_row(first, "")
                    if table.row_count:
                        yield table
                    yield part
                    table = _table()
                else:
                    table.add_row(first, part)
                first = _padded(Text(""), width)
        if table.row_count:
            yield table

    def __rich_measure__(
        self, console: Console, options: ConsoleOptions
    ) -> Measurement:
        width, table = self._width(), _table()
        for label, value in self._rows:
            table.add_row(_padded(label, width), value)
        return Measurement.get(console, options, table)

    def _width(self) -> int:
        labels = (cell_len(label.plain) for label, _ in self._rows)
        return max([self._label_width, *labels])


def _table() -> Table:
    table = Table.grid(padding=(0, 1), pad_edge=False)
    table.add_column(style=_STYLE, no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    return table


def _padded(label: RichText, width: int) -> RichText:
    """A label as wide as all: rich's releases differ in what ``min_width`` is of."""
    padded = label.copy()
    padded.truncate(width, pad=True)
    return padded


def _parts(
    value: RenderableType, width: int, console: Console
) -> Iterator[tuple[RenderableType, bool]]:
    """A value, and whether it is a command; one that is too long in its parts."""
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
        yield command, True
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
