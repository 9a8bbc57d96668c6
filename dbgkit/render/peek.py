"""What running tasks do now: where each is, and with which values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from dbgkit.model import Peek, PeekedLine, PeekedTask
from dbgkit.remote.common import sentences
from dbgkit.remote.common.texts import in_line
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.failure import task_text
from dbgkit.render.fields import Fields
from dbgkit.render.frames import Frame, brief_frames_form, frame_of, frames_form
from dbgkit.render.registry import Renderer
from dbgkit.render.style import LABEL, NOTE
from dbgkit.render.text import Text

MOST_LINES = 12  # of one task
BAR = 20  # columns for a share of 1


@dataclass(frozen=True)
class LineView:
    """One line at which a task was seen, and how often."""

    share: str
    counted: str
    bar: int  # columns
    place: str
    function: str
    text: str


@dataclass(frozen=True)
class TaskView:
    """One task, ready to be shown."""

    name: str
    key: str
    where: str
    lines: tuple[LineView, ...]
    more_lines: str
    frames: tuple[Frame, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PeekView:
    """What running tasks do, ready to be shown."""

    headline: str
    tasks: tuple[TaskView, ...]
    notes: tuple[str, ...]


def view_peek(found: Peek) -> PeekView:
    """Gather what is shown of a peek."""
    several = found.samples > 1
    return PeekView(
        headline=headline(found),
        tasks=tuple(_task(task, several) for task in found.tasks),
        notes=words.safe_each(found.notes),
    )


def headline(found: Peek) -> str:
    """How many tasks were seen, how often, and how many were left out."""
    count = len(found.tasks)
    text = f"{words.count(count, 'task runs', 'tasks run')} now" if count else ""
    if not count:
        text = "nothing runs now" if not found.silent else "nothing is known to run"
    if found.omitted:
        text += f", {found.omitted:,} more left out"
    if found.samples > 1:
        within = words.duration(found.seconds)
        text += f"; {found.samples:,} samples within {within}"
    return text


def _task(task: PeekedTask, several: bool) -> TaskView:
    shown = task.lines[:MOST_LINES] if several else ()
    more = len(task.lines) - len(shown) if several else 0
    return TaskView(
        name=in_line(task.name),
        key=words.key_text(task.key) if task.how != "actor" else "",
        where=_where(task),
        lines=tuple(_line(line, task.samples) for line in shown),
        more_lines=words.count(more, "more line") if more else "",
        frames=tuple(map(frame_of, task.frames)),
        notes=words.safe_each(task.notes),
    )


def _where(task: PeekedTask) -> str:
    parts = [] if task.running is None else [f"for {sentences.seconds(task.running)}"]
    parts += [f"on {task.worker} (process {task.pid})"]
    return in_line(", ".join(parts))


def _line(line: PeekedLine, samples: int) -> LineView:
    return LineView(
        share=f"{line.share * 100:.0f} %",
        counted=f"{line.samples:,} of {samples:,}",
        bar=max(1, round(line.share * BAR)),
        place=words.place(line.filename, line.lineno),
        function=in_line(line.function),
        text=words.safe_line(line.text, 120),
    )


# --- on a console ---------------------------------------------------------------


def peek_form(view: PeekView, *, whole: bool = False) -> RenderableType:
    """Each task; of the only one all frames are shown, of several a line each."""
    alone = len(view.tasks) == 1
    parts: list[RenderableType] = [Text(view.headline, style="bold")]
    for task in view.tasks:
        parts += [Text(""), *_task_form(task, alone=alone, whole=whole)]
    if view.notes:
        notes = Fields(8)
        notes.add_each("note", view.notes, NOTE)
        parts += [Text(""), notes]
    return Group(*parts)


def _task_form(task: TaskView, *, alone: bool, whole: bool) -> Iterator[RenderableType]:
    fields = Fields(8)
    fields.add("task", task_text(task.name, task.key), indent="")
    fields.add("runs", task.where, indent="")
    for note in task.notes:
        fields.add("note", note, NOTE, indent="")
    yield fields
    if task.lines:
        yield Padding(_lines_form(task), (0, 0, 0, 2))
    if alone or whole:
        first, others = frames_form(task.frames, whole=whole)
        yield from [Text(""), *first[:1], *others] if first else []
    elif task.frames:
        yield Padding(brief_frames_form(task.frames, ""), (0, 0, 0, 2))


def _lines_form(task: TaskView) -> RenderableType:
    table = Table.grid(padding=(0, 1), pad_edge=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for line in task.lines:
        where = Text(line.place, overflow="fold")
        where.append(" in ", style="dim").append(line.function, style="blue")
        if line.text:
            where.append(f": {line.text}")
        table.add_row(Text(line.share, style="bold"), Text("█" * line.bar), where)
    if task.more_lines:
        table.add_row("", "", Text(f"… {task.more_lines}", style=LABEL))
    return table


PEEK = Renderer[Peek](
    rich=lambda found: peek_form(view_peek(found)),
    whole=lambda found: peek_form(view_peek(found), whole=True),
    html=lambda found: html.part("peek", view_peek(found)),
)
