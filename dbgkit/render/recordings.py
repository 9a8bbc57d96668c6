"""Recordings, on the console: what a worker saw of a task at the moment it failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType

from dbgkit.model import Recording, Recordings
from dbgkit.remote.common.texts import in_line
from dbgkit.remote.recording.take import COUNTED
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.render import words
from dbgkit.render.console import failure_form
from dbgkit.render.rows import frame_of
from dbgkit.render.text import Text
from dbgkit.render.views import FailureView

MOST_NAMED = 3  # keys in a headline


def view_recording(recording: Recording) -> FailureView:
    """Gather what is shown of a recording."""
    return FailureView(
        exception_type=in_line(recording.exception_type),
        message=words.clip(recording.message),
        name=in_line(recording.name),
        key=words.key_text(recording.key),
        origin=f"{recording.worker} · {words.moment(recording.when)}",
        asked="",
        frames=tuple(frame_of(summary) for summary in recording.frames),
        others=(),
        notes=tuple(_notes(recording)),
        came_from=words.came_from(recording.came_from),
    )


def _notes(recording: Recording) -> list[str]:
    notes = []
    if recording.gap:
        notes.append(f"nothing was recorded: {recording.gap}")
    if recording.short:
        notes.append(
            "a short recording: the worker had recorded enough of this kind before"
        )
    if recording.left_out:
        notes.append("parts were left out to keep it within its size")
    for cause in recording.causes:
        told = words.said(cause.exception_type, cause.message)
        for frame in cause.frames[-1:]:
            place = words.place(frame.filename, frame.lineno)
            told += f", at {place} in {in_line(frame.function)}"
        notes.append(f"{words.FOLLOWS[cause.how]} {told}")
    if recording.more_causes:
        least = "at least " if recording.more_causes >= COUNTED else ""
        more = words.count(recording.more_causes, "more exception")
        notes.append(
            f"{least}{more} that it holds or follows from, between these or beyond: "
            "not recorded"
        )
    return notes


def recording_form(recording: Recording, *, whole: bool = False) -> RenderableType:
    """A recording; ``whole`` shows each own frame with its source and locals."""
    told = Text("as recorded on the worker when it failed", style="dim")
    return Group(told, failure_form(view_recording(recording), whole=whole))


def recording_header(recording: Recording) -> RenderableType:
    """A few lines above the prompt."""
    told = Text(
        "a recording: the frames and locals as they were on the worker; nothing is run",
        style="dim",
    )
    view = view_recording(recording)
    return Group(told, failure_form(view, frames=False))


def recordings_form(held: Recordings) -> RenderableType:
    """What the recorder holds: a line each, the newest first."""
    parts: list[RenderableType] = [Text(headline(held), style="bold")]
    for each in held.recordings:
        line = Text("  ", overflow="fold")
        line.append(words.moment(each.when), style="dim")
        line.append(f"  {words.key_text(each.key)}  ")
        told = words.said(each.exception_type, each.message, 200)
        line.append(told.replace("\n", " "), style="red")
        marks = [word for word, on in (("short", each.short), ("gap", each.gap)) if on]
        line.append(f"  ({', '.join(marks)})" if marks else "", style="dim")
        parts.append(line)
    if held.omitted:
        parts.append(Text(f"  … {words.count(held.omitted, 'more recording')}"))
    parts += [Text(f"  note    {note}", style="yellow") for note in held.notes]
    return Group(*parts)


def headline(held: Recordings) -> str:
    """What the recorder holds, in one line; of some tasks, what it holds of them."""
    if held.asked:
        return _headline_of_tasks(held)
    if held.since is None:
        kept = words.count(len(held) + held.omitted, "recording")
        return f"{kept}, kept in this process" if len(held) else "no recordings"
    told = (
        f"{words.count(held.failures, 'failure')} since {words.moment(held.since)}, "
        f"{words.size(held.held)} of {words.size(held.hold)} held"
    )
    if held.kept_inputs:
        told += (
            f", {words.count(held.kept_inputs, 'input')} kept "
            f"({words.size(held.kept_bytes)})"
        )
    if held.gaps:
        told += f", {held.gaps:,} without a recording"
    return told + (f", {held.dropped:,} dropped" if held.dropped else "")


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
    more = f" and {len(keys) - MOST_NAMED:,} more" if len(keys) > MOST_NAMED else ""
    return redact_text(", ".join(repr(key) for key in keys[:MOST_NAMED])) + more
