"""What is to be shown, as text: gathered once, for the console and for HTML alike."""

from __future__ import annotations

import linecache
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from dbgkit.model import (
    Difference,
    Failure,
    FrameSummary,
    InputInfo,
    Plan,
    Step,
    ValueSummary,
)
from dbgkit.remote.frames import is_machinery, is_own
from dbgkit.remote.redact import redact_text, redact_value
from dbgkit.remote.summarize import OMITTED, summarize, summarize_frames
from dbgkit.render import words
from dbgkit.replay.result import Replay

ROWS = 12  # inputs, steps, differences that are listed; the rest is counted

_TEXT_FRAME = re.compile(
    r'^  File "(?P<file>.+?)", line (?P<line>\d+), in (?P<name>.+)\n'
    r"(?:    (?P<code>(?!File \").*)\n?)?",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Row:
    """One named value: an input, an argument, a local variable."""

    name: str
    value: str
    type: str = ""
    key: str = ""
    hidden: bool = False


@dataclass(frozen=True)
class Frame:
    """One frame; ``gap`` says that it stands for frames that were left out."""

    place: str
    function: str
    lineno: int
    source: tuple[tuple[int, str], ...] = ()
    locals: tuple[Row, ...] = ()
    own: bool = True
    omitted: int = 0
    gap: bool = False


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


@dataclass(frozen=True)
class StepView:
    """One step of a fused task."""

    name: str
    function: str
    failed: bool
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class ReplayView:
    """A replay, ready to be shown."""

    failure: FailureView
    outcome: str
    verdict: str
    here: str  # the exception here, where it is another one
    causes: tuple[str, ...]
    rows: tuple[Row, ...]
    more_rows: int
    steps: tuple[StepView, ...]
    more_steps: int
    differences: tuple[Difference, ...]
    more_differences: int
    crash: str
    frames: tuple[Frame, ...]
    frames_title: str
    notes: tuple[str, ...]

    @property
    def stop(self) -> int | None:
        """Index of the frame to look at first."""
        return stop_of(self.frames)


@dataclass(frozen=True)
class PlanView:
    """A plan, ready to be shown."""

    name: str
    key: str
    lines: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, str, str, str], ...]  # key, name, size, what happens
    more_rows: int
    warnings: tuple[str, ...] = field(default=())


def stop_of(frames: tuple[Frame, ...]) -> int | None:
    """Index of the innermost frame of the user's own, else of the innermost."""
    for index in range(len(frames) - 1, -1, -1):
        if frames[index].own:
            return index
    return len(frames) - 1 if frames else None


# --- failures -----------------------------------------------------------------


def view_failure(failure: Failure) -> FailureView:
    """Gather what is shown of a failure."""
    frames = _frames_of_text(failure.traceback_text)
    if not frames and failure.exception is not None:
        frames = _frames_of(failure.exception)
    upstream = failure.asked is not None and failure.asked != failure.key
    return FailureView(
        exception_type=failure.exception_type,
        message=words.clip(redact_text(failure.message)),
        name=failure.name,
        key="" if failure.key is None else words.key_text(failure.key),
        origin=words.origin(failure),
        asked=words.key_text(failure.asked) if upstream else "",
        frames=frames,
        others=tuple(words.key_text(key) for key in failure.others),
        notes=failure.notes,
    )


def _frames_of(exception: BaseException) -> tuple[Frame, ...]:
    wires = summarize_frames(exception.__traceback__)
    return tuple(_frame(FrameSummary.from_wire(wire)) for wire in wires)


def _frame(summary: FrameSummary) -> Frame:
    if summary.filename == OMITTED:
        return Frame(place="", function=summary.function, lineno=0, own=False, gap=True)
    return Frame(
        place=words.place(summary.filename, summary.lineno),
        function=summary.function,
        lineno=summary.lineno,
        source=summary.source,
        locals=tuple(_row(name, value) for name, value in summary.locals),
        own=summary.own,
        omitted=summary.omitted_locals,
    )


def _frames_of_text(text: str) -> tuple[Frame, ...]:
    """Frames of a formatted traceback: with the one line of source that it has."""
    found = list(_TEXT_FRAME.finditer(text))
    shown = [one for one in found if not is_machinery(one["file"])] or found[-1:]
    frames = []
    for one in shown:
        lineno = int(one["line"])
        frames.append(
            Frame(
                place=words.place(one["file"], lineno),
                function=one["name"],
                lineno=lineno,
                source=_source_of(one["file"], lineno, (one["code"] or "").strip()),
                own=is_own(one["file"]),
            )
        )
    return tuple(frames)


def _source_of(filename: str, lineno: int, code: str) -> tuple[tuple[int, str], ...]:
    """Lines around one, if the file here is the one that ran; else that line."""
    linecache.checkcache(filename)
    here = linecache.getlines(filename)
    if not (code and 0 < lineno <= len(here) and here[lineno - 1].strip() == code):
        return ((lineno, redact_text(code, bare=False)),) if code else ()
    first = max(1, lineno - 3)
    return tuple(
        (first + number, redact_text(line.rstrip("\n"), bare=False))
        for number, line in enumerate(here[first - 1 : lineno + 2])
    )


# --- values -------------------------------------------------------------------


def _row(name: str, value: ValueSummary, key: str = "") -> Row:
    """A value's row; the type is only said where the text does not say it."""
    short = value.type.rpartition(".")[2]
    plain = "." not in value.type or value.text.startswith(("<", f"{short}("))
    kind = "" if plain or value.hidden else value.type
    return Row(name, value.text, kind, key, value.hidden)


def _summary(name: str, value: Any, key: str = "") -> Row:
    return _row(name, ValueSummary.from_wire(summarize(value, name=name)), key)


def _call(replay: Replay) -> list[tuple[str, Any]]:
    """The call's arguments under their names; none of a call into Dask itself."""
    function = replay.function
    if function is None:
        return []
    code = getattr(function, "__code__", None)
    names: tuple[str, ...] = ()
    if isinstance(code, CodeType):
        if is_machinery(code.co_filename):
            return []
        names = code.co_varnames[: code.co_argcount]
    bound = getattr(function, "__self__", None)
    if bound is not None and isinstance(code, CodeType):
        names = names[1:]
    pairs = [
        (names[index] if index < len(names) else f"args[{index}]", value)
        for index, value in enumerate(replay.args)
    ]
    return pairs + list(replay.kwargs.items())


def _rows(replay: Replay) -> tuple[tuple[Row, ...], int]:
    """Arguments, and inputs that are none by themselves; how many are left out."""
    pairs = _call(replay)
    times = Counter(id(value) for _, value in pairs)
    keys: dict[int, list[Any]] = {}
    for key, value in replay.inputs.items():
        keys.setdefault(id(value), []).append(key)
    # A small number is one object wherever it stands: then no key is claimed.
    known = {one: found for one, found in keys.items() if times[one] == len(found)}
    found = [(name, value, _keys(known.get(id(value), ()))) for name, value in pairs]
    names = {info.key: info.name for info in replay.plan.inputs}
    found += [
        (names.get(key) or words.key_text(key), value, words.key_text(key))
        for key, value in replay.inputs.items()
        if id(value) not in known
    ]
    rows = tuple(_summary(name, value, key) for name, value, key in found[:ROWS])
    return rows, max(0, len(found) - ROWS)


def _keys(keys: Sequence[Any]) -> str:
    told = [words.key_text(key) for key in keys[:3]]
    return " or ".join(told) + (" or others" if len(keys) > 3 else "")


def _steps(steps: tuple[Step, ...]) -> tuple[tuple[StepView, ...], int]:
    """The last steps; those of the one that failed with their values."""
    shown = steps[-ROWS:]
    views = tuple(
        StepView(
            name=step.name,
            function=step.function,
            failed=step.failed,
            rows=_values(step.inputs) if step.failed else (),
        )
        for step in shown
    )
    return views, len(steps) - len(shown)


def _values(inputs: Mapping[Any, Any]) -> tuple[Row, ...]:
    pairs = list(inputs.items())
    rows = [_summary(words.key_text(key), value) for key, value in pairs[:ROWS]]
    if len(pairs) > ROWS:
        rows.append(Row("", f"… {len(pairs) - ROWS:,} more"))
    return tuple(rows)


# --- replays ------------------------------------------------------------------


def view_replay(replay: Replay) -> ReplayView:
    """Gather what is shown of a replay."""
    failure = view_failure(replay.failure)
    frames = tuple(_frame(summary) for summary in replay.frames)
    if not frames and replay.exception is not None:
        frames = _frames_of(replay.exception)
    title = ""
    if not frames:
        frames, title = failure.frames, "where it failed before"
    rows, more_rows = _rows(replay)
    steps, more_steps = _steps(replay.steps)
    returned = ""
    if replay.outcome == "passed" and (replay.result is not None):
        row = _summary("", replay.result)
        returned = f"{row.value}{f' ({row.type})' if row.type else ''}"
    run = words.main_run(replay)
    different = replay.outcome == "different"
    return ReplayView(
        failure=failure,
        outcome=replay.outcome,
        verdict=words.verdict(replay, returned),
        here=words.said(run.exception_type, run.message) if different else "",
        causes=_causes(replay.exception),
        rows=rows,
        more_rows=more_rows,
        steps=steps,
        more_steps=more_steps,
        differences=tuple(_hide(one) for one in replay.differences[:ROWS]),
        more_differences=max(0, len(replay.differences) - ROWS),
        crash=words.clip(redact_text(replay.crash.strip()), 4_000, 40),
        frames=frames,
        frames_title=title,
        notes=_unique((*failure.notes, *replay.notes)),
    )


def _hide(one: Difference) -> Difference:
    """A difference with its values redacted, and short."""
    values = [
        None if text is None else words.clip(redact_value(one.name, text), 160, 2)
        for text in (one.here, one.there)
    ]
    return Difference(one.kind, one.name, *values)


def _causes(exception: BaseException | None) -> tuple[str, ...]:
    """What an exception was raised from, nearest first, and its own notes."""
    told = []
    if exception is not None:
        told += [
            f"note: {note}"
            for note in getattr(exception, "__notes__", ()) or ()
            if isinstance(note, str)
        ]
    seen = {id(exception)}
    while exception is not None and len(told) < ROWS:
        cause, word = exception.__cause__, "raised from"
        if cause is None and not exception.__suppress_context__:
            cause, word = exception.__context__, "raised while handling"
        if cause is None or id(cause) in seen:
            break
        seen.add(id(cause))
        told.append(f"{word} {summarize(cause)['text']}")
        exception = cause
    return tuple(redact_text(words.clip(one, 400, 4)) for one in told)


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


# --- plans --------------------------------------------------------------------

_HOW = {
    "pull": "pulled from a worker",
    "recompute": "computed again on the cluster",
    "run": "computed here",
    "have": "already here",
}


def view_plan(plan: Plan) -> PlanView:
    """Gather what is shown of a plan, the largest inputs first."""
    places = {
        "here": "in this process",
        "process": "in a process of its own",
        "worker": "on a worker",
    }
    lines = [("runs", _what(plan) + f", {places[plan.where]}")]
    pulled = [one for one in plan.inputs if one.how == "pull"]
    if pulled:
        told = words.count(len(pulled), "input")
        lines.append(("pulls", f"{words.size(plan.pull_bytes)} in {told}"))
    if plan.recompute:
        lines.append(("computes", _again(plan)))
    if plan.own_keys:
        told = words.count(len(plan.own_keys), "key")
        lines.append(
            ("states", f"of {told} change meanwhile: a shuffle runs under its own keys")
        )
    ordered = sorted(plan.inputs, key=lambda one: -(one.nbytes or 0))
    return PlanView(
        name=plan.name,
        key=words.key_text(plan.key),
        lines=tuple(lines),
        rows=tuple(_input(one) for one in ordered[:ROWS]),
        more_rows=max(0, len(ordered) - ROWS),
        warnings=_unique(plan.warnings),
    )


def _what(plan: Plan) -> str:
    """What runs, and how often."""
    several = len(plan.run_here) if plan.scope == "ancestors" else 0
    what = f"{words.count(several, 'task')} up to it" if several > 1 else "the task"
    return f"{what}, {plan.times:,} times" if plan.times > 1 else what


def _again(plan: Plan) -> str:
    """What the cluster computes again."""
    names = [words.key_text(key) for key in plan.recompute[:3]]
    more = len(plan.recompute) - len(names)
    told = ", ".join(names) + (f" and {more:,} more" if more else "")
    private = "" if plan.own_keys else ", under private keys"
    tasks = words.count(len(plan.recompute), "task")
    return f"{tasks} again on the cluster{private}: {told}"


def _input(one: InputInfo) -> tuple[str, str, str, str]:
    known = "" if one.nbytes is None else words.size(one.nbytes)
    kind = f"{one.type}, {known}" if one.type and known else one.type or known
    return words.key_text(one.key), one.name, kind, _HOW[one.how]
