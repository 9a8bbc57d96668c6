"""Stops: what waits at a ``breakpoint()``, and how it is entered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from rich.console import Group, RenderableType

from dbgkit import advice
from dbgkit.model.attach import Armed, Passed, Stop, Stops
from dbgkit.remote.common.sentences import seconds
from dbgkit.remote.common.texts import in_line
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.console import header_text
from dbgkit.render.fields import Fields, notes_form
from dbgkit.render.style import LABEL
from dbgkit.render.text import Text

MOST_STOPS = 50
MOST_PASSED = 10
_COMMANDS = "n, s and c go on; q leaves, and it waits; abort fails it; h helps"
_OWN_VALUES = "values are the task's own, not copies: what is changed stays changed"


@dataclass(frozen=True)
class StopView:
    """What is shown of one stop: a headline, and lines with a word before each."""

    key: str
    line: str
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class StopsView:
    """What is shown of all."""

    headline: str
    stops: tuple[StopView, ...]
    omitted: int
    passed: tuple[str, ...]
    notes: tuple[str, ...]


def view_stop(stop: Stop) -> StopView:
    """Gather what is shown of a stop."""
    lines = []
    if stop.source:
        lines.append(("source", words.safe_line(stop.source)))
    lines.append(("worker", in_line(stop.worker)))
    lines.append(("since", _since(stop)))
    if stop.who:
        lines.append(("in it", words.safe_line(f"{stop.who}, {_ago(stop.entered)}")))
    if stop.resources:
        lines.append(("holds", _resources(stop.resources)))
    if stop.cancelled:
        lines.append(("note", "it was cancelled: what it returns will be dropped"))
    if stop.how:
        lines.append(("now", _NOW.get(stop.how, stop.how)))
    if stop.how in ("", "detached", "lost"):
        lines.append(("enter", advice.call("attach", stop.key)))
    return StopView(
        key=words.short_key(stop.key),
        line=words.safe_line(stop.line),
        lines=tuple(lines),
    )


_NOW = {
    "detached": "left: it still waits",
    "continued": "it goes on",
    "finished": "the task has ended",
    "aborted": "it failed: somebody aborted it",
    "limit": "it has gone on by itself: nobody typed anything for too long",
    "off": "it has gone on by itself: live was turned off",
    "cancelled": "it has gone on: the task was cancelled",
    "closing": "its worker closes",
    "lost": "not known: the connection was lost",
}


def _since(stop: Stop) -> str:
    since = f"{words.moment(stop.since)}, {_ago(stop.since)}"
    if stop.how and stop.how != "detached":
        return since
    left = (stop.until - _now()).total_seconds()
    if stop.state != "waiting":
        return f"{since}; it runs, and stops again"
    return f"{since}; without a command it goes on by itself in {seconds(max(0, left))}"


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _ago(when: datetime | None) -> str:
    if when is None:
        return ""
    return f"{seconds(max(0.0, (_now() - when).total_seconds()))} ago"


def _resources(resources: Mapping[str, float]) -> str:
    """Resources that others wait for as long as it waits."""
    parts = [f"{name}: {amount:g}" for name, amount in resources.items()]
    return words.safe_line(f"{', '.join(parts)}, as it would while it runs")


def view_stops(stops: Stops) -> StopsView:
    """Gather what is shown of all."""
    number = len(stops)
    verb = "waits" if number == 1 else "wait"
    headline = f"{words.count(number, 'task')} {verb} at a breakpoint"
    if not number:
        headline = "no task waits at a breakpoint"
    if not stops.armed:
        headline += "; live is off"
    passed = [_passed(each) for each in stops.passed[-MOST_PASSED:]]
    more = len(stops.passed) - len(passed) + stops.omitted
    if more:
        passed.append(f"… and {words.count(more, 'more kind')}")
    notes = [_armed(each) for each in stops.armed]
    if not stops.armed:
        notes.append(f"{advice.call('live')} makes breakpoint() stop in tasks")
    return StopsView(
        headline=headline,
        stops=tuple(view_stop(each) for each in stops.stops[:MOST_STOPS]),
        omitted=max(0, number - MOST_STOPS),
        passed=tuple(passed),
        notes=words.safe_each(notes),
    )


def _passed(passed: Passed) -> str:
    times = "once" if passed.count == 1 else f"{passed.count:,} times"
    example = "" if passed.example is None else f" ({words.short_key(passed.example)})"
    return words.safe_line(f"{passed.line}{example}, {times}: {passed.why}")


def _armed(armed: Armed) -> str:
    whose = "everyone's tasks" if armed.everyone else "their own tasks"
    what = armed.at or "live"
    return (
        f"{what} is on for {armed.who}, {whose}: "
        f"{words.count(armed.most, 'task')} for each prefix and worker, "
        f"{seconds(armed.limit)} without a command"
    )


def breakpoint_notes(exception_type: str) -> tuple[str, ...]:
    """What to say of a task that failed because nobody could type at its prompt."""
    if exception_type != "BdbQuit":
        return ()
    return (
        "a breakpoint() in the task found nobody to type at it: after "
        f"{advice.call('live')} it stops there, and {advice.call('attach')} enters it",
    )


# --- on a console ---------------------------------------------------------------


def stop_form(view: StopView) -> RenderableType:
    """A headline, and fields."""
    title = Text(overflow="fold").append(view.key, style="bold")
    title.append(" at ", style=LABEL).append(view.line)
    fields = Fields(11)
    for label, text in view.lines:
        fields.add(label, text)
    return Group(title, fields)


def stops_form(view: StopsView) -> RenderableType:
    """What waits, then what passed, then for whom it is on."""
    parts: list[RenderableType] = [Text(view.headline, "bold", overflow="fold")]
    parts += map(stop_form, view.stops)
    if view.omitted:
        parts.append(Text(f"… {words.count(view.omitted, 'more task')}", LABEL))
    if view.passed:
        fields = Fields(11)
        fields.add_each("passed", view.passed)
        parts.append(fields)
    parts += notes_form(view.notes)
    return Group(*parts)


def stop_header(stop: Stop, said: str = "") -> str:
    """Above the prompt of a stop: what it is, and what to know there.

    ``said``: the header that the task's own ``breakpoint(header=…)`` has.
    """
    view = view_stop(stop)
    shown = [each for each in view.lines if each[0] in ("worker", "holds", "note")]
    form = stop_form(StopView(view.key, view.line, tuple(shown)))
    notes: list[RenderableType] = [Text(words.safe_line(said))] if said else []
    notes += [Text(_OWN_VALUES, LABEL), Text(_COMMANDS, LABEL)]
    return header_text(Group(form, *notes), width=None, color=None)


STOP = html.renderer("attach", view_stop, stop_form, show="stop")
STOPS = html.renderer("attach", view_stops, stops_form)
