"""A cluster's report: all subjects on one page, with a summary at its top."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial

from markupsafe import Markup
from rich.console import Group, RenderableType

from dbgkit.model import ClusterReport, TaskTable
from dbgkit.remote.common.texts import in_line
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.deaths import DeathsView, deaths_form, view_deaths
from dbgkit.render.doctor import CheckupView, checkup_form, view_checkup
from dbgkit.render.failures import (
    FailuresView,
    GroupView,
    failures_form,
    view_failures,
)
from dbgkit.render.frames import stop_of
from dbgkit.render.graph import graph_html
from dbgkit.render.registry import Renderer
from dbgkit.render.style import LABEL, NOTE
from dbgkit.render.tasks import TasksView, rank, tasks_form, totals, view_tasks
from dbgkit.render.text import Text
from dbgkit.render.why import WhyView, view_why, why_form
from dbgkit.render.workers import WorkersView, view_workers, workers_form

TASKS = "What failed by itself, then what is unfinished"
FEWER = (12, 6, 3, 1)  # of each, where a page is still too large
PAGE = 290_000  # bytes of a page from which on less is shown


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
    workers: WorkersView | None
    dashboard: str


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
        # What blocks comes before what has failed, perhaps long ago.
        blocks = not why.healthy and why.cause != "failed"
        said = ("why", "What blocks", f"{why.cause}: {why.summary}")
        lines.insert(0 if blocks else 1, said)
    workers = view_workers(report.workers, report.more_workers)
    if workers.rows:
        lines.append(("workers", "Workers", workers.sentence))
    if deaths:
        lines.append(("deaths", "Workers that went away", deaths.headline))
    if tasks and report.tasks:
        lines.append(("tasks", "Tasks", _by_state(report.tasks)))
    if checkup:
        lines.append(("doctor", "Fit for debugging?", checkup.sentence))
    kind = "Dask cluster" if report.live else "Dump of a Dask cluster"
    name = report.address if report.live else os.path.basename(report.address)
    return ReportView(
        title=f"{kind} {in_line(name)}",
        taken=words.between(report.taken.start, report.taken.end),
        healthy=report.healthy,
        lines=tuple(lines),
        notes=words.safe_each(report.notes),
        failures=failures,
        why=why,
        tasks=tasks,
        checkup=checkup,
        deaths=deaths,
        workers=workers if workers.rows else None,
        dashboard=_web_address(report.dashboard),
    )


def _web_address(text: str) -> str:
    """An address that a page may link to; empty for what is none."""
    address = in_line(text)
    return address if address.startswith(("http://", "https://")) else ""


def _by_state(table: TaskTable) -> str:
    """All tasks by their states: ``98 tasks: 24 erred, 1 no-worker``."""
    total = totals(table.summary)
    if not total:
        return "the scheduler knows no task"
    states = [f"{total[s]:,} {in_line(s)}" for s in sorted(total, key=rank)]
    return f"{words.count(sum(total.values()), 'task')}: {', '.join(states)}"


def _lighter(view: ReportView, *, pictures: bool = False) -> ReportView:
    """A report that is smaller, and says so; with the graphs around failures or not."""
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


def _fewer(view: ReportView, most: int) -> ReportView:
    """A report that has so many of each only, and says so."""
    view = _lighter(view)
    failures, deaths, tasks = view.failures, view.deaths, view.tasks
    left = {
        "way of failing": len(failures.groups) - most,
        "kind of death": len(deaths.deaths) - most if deaths else 0,
        "task": len(tasks.rows) - most if tasks else 0,
    }
    plural = {"way of failing": "ways of failing", "kind of death": "kinds of deaths"}
    counted = [
        words.count(n, name, plural.get(name, "")) for name, n in left.items() if n > 0
    ]
    note = f"to keep it small, {' and '.join(counted)} are left out"
    return replace(
        view,
        failures=replace(failures, groups=failures.groups[:most]),
        deaths=replace(deaths, deaths=deaths.deaths[:most]) if deaths else None,
        tasks=replace(tasks, rows=tasks.rows[:most]) if tasks else None,
        notes=(*view.notes, note),
    )


def _lighter_group(group: GroupView) -> GroupView:
    stop = stop_of(group.frames)
    frames = tuple(
        frame if index == stop else replace(frame, source=(), locals=(), omitted=0)
        for index, frame in enumerate(group.frames)
    )
    return replace(group, frames=frames)


# --- on a console ---------------------------------------------------------------


def _form(report: ClusterReport) -> RenderableType:
    """All of it, a heading each."""
    view = view_report(report)
    parts: list[RenderableType] = [
        Text(view.title, style="bold", overflow="fold"),
        Text(f"as of {view.taken}", style=LABEL),
        *([Text(f"Dask's dashboard: {view.dashboard}")] if view.dashboard else []),
        *(Text(f"note: {note}", style=NOTE, overflow="fold") for note in view.notes),
    ]
    forms = {
        "failures": failures_form(view.failures),
        "why": why_form(view.why) if view.why else None,
        "workers": workers_form(view.workers) if view.workers else None,
        "deaths": deaths_form(view.deaths) if view.deaths else None,
        "tasks": tasks_form(view.tasks) if view.tasks else None,
        "doctor": checkup_form(view.checkup) if view.checkup else None,
    }
    for section, title, _ in view.lines:
        form = forms[section]
        if form is not None:
            parts += [Text(f"\n{title.upper()}", style="bold blue"), form]
    return Group(*parts)


# --- as a page ------------------------------------------------------------------


def document(report: ClusterReport) -> str:
    """A cluster's report as one HTML page by itself: no network, no need of scripts.

    Everything in it is escaped, and what may be a secret is hidden. Its one script
    makes buttons that copy; its policy lets nothing else run, and nothing be loaded.
    """
    view = view_report(report)
    graphs, *rest = _pictures(report)
    lighter = partial(_lighter, view, pictures=True), partial(_lighter, view)
    fewer = (partial(_fewer, view, most) for most in FEWER)
    page = html.fill("page", view=view, args=(graphs, *rest))
    for step, make in enumerate((*lighter, *fewer)):
        if len(page.encode()) <= PAGE:
            break
        page = html.fill("page", view=make(), args=({} if step else graphs, *rest))
    return page


def _pictures(
    report: ClusterReport,
) -> tuple[dict[int, Markup | None], Markup | None, str]:
    """What the templates are handed besides the view: of each group, of why."""
    graphs = {
        index: graph_html(report.graphs.get(group.example.key))
        for index, group in enumerate(report.failures.groups)
    }
    return graphs, graph_html(report.why.graph if report.why else None), TASKS


def _html(report: ClusterReport) -> str:
    return html.part("report", view_report(report), *_pictures(report))


REPORT = Renderer[ClusterReport](rich=_form, html=_html)
