"""Stops: what waits at a ``breakpoint()``, and how it is entered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

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
_COMMANDS_OF_HELD = (
    "exceptions lists what it came from; q leaves, and it is held; drop frees its "
    "memory; h helps"
)
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
    held: tuple[StopView, ...]
    omitted: int
    passed: tuple[str, ...]
    notes: tuple[str, ...]


def view_stop(stop: Stop) -> StopView:
    """Gather what is shown of a stop."""
    lines = []
    if stop.exception:
        lines.append(("error", words.safe_line(stop.exception)))
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
        known = _NOW_OF_HELD if stop.state == "held" else _NOW
        lines.append(("now", known.get(stop.how, stop.how)))
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
_NOW_OF_HELD = {
    "detached": "left: it is still held",
    "dropped": "let go: somebody dropped it",
    "limit": "let go: nobody typed anything for too long",
    "off": "let go: holding failures was turned off",
    "memory": "let go: its worker's memory is short",
    "number": "let go: its worker holds too many",
    "closing": "its worker closes",
    "lost": "not known: the connection was lost",
}


def _since(stop: Stop) -> str:
    since = f"{words.moment(stop.since)}, {_ago(stop.since)}"
    if stop.how and stop.how != "detached":
        return since
    left = (stop.until - _now()).total_seconds()
    if stop.state == "held":
        return f"{since}; without a command it is let go in {seconds(max(0, left))}"
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
    number = len(stops.stops)
    verb = "waits" if number == 1 else "wait"
    headline = f"{words.count(number, 'task')} {verb} at a breakpoint"
    if not number:
        headline = "no task waits at a breakpoint"
    if stops.held:
        is_held = "is held with its" if len(stops.held) == 1 else "are held with their"
        held = f"{words.count(len(stops.held), 'failure')} {is_held} frames"
        headline = f"{headline}; {held}" if number else f"{held}; {headline}"
    elif all(each.holds for each in stops.armed):
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
        held=tuple(view_stop(each) for each in stops.held[:MOST_STOPS]),
        omitted=max(0, number - MOST_STOPS) + max(0, len(stops.held) - MOST_STOPS),
        passed=tuple(passed),
        notes=words.safe_each(notes),
    )


def _passed(passed: Passed) -> str:
    times = "once" if passed.count == 1 else f"{passed.count:,} times"
    example = "" if passed.example is None else f" ({words.short_key(passed.example)})"
    return words.safe_line(f"{passed.line}{example}, {times}: {passed.why}")


def _armed(armed: Armed) -> str:
    if armed.holds:
        return (
            f"failures are held for {armed.who}: {armed.most:,} of each kind on each "
            f"worker, {seconds(armed.limit)} without a command"
        )
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
    parts += map(stop_form, (*view.stops, *view.held))
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
    commands = _COMMANDS_OF_HELD if stop.state == "held" else _COMMANDS
    return _header(stop, said, [Text(commands, LABEL)])


def editor_header(
    stop: Stop, said: str, port: int, window: float, mapping: tuple[str, str] | None
) -> str:
    """The same for an editor: how it connects.

    ``port`` is where it does, within a ``window`` in seconds; ``mapping`` are a folder
    here and on the worker that hold the same files.
    """
    snippet = launch_configuration(stop, port, mapping)
    invitation = Text(
        f"an editor may connect to 127.0.0.1:{port}, once, within {window:g} s; for "
        "VS Code, a configuration of .vscode/launch.json:"
    )
    return _header(stop, said, [invitation, Text(json.dumps(snippet, indent=4))])


def launch_configuration(
    stop: Stop, port: int, mapping: tuple[str, str] | None
) -> dict[str, Any]:
    """A configuration of ``launch.json``."""
    found: dict[str, Any] = {
        "name": f"dbgkit: {words.short_key(stop.key)}",
        "type": "debugpy",
        "request": "attach",
        "connect": {"host": "127.0.0.1", "port": port},
        "justMyCode": False,
    }
    if mapping is not None:
        local, remote = mapping
        found["pathMappings"] = [{"localRoot": local, "remoteRoot": remote}]
    return found


def _header(stop: Stop, said: str, more: list[RenderableType]) -> str:
    view = view_stop(stop)
    known = ("error", "worker", "holds", "note")
    shown = [each for each in view.lines if each[0] in known]
    form = stop_form(StopView(view.key, view.line, tuple(shown)))
    notes: list[RenderableType] = [Text(words.safe_line(said))] if said else []
    notes += [Text(_OWN_VALUES, LABEL), *more]
    return header_text(Group(form, *notes), width=None, color=None)


STOP = html.renderer("attach", view_stop, stop_form, show="stop")
STOPS = html.renderer("attach", view_stops, stops_form)
