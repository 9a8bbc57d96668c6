"""What the scheduler knows, as text: gathered once, for the console and for HTML."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timezone
from typing import Any

from dbgkit.model import (
    Checkup,
    Explanation,
    FailureGroup,
    FailureReport,
    Finding,
    Timeline,
    advice,
)
from dbgkit.remote.common.texts import in_line
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.render import states_words as say
from dbgkit.render import words
from dbgkit.render.rows import Frame, frame_of, frames_of_text
from dbgkit.source.shown import Shown, shown_text

KEYS = 5  # of one group, or healed
WORKERS = 3  # named; the rest is counted
OTHERS = 12  # further causes
CHAIN = 8  # tasks of a chain
LONG_KEY = 120  # is not to be typed
KEY = 300  # characters of a key
MOMENTS = 500  # entries of a story
DETAIL = 1_000  # characters of one


@dataclass(frozen=True)
class GroupView:
    """Failures with one root cause, ready to be shown."""

    exception_type: str
    message: str
    count: str
    facts: tuple[tuple[str, str], ...]  # label, text
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
    taken: str


@dataclass(frozen=True)
class MomentView:
    """One entry of a story."""

    when: str
    after: str
    source: str
    what: str
    detail: str
    bad: bool


@dataclass(frozen=True)
class StoryView:
    """A task's story, ready to be shown."""

    key: str
    sentence: str
    moments: tuple[MomentView, ...]
    omitted: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class WhyView:
    """Why something does not move, ready to be shown."""

    cause: str
    summary: str
    healthy: bool
    evidence: tuple[str, ...]
    advice: tuple[str, ...]
    chain: str
    graph: Any
    others: tuple[tuple[str, str, bool], ...]  # cause, summary, healthy
    more_others: str
    notes: tuple[str, ...]
    taken: str


@dataclass(frozen=True)
class FindingView:
    """One thing that the doctor found."""

    level: str
    check: str
    summary: str
    advice: str
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class CheckupView:
    """A checkup, ready to be shown: what is wrong, and what is not."""

    sentence: str
    healthy: bool
    wrong: tuple[FindingView, ...]
    fine: tuple[FindingView, ...]
    notes: tuple[str, ...]


# --- failures -----------------------------------------------------------------


def view_failures(report: FailureReport) -> FailuresView:
    """Gather what is shown of a report of failures."""
    keys = list(map(key_of, report.healed_keys))
    unnamed = max(0, (report.healed or 0) - len(keys))
    more = words.count(report.omitted, "more way of failing", "more ways of failing")
    return FailuresView(
        sentence=say.failures_sentence(report),
        failed=bool(report.total),
        groups=tuple(
            view_group(group, index) for index, group in enumerate(report.groups)
        ),
        omitted=f"{more}, not shown" if report.omitted else "",
        healed=say.listed(keys, KEYS, unnamed),
        notes=say.tell_all(report.notes),
        taken=say.span(report.span),
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
        message=words.clip(redact_text(group.message)),
        count=words.count(group.count, "task"),
        facts=tuple(_group_facts(group)),
        frames=frames,
        frames_title=title,
        go_on=_go_on(group, index),
        notes=say.tell_all(_group_notes(group)),
    )


def _came_from(group: FailureGroup) -> list[tuple[str, str]]:
    """What leads to the example; of several tasks it is said that it is one's."""
    told = list(words.came_from(group.example.came_from))
    if told and group.count > 1:
        told[0] += f" (of {key_of(group.example.key)})"
    return [("" if index else "from", text) for index, text in enumerate(told)]


def _group_facts(group: FailureGroup) -> list[tuple[str, str]]:
    """What is known; what nobody knows has no line."""
    keys = list(map(key_of, group.keys))
    facts = [
        (
            "task" if group.count == 1 else "tasks",
            say.listed(keys, KEYS, group.omitted_keys),
        ),
        ("line", in_line(group.location)),
        *_came_from(group),
        ("workers", say.listed(group.workers, WORKERS, group.omitted_workers)),
        ("when", say.between(group.first, group.last)),
    ]
    if group.cascaded:
        them = "it" if group.count == 1 else "them"
        more = words.count(group.cascaded, "more task")
        facts.append(("took down", f"{more}, which fell because of {them}"))
    if group.example.attempts > 1:
        facts.append(("tried", f"{group.example.attempts:,} times"))
    return [(label, text) for label, text in facts if text]


def _group_notes(group: FailureGroup) -> list[str]:
    notes = list(group.example.notes)
    if group.forgotten and group.forgotten < group.count:
        notes.append(
            f"the scheduler has forgotten {group.forgotten:,} of them: only its "
            "history of failures is left"
        )
    if not group.example.traceback_text and not group.example.killed:
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
    if group.forgotten >= group.count and group.recording is not None:
        return (advice.call("debug", key, using="recording"),)
    if group.forgotten >= group.count:
        return ("dbgkit.debug()  in the session that it was raised in, right after",)
    if len(repr(key)) > LONG_KEY:
        key = advice.Variable(f"dbgkit.failures().groups[{index}]", key)
    return (advice.call("debug", key),)


# --- a story --------------------------------------------------------------------


def view_story(story: Timeline) -> StoryView:
    """Gather what is shown of a task's story: the last entries, if there are many."""
    moments, shown = story.moments[-MOMENTS:], Shown()
    left = len(story.moments) - len(moments)
    days = {each.when.astimezone(timezone.utc).date() for each in moments}
    entries = words.count(left, "earlier entry", "earlier entries")
    return StoryView(
        key=key_of(story.key),
        sentence=say.story_sentence(story),
        moments=tuple(
            MomentView(
                when=say.clock(each.when, dated=len(days) > 1),
                after=f"+{(each.when - moments[0].when).total_seconds():.3f} s",
                source=in_line(each.found_in),
                what=say.told(each.what),
                detail=words.clip(redact_text(shown.logged(each.detail)), DETAIL),
                bad=each.what.endswith(("erred", "error", "no-worker")),
            )
            for each in moments
        ),
        omitted=f"{entries}, not shown" if left else "",
        notes=say.tell_all(story.notes),
    )


# --- why ------------------------------------------------------------------------


def view_why(found: Explanation) -> WhyView:
    """Gather what is shown of an explanation."""
    # What it waits for has been said already.
    further = [other for other in found.others if other.summary not in found.summary]
    others = further[:OTHERS]
    more = len(further) - len(others)
    # "waiting-on" tells its chain in its evidence.
    chain = () if found.cause == "waiting-on" else found.chain
    return WhyView(
        cause=in_line(found.cause),
        summary=say.sentence(found.summary, 1_000),
        healthy=found.healthy,
        evidence=tuple(map(say.told, found.evidence)),
        advice=tuple(map(say.sentence, found.advice)),
        chain=_chain(chain),
        graph=found.graph,
        others=tuple(
            (in_line(o.cause), say.sentence(o.summary), o.healthy) for o in others
        ),
        more_others=words.count(more, "more cause") if more else "",
        notes=say.tell_all(found.notes),
        taken=say.span(found.span),
    )


def _chain(keys: tuple[Any, ...]) -> str:
    """From the task that was asked for to the one at the end, its middle cut out."""
    if len(keys) < 2:
        return ""
    names = [say.shorten(key_of(key), 60) for key in keys]
    if len(names) > CHAIN:
        half = CHAIN // 2
        names = [*names[:half], f"… {len(names) - CHAIN:,} more …", *names[-half:]]
    return " needs ".join(names)


# --- the doctor -----------------------------------------------------------------


def view_checkup(checkup: Checkup) -> CheckupView:
    """Gather what is shown of a checkup."""
    wrong = [view_finding(one) for one in checkup.findings if one.level != "ok"]
    fine = [view_finding(one) for one in checkup.findings if one.level == "ok"]
    return CheckupView(
        sentence=say.checkup_sentence(checkup),
        healthy=checkup.healthy,
        wrong=tuple(wrong),
        fine=tuple(fine),
        notes=say.tell_all(checkup.notes),
    )


def view_finding(found: Finding) -> FindingView:
    """Gather what is shown of one thing that the doctor found."""
    return FindingView(
        level=found.level,
        check=in_line(found.check),
        summary=say.sentence(found.summary),
        advice=say.sentence(found.advice),
        evidence=tuple(map(say.told, found.evidence)),
    )


def key_of(key: Any) -> str:
    """A key, without its middle if it is very long."""
    return say.shorten(words.key_text(key), KEY)
