"""What is to be shown, as text: gathered once, for the console and for HTML alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from dbgkit.model import (
    Difference,
    Failure,
    InputInfo,
    Plan,
    Replay,
    advice,
)
from dbgkit.remote.common.exceptions import raised_from
from dbgkit.remote.common.objects import instance_dict
from dbgkit.remote.common.texts import in_line
from dbgkit.remote.secrets.redact import redact_text, redact_value
from dbgkit.remote.values.summarize import summarize
from dbgkit.render import words
from dbgkit.render.inputs import (
    ROWS,
    StepView,
    call_of_replay,
    input_rows,
    step_views,
)
from dbgkit.render.rows import (
    Frame,
    Row,
    frame_of,
    frames_of,
    frames_of_text,
    row_of,
    stop_of,
    value_row,
)
from dbgkit.source.shown import shown_text
from dbgkit.targets.tracebacks import shown_chain

FEW = 3  # causes and notes above the prompt
_CHAIN = 99  # exceptions: as many as `shown_chain` tells
_LONG = 10_000  # exceptions of a chain: of one that is longer no root is shown


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


# --- failures -----------------------------------------------------------------


def view_failure(failure: Failure) -> FailureView:
    """Gather what is shown of a failure."""
    frames: tuple[Frame, ...] = ()
    # What failed in this process has its locals still; what came from a worker has
    # none, and perhaps another file by the same name here.
    if failure.found_in not in ("scheduler", "graph") and failure.exception is not None:
        frames = frames_of(failure.exception)
    if not frames:
        frames = frames_of_text(shown_text(failure))
    # Of a task that killed its worker there is only the line that waited for it.
    if not frames and not failure.killed and failure.exception is not None:
        frames = frames_of(failure.exception)
    notes = failure.notes
    if failure.killed:
        told = f"{advice.call('deaths')} tells why its worker died, and in which line"
        notes += (told,)
    upstream = failure.asked is not None and failure.asked != failure.key
    return FailureView(
        exception_type=in_line(failure.exception_type),
        message=words.clip(redact_text(failure.message)),
        name=in_line(failure.name),
        key="" if failure.key is None else words.key_text(failure.key),
        origin=words.origin(failure),
        asked=words.key_text(failure.asked) if upstream else "",
        frames=frames,
        others=tuple(words.key_text(key) for key in failure.others),
        notes=notes,
        came_from=words.came_from(failure.came_from),
    )


# --- replays ------------------------------------------------------------------


def view_replay(replay: Replay) -> ReplayView:
    """Gather what is shown of a replay."""
    failure = view_failure(_but_for_its_call(replay))
    frames = tuple(frame_of(summary) for summary in replay.frames)
    if not frames and replay.exception is not None:
        frames = frames_of(replay.exception)
    run = words.main_run(replay)
    title = ""
    if replay.outcome == "different":
        where = words.place_of(replay) if replay.where == "worker" else "here"
        title = f"{where} it raised {words.said(run.exception_type, run.message)}"
    before = failure.frames if replay.outcome in ("different", "died") else ()
    if not frames:
        frames, title, before = failure.frames, "where it failed before", ()
    rows, more_rows = input_rows(replay)
    steps, more_steps = step_views(replay)
    returned = ""
    if replay.outcome == "passed" and (replay.result is not None):
        returned = _told(value_row("", replay.result))
    elif replay.returned is not None:
        returned = _told(row_of("", replay.returned))
    return ReplayView(
        failure=failure,
        outcome=replay.outcome,
        verdict=words.verdict(replay, returned),
        causes=_causes(replay.exception, ROWS),
        few_causes=_causes(replay.exception, FEW),
        rows=rows,
        more_rows=more_rows,
        steps=steps,
        more_steps=more_steps,
        steps_title="steps" if replay.scope == "ancestors" else "fused",
        differences=tuple(_hide(one) for one in replay.differences[:ROWS]),
        more_differences=max(0, len(replay.differences) - ROWS),
        crash=words.clip(redact_text(replay.crash.strip()), 4_000, 40),
        frames=frames,
        frames_title=title,
        before=before,
        before_title=f"where it failed before, with {_before(replay.failure)}",
        notes=_unique((*failure.notes, *replay.notes)),
    )


def _before(failure: Failure) -> str:
    return words.said(failure.exception_type, failure.message, 200)


def _but_for_its_call(replay: Replay) -> Failure:
    """The failure without the literals of its own call, if they are shown as such."""
    failure = replay.failure
    if not call_of_replay(replay):
        return failure
    kept = [
        one for one in failure.came_from if not (one.call and one.key == failure.key)
    ]
    return replace(failure, came_from=tuple(kept))


def _told(row: Row) -> str:
    return f"{row.value}{f' ({row.type})' if row.type else ''}"


def _hide(one: Difference) -> Difference:
    """A difference with its values redacted, and short."""
    values = [
        None if text is None else words.clip(redact_value(one.name, text), 160, 2)
        for text in (one.here, one.there)
    ]
    return Difference(one.kind, one.name, *values)


def _causes(exception: BaseException | None, most: int) -> tuple[str, ...]:
    """An exception's own notes, what it holds and was raised from; nearest first.

    Of more than ``most`` the rest is counted, before the root that is told always.
    """
    if exception is None:
        return ()
    listed = (instance_dict(exception) or {}).get("__notes__")
    notes = listed if isinstance(listed, list) else []
    notes = [f"note: {note}" for note in notes if isinstance(note, str)]
    found = list(shown_chain(exception))
    told = notes[: max(most // 2, most - len(found))]
    room = most - len(told)
    if len(told) < len(notes):
        told.append(f"… {words.count(len(notes) - len(told), 'more note')}")
    root = _root(exception, found[: room - 1]) if len(found) > room else None
    near = found[: room - 1 if root else room]
    told += map(_follows, near)
    more = len(found) - len(near) - (root is not None)
    if more:
        least = "at least " if len(found) == _CHAIN else ""
        told.append(f"… {least}{more:,} more")
    if root:
        told.append(_follows(root))
    return tuple(words.clip(redact_text(one), 400, 4) for one in told)


def _follows(one: tuple[str, BaseException]) -> str:
    how, error = one
    return f"{words.FOLLOWS[how]} {summarize(error)['text']}"


def _root(
    exception: BaseException, near: Sequence[tuple[str, BaseException]]
) -> tuple[str, BaseException] | None:
    """The end of the chain that is cut: the exception's own, or that of the last."""
    shown = {id(exception), *(id(error) for _, error in near)}
    for start in (exception, *(error for _, error in near[-1:])):
        line = list(islice(_line(start), _LONG))
        if 0 < len(line) < _LONG and id(line[-1][1]) not in shown:
            return line[-1]
    return None


def _line(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    """What an exception was raised from, and that, and so on; no members."""
    seen = {id(error)}
    step = raised_from(error)
    while step is not None and id(step[1]) not in seen:
        seen.add(id(step[1]))
        yield step
        step = raised_from(step[1])


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


# --- plans --------------------------------------------------------------------

_HOW = {
    "pull": "pulled from a worker",
    "recompute": "computed again on the cluster",
    "run": "computed here",
    "have": "already here",
}
_HOW_THERE = {
    "pull": "fetched from another worker",
    "run": "computed again there",
    "have": "copied there",
}


def view_plan(plan: Plan) -> PlanView:
    """Gather what is shown of a plan, the largest inputs first."""
    places = {
        "here": "in this process",
        "process": "in a process of its own",
        "worker": f"on worker {plan.worker}, in a thread of its own",
    }
    lines = [("runs", _what(plan) + f", {places[plan.where]}")]
    if plan.call:
        lines.append(("call", plan.call))
    pulled = [one for one in plan.inputs if one.how == "pull"]
    if pulled:
        told = words.count(len(pulled), "input")
        to = " from other workers" if plan.worker else ""
        lines.append(("pulls", f"{words.size(plan.pull_bytes)} in {told}{to}"))
    if plan.worker and plan.scope == "task" and len(plan.run_here) > 1:
        again = words.count(len(plan.run_here) - 1, "task")
        lines.append(("computes", f"{again} again there, in the same thread"))
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
        rows=tuple(_input(one, plan) for one in ordered[:ROWS]),
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


def _input(one: InputInfo, plan: Plan) -> tuple[str, str, str, str]:
    known = "" if one.nbytes is None else words.size(one.nbytes)
    kind = f"{one.type}, {known}" if one.type and known else one.type or known
    how = (_HOW_THERE if plan.worker else _HOW)[one.how]
    return words.key_text(one.key), one.name, kind, how
