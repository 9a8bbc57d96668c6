"""The only room that imports rich and jinja2: how data is shown.

`register` makes `model.Displayed` show itself with this room; the rest is for front
ends.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import IO, Any

from rich.console import Console, RenderableType

from dbgkit.model import (
    ClusterReport,
    Death,
    Deaths,
    Failure,
    Glance,
    Plan,
    Recording,
    Recordings,
    Replay,
    TaskGraph,
    show_with,
)
from dbgkit.render.console import (
    failure_form,
    frame_form,
    header_form,
    plan_form,
    replay_form,
)
from dbgkit.render.deaths import death_form, deaths_form
from dbgkit.render.glances import GlanceForm
from dbgkit.render.notifier import ASK_ABOVE_BYTES, ASK_ABOVE_TASKS, Notifier
from dbgkit.render.picture import picture_form
from dbgkit.render.recordings import (
    recording_form,
    recordings_form,
)
from dbgkit.render.recordings import recording_header as recording_header_form
from dbgkit.render.report_views import report_form
from dbgkit.render.rows import stop_of
from dbgkit.render.saying import put_text, say, say_stopped, writing
from dbgkit.render.states import states_form
from dbgkit.render.text import Text
from dbgkit.render.views import view_failure, view_plan, view_replay
from dbgkit.source.shown import shown_text

__all__ = [
    "ASK_ABOVE_BYTES",
    "ASK_ABOVE_TASKS",
    "Notifier",
    "document",
    "header",
    "place",
    "recording_header",
    "register",
    "report",
    "say",
    "say_stopped",
    "show",
    "to_html",
    "to_rich",
    "to_text",
]


def register() -> None:
    """Let all of our data show itself with this room."""
    show_with(rich=to_rich, text=to_text, html=to_html, traceback=shown_text)


def to_rich(obj: Any) -> RenderableType:
    """The rich form of any of our data; ``repr`` of anything else."""
    return _form(obj, whole=False)


def to_text(obj: Any, *, width: int | None = 100, color: bool | None = False) -> str:
    """The console form as text.

    Parameters
    ----------
    obj : Failure, Plan, Replay, FailureReport, TaskTable, …
    width : int or None
        In columns; None: the terminal's.
    color : bool or None
        Whether to colour it with ANSI sequences; None: if standard output takes them.

    Returns
    -------
    str
    """
    if width is None:
        width = Console(file=sys.stderr).width
    if color is None:
        color = _takes_colours()
    return _print(_form(obj, whole=False), width=width, color=color)


def to_html(obj: Any) -> str:
    """The HTML form: a fragment that brings its own style, everything escaped.

    Parameters
    ----------
    obj : Failure, Plan, Replay, FailureReport, TaskTable, …

    Returns
    -------
    str
    """
    # jinja2 takes some 40 ms, which only notebooks need.
    from dbgkit.render.page import to_html as render

    return render(obj)


def document(report: ClusterReport) -> str:
    """A cluster's report as one HTML page by itself: no network, no scripts.

    Parameters
    ----------
    report : ClusterReport

    Returns
    -------
    str
        Everything in it is escaped, and what looks like a secret is hidden.
    """
    from dbgkit.render.page import document as render

    return render(report)


def show(obj: Any, *, file: IO[str] | None = None) -> None:
    """Print the console form, in colours if the file is a terminal.

    Parameters
    ----------
    obj : Failure, Plan, Replay, FailureReport, TaskTable, …
    file : file, optional
        Standard output if not given.
    """
    _put(_form(obj, whole=False), file)


def report(
    replay: Replay | Failure | Recording, *, file: IO[str] | None = None
) -> None:
    """Print all that is known: each own frame with its source and locals.

    Parameters
    ----------
    replay : Replay
        Or a `Failure` or a `Recording`, where nothing was replayed.
    file : file, optional
        Standard output if not given.
    """
    _put(_form(replay, whole=True), file)


def header(
    replay: Replay,
    *,
    others: Sequence[Any] = (),
    reachable: bool = True,
    color: bool | None = False,
    width: int | None = None,
) -> str:
    """The lines above the prompt: what failed, the outcome, the inputs.

    Parameters
    ----------
    replay : Replay
    others : sequence of Key
        The keys of further root causes.
    reachable : bool
        Whether their cluster can still be asked.
    color : bool or None
        Whether to colour it with ANSI sequences; None: if standard output takes them.
    width : int, optional
        In columns; the terminal's, at most 120, if not given.

    Returns
    -------
    str
        Without a line break at its end.
    """
    if width is None:
        width = min(120, Console(file=sys.stderr).width)
    if color is None:
        color = _takes_colours()
    form = header_form(view_replay(replay), others, reachable=reachable)
    return _print(form, width=width, color=color).rstrip("\n")


def recording_header(
    recording: Recording, *, color: bool | None = False, width: int | None = None
) -> str:
    """As `header`, above the prompt in a recording."""
    if width is None:
        width = min(120, Console(file=sys.stderr).width)
    if color is None:
        color = _takes_colours()
    return _print(recording_header_form(recording), width=width, color=color).rstrip()


def place(failure: Failure) -> str:
    """The frame to look at, with its lines of source; empty if none is known.

    Parameters
    ----------
    failure : Failure

    Returns
    -------
    str
        Without a line break at its end.
    """
    frames = view_failure(failure).frames
    stop = stop_of(frames)
    if stop is None:
        return ""
    form = frame_form(replace(frames[stop], locals=(), omitted=0))
    return _print(form, width=100, color=False).rstrip("\n")


def _takes_colours() -> bool:
    """Whether standard output does; rich knows of NO_COLOR, and of dumb terminals."""
    return Console(file=sys.stdout).color_system is not None


def _form(obj: Any, *, whole: bool) -> RenderableType:
    if isinstance(obj, Replay):
        return replay_form(view_replay(obj), whole=whole)
    if isinstance(obj, Failure):
        return failure_form(view_failure(obj))
    if isinstance(obj, Plan):
        return plan_form(view_plan(obj))
    if isinstance(obj, Recording):
        return recording_form(obj, whole=whole)
    if isinstance(obj, Recordings):
        return recordings_form(obj)
    if isinstance(obj, Death):
        return death_form(obj)
    if isinstance(obj, Deaths):
        return deaths_form(obj)
    if isinstance(obj, TaskGraph):
        return picture_form(obj)
    if isinstance(obj, Glance):
        return GlanceForm(obj)
    if isinstance(obj, ClusterReport):
        return report_form(obj)
    form = states_form(obj)
    return Text(repr(obj)) if form is None else form


def _print(form: RenderableType, *, width: int, color: bool) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        force_jupyter=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    with console.capture() as captured:
        console.print(form, crop=False)  # what is to be copied is whole
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _put(form: RenderableType, file: IO[str] | None) -> None:
    with writing(file) as stream:
        console = Console(
            file=stream, force_jupyter=False, highlight=False, markup=False, emoji=False
        )
        if console.is_terminal and not console.options.ascii_only:
            console.print(form, crop=False)
            return
    # A pipe has no width, unless it is told one; and its lines end without blanks.
    width = console.width if console.is_terminal or "COLUMNS" in os.environ else 100
    put_text(_print(form, width=width, color=False), file)
