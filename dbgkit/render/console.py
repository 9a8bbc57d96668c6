"""The rich form: what failed, where, with which values, from the top down.

Every key, message and value is a `Text`, so that brackets in them are no markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from dbgkit.model import advice
from dbgkit.render import words
from dbgkit.render.facts import Facts
from dbgkit.render.rows import Frame, Row, stop_of
from dbgkit.render.text import Text
from dbgkit.render.views import (
    FailureView,
    PlanView,
    ReplayView,
)

_OUTCOME_STYLES = {
    "same": "bold green",
    "different": "bold yellow",
    "passed": "bold yellow",
    "died": "bold red",
    "timeout": "bold red",
}
_LABEL = "dim"
_NOTE = "yellow"


def failure_form(
    view: FailureView, *, whole: bool = False, frames: bool = True
) -> RenderableType:
    """A failure: title, facts, and the frame to look at; ``whole``: all own frames."""
    facts = _facts()
    _add_origin(facts, view)
    _add_notes(facts, view.notes)
    _add_others(facts, view.others)
    shown = _frames(view.frames, whole=whole) if frames else []
    return Group(_title(view), facts, *shown)


def replay_form(view: ReplayView, *, whole: bool = False) -> RenderableType:
    """A replay; ``whole`` shows each frame with its source and locals."""
    facts = _facts()
    _add_origin(facts, view.failure)
    _add(facts, "outcome", _verdict(view))
    _add_rows(facts, "inputs", view.rows, view.more_rows)
    _add_steps(facts, view)
    _add_causes(facts, view.causes)
    _add_notes(facts, view.notes)
    _add_others(facts, view.failure.others)
    parts: list[RenderableType] = [_title(view.failure), facts]
    parts += _frames(view.frames, whole=whole, title=view.frames_title)
    parts += _frames(view.before, whole=False, title=view.before_title)
    if view.crash:
        parts += [Text("\nlast lines of the process", style=_LABEL)]
        parts.append(Padding(Text(view.crash), (0, 0, 0, 2)))
    if view.differences:
        parts += [Text("\ndiffers from the worker", style=_LABEL), _differences(view)]
    return Group(*parts)


def plan_form(view: PlanView) -> RenderableType:
    """A plan: what it takes, and what is to be known before."""
    facts = _facts()
    _add(facts, "task", _task(view.name, view.key))
    for label, text in view.lines:
        _add(facts, label, Text(text))
    _add_notes(facts, view.warnings, label="mind")
    parts: list[RenderableType] = [facts]
    if view.rows:
        table = Table.grid(padding=(0, 2))
        for key, name, kind, how in view.rows:
            table.add_row(
                Text(name or key, style="cyan", overflow="fold"),
                Text(kind, style=_LABEL),
                Text(how),
            )
        parts += [Text("\ninputs", style=_LABEL), Padding(table, (0, 0, 0, 2))]
        parts += _left_out(view.more_rows, "more input")
    return Group(*parts)


def frame_form(frame: Frame) -> RenderableType:
    """One frame, with all that is known of it."""
    return Group(*_full(frame, pointed=True))


def header_form(
    view: ReplayView, others: Sequence[Any], *, reachable: bool
) -> RenderableType:
    """A few lines above the prompt; each value on one of them."""
    facts = _facts()
    _add_origin(facts, view.failure)
    _add(facts, "outcome", _verdict(view))
    if view.place_before:
        _add(facts, "before", Text(view.place_before, overflow="fold"))
    _add_rows(facts, "inputs", view.rows, view.more_rows, one_line=True)
    _add_steps(facts, view, one_line=True)
    _add_causes(facts, view.few_causes)
    _add_notes(facts, view.notes)
    if others:
        told = words.count(len(others), "other root cause")
        then = advice.next_cause(others[0] if reachable else None)
        keys = ", ".join(map(words.key_text, others[:3]))
        keys += ", …" if len(others) > 3 else ""
        text = f"{told}; {then} opens the next" if then else f"{told}: {keys}"
        _add(facts, "more", Text(text, overflow="fold"))
    return Group(_title(view.failure), facts)


# --- parts --------------------------------------------------------------------


def _title(view: FailureView) -> Text:
    text = Text(overflow="fold").append(view.exception_type, style="bold red")
    if view.message:
        text.append(": ")
        text.append(view.message, style="bold")
    return text


def _facts() -> Facts:
    return Facts(8)


def _add(facts: Facts, label: str, value: RenderableType) -> None:
    facts.add_row(Text(f"  {label}", style=_LABEL), value)


def _task(name: str, key: str) -> Text:
    text = Text(name, style="bold", overflow="fold")
    if key and key != name:
        text.append(f"  {key}", style="not bold dim")
    return text


def _add_origin(facts: Facts, view: FailureView) -> None:
    if view.name or view.key:
        _add(facts, "task", _task(view.name, view.key))
    if view.asked:
        _add(facts, "asked", Text(f"for {view.asked}, which fell because of it"))
    if view.origin:
        _add(facts, "where", Text(view.origin, overflow="fold"))
    label = "from"
    for text in view.came_from:
        _add(facts, label, Text(text, overflow="fold"))
        label = ""


def _verdict(view: ReplayView) -> Text:
    word, _, rest = view.verdict.partition(":")
    text = Text(word, style=_OUTCOME_STYLES[view.outcome], overflow="fold")
    return text.append(f":{rest}", style="not bold default")


def _value(row: Row, *, one_line: bool = False) -> Text:
    wrap = "ellipsis" if one_line else "fold"
    text = Text(overflow=wrap, no_wrap=one_line or None)
    if row.type:
        text.append(f"{row.type} ", style=_LABEL)
    text.append(row.value, style="dim italic" if row.hidden else "")
    if row.key:
        text.append(f"  {row.key}", style=_LABEL)
    return text


def _values(rows: Iterable[Row], *, one_line: bool = False) -> Table:
    table = Table.grid(padding=(0, 1), pad_edge=False)
    table.add_column(overflow="fold", max_width=32)
    table.add_column()
    table.add_column(ratio=1)
    for row in rows:
        name = Text(row.name, style="cyan", overflow="fold")
        equals = Text("=" if row.name else "", style=_LABEL)
        table.add_row(name, equals, _value(row, one_line=one_line))
    return table


def _add_rows(
    facts: Facts, label: str, rows: Sequence[Row], more: int, *, one_line: bool = False
) -> None:
    if not rows:
        return
    _add(facts, label, _values(rows, one_line=one_line))
    if more:
        _add(facts, "", Text(f"… {words.count(more, 'more input')}", style=_LABEL))


def _add_steps(facts: Facts, view: ReplayView, *, one_line: bool = False) -> None:
    steps, more = view.steps, view.more_steps
    if not steps:
        return
    chain = Text(overflow="fold")
    if more:
        chain.append(f"… {more:,} before → ", style=_LABEL)
    for index, step in enumerate(steps):
        chain.append(" → " if index else "")
        chain.append(step.function, style="bold red" if step.failed else "")
    _add(facts, view.steps_title, chain)
    for step in steps:
        if step.failed or step.rows:
            _add(facts, "step", Text(step.name, style="bold", overflow="fold"))
            _add_rows(facts, "", step.rows, 0, one_line=one_line)


def _add_notes(facts: Facts, notes: Iterable[str], label: str = "note") -> None:
    for note in notes:
        _add(facts, label, Text(note, style=_NOTE, overflow="fold"))
        label = ""


def _add_causes(facts: Facts, causes: Iterable[str]) -> None:
    label = "cause"
    for cause in causes:
        _add(facts, label, Text(cause, overflow="fold"))
        label = ""


def _add_others(facts: Facts, others: Sequence[str]) -> None:
    if others:
        told = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        text = Text(f"{len(others):,} failed too: ", overflow="fold")
        _add(facts, "more", text.append(told, style=_LABEL))


def _left_out(number: int, noun: str, nouns: str = "") -> list[RenderableType]:
    if not number:
        return []
    return [Text(f"  … {words.count(number, noun, nouns)}", style=_LABEL)]


def _differences(view: ReplayView) -> RenderableType:
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_row(*(Text(text, style=_LABEL) for text in ("", "", "worker", "here")))
    for one in view.differences:
        table.add_row(
            Text(f"  {one.kind}", style=_LABEL),
            Text(one.name, style="cyan", overflow="fold"),
            _set(one.there),
            _set(one.here),
        )
    left = _left_out(view.more_differences, "more difference")
    return Group(table, *left)


def _set(text: str | None) -> Text:
    if text is None:
        return Text("not set", style="dim italic")
    return Text(text, overflow="fold")


# --- frames -------------------------------------------------------------------


def _frames(
    frames: tuple[Frame, ...], *, whole: bool, title: str = ""
) -> list[RenderableType]:
    """The frames, outermost first; one is shown with all that is known of it."""
    if not frames:
        return []
    stop = stop_of(frames)
    parts: list[RenderableType] = [Text("")]
    if title:
        parts.append(Text(title, style="bold yellow", overflow="fold"))
    for index, frame in enumerate(frames):
        if index == stop:
            parts += _full(frame, pointed=True)
        elif whole and frame.own and not frame.gap:
            parts += _full(frame, pointed=False)
        else:
            parts.append(_brief(frame))
    return parts


def _brief(frame: Frame) -> Text:
    if frame.gap:
        return Text(f"… {frame.function}", style=_LABEL)
    return Text(f"{frame.place} in {frame.function}", style=_LABEL, overflow="fold")


def _full(frame: Frame, *, pointed: bool) -> list[RenderableType]:
    head = Text(frame.place, style="bold" if pointed else "", overflow="fold")
    head.append(" in ", style="not bold dim").append(frame.function, style="bold blue")
    parts: list[RenderableType] = [head]
    if frame.source:
        parts.append(_source(frame, pointed=pointed))
    if frame.locals:
        parts.append(Padding(_values(frame.locals), (0, 0, 0, 4)))
    if frame.omitted:
        noun = "more local left out"
        left = _left_out(frame.omitted, noun, "more locals left out")
        parts.append(Padding(Group(*left), (0, 0, 0, 2)))
    return parts


def _source(frame: Frame, *, pointed: bool) -> Text:
    """Numbered lines, the one that stands out marked."""
    width = len(str(frame.source[-1][0]))
    text = Text(no_wrap=True, overflow="ellipsis")
    for number, line in frame.source:
        here = number == frame.lineno
        mark, style = ("❱", "bold red" if pointed else "bold") if here else (" ", "dim")
        text.append(f"  {mark} {number:>{width}} │ ", style=style)
        text.append(f"{line}\n", style="bold" if here else "")
    text.rstrip()
    return text
