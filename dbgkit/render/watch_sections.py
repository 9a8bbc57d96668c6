"""What a cluster's overview lists: each entry has a line, and details to open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rich.console import Group, RenderableType

from dbgkit import advice
from dbgkit.model import Explanation, FailureGroup, Glance, WorkerLoad
from dbgkit.remote.common.texts import in_line
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.render import words
from dbgkit.render.failures import (
    failed_in_ways,
    group_form,
    message_of,
    view_group,
)
from dbgkit.render.fields import Fields
from dbgkit.render.style import LABEL, STATES
from dbgkit.render.tasks import totals
from dbgkit.render.text import Text
from dbgkit.render.why import view_why, why_form
from dbgkit.render.words import clock
from dbgkit.render.workers import LoadView, view_workers

BAR = 24  # columns
NAME = 32  # columns of a prefix
WORKER = 40  # columns of a worker
ALL = "all"  # prefixes together
# Distinct without colours too, and in ASCII (`saying.writable`).
LETTERS = {
    "memory": "█",
    "processing": "▒",
    "queued": "░",
    "waiting": "░",
    "no-worker": "?",
    "erred": "×",
    "released": "-",
}


@dataclass(frozen=True)
class Entry:
    """One entry of a list; ``id`` finds it again in the next update."""

    id: tuple[Any, ...]
    lines: tuple[Text, ...]
    details: Callable[[], RenderableType]


@dataclass(frozen=True)
class Section:
    """A list under a title; notes come after it."""

    title: Text
    entries: tuple[Entry, ...] = ()
    notes: tuple[Text, ...] = ()


def sections_of(glance: Glance, first: Glance | None = None) -> list[Section]:
    """All lists; what has failed since an earlier look is marked."""
    return [
        _tasks(glance),
        _failures(glance, first),
        _stuck(glance),
        _workers(glance),
    ]


def one_line(text: str, limit: int = 400) -> str:
    """A text in one line, cut; secrets hidden."""
    text = in_line(" ".join(redact_text(text).split()))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


# -- states ------------------------------------------------------------------


def _tasks(glance: Glance) -> Section:
    title = Text("Tasks", "bold")
    if not glance.summary:
        return Section(title.append(": none", ""))
    for state, letter in LETTERS.items():
        if state != "queued":  # has the letter of "waiting"
            title.append("   ").append(letter, STATES[state])
            name = "waiting or queued" if state == "waiting" else state
            title.append(f" {name}", LABEL)
    # Where not all fit, what is done is what can be missed.
    prefixes = sorted(glance.summary.items(), key=lambda item: _done(item[1]))
    rows: list[tuple[str | None, Mapping[str, int]]] = [*prefixes]
    if len(rows) > 1:
        rows.insert(0, (None, totals(glance.summary)))
    names = [one_line(name or ALL, NAME) for name, _ in rows]
    width = max(map(len, names))
    entries = []
    for name, (prefix, counts) in zip(names, rows, strict=True):
        line = Text(f"  {name:<{width}} ").append(bar(counts))
        each = [
            f"{counts[state]:,} {state}" for state in LETTERS if counts.get(state, 0)
        ]
        line.append(f" {', '.join(each)}")
        details = partial(_prefix_form, prefix, counts)
        entries.append(Entry(("tasks", prefix), (line,), details))
    return Section(title, tuple(entries))


def _done(counts: Mapping[str, int]) -> bool:
    return all(state in ("memory", "released") for state in counts)


def bar(counts: Mapping[str, int], width: int = BAR) -> Text:
    """The shares of states; each that occurs has at least one column."""
    present = [(state, counts[state]) for state in LETTERS if counts.get(state, 0)]
    total = sum(number for _, number in present) or 1
    cells = [max(1, round(width * number / total)) for _, number in present]
    while sum(cells) != width and cells:
        largest = cells.index(max(cells))
        cells[largest] += 1 if sum(cells) < width else -1
    drawn = Text("[")
    for (state, _), cell in zip(present, cells, strict=True):
        drawn.append(LETTERS[state] * cell, STATES[state])
    return drawn.append("]")


def _prefix_form(prefix: str | None, counts: Mapping[str, int]) -> RenderableType:
    fields = Fields(11)
    for state in LETTERS:
        if counts.get(state, 0):
            fields.add(state, f"{counts[state]:,}")
    given = {} if prefix is None else {"prefix": prefix}
    fields.add("go on", advice.call("tasks", **given), "cyan")
    name = "all tasks" if prefix is None else f"tasks {one_line(prefix)}"
    return Group(Text(name, "bold"), fields)


# -- failures ----------------------------------------------------------------


def _failures(glance: Glance, first: Glance | None) -> Section:
    report = glance.failures
    title = Text("Failures", "bold")
    if not report.total:
        title.append(": none", "")
    else:
        title.append(f": {failed_in_ways(report)}", "bold red")
    if report.cascaded:
        title.append(f"; {report.cascaded:,} more failed because of them", "")
    if report.healed:
        title.append(f"; {report.healed:,} succeeded in a retry", "")
    before = _counts(first) if first is not None else None
    entries = (
        Entry(
            ("failure", *_alike(group), group.pattern),
            (_failure(group, before),),
            partial(_failure_form, group, index),
        )
        for index, group in enumerate(report.groups)
    )
    notes = []
    if report.omitted:
        more = words.count(report.omitted, "more root cause")
        notes.append(Text(f"  … {more}", LABEL))
    return Section(title, tuple(entries), tuple(notes))


def _failure(group: FailureGroup, before: Counter[tuple[str, str]] | None) -> Text:
    line = Text(f"  {group.count:>6,} ")
    if before is not None:
        known = before[_alike(group)]
        if not known:
            line.append("new ", "bold red")
        elif group.count > known:
            line.append(f"+{group.count - known:,} ", "bold red")
    kind = group.exception_type or "an exception of a class that is not known"
    text = message_of(group, 300)
    line.append(one_line(f"{kind}: {text}" if text else kind), "red")
    if group.location:
        line.append(f"  {one_line(group.location)}", LABEL)
    if group.last is not None:
        line.append(f"  last {clock(group.last)}", LABEL)
    return line


def _alike(group: FailureGroup) -> tuple[str, str]:
    return group.exception_type, group.location


def _counts(glance: Glance) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for group in glance.failures.groups:
        counts[_alike(group)] += group.count
    return counts


def _failure_form(group: FailureGroup, index: int) -> RenderableType:
    return group_form(view_group(group, index))


# -- what is stuck -----------------------------------------------------------


def _stuck(glance: Glance) -> Section:
    why = glance.why
    text = "Nothing is blocked" if why.healthy else "What blocks"
    notes = dict.fromkeys((*glance.failures.notes, *why.notes))
    return Section(
        Text(text, "bold"),
        tuple(map(_cause, (why, *why.others))),
        tuple(Text(f"  {one_line(note)}", LABEL) for note in notes),
    )


def _cause(each: Explanation) -> Entry:
    style = "" if each.healthy else "yellow"
    line = Text("  ").append(each.cause, f"bold {style}".strip())
    lines = [line.append(f": {one_line(each.summary)}")]
    if not each.healthy and each.advice:
        lines.append(Text(f"      {one_line(each.advice[0])}", LABEL))
    id_ = ("cause", each.cause, repr(each.key))
    return Entry(id_, tuple(lines), partial(_cause_form, each))


def _cause_form(each: Explanation) -> RenderableType:
    return why_form(view_why(replace(each, others=(), notes=())))


# -- workers -----------------------------------------------------------------


def _workers(glance: Glance) -> Section:
    title = Text("Workers", "bold")
    count = sum(glance.workers.values())
    if not count:
        return Section(title.append(": none", ""))
    rows = view_workers(glance.loads, count - len(glance.loads)).rows
    names = list(map(_worker_name, glance.loads))
    width = max(map(len, names), default=0)
    entries = (
        Entry(
            ("worker", load.address),
            (_worker(row, f"{name:<{width}}"),),
            partial(_worker_form, load, row),
        )
        for load, row, name in zip(glance.loads, rows, names, strict=True)
    )
    notes = []
    if count > len(rows):
        more = words.count(count - len(rows), "more worker")
        notes.append(Text(f"  … {more}", LABEL))
    return Section(title, tuple(entries), tuple(notes))


def _worker_name(load: WorkerLoad) -> str:
    name = "" if load.name == load.address else f" ({load.name})"
    return one_line(f"{load.address}{name}", WORKER)


def _worker(row: LoadView, name: str) -> Text:
    line = Text(f"  {name} ")
    line.append(f"{row.status:<8}", "bold red" if row.bad else "")
    line.append(f" tasks {row.tasks}, threads {row.threads}, memory ")
    return line.append(_memory(row), "" if row.percent is None else row.style)


def _memory(row: LoadView) -> str:
    return row.memory if row.percent is None else f"{row.percent}% ({row.memory})"


def _worker_form(load: WorkerLoad, row: LoadView) -> RenderableType:
    fields = Fields(11)
    fields.add("status", row.status, "red" if row.bad else "")
    fields.add("tasks", f"{row.tasks}, running or waiting there")
    fields.add("threads", row.threads)
    fields.add("memory", _memory(row))
    fields.add("go on", advice.call("tasks", worker=load.address), "cyan")
    return Group(Text(f"worker {_worker_name(load)}", "bold"), fields)
