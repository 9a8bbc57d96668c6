"""A replay: what failed, the outcome, the inputs, the steps, the frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from dbgkit import advice
from dbgkit.model import Difference, Failure, Replay
from dbgkit.remote.secrets.redact import redact_text, redact_value
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.console import header_text
from dbgkit.render.failure import (
    FailureView,
    add_origin,
    add_others,
    title_text,
    view_failure,
)
from dbgkit.render.fields import Fields
from dbgkit.render.frames import (
    Frame,
    Row,
    frame_of,
    frames_form,
    frames_of,
    row_of,
    stop_of,
    value_row,
    values_form,
)
from dbgkit.render.registry import Renderer
from dbgkit.render.replay_causes import causes_of
from dbgkit.render.replay_inputs import (
    ROWS,
    StepView,
    call_of_replay,
    input_rows,
    step_views,
)
from dbgkit.render.replay_outcome import main_run, place_of, verdict
from dbgkit.render.style import LABEL, NOTE, OUTCOMES
from dbgkit.render.text import Text

FEW = 3  # causes and notes above the prompt


@dataclass(frozen=True)
class ReplayView:
    """A replay, ready to be shown."""

    failure: FailureView
    outcome: str
    verdict: str
    causes: tuple[str, ...]
    few_causes: tuple[str, ...]
    rows: tuple[Row, ...]
    more_rows: int
    steps: tuple[StepView, ...]
    more_steps: int
    steps_title: str
    differences: tuple[Difference, ...]
    more_differences: int
    crash: str
    frames: tuple[Frame, ...]
    frames_title: str
    before: tuple[Frame, ...]
    before_title: str
    notes: tuple[str, ...]

    @property
    def place_before(self) -> str:
        """Where it failed before, in a line; empty where that is not another place."""
        stop = stop_of(self.before)
        if stop is None:
            return ""
        frame = self.before[stop]
        return f"{frame.place} in {frame.function}"


def view_replay(replay: Replay) -> ReplayView:
    """Gather what is shown of a replay."""
    failure = view_failure(_but_for_its_call(replay))
    frames = tuple(frame_of(summary) for summary in replay.frames)
    if not frames and replay.exception is not None:
        frames = frames_of(replay.exception)
    run = main_run(replay)
    title = ""
    if replay.outcome == "different":
        where = place_of(replay) if replay.where == "worker" else "here"
        title = f"{where} it raised {words.said(run.exception_type, run.message)}"
    before = failure.frames if replay.outcome in ("different", "died") else ()
    if not frames:
        frames, title, before = failure.frames, "where it failed before", ()
    rows, more_rows = input_rows(replay)
    steps, more_steps = step_views(replay)
    failed = replay.failure
    outcome = verdict(replay, _returned(replay))
    crash = words.clip(redact_text(replay.crash.strip()), 4_000, 40)
    with_what = words.said(failed.exception_type, failed.message, 200)
    return ReplayView(
        failure=failure,
        outcome=replay.outcome,
        verdict=outcome,
        causes=causes_of(replay.exception, ROWS),
        few_causes=causes_of(replay.exception, FEW),
        rows=rows,
        more_rows=more_rows,
        steps=steps,
        more_steps=more_steps,
        steps_title="steps" if replay.scope == "ancestors" else "fused",
        differences=tuple(_hide(one) for one in replay.differences[:ROWS]),
        more_differences=max(0, len(replay.differences) - ROWS),
        crash="" if crash in outcome else crash,  # often the signal alone
        frames=frames,
        frames_title=title,
        before=before,
        before_title=f"where it failed before, with {with_what}",
        notes=tuple(dict.fromkeys((*failure.notes, *replay.notes))),
    )


def _but_for_its_call(replay: Replay) -> Failure:
    """The failure without the literals of its own call, if they are shown as such."""
    failure = replay.failure
    if not call_of_replay(replay):
        return failure
    kept = [
        one for one in failure.came_from if not (one.call and one.key == failure.key)
    ]
    return replace(failure, came_from=tuple(kept))


def _returned(replay: Replay) -> str:
    if replay.outcome == "passed" and replay.result is not None:
        row = value_row("", replay.result)
    elif replay.returned is not None:
        row = row_of("", replay.returned)
    else:
        return ""
    return f"{row.value}{f' ({row.type})' if row.type else ''}"


def _hide(one: Difference) -> Difference:
    """A difference with its values redacted, and short."""
    values = [
        None if text is None else words.clip(redact_value(one.name, text), 160, 2)
        for text in (one.here, one.there)
    ]
    return Difference(one.kind, one.name, *values)


# --- on a console ---------------------------------------------------------------


def _form(replay: Replay, *, whole: bool = False) -> RenderableType:
    """``whole``: each own frame with its source and locals."""
    view = view_replay(replay)
    fields = _fields(view)
    add_others(fields, view.failure.others)
    first, others = frames_form(view.frames, whole=whole, title=view.frames_title)
    _, before = frames_form(view.before, whole=False, title=view.before_title)
    parts: list[RenderableType] = [title_text(view.failure), *first, fields]
    parts += [*others, *before]
    if view.crash:
        parts += [Text("\nlast lines of the process", style=LABEL)]
        parts.append(Padding(Text(view.crash), (0, 0, 0, 2)))
    if view.differences:
        parts += [Text("\ndiffers from the worker", style=LABEL), _differences(view)]
    if view.more_differences:
        more = words.count(view.more_differences, "more difference")
        parts.append(Text(f"  … {more}", style=LABEL))
    return Group(*parts)


def header(
    replay: Replay,
    *,
    others: Sequence[Any] = (),
    reachable: bool = True,
    color: bool | None = False,
    width: int | None = None,
    titled: bool = True,
) -> str:
    """The lines above the prompt: what failed, the outcome, the inputs.

    ``others``: keys of further root causes; ``reachable``: whether their cluster can
    still be asked; ``color`` and ``width`` as for `to_text`, but 120 columns at most;
    without ``titled`` the exception has just been printed.
    """
    view = view_replay(replay)
    fields = _fields(view, short=True)
    if others:
        number = words.count(len(others), "other root cause")
        then = advice.next_cause(others[0] if reachable else None)
        keys = ", ".join(map(words.key_text, others[:3]))
        keys += ", …" if len(others) > 3 else ""
        more = f"{number}; {then} opens the next" if then else f"{number}: {keys}"
        fields.add("more", more)
    title = [title_text(view.failure)] if titled else []
    form = Group(*title, fields)
    return header_text(form, width=width, color=color).rstrip("\n")


def _fields(view: ReplayView, *, short: bool = False) -> Fields:
    """What is known of it; ``short``: each value on one line, and few causes."""
    fields = Fields(8)
    add_origin(fields, view.failure)
    if view.failure.name or view.failure.key:  # else its note says that it is no task's
        word, _, rest = view.verdict.partition(":")
        outcome = Text(word, style=OUTCOMES[view.outcome], overflow="fold")
        fields.add("outcome", outcome.append(f":{rest}", style="not bold default"))
    if short and view.place_before:
        fields.add("before", view.place_before)
    _add_rows(fields, "inputs", view.rows, view.more_rows, one_line=short)
    _add_steps(fields, view, one_line=short)
    fields.add_each("cause", view.few_causes if short else view.causes)
    fields.add_each("note", view.notes, NOTE)
    return fields


def _add_rows(
    fields: Fields, label: str, rows: Sequence[Row], more: int, *, one_line: bool
) -> None:
    if not rows:
        return
    fields.add(label, values_form(rows, one_line=one_line))
    if more:
        fields.add("", f"… {words.count(more, 'more input')}", LABEL)


def _add_steps(fields: Fields, view: ReplayView, *, one_line: bool) -> None:
    if not view.steps:
        return
    chain = Text(overflow="fold")
    if view.more_steps:
        chain.append(f"… {view.more_steps:,} before → ", style=LABEL)
    for index, step in enumerate(view.steps):
        chain.append(" → " if index else "")
        chain.append(step.function, style="bold red" if step.failed else "")
    fields.add(view.steps_title, chain)
    for step in view.steps:
        if step.failed or step.rows:
            fields.add("step", step.name, "bold")
            _add_rows(fields, "", step.rows, 0, one_line=one_line)


def _differences(view: ReplayView) -> RenderableType:
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_row(*(Text(text, style=LABEL) for text in ("", "", "worker", "here")))
    for one in view.differences:
        table.add_row(
            Text(f"  {one.kind}", style=LABEL),
            Text(one.name, style="cyan", overflow="fold"),
            _set(one.there),
            _set(one.here),
        )
    return table


def _set(text: str | None) -> Text:
    if text is None:
        return Text("not set", style="dim italic")
    return Text(text, overflow="fold")


REPLAY = Renderer[Replay](
    rich=_form,
    whole=lambda replay: _form(replay, whole=True),
    html=lambda replay: html.part("replay", view_replay(replay), frame="replay"),
)
