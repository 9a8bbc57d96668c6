"""A failure: what failed, where, and with which values."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.console import Group, RenderableType

from dbgkit import advice
from dbgkit.model import Failure
from dbgkit.remote.common.texts import in_line
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.attach import breakpoint_notes
from dbgkit.render.console import printed
from dbgkit.render.fields import Fields
from dbgkit.render.frames import (
    Frame,
    frame_form,
    frames_form,
    frames_of,
    frames_of_text,
    stop_of,
)
from dbgkit.render.style import LABEL, NOTE
from dbgkit.render.text import Text
from dbgkit.source.shown import FILE, shown_text
from dbgkit.targets.tracebacks import leading

CALLS = 4  # lines that led to a task


@dataclass(frozen=True)
class FailureView:
    """A failure, ready to be shown."""

    exception_type: str
    message: str
    name: str
    key: str
    origin: str
    asked: str
    frames: tuple[Frame, ...]
    others: tuple[str, ...]
    notes: tuple[str, ...]
    came_from: tuple[str, ...] = ()
    called: str = ""
    open: str = ""  # what to type to get to the frame
    fell: str = ""  # what became of what was asked for


def view_failure(failure: Failure) -> FailureView:
    """Gather what is shown of a failure."""
    frames: tuple[Frame, ...] = ()
    # What failed in this process has its locals still; what came from a worker has
    # none, and perhaps another file by the same name here.
    there = failure.found_in in ("scheduler", "graph", "history")
    # An exception that a library handed back has that library's frames alone.
    there = there or failure.kind == "carried"
    if not there and failure.exception is not None:
        frames = frames_of(failure.exception)
    if not frames:
        local = failure.found_in != FILE
        frames = frames_of_text(shown_text(failure), local=local)
    # Of a task that killed its worker there is only the line that waited for it.
    if not frames and not failure.killed and failure.exception is not None:
        frames = frames_of(failure.exception)
    notes = failure.notes + breakpoint_notes(failure.exception_type)
    if failure.killed:
        with advice.repeating(failure.evidence.again):
            call = advice.call("deaths")
        notes += (f"{call} shows why its worker died",)
    upstream = failure.asked is not None and failure.asked != failure.key
    return FailureView(
        exception_type=in_line(failure.exception_type),
        message=words.clip(redact_text(failure.message)),
        name="" if failure.kind == "none" else in_line(failure.name),
        key="" if failure.key is None else words.key_text(failure.key),
        origin=_origin(failure),
        asked=words.key_text(failure.asked) if upstream else "",
        # Of several that may have killed the worker, it is not known because of which.
        fell="failed with it" if failure.role else "failed because of it",
        frames=frames,
        others=tuple(words.key_text(key) for key in failure.others),
        notes=notes,
        came_from=words.came_from(failure.came_from),
        called=_called(failure),
        open=_open(failure),
    )


def _called(failure: Failure) -> str:
    """The user's own lines that led to the task; empty if that says nothing more."""
    error = failure.exception
    lines = leading(None if error is None else error.__traceback__)
    if len(lines) < 2:
        return ""
    places = [
        f"{words.place(tb.tb_frame.f_code.co_filename, tb.tb_lineno or 1)} in "
        f"{in_line(tb.tb_frame.f_code.co_name)}"
        for tb in lines
    ]
    if len(places) > CALLS:
        places[1 : 1 - CALLS] = ["…"]
    return " → ".join(places)


def _open(failure: Failure) -> str:
    """What opens it; empty where that needs more than its key, or runs nothing."""
    if failure.key is None or failure.killed or failure.evidence.client is None:
        return ""
    with advice.repeating(failure.evidence.again):
        if failure.found_in == "scheduler":
            return advice.call("debug", failure.key)
    # The scheduler has forgotten it: the exception leads there, as long as it is the
    # last one of its session.
    return f"{advice.in_session('debug')}  right after it was raised, in its session"


def _origin(failure: Failure) -> str:
    """Where a failure was, in one line; empty where that is not known."""
    pieces = [failure.worker] if failure.worker else []
    if failure.killed and failure.worker:
        died = "which died" if failure.role else "which it killed"
        pieces = [f"{failure.worker}, {died}"]
    elif failure.killed:
        pieces = ["its worker died" if failure.role else "killed its worker"]
    if failure.found_in == "meta":
        pieces.append("on the client, on made-up data (meta inference)")
    if failure.found_in == "local":
        pieces.append("in this process, without a cluster")
    if failure.when is not None:
        pieces.append(words.moment(failure.when))
    if failure.attempts > 1:
        pieces.append(f"tried {failure.attempts:,} times")
    return in_line(" · ".join(pieces))


# --- on a console ---------------------------------------------------------------


def failure_form(
    view: FailureView, *, whole: bool = False, frames: bool = True
) -> RenderableType:
    """A failure: title, fields, and the frame to look at; ``whole``: all own frames."""
    fields = Fields(8)
    add_origin(fields, view)
    fields.add_each("note", view.notes, NOTE)
    add_others(fields, view.others)
    first, others = frames_form(view.frames, whole=whole) if frames else ([], [])
    return Group(title_text(view), *first, fields, *others)


def title_text(view: FailureView) -> Text:
    """Which exception it was."""
    text = Text(overflow="fold").append(view.exception_type, style="bold red")
    if view.message:
        text.append(": ")
        text.append(view.message, style="bold")
    return text


def task_text(name: str, key: str) -> Text:
    """A task by its name, and by its key where that says more."""
    text = Text(name, style="bold", overflow="fold")
    if key and key != name:
        text.append(f"  {key}", style="not bold dim")
    return text


def add_origin(fields: Fields, view: FailureView) -> None:
    """Which task it was, where, and where its values came from."""
    if view.name or view.key:
        fields.add("task", task_text(view.name, view.key))
    if view.asked:
        fields.add("asked", f"for {view.asked}, which {view.fell}")
    if view.origin:
        fields.add("where", view.origin)
    fields.add_each("from", view.came_from)
    if view.called:
        fields.add("called", view.called)


def add_others(fields: Fields, others: tuple[str, ...]) -> None:
    """Which others failed."""
    if others:
        named = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        text = Text(f"{len(others):,} failed too: ", overflow="fold")
        fields.add("more", text.append(named, style=LABEL))


def place(failure: Failure) -> str:
    """The frame to look at, with its lines of source; empty if none is known."""
    frames = view_failure(failure).frames
    stop = stop_of(frames)
    if stop is None:
        return ""
    form = frame_form(replace(frames[stop], locals=(), omitted=0))
    return printed(form, width=100, color=False).rstrip("\n")


FAILURE = html.renderer("failure", view_failure, failure_form, frame="failure")
