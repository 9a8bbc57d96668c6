"""Rows that stay readable at any width: aligned where they fit, else on more lines."""

from __future__ import annotations

from collections.abc import Mapping

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.padding import Padding

from dbgkit.render.states_rows import TasksView, TaskView
from dbgkit.render.states_views import StoryView
from dbgkit.render.text import Text

GAP = 2
LEAST_KEY = 16  # columns for keys that are worth aligning


class Aligned:
    """Rows of tasks: keys in a column as wide as they need, if there is room.

    A key that is longer than its column has a line of its own. Where the other
    columns leave no room for keys, each row says them by name.
    """

    def __init__(self, view: TasksView, styles: Mapping[str, str]) -> None:
        self._view = view
        self._styles = styles
        self._widths = [
            max([cell_len(title), *(cell_len(row.cells[at]) for row in view.rows)])
            for at, (title, _) in enumerate(view.columns)
        ]

    def __rich_measure__(
        self, console: Console, options: ConsoleOptions
    ) -> Measurement:
        return Measurement(min(20, options.max_width), options.max_width)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        room = options.max_width - GAP - sum(width + GAP for width in self._widths)
        if room < LEAST_KEY:
            yield from self._named()
            return
        fitting = [n for row in self._view.rows if (n := cell_len(row.key)) <= room]
        width = max([cell_len("key"), *fitting])
        head = Text(" " * GAP, style="dim").append(_pad("key", width, False))
        for (title, number), size in zip(self._view.columns, self._widths, strict=True):
            head.append(" " * GAP).append(_pad(title, size, number))
        yield head
        for row in self._view.rows:
            yield from self._aligned(row, width)

    def _aligned(self, row: TaskView, width: int) -> RenderResult:
        key = row.key
        if cell_len(key) > width:
            yield Padding(Text(key, style="bold", overflow="fold"), (0, 0, 0, GAP))
            key = ""
        line = Text(" " * GAP).append(_pad(key, width, False), style="bold")
        for at, (title, number) in enumerate(self._view.columns):
            style = self._styles.get(row.state, "") if title == "state" else ""
            line.append(" " * GAP)
            line.append(_pad(row.cells[at], self._widths[at], number), style=style)
        line.rstrip()
        yield line
        yield from _more(row)

    def _named(self) -> RenderResult:
        for row in self._view.rows:
            yield Padding(Text(row.key, style="bold", overflow="fold"), (0, 0, 0, GAP))
            line = Text(overflow="fold")
            for (title, _), cell in zip(self._view.columns, row.cells, strict=True):
                if not cell:
                    continue
                line.append(" · " if line.plain else "", style="dim")
                if title == "state":
                    line.append(cell, style=self._styles.get(row.state, ""))
                else:
                    line.append(f"{title} ", style="dim").append(cell)
            yield Padding(line, (0, 0, 0, 2 * GAP))
            yield from _more(row)


class Entries:
    """A story's entries: one line each and its details, or more where it is narrow."""

    def __init__(self, view: StoryView) -> None:
        self._entries = view.moments
        self._sources = max((cell_len(one.source) for one in view.moments), default=0)
        self._after = max((len(one.after) for one in view.moments), default=0)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        for entry in self._entries:
            head = Text(" " * GAP + entry.when, overflow="fold")
            head.append(f"  {entry.after:>{self._after}}  ", style="dim")
            source = _pad(entry.source, self._sources, False)
            what = Text(entry.what, style="bold red" if entry.bad else "bold")
            what.overflow = "fold"
            head.append(source, style="cyan")
            if head.cell_len + GAP + what.cell_len <= options.max_width:
                yield head.append(" " * GAP).append_text(what)
            else:
                head.rstrip()
                yield head
                yield Padding(what, (0, 0, 0, 2 * GAP))
            if entry.detail:
                detail = Text(entry.detail, style="dim", overflow="fold")
                yield Padding(detail, (0, 0, 0, 3 * GAP))


def _more(row: TaskView) -> RenderResult:
    for label, text in row.lines:
        line = Text(overflow="fold").append(f"{label} ", style="dim").append(text)
        yield Padding(line, (0, 0, 0, 2 * GAP))


def _pad(text: str, width: int, right: bool) -> str:
    blanks = " " * max(0, width - cell_len(text))
    return blanks + text if right else text + blanks
