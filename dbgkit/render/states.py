"""The rich forms of failures, tasks, stories, explanations and checkups.

Every key, message and value is a `Text`, so that brackets in them are no markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from dbgkit.model import (
    Checkup,
    Explanation,
    FailureGroup,
    FailureReport,
    Finding,
    TaskTable,
    Timeline,
)
from dbgkit.render.facts import Facts
from dbgkit.render.picture import picture_form
from dbgkit.render.rows import Frame, stop_of
from dbgkit.render.states_lines import Aligned, Entries
from dbgkit.render.states_rows import TasksView, view_tasks
from dbgkit.render.states_views import (
    CheckupView,
    FailuresView,
    FindingView,
    GroupView,
    StoryView,
    WhyView,
    view_checkup,
    view_failures,
    view_finding,
    view_group,
    view_story,
    view_why,
)
from dbgkit.render.text import Text

STATE_STYLES = {
    "erred": "red",
    "no-worker": "magenta",
    "processing": "blue",
    "queued": "yellow",
    "waiting": "yellow",
    "memory": "green",
}
_LEVEL_STYLES = {"problem": "bold red", "warning": "bold yellow", "ok": "green"}
_LABEL = "dim"
_NOTE = "yellow"


def states_form(obj: Any) -> RenderableType | None:
    """The rich form of what tells of states; None of anything else."""
    if isinstance(obj, FailureReport):
        return failures_form(view_failures(obj))
    if isinstance(obj, FailureGroup):
        return group_form(view_group(obj))
    if isinstance(obj, TaskTable):
        return tasks_form(view_tasks(obj))
    if isinstance(obj, Timeline):
        return story_form(view_story(obj))
    if isinstance(obj, Explanation):
        return why_form(view_why(obj))
    if isinstance(obj, Checkup):
        return checkup_form(view_checkup(obj))
    if isinstance(obj, Finding):
        return _finding(view_finding(obj))
    return None


def failures_form(view: FailuresView) -> RenderableType:
    """One sentence, then what failed alike, the most frequent first."""
    parts: list[RenderableType] = [
        _fold(view.sentence, "bold red" if view.failed else "bold green")
    ]
    parts += _notes(view.notes)
    if view.healed:
        parts.append(_facts([("healed", view.healed)]))
    for number, group in enumerate(view.groups, 1):
        parts += [Text(""), group_form(group, number if len(view.groups) > 1 else 0)]
    if view.omitted:
        parts += [Text(""), Text(f"… {view.omitted}", style=_LABEL)]
    return Group(*parts)


def group_form(view: GroupView, number: int = 0) -> RenderableType:
    """How many failed, with what, where, and how to go on."""
    title = Text(overflow="fold")
    title.append(f"{number}. " if number else "", style=_LABEL)
    title.append(f"{view.count} · ", style="bold")
    title.append(view.exception_type, style="bold red")
    if view.message:
        title.append(": ").append(view.message, style="bold")
    facts = _facts(view.facts)
    for label, text in _labelled(view.notes):
        facts.add_row(Text(f"  {label}", style=_LABEL), _fold(text, _NOTE))
    for label, text in _labelled(view.go_on, "go on"):
        facts.add_row(Text(f"  {label}", style=_LABEL), _fold(text, "cyan"))
    parts: list[RenderableType] = [title, facts]
    if view.frames:
        parts.append(Padding(_frames(view.frames, view.frames_title), (0, 0, 0, 2)))
    return Group(*parts)


def _frames(frames: tuple[Frame, ...], title: str) -> RenderableType:
    """A line each frame, with the source of the innermost of the user's own."""
    parts: list[RenderableType] = [Text(title, style=_NOTE)] if title else []
    stop = stop_of(frames)
    for index, frame in enumerate(frames):
        if frame.gap:
            parts.append(Text(f"… {frame.function}", style=_LABEL))
            continue
        here = index == stop
        head = Text(frame.place, style="bold" if here else _LABEL, overflow="fold")
        head.append(" in ", style="not bold dim")
        head.append(frame.function, style="bold blue" if here else "")
        parts.append(head)
        if here:
            parts += _source(frame)
    return Group(*parts)


def _source(frame: Frame) -> list[RenderableType]:
    """The lines around where it failed, and its locals, if they were recorded."""
    parts: list[RenderableType] = []
    width = len(str(frame.source[-1][0])) if frame.source else 0
    for number, line in frame.source:
        mark, style = ("❱", "bold red") if number == frame.lineno else (" ", "dim")
        text = Text(f"  {mark} {number:>{width}} │ ", style=style)
        text.append(line, style="bold" if number == frame.lineno else "not bold")
        text.no_wrap, text.overflow = True, "ellipsis"
        parts.append(text)
    for row in frame.locals:
        local = Text(f"    {row.name} = ", style="cyan", overflow="fold")
        parts.append(local.append(row.value, style="default"))
    return parts


def tasks_form(view: TasksView) -> RenderableType:
    """One sentence, the rows, then all tasks by prefix and state."""
    parts: list[RenderableType] = [_fold(view.sentence, "bold"), *_notes(view.notes)]
    if view.rows:
        parts += [Text(""), Aligned(view, STATE_STYLES)]
    if view.omitted:
        parts.append(Text(f"… {view.omitted}", style=_LABEL))
    if view.counts:
        parts += [Text("\nall tasks by prefix and state", style=_LABEL), _counts(view)]
    if view.more_prefixes:
        parts.append(Text(f"  … {view.more_prefixes}", style=_LABEL))
    return Group(*parts)


def _counts(view: TasksView) -> RenderableType:
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(overflow="ellipsis")
    for _ in view.states:
        table.add_column(justify="right", no_wrap=True)
    heads = [Text(s, style=STATE_STYLES.get(s, "")) for s in view.states]
    table.add_row(Text("  prefix", style=_LABEL), *heads)
    for prefix, counts in view.counts:
        name = Text(f"  {prefix}", no_wrap=True, overflow="ellipsis")
        table.add_row(name, *map(Text, counts))
    return table


def story_form(view: StoryView) -> RenderableType:
    """What is missing, then the entries in order of time."""
    title = Text(view.key, style="bold", overflow="fold")
    parts: list[RenderableType] = [
        title.append(f"  {view.sentence}", style="not bold"),
        *_notes(view.notes),
    ]
    if view.omitted:
        parts.append(Text(f"  … {view.omitted}", style=_LABEL))
    return Group(*parts, Entries(view))


def why_form(view: WhyView) -> RenderableType:
    """The cause and one sentence, what it rests on, what to do, and other causes."""
    title = Text(overflow="fold")
    title.append(view.cause, style="bold green" if view.healthy else "bold red")
    title.append(f": {view.summary}", style="bold")
    rows = [
        *_labelled(view.evidence, "because"),
        *([("chain", view.chain)] if view.chain else []),
        *_labelled(view.advice, "advice"),
    ]
    parts: list[RenderableType] = [title, _facts(rows), *_notes(view.notes)]
    if view.graph is not None:
        parts += [Text(""), Padding(picture_form(view.graph), (0, 0, 0, 2))]
    if view.others:
        parts.append(Text("\nother causes, the likelier first", style=_LABEL))
    for number, (cause, summary, healthy) in enumerate(view.others, 1):
        other = Text(f"  {number}. ", style=_LABEL, overflow="fold")
        other.append(cause, style="not dim green" if healthy else "not dim red")
        parts.append(other.append(f": {summary}", style="not dim default"))
    if view.more_others:
        parts.append(Text(f"  … {view.more_others}", style=_LABEL))
    return Group(*parts)


def checkup_form(view: CheckupView) -> RenderableType:
    """Problems first, then warnings; what is fine in one line."""
    worst = view.wrong[0].level if view.wrong else "ok"
    parts: list[RenderableType] = [_fold(view.sentence, _LEVEL_STYLES[worst])]
    parts += _notes(view.notes)
    parts += map(_finding, view.wrong)
    if view.fine:
        names = ", ".join(one.check for one in view.fine)
        parts.append(_facts([("passed", names)]))
    return Group(*parts)


def _finding(view: FindingView) -> RenderableType:
    title = Text(overflow="fold").append(view.level, style=_LEVEL_STYLES[view.level])
    title.append(f" · {view.check}: ", style=_LABEL).append(view.summary, style="bold")
    rows = [*_labelled(view.evidence, "because")]
    if view.advice:
        rows.append(("advice", view.advice))
    return Group(title, _facts(rows)) if rows else title


# --- what they share ------------------------------------------------------------


def _fold(text: str, style: str = "") -> Text:
    return Text(text, style=style, overflow="fold")


def _labelled(texts: Iterable[str], label: str = "note") -> list[tuple[str, str]]:
    """The label before the first of them only."""
    return [(label if not at else "", text) for at, text in enumerate(texts)]


def _facts(rows: Sequence[tuple[str, str]]) -> Facts:
    facts = Facts(11)
    for label, text in rows:
        facts.add_row(Text(f"  {label}", style=_LABEL), _fold(text))
    return facts


def _notes(notes: Sequence[str]) -> list[RenderableType]:
    if not notes:
        return []
    facts = _facts([])
    for label, text in _labelled(notes):
        facts.add_row(Text(f"  {label}", style=_LABEL), _fold(text, _NOTE))
    return [facts]
