"""Rows of tasks, and their counts by prefix and state, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbgkit.model import TaskRow, TaskTable
from dbgkit.remote.common.texts import in_line, type_and_message
from dbgkit.render import states_words as say
from dbgkit.render import words
from dbgkit.render.states_views import key_of

PREFIXES = 20  # that are listed; the rest is counted
ROWS = 500  # that are shown


@dataclass(frozen=True)
class TaskView:
    """One task: its key, one text a column, and lines that need more room."""

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
    taken: str


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
        sentence=say.tasks_sentence(table),
        columns=tuple((name, _COLUMNS[name]) for name in used),
        rows=tuple(
            TaskView(
                key=key_of(row.key),
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
        notes=say.tell_all(table.notes),
        taken=say.span(table.span),
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
        "for": "" if row.since is None else say.age(row.since),
        "worker": say.listed(row.workers, 1, row.omitted_workers),
        "size": "" if row.nbytes is None else words.size(row.nbytes),
        **{name: f"{number:,}" if number else "" for name, number in numbers.items()},
    }


def _lines(row: TaskRow) -> list[tuple[str, str]]:
    """What needs a line of its own."""
    lines = []
    if row.blame is not None:
        lines.append(("fell because of", key_of(row.blame)))
    if row.exception:
        raised = words.said(*type_and_message(row.exception), 200)
        told = " ".join(raised.removeprefix(": ").split())
        lines.append(("raised" if row.blame is None else "which raised", told))
    if row.restrictions:
        lines.append(("restricted to", say.sentence(row.restrictions)))
    return lines


def _counts(
    summary: Mapping[str, Mapping[str, int]],
) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...], int]:
    """States that occur, a row each prefix, and how many prefixes are left out."""
    seen = {name for states in summary.values() for name in states}
    states = tuple(sorted(seen, key=say.rank))
    ordered = sorted(summary.items(), key=lambda each: _weight(each[1]))
    rows = [
        (say.shorten(key_of(prefix), 60), _numbers([of.get(s, 0) for s in states]))
        for prefix, of in ordered[:PREFIXES]
    ]
    if len(summary) > 1:
        sums = [sum(of.get(s, 0) for of in summary.values()) for s in states]
        rows.append(("all", _numbers(sums)))
    return (
        tuple(map(in_line, states)),
        tuple(rows),
        max(0, len(ordered) - PREFIXES),
    )


def _weight(states: Mapping[str, int]) -> tuple[int, int]:
    """Prefixes with failures come first, then those with the most tasks."""
    return -states.get("erred", 0), -sum(states.values())


def _numbers(counts: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{count:,}" if count else "" for count in counts)
