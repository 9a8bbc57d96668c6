"""A cluster's report: what stands at its top, and its form on a console."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from rich.console import Group, RenderableType

from dbgkit.model import ClusterReport
from dbgkit.remote.common.texts import in_line
from dbgkit.render import states_words as say
from dbgkit.render import words
from dbgkit.render.deaths import DeathsView, deaths_form, view_deaths
from dbgkit.render.rows import stop_of
from dbgkit.render.states import checkup_form, failures_form, tasks_form, why_form
from dbgkit.render.states_rows import TasksView, view_tasks
from dbgkit.render.states_views import (
    CheckupView,
    FailuresView,
    GroupView,
    WhyView,
    view_checkup,
    view_failures,
    view_why,
)
from dbgkit.render.text import Text

TASKS = "What failed by itself, then what is unfinished"


@dataclass(frozen=True)
class ReportView:
    """A report, ready to be shown."""

    title: str
    taken: str
    healthy: bool
    lines: tuple[tuple[str, str, str], ...]  # section, its title, one sentence
    notes: tuple[str, ...]
    failures: FailuresView
    why: WhyView | None
    tasks: TasksView | None
    checkup: CheckupView | None
    deaths: DeathsView | None


def view_report(report: ClusterReport) -> ReportView:
    """Gather what is shown of a report."""
    failures = view_failures(report.failures)
    why = view_why(report.why) if report.why else None
    tasks = view_tasks(report.tasks) if report.tasks else None
    checkup = view_checkup(report.checkup) if report.checkup else None
    gone = report.deaths
    deaths = view_deaths(gone) if gone is not None and gone.deaths else None
    lines = [("failures", "Failures", failures.sentence)]
    if why:
        lines.append(("why", "What holds it up", f"{why.cause}: {why.summary}"))
    if deaths:
        lines.append(("deaths", "Workers that went away", deaths.headline))
    if tasks and report.tasks:
        lines.append(("tasks", "Tasks", _by_state(report)))
    if checkup:
        lines.append(("doctor", "Fit for debugging?", checkup.sentence))
    kind = "Dask cluster" if report.live else "Dump of a Dask cluster"
    name = report.address if report.live else os.path.basename(report.address)
    return ReportView(
        title=f"{kind} {in_line(name)}",
        taken=say.span(report.taken),
        healthy=report.healthy,
        lines=tuple(lines),
        notes=say.tell_all(report.notes),
        failures=failures,
        why=why,
        tasks=tasks,
        checkup=checkup,
        deaths=deaths,
    )


def _by_state(report: ClusterReport) -> str:
    """All tasks by their states: ``98 tasks: 24 erred, 1 no-worker``."""
    totals: dict[str, int] = {}
    for states in report.tasks.summary.values() if report.tasks else ():
        for state, count in states.items():
            totals[state] = totals.get(state, 0) + count
    if not totals:
        return "the scheduler knows no task"
    ordered = sorted(totals.items(), key=lambda each: say.rank(each[0]))
    told = ", ".join(f"{count:,} {in_line(state)}" for state, count in ordered)
    return f"{words.count(sum(totals.values()), 'task')}: {told}"


def lighter(view: ReportView, *, pictures: bool) -> ReportView:
    """A report that takes less room, and says so.

    Parameters
    ----------
    pictures : bool
        Whether the graphs around the failures are still shown.
    """
    note = (
        "to keep it small, only the innermost frames of a traceback have their source"
    )
    if not pictures:
        note += ", and the graphs around the failures are left out"
    groups = tuple(map(_lighter_group, view.failures.groups))
    return replace(
        view,
        failures=replace(view.failures, groups=groups),
        notes=(*view.notes, note),
    )


def _lighter_group(group: GroupView) -> GroupView:
    stop = stop_of(group.frames)
    frames = tuple(
        frame if index == stop else replace(frame, source=(), locals=(), omitted=0)
        for index, frame in enumerate(group.frames)
    )
    return replace(group, frames=frames)


def report_form(report: ClusterReport) -> RenderableType:
    """All of it for a console, a heading each."""
    view = view_report(report)
    parts: list[RenderableType] = [
        Text(view.title, style="bold", overflow="fold"),
        Text(f"as of {view.taken}", style="dim"),
        *(
            Text(f"note: {note}", style="yellow", overflow="fold")
            for note in view.notes
        ),
    ]
    forms = {
        "failures": failures_form(view.failures),
        "why": why_form(view.why) if view.why else None,
        "deaths": deaths_form(report.deaths) if report.deaths else None,
        "tasks": tasks_form(view.tasks) if view.tasks else None,
        "doctor": checkup_form(view.checkup) if view.checkup else None,
    }
    for section, title, _ in view.lines:
        form = forms[section]
        if form is not None:
            parts += [Text(f"\n{title.upper()}", style="bold blue"), form]
    return Group(*parts)
