"""Tasks in rows, and their counts by prefix and state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table

from dbgkit.model import TaskRow, TaskTable
from dbgkit.remote.common.texts import in_line, type_and_message
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.fields import notes_form, padded
from dbgkit.render.style import LABEL, STATES
from dbgkit.render.text import Text

PREFIXES = 20  # that are listed; the rest is counted
ROWS = 500  # that are shown
GAP = 2
LEAST_KEY = 16  # columns for keys that are worth aligning


@dataclass(frozen=True)
class TaskView:
    """One task: its key, one text a column, and lines that need more space."""

    key: str
    state: str
    cells: tuple[str, ...]
    lines: tuple[tuple[str, str], ...]  # label, text


@dataclass(frozen=True)
class TasksView:
    """A table of tasks, ready to be shown; columns without any value are left out."""

    sentence: str
    columns: tuple[tuple[str, bool], ...]  # title, whether it holds numbers
    rows: tuple[TaskView, ...]
    omitted: str
    states: tuple[str, ...]
    counts: tuple[tuple[str, tuple[str, ...]], ...]  # prefix, a count each state
    more_prefixes: str
    notes: tuple[str, ...]


# Title -> whether it holds numbers.
_COLUMNS = {
    "state": False,
    "for": True,
    "worker": False,
    "size": True,
    "waits for": True,
    "needed by": True,
    "retries left": True,
    "workers killed": True,
}


def view_tasks(table: TaskTable) -> TasksView:
    """Gather what is shown of a table of tasks."""
    shown = table.rows[:ROWS]
    cells = [_cells(row) for row in shown]
    used = [name for name in _COLUMNS if any(each[name] for each in cells)]
    left = table.omitted + len(table.rows) - len(shown)
    states, counts, more = _counts(table.summary)
    return TasksView(
        sentence=_sentence(table),
        columns=tuple((name, _COLUMNS[name]) for name in used),
        rows=tuple(
            TaskView(
                key=words.short_key(row.key),
                state=in_line(row.state),
                cells=tuple(each[name] for name in used),
                lines=tuple(_lines(row)),
            )
            for row, each in zip(shown, cells, strict=True)
        ),
        omitted=f"{words.count(left, 'more task')}, not shown" if left else "",
        states=states,
        counts=counts,
        more_prefixes=(
            words.count(more, "more prefix", "more prefixes") if more else ""
        ),
        notes=words.safe_each(table.notes),
    )


def _cells(row: TaskRow) -> dict[str, str]:
    """A text a column; nothing for what is not known, and for none."""
    numbers = {
        "waits for": row.waiting_on,
        "needed by": row.dependents,
        "retries left": row.retries,
        "workers killed": row.suspicious,
    }
    return {
        "state": in_line(row.state),
        "for": "" if row.since is None else words.duration(row.since),
        "worker": words.listed(row.workers, 1, row.omitted_workers),
        "size": "" if row.nbytes is None else words.size(row.nbytes),
        **{name: f"{number:,}" if number else "" for name, number in numbers.items()},
    }


def _lines(row: TaskRow) -> list[tuple[str, str]]:
    """What needs a line of its own."""
    lines = []
    if row.blame is not None:
        lines.append(("failed because of", words.short_key(row.blame)))
    if row.exception:
        raised = words.said(*type_and_message(row.exception), 200)
        text = " ".join(raised.removeprefix(": ").split())
        lines.append(("raised" if row.blame is None else "which raised", text))
    if row.restrictions:
        lines.append(("restricted to", words.safe_line(row.restrictions)))
    return lines


def _sentence(table: TaskTable) -> str:
    """How many tasks match, how many there are, and how many rows are left out."""
    known = sum(totals(table.summary).values())
    if not table.matched:
        of = f"; {words.count(known, 'task')} in all" if known else ""
        return f"no task matches{of}" if known else "the scheduler knows no task"
    if table.matched == known:
        text = words.count(known, "task")
    else:
        verb = "matches" if table.matched == 1 else "match"
        of = f" of {known:,}" if known > table.matched else ""
        noun = "task" if table.matched == 1 and not of else "tasks"
        text = f"{table.matched:,}{of} {noun} {verb}"
    if table.omitted:
        text += f"; {len(table.rows):,} are shown, {table.omitted:,} left out"
    return text


def _counts(
    summary: Mapping[str, Mapping[str, int]],
) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...], int]:
    """States that occur, a row each prefix, and how many prefixes are left out."""
    total = totals(summary)
    states = tuple(sorted(total, key=rank))
    ordered = sorted(summary.items(), key=lambda each: _weight(each[1]))
    rows = [
        (
            words.shorten(words.short_key(prefix), 60),
            _numbers([of.get(s, 0) for s in states]),
        )
        for prefix, of in ordered[:PREFIXES]
    ]
    if len(summary) > 1:
        rows.append(("all", _numbers([total[s] for s in states])))
    return (
        tuple(map(in_line, states)),
        tuple(rows),
        max(0, len(ordered) - PREFIXES),
    )


def totals(summary: Mapping[str, Mapping[str, int]]) -> Counter[str]:
    """How many tasks are in each state."""
    total: Counter[str] = Counter()
    for states in summary.values():
        total.update(states)
    return total


def rank(state: str) -> tuple[int, str]:
    """Where a state stands among the others; an unknown one last."""
    order = list(STATES)
    return order.index(state) if state in order else len(order), state


def _weight(states: Mapping[str, int]) -> tuple[int, int]:
    """Prefixes with failures come first, then those with the most tasks."""
    return -states.get("erred", 0), -sum(states.values())


def _numbers(counts: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{count:,}" if count else "" for count in counts)


# --- on a console ---------------------------------------------------------------


def tasks_form(view: TasksView) -> RenderableType:
    """One sentence, the rows, then all tasks by prefix and state."""
    parts: list[RenderableType] = [
        Text(view.sentence, "bold", overflow="fold"),
        *notes_form(view.notes),
    ]
    if view.rows:
        parts += [Text(""), _Aligned(view)]
    if view.omitted:
        parts.append(Text(f"… {view.omitted}", style=LABEL))
    if view.counts:
        parts += [
            Text("\nall tasks by prefix and state", style=LABEL),
            _counts_form(view),
        ]
    if view.more_prefixes:
        parts.append(Text(f"  … {view.more_prefixes}", style=LABEL))
    return Group(*parts)


def _counts_form(view: TasksView) -> RenderableType:
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(overflow="ellipsis")
    for _ in view.states:
        table.add_column(justify="right", no_wrap=True)
    heads = [Text(s, style=STATES.get(s, "")) for s in view.states]
    table.add_row(Text("  prefix", style=LABEL), *heads)
    for prefix, counts in view.counts:
        name = Text(f"  {prefix}", no_wrap=True, overflow="ellipsis")
        table.add_row(name, *map(Text, counts))
    return table


class _Aligned:
    """Rows of tasks: keys in a column as wide as they need, if there is space.

    A key that is longer than its column has a line of its own. Where the other
    columns leave no space for keys, each row says them by name.
    """

    def __init__(self, view: TasksView) -> None:
        self._view = view
        self._widths = [
            max([cell_len(title), *(cell_len(row.cells[at]) for row in view.rows)])
            for at, (title, _) in enumerate(view.columns)
        ]

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        free = options.max_width - GAP - sum(width + GAP for width in self._widths)
        if free < LEAST_KEY:
            yield from self._named()
            return
        fitting = [n for row in self._view.rows if (n := cell_len(row.key)) <= free]
        width = max([cell_len("key"), *fitting])
        head = Text(" " * GAP, style="dim").append(padded("key", width))
        for (title, number), size in zip(self._view.columns, self._widths, strict=True):
            head.append(" " * GAP).append(padded(title, size, number))
        yield head
        for row in self._view.rows:
            yield from self._aligned(row, width)

    def _aligned(self, row: TaskView, width: int) -> RenderResult:
        key = row.key
        if cell_len(key) > width:
            yield Padding(Text(key, style="bold", overflow="fold"), (0, 0, 0, GAP))
            key = ""
        line = Text(" " * GAP).append(padded(key, width), style="bold")
        for at, (title, number) in enumerate(self._view.columns):
            style = STATES.get(row.state, "") if title == "state" else ""
            line.append(" " * GAP)
            line.append(padded(row.cells[at], self._widths[at], number), style=style)
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
                    line.append(cell, style=STATES.get(row.state, ""))
                else:
                    line.append(f"{title} ", style="dim").append(cell)
            yield Padding(line, (0, 0, 0, 2 * GAP))
            yield from _more(row)


def _more(row: TaskView) -> RenderResult:
    for label, text in row.lines:
        line = Text(overflow="fold").append(f"{label} ", style="dim").append(text)
        yield Padding(line, (0, 0, 0, 2 * GAP))


TASKS = html.renderer("tasks", view_tasks, tasks_form)
