"""The HTML form, for notebooks and as a page: from templates, everything escaped."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dbgkit.model import (
    Checkup,
    ClusterReport,
    Death,
    Deaths,
    Explanation,
    Failure,
    FailureGroup,
    FailureReport,
    Finding,
    Plan,
    Recording,
    Recordings,
    Replay,
    TaskGraph,
    TaskTable,
    Timeline,
)
from dbgkit.remote.common.texts import visible
from dbgkit.render import words
from dbgkit.render.deaths import DeathsView, view_death, view_deaths
from dbgkit.render.picture import picture_html
from dbgkit.render.recordings import headline as recordings_headline
from dbgkit.render.recordings import view_recording
from dbgkit.render.report_views import TASKS, ReportView, lighter, view_report
from dbgkit.render.rows import stop_of
from dbgkit.render.states_rows import view_tasks
from dbgkit.render.states_views import (
    view_checkup,
    view_failures,
    view_finding,
    view_group,
    view_story,
    view_why,
)
from dbgkit.render.states_words import STATES
from dbgkit.render.text import escape
from dbgkit.render.views import view_failure, view_plan, view_replay

PAGE_ROWS = 50  # recordings that are shown with all that is known of them
PAGE = 300_000  # characters of a page from which on less is shown


def to_html(obj: Any) -> str:
    """The HTML form of any of our data; ``repr`` of anything else."""
    if isinstance(obj, Replay):
        return _fill("replay.html", view=view_replay(obj))
    if isinstance(obj, Failure):
        return _fill("failure.html", view=view_failure(obj))
    if isinstance(obj, Plan):
        return _fill("plan.html", view=view_plan(obj))
    if isinstance(obj, TaskGraph):
        return _fill("graph.html", picture=Markup(picture_html(obj)))
    if isinstance(obj, Recording):
        return _fill("failure.html", view=view_recording(obj))
    if isinstance(obj, Recordings):
        return _fill(
            "recordings.html",
            headline=recordings_headline(obj),
            recordings=[view_recording(one) for one in obj.recordings[:PAGE_ROWS]],
            omitted=obj.omitted + max(0, len(obj.recordings) - PAGE_ROWS),
            notes=obj.notes,
        )
    if isinstance(obj, Death):
        return _fill("deaths.html", view=DeathsView("", (view_death(obj),), ()))
    if isinstance(obj, Deaths):
        return _fill("deaths.html", view=view_deaths(obj))
    return _states_html(obj) or f"<pre>{escape(repr(obj))}</pre>"


def _states_html(obj: Any) -> str:
    """The HTML form of what tells of states; empty for anything else."""
    if isinstance(obj, FailureReport):
        return _fill("failures.html", view=view_failures(obj))
    if isinstance(obj, FailureGroup):
        return _fill("group.html", view=view_group(obj))
    if isinstance(obj, TaskTable):
        return _fill("tasks.html", view=view_tasks(obj))
    if isinstance(obj, Timeline):
        return _fill("story.html", view=view_story(obj))
    if isinstance(obj, Explanation):
        return _fill("why.html", view=view_why(obj), picture=_picture(obj.graph))
    if isinstance(obj, Checkup):
        return _fill("doctor.html", view=view_checkup(obj))
    if isinstance(obj, Finding):
        return _fill("finding.html", view=view_finding(obj))
    if isinstance(obj, ClusterReport):
        view, pictures = view_report(obj), _pictures(obj)
        return _report("report_part.html", obj, view, pictures)
    return ""


def document(report: ClusterReport) -> str:
    """A report as one page by itself; see `dbgkit.render.document`."""
    view, pictures = view_report(report), _pictures(report)
    page = _report("report.html", report, view, pictures)
    for graphs in (pictures, {}):
        if len(page) <= PAGE:
            break
        small = lighter(view, pictures=bool(graphs))
        page = _report("report.html", report, small, graphs)
    return page


def _report(
    template: str,
    report: ClusterReport,
    view: ReportView,
    pictures: Mapping[int, Markup | None],
) -> str:
    picture = _picture(report.why.graph if report.why else None)
    return _fill(
        template, view=view, pictures=pictures, picture=picture, tasks_title=TASKS
    )


def _pictures(report: ClusterReport) -> dict[int, Markup | None]:
    """Around the example of each group, by its place."""
    return {
        index: _picture(report.graphs.get(group.example.key))
        for index, group in enumerate(report.failures.groups)
    }


def _picture(graph: TaskGraph | None) -> Markup | None:
    return None if graph is None else Markup(picture_html(graph))


def _fill(name: str, **values: Any) -> str:
    return _environment().get_template(name).render(**values)


def _shown(value: Any) -> Any:
    """What a template writes; jinja2 escapes what it means in HTML."""
    plain = isinstance(value, str) and not isinstance(value, Markup)
    return visible(value) if plain else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dbgkit.render", "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(count=words.count, stop_of=stop_of, known_states=STATES)
    return environment
