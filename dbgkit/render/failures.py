"""Failures by root cause: how many, which, where, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding

from dbgkit import advice
from dbgkit.model import FailureGroup, FailureReport
from dbgkit.remote.common.texts import in_line
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.attach import breakpoint_notes
from dbgkit.render.fields import Fields, notes_form, page_form
from dbgkit.render.frames import Frame, brief_frames_form, frame_of, frames_of_text
from dbgkit.render.style import LABEL, NOTE
from dbgkit.render.text import Text
from dbgkit.source.shown import shown_text

KEYS = 5  # of one group, or healed
WORKERS = 3  # named; the rest is counted
MOST_SEEN = 1_000  # different messages of a group that the scheduler tells apart
LONG_KEY = 120  # is not to be typed


@dataclass(frozen=True)
class GroupView:
    """Failures with one root cause, ready to be shown."""

    exception_type: str
    message: str
    count: str
    fields: tuple[tuple[str, str], ...]  # label, text
    frames: tuple[Frame, ...]
    frames_title: str
    go_on: tuple[str, ...]  # what to type
    notes: tuple[str, ...]


@dataclass(frozen=True)
class FailuresView:
    """A report of failures, ready to be shown."""

    sentence: str
    failed: bool
    groups: tuple[GroupView, ...]
    omitted: str
    healed: str
    notes: tuple[str, ...]
    page: str  # where it is followed live


def view_failures(report: FailureReport) -> FailuresView:
    """Gather what is shown of a report of failures."""
    keys = list(map(words.short_key, report.healed_keys))
    unnamed = max(0, (report.healed or 0) - len(keys))
    more = words.count(report.omitted, "more way of failing", "more ways of failing")
    return FailuresView(
        sentence=_sentence(report),
        failed=bool(report.total),
        groups=tuple(
            view_group(group, index) for index, group in enumerate(report.groups)
        ),
        omitted=f"{more}, not shown" if report.omitted else "",
        healed=words.listed(keys, KEYS, unnamed),
        notes=words.safe_each(report.notes),
        page=in_line(report.page),
    )


def view_group(group: FailureGroup, index: int = 0) -> GroupView:
    """Gather what is shown of failures with one root cause."""
    example, recorded = group.example, group.recording
    frames = frames_of_text(shown_text(example))
    title = ""
    if recorded is not None and recorded.frames:
        frames = tuple(frame_of(summary) for summary in recorded.frames)
        title = "as recorded on the worker when it failed"
    return GroupView(
        exception_type=in_line(group.exception_type) or "exception not known",
        message=message_of(group),
        count=words.count(group.count, "task"),
        fields=tuple(_group_fields(group)),
        frames=frames,
        frames_title=title,
        go_on=_go_on(group, index),
        notes=words.safe_each(_group_notes(group)),
    )


def message_of(group: FailureGroup, limit: int = words.MESSAGE_LIMIT) -> str:
    """The message, or what all have in common and how many there are."""
    if not group.messages:
        return words.clip(redact_text(group.message), limit)
    least = "at least " if group.different >= MOST_SEEN else ""
    text = words.clip(redact_text(group.pattern), limit)
    return f"{text} ({least}{group.different:,} different)"


def _came_from(group: FailureGroup) -> list[tuple[str, str]]:
    """What leads to the example; of several tasks it is said that it is one's."""
    lines = list(words.came_from(group.example.came_from))
    if lines and group.count > 1:
        lines[0] += f" (of {words.short_key(group.example.key)})"
    return [("" if index else "from", text) for index, text in enumerate(lines)]


def _group_fields(group: FailureGroup) -> list[tuple[str, str]]:
    """What is known; what nobody knows has no line."""
    keys = list(map(words.short_key, group.keys))
    fields = [
        (
            "task" if group.count == 1 else "tasks",
            words.listed(keys, KEYS, group.omitted_keys),
        ),
        *_messages(group),
        ("line", in_line(group.location)),
        *_came_from(group),
        ("workers", words.listed(group.workers, WORKERS, group.omitted_workers)),
        ("when", words.between(group.first, group.last)),
    ]
    if group.cascaded:
        them = "it" if group.count == 1 else "them"
        more = words.count(group.cascaded, "more task")
        fields.append(("took down", f"{more}, which failed because of {them}"))
    if group.example.attempts > 1:
        fields.append(("tried", f"{group.example.attempts:,} times"))
    return [(label, text) for label, text in fields if text]


def _messages(group: FailureGroup) -> list[tuple[str, str]]:
    """Some of the messages, if they differ."""
    if not group.messages:
        return []
    shown = [in_line(words.clip(redact_text(each))) for each in group.messages]
    if group.different > len(shown):
        shown.append(f"… {group.different - len(shown):,} more")
    return [("" if index else "messages", text) for index, text in enumerate(shown)]


def _group_notes(group: FailureGroup) -> list[str]:
    notes = [*breakpoint_notes(group.exception_type), *group.example.notes]
    if group.again and group.again < group.count:
        notes.append(
            f"the keys of {group.again:,} of them have been submitted or retried since"
        )
    if group.forgotten and group.forgotten < group.count:
        notes.append(
            f"the scheduler has forgotten {group.forgotten:,} of them: only its "
            "history of failures is left"
        )
    told = group.example.traceback_text or group.recording is not None
    if not told and not group.example.killed:
        notes.append("there is no traceback")
    return notes


def _go_on(group: FailureGroup, index: int) -> tuple[str, ...]:
    """What to type to get to the frame that failed; nothing where nothing leads there.

    The task of a forgotten failure may still be in the traceback of the session that
    ran it.
    """
    key = group.example.key
    if group.example.evidence.client is None or key is None:
        return ()
    if group.role == "bystanders":
        return ()
    with advice.repeating(group.example.evidence.again):
        return (_command(group, key, index),)


def _command(group: FailureGroup, key: Any, index: int) -> str:
    past = group.forgotten + group.again >= group.count
    if past and group.recording is not None:
        return advice.call("debug", key, using="recording")
    if past:
        call = advice.in_session("debug")
        return f"{call}  in the session that it was raised in, right after"
    text = repr(key)
    if len(text) > LONG_KEY or redact_text(text) != text:
        listed = f"{advice.call('failures')}.groups[{index}]"
        key = advice.Variable(listed, index + 1, key)
    return advice.call("debug", key)


def _sentence(report: FailureReport) -> str:
    """How many failed, in how many ways, and what became of the rest."""
    parts = []
    if report.total:
        parts.append(failed_in_ways(report) + _on_workers(report))
        if report.cascaded:
            them = "it" if report.total == 1 else "them"
            parts.append(f"{report.cascaded:,} more failed because of {them}")
    else:
        parts.append("no task has failed")
    if report.bystanders:
        were = "was" if report.bystanders == 1 else "were"
        parts.append(
            f"{report.bystanders:,} {were} only on a worker that another task killed"
        )
    if report.healed:
        have = "has" if report.healed == 1 else "have"
        parts.append(f"{report.healed:,} failed and {have} succeeded since")
    return "; ".join(parts)


def failed_in_ways(report: FailureReport) -> str:
    """How many tasks failed by themselves, and in how many ways."""
    own = sum(group.role != "bystanders" for group in report.groups)
    ways = own + report.omitted
    text = f"{words.count(report.total, 'task')} failed"
    if report.total > 1:
        text += f" in {ways:,} ways" if ways > 1 else " in the same way"
    return text


def _on_workers(report: FailureReport) -> str:
    known = {worker for group in report.groups for worker in group.workers}
    if not known:
        return ""
    more = report.omitted or any(group.omitted_workers for group in report.groups)
    least = "at least " if more else ""
    return f" on {least}{words.count(len(known), 'worker')}"


# --- on a console ---------------------------------------------------------------


def failures_form(view: FailuresView) -> RenderableType:
    """One sentence, then what failed alike, in the report's order."""
    style = "bold red" if view.failed else "bold green"
    parts: list[RenderableType] = [Text(view.sentence, style, overflow="fold")]
    parts += notes_form(view.notes)
    parts += page_form(view.page)
    if view.healed:
        healed = Fields(11)
        healed.add("healed", view.healed)
        parts.append(healed)
    for number, group in enumerate(view.groups, 1):
        parts += [Text(""), group_form(group, number if len(view.groups) > 1 else 0)]
    if view.omitted:
        parts += [Text(""), Text(f"… {view.omitted}", style=LABEL)]
    return Group(*parts)


def group_form(view: GroupView, number: int = 0) -> RenderableType:
    """How many failed, with what, where, and how to go on."""
    title = Text(overflow="fold")
    title.append(f"{number}. " if number else "", style=LABEL)
    title.append(f"{view.count} · ", style="bold")
    title.append(view.exception_type, style="bold red")
    if view.message:
        title.append(": ").append(view.message, style="bold")
    fields = Fields(11)
    for label, text in view.fields:
        fields.add(label, text)
    fields.add_each("note", view.notes, NOTE)
    fields.add_each("go on", view.go_on, "cyan")
    parts: list[RenderableType] = [title, fields]
    if view.frames:
        frames = brief_frames_form(view.frames, view.frames_title)
        parts.append(Padding(frames, (0, 0, 0, 2)))
    return Group(*parts)


FAILURES = html.renderer("failures", view_failures, failures_form)
GROUP = html.renderer("failures", view_group, group_form, show="group")
