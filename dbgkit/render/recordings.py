"""Recordings: what a worker saw of a task at the moment it failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType

from dbgkit.model import Recording, Recordings
from dbgkit.remote.common.sentences import several
from dbgkit.remote.common.texts import in_line
from dbgkit.remote.recording.take import COUNTED
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.console import header_text
from dbgkit.render.failure import FailureView, failure_form
from dbgkit.render.fields import Fields
from dbgkit.render.frames import frame_of
from dbgkit.render.registry import Renderer
from dbgkit.render.style import LABEL, NOTE
from dbgkit.render.text import Text

MOST_NAMED = 3  # keys in a headline
PAGE_ROWS = 50  # recordings that a page shows with all that is known of them


def view_recording(recording: Recording) -> FailureView:
    """Gather what is shown of a recording."""
    return FailureView(
        exception_type=in_line(recording.exception_type),
        message=words.clip(recording.message),
        name=in_line(recording.name),
        key=words.key_text(recording.key) if recording.key else "",
        origin=_origin(recording),
        asked="",
        frames=tuple(frame_of(summary) for summary in recording.frames),
        others=(),
        notes=tuple(_notes(recording)),
        came_from=words.came_from(recording.came_from),
    )


def _origin(recording: Recording) -> str:
    """Where it was, and when; of what no task raised, on no worker, when."""
    pieces = (recording.worker, words.moment(recording.when))
    return in_line(" · ".join(filter(None, pieces)))


def _notes(recording: Recording) -> list[str]:
    notes = []
    if recording.gap:
        notes.append(f"nothing was recorded: {recording.gap}")
    if recording.short:
        notes.append(
            "a short recording: the worker had already recorded enough of this kind"
        )
    if recording.left_out:
        notes.append("parts were left out to keep it within its size")
    for cause in recording.causes:
        text = words.said(cause.exception_type, cause.message)
        for frame in cause.frames[-1:]:
            place = words.place(frame.filename, frame.lineno)
            text += f", at {place} in {in_line(frame.function)}"
        notes.append(f"{words.FOLLOWS[cause.how]} {text}")
    if recording.more_causes:
        least = "at least " if recording.more_causes >= COUNTED else ""
        more = words.count(recording.more_causes, "more exception")
        notes.append(f"{least}{more} in its chain of causes or its group, not recorded")
    return notes


def headline(held: Recordings) -> str:
    """What the recorder holds, in one line; of some tasks, what it holds of them."""
    if held.asked:
        return _headline_of_tasks(held)
    if held.since is None:
        kept = words.count(len(held) + held.omitted, "recording")
        return f"{kept}, kept in this process" if len(held) else "no recordings"
    text = (
        f"{words.count(held.failures, 'failure')} since {words.moment(held.since)}, "
        f"{words.size(held.held)} of {words.size(held.hold)} held"
    )
    if held.kept_inputs:
        text += (
            f", {words.count(held.kept_inputs, 'input')} kept "
            f"({words.size(held.kept_bytes)})"
        )
    if held.gaps:
        text += f", {held.gaps:,} without a recording"
    return text + (f", {held.dropped:,} dropped" if held.dropped else "")


def _headline_of_tasks(held: Recordings) -> str:
    found = [key for key in held.asked if key not in held.unknown]
    parts = []
    if found:
        number = words.count(len(held) + held.omitted, "recording")
        parts.append(f"{number} of {_named(found)}")
        if held.since is None:
            parts.append("kept in this process")
    if held.unknown:
        parts.append(f"no recording of {_named(held.unknown)}")
    return ", ".join(parts)


def _named(keys: Sequence[Any]) -> str:
    return redact_text(several(map(repr, keys), most=MOST_NAMED))


# --- on a console ---------------------------------------------------------------


def _recording_form(recording: Recording, *, whole: bool = False) -> RenderableType:
    """``whole``: each own frame with its source and locals."""
    where = "in a file" if recording.foreign else "on the worker when it failed"
    head = Text(f"as recorded {where}", style=LABEL)
    return Group(head, failure_form(view_recording(recording), whole=whole))


def recording_header(
    recording: Recording, *, color: bool | None = False, width: int | None = None
) -> str:
    """As `dbgkit.render.header`, above the prompt in a recording."""
    what = "the frames and locals as they were on the worker; nothing is run"
    if recording.foreign:
        what = "the frames, source and locals that a file holds; nothing is run"
    head = Text(f"a recording: {what}", style=LABEL)
    form = Group(head, failure_form(view_recording(recording), frames=False))
    return header_text(form, width=width, color=color).rstrip()


def _recordings_form(held: Recordings) -> RenderableType:
    """What the recorder holds: a line each, the newest first."""
    parts: list[RenderableType] = [Text(headline(held), style="bold")]
    for each in held.recordings:
        line = Text("  ", overflow="fold")
        line.append(words.moment(each.when), style=LABEL)
        line.append(f"  {words.key_text(each.key)}  ")
        text = words.said(each.exception_type, each.message, 200)
        line.append(text.replace("\n", " "), style="red")
        marks = [word for word, on in (("short", each.short), ("gap", each.gap)) if on]
        line.append(f"  ({', '.join(marks)})" if marks else "", style=LABEL)
        parts.append(line)
    if held.omitted:
        parts.append(Text(f"  … {words.count(held.omitted, 'more recording')}"))
    notes = Fields(8)
    notes.add_each("note", held.notes, NOTE)
    return Group(*parts, *([notes] if notes else []))


def _recordings_html(held: Recordings) -> str:
    views = [view_recording(one) for one in held.recordings[:PAGE_ROWS]]
    omitted = held.omitted + max(0, len(held.recordings) - PAGE_ROWS)
    return html.part(
        "recordings", views, headline(held), omitted, held.notes, frame="failure"
    )


RECORDING = Renderer[Recording](
    rich=_recording_form,
    whole=lambda recording: _recording_form(recording, whole=True),
    html=lambda one: html.part("failure", view_recording(one), frame="failure"),
)
RECORDINGS = Renderer[Recordings](rich=_recordings_form, html=_recordings_html)
