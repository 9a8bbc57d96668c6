"""What workers have to do, and how full they are: a table with bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table

from dbgkit.model import WorkerLoad
from dbgkit.remote.common.texts import in_line
from dbgkit.render import words
from dbgkit.render.style import LABEL
from dbgkit.render.text import Text

BAR = 12  # columns of a bar
NAME = 40  # characters of a worker's name
ADDRESS = 40  # characters of an address that are kept on one line
# From which share of its memory on a worker spills, and is paused: Dask's own settings.
FULL, NEARLY = 0.8, 0.6


@dataclass(frozen=True)
class LoadView:
    """One worker, ready to be shown."""

    name: str
    status: str
    bad: bool
    threads: str
    tasks: str
    memory: str
    percent: int | None  # of the memory that it may use; None if that is not known

    @property
    def style(self) -> str:
        """How the bar is coloured."""
        share = (self.percent or 0) / 100
        return "red" if share >= FULL else "yellow" if share >= NEARLY else "green"


@dataclass(frozen=True)
class WorkersView:
    """All workers, ready to be shown."""

    sentence: str
    rows: tuple[LoadView, ...]
    omitted: str


def view_workers(loads: Sequence[WorkerLoad], more: int) -> WorkersView:
    """Gather what is shown of workers."""
    threads = sum(load.threads for load in loads)
    number = words.count(len(loads) + more, "worker")
    least = "at least " if more else ""
    return WorkersView(
        sentence=f"{number}, {least}{words.count(threads, 'thread')}",
        rows=tuple(map(_row, loads)),
        omitted=f"{words.count(more, 'more worker')}, not shown" if more else "",
    )


def _row(load: WorkerLoad) -> LoadView:
    named = "" if load.name == load.address else f"  {in_line(load.name)}"
    return LoadView(
        name=in_line(load.address) + words.shorten(named, NAME),
        status=in_line(load.status),
        bad=load.status != "running",
        threads=f"{load.threads:,}",
        tasks=f"{load.tasks:,}",
        memory=_memory(load),
        percent=_percent(load),
    )


def _percent(load: WorkerLoad) -> int | None:
    if load.memory is None or not load.memory_limit:
        return None
    return max(0, min(100, round(100 * load.memory / load.memory_limit)))


def _memory(load: WorkerLoad) -> str:
    if load.memory is None:
        return "not known"
    used = words.size(load.memory)
    return f"{used} of {words.size(load.memory_limit)}" if load.memory_limit else used


def workers_form(view: WorkersView) -> RenderableType:
    """A row each, with a bar for its memory."""
    table = Table.grid(padding=(0, 2), pad_edge=False)
    heads = ("  worker", "status", "threads", "tasks", "memory", "")
    for title in heads:
        justify = "right" if title in ("threads", "tasks") else "left"
        table.add_column(justify=justify, overflow="fold")  # type: ignore[arg-type]
    # An address in two parts cannot be copied.
    longest = max((len(row.name.partition("  ")[0]) for row in view.rows), default=0)
    table.columns[0].min_width = min(longest + 2, ADDRESS)
    table.add_row(*(Text(title, style=LABEL) for title in heads))
    for row in view.rows:
        table.add_row(
            Text(f"  {row.name}", overflow="fold"),
            Text(row.status, style="red" if row.bad else ""),
            Text(row.threads),
            Text(row.tasks),
            _bar(row),
            Text(row.memory),
        )
    parts: list[RenderableType] = [Text(view.sentence, style="bold"), table]
    if view.omitted:
        parts.append(Text(f"  … {view.omitted}", style=LABEL))
    return Group(*parts)


def _bar(row: LoadView) -> Text:
    if row.percent is None:
        return Text("")
    full = round(BAR * row.percent / 100)
    return Text("█" * full, style=row.style).append("░" * (BAR - full), style=LABEL)
