"""A `TaskTable` from what a scheduler or a dump reports."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from dbgkit.cluster.view import View
from dbgkit.diagnose.failures import span_of
from dbgkit.errors import UnknownName, WrongTarget
from dbgkit.model import TaskRow, TaskTable
from dbgkit.remote.common.sentences import several
from dbgkit.remote.scheduler.tasks import COLUMNS, MOST_ROWS
from dbgkit.targets.resolve import sort_target

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_tasks import RowForm, Tasks, TasksQuestion

_FIELDS = [field.name for field in fields(TaskRow)]
# distributed.scheduler.ALL_TASK_STATES, without "forgotten", which no task is in.
STATES = (
    "released",
    "waiting",
    "no-worker",
    "queued",
    "processing",
    "memory",
    "erred",
)


def table_tasks(
    view: View,
    *,
    state: Any = None,
    prefix: Any = None,
    keys: Any = None,
    worker: Any = None,
    failed: bool | None = None,
    sort: str | None = None,
    limit: int | None = 50,
) -> TaskTable:
    """Tasks that match, in rows."""
    if limit is not None and (not isinstance(limit, int) or limit < 0):
        raise ValueError(
            f"limit={limit!r}: expected a whole number of at least 0, or None"
        )
    states = _names(state)
    for name in states:
        _known("state", name, STATES)
    column = (sort or "").removeprefix("-")
    if column:
        _known("column", column, COLUMNS)
    question: TasksQuestion = {
        "states": states,
        "prefixes": _names(prefix),
        "keys": _keys(keys),
        "worker": None if worker is None else str(worker),
        "failed": failed,
        "sort": column,
        "reverse": bool(sort and sort.startswith("-")),
        "limit": limit,
    }
    answer = view.ask("tasks", question)
    rows = tuple(_row(row) for row in answer["rows"])
    return TaskTable(
        rows=rows,
        matched=answer["matched"],
        omitted=answer["matched"] - len(rows),
        summary=answer["summary"],
        span=span_of(answer),
        notes=tuple(_notes(answer, limit)),
        unknown=(*answer["near"], *map(repr, answer["unknown_keys"])),
    )


def _names(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(name) for name in value]


def _keys(keys: Any) -> Any:
    """A key or a pattern as text, or a list of keys, whatever they come from.

    Collections are asked for their keys, as iterating over one could compute it.
    """
    if keys is None or isinstance(keys, str):
        return keys
    sought = sort_target(keys)
    if sought.exceptions:
        raise WrongTarget(
            "an exception does not name tasks", "pass keys, futures or a collection"
        )
    found = [*sought.keys, *(failure.key for failure in sought.failures)]
    if sought.collections and not sought.futures:
        from dask.core import flatten

        for collection in sought.collections:
            found += flatten(collection.__dask_keys__())
    return found


def _known(what: str, name: str, names: Collection[str]) -> None:
    if name in names:
        return
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise UnknownName(
        f"{what} {name!r} does not exist",
        f"{hint}available: {', '.join(sorted(names))}",
    )


def _row(row: RowForm) -> TaskRow:
    known: dict[str, Any] = {name: row.get(name) for name in _FIELDS}
    return TaskRow(**{**known, "workers": tuple(row["workers"])})


def _notes(answer: Tasks, limit: int | None) -> list[str]:
    notes = []
    for what, nearest in answer["near"].items():
        hint = f"; did you mean {nearest!r}?" if nearest else ""
        notes.append(f"{what} does not exist{hint}")
    unknown = answer["unknown_keys"]
    if unknown:
        notes.append(f"no such task: {several(map(repr, unknown), most=3)}")
    if limit is None or limit > MOST_ROWS:
        notes.append(f"one answer has at most {MOST_ROWS:,} rows")
    return notes
