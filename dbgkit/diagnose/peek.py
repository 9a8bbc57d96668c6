"""What running tasks do now, from what the scheduler and their workers say."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from dask.core import flatten

from dbgkit import advice
from dbgkit.cluster.clients import held_future_states
from dbgkit.cluster.peek import Samples, sample_workers
from dbgkit.cluster.view import LiveView, View
from dbgkit.diagnose.failures import span_of
from dbgkit.diagnose.peek_refusals import not_running
from dbgkit.diagnose.sentences import counted, several, show
from dbgkit.errors import (
    AnswerUnreadable,
    DbgkitError,
    NotHere,
    SchedulerGone,
    WaitTimedOut,
    WrongTarget,
)
from dbgkit.model import MALFORMED, FrameSummary, Peek, PeekedLine, PeekedTask
from dbgkit.model.secret_names import secret_names
from dbgkit.remote.common.texts import safe_repr
from dbgkit.source.shown import Shown
from dbgkit.targets.naming import name_of
from dbgkit.targets.refusals import PASS_EXCEPTION, not_failed
from dbgkit.targets.resolve import sort_target

if TYPE_CHECKING:
    from dbgkit.cluster.link import Link
    from dbgkit.remote.common.wire_peek import (
        LineForm,
        Peeked,
        PeekedForm,
        Running,
    )

MOST_WORKERS = 32  # that are asked
LOOKS = 5  # as messages may be on their way
PAUSE = 0.1  # seconds between two


@dataclass
class _Asked:
    """The question; ``keys`` is None for all that runs."""

    keys: list[Any] | None
    times: int = 1
    every: float = 0.1
    limit: int = 10
    notes: list[str] = field(default_factory=list)


@dataclass
class _Found:
    """One look: what the scheduler said, and the samples of the workers."""

    answer: Running
    samples: Samples
    tasks: list[PeekedTask]
    not_asked: int  # workers that have some of the tasks


def peek_at(
    view: View,
    target: Any = None,
    *,
    times: int = 1,
    every: float = 0.1,
    limit: int = 10,
) -> Peek:
    """What the tasks of a target do now; None: all that runs.

    Raises
    ------
    NotHere
        A dump was given, or a worker runs no functions.
    NotRunning, UnknownKey, Cancelled, WrongTarget
        None of the tasks runs; there is no such task.
    WaitTimedOut
        The only worker that was asked does not answer.
    """
    if not isinstance(view, LiveView):
        raise NotHere(
            "a dump has no running tasks to look at",
            "ask the cluster itself, while they run; "
            f"{advice.call('why')} explains what a dump holds",
        )
    keys, notes = (None, []) if target is None else _keys_of(target)
    asked = _Asked(keys, times, every, limit, notes)
    found = _look(view, asked)
    for _ in range(LOOKS - 1):
        if not _may_run(view, asked, found):
            break
        time.sleep(PAUSE)
        found = _look(view, asked)
    if not found.tasks:
        _refuse(view, asked, found)
    return _peek(asked, found)


def _keys_of(target: Any) -> tuple[list[Any], list[str]]:
    """The keys that a target leads to, and notes."""
    sought = sort_target(target)
    keys = [*sought.keys, *(failure.key for failure in sought.failures)]
    notes = []
    if sought.collections and not sought.futures:
        for collection in sought.collections:
            keys += flatten([collection.__dask_keys__()])
        notes.append(
            "a collection's keys change when it is computed: pass the persisted one, "
            "or a future"
        )
    keys = [key for key in dict.fromkeys(keys) if key is not None]
    if keys:
        return keys, notes
    if sought.exceptions:
        raise WrongTarget(
            "the task of an exception has failed: it does not run any more",
            f"{advice.call('debug')} opens it where it failed",
        )
    raise WrongTarget(
        "no task can be found from the target",
        "pass a future, a key, a persisted collection, or nothing for all that runs",
    )


SAMPLED = (5, 0.05)  # samples that `peek_one` takes, and seconds between two


def peek_one(link: Link, worker: str, key: Any) -> PeekedTask | None:
    """What one task does now, in a few samples; None if its worker does not say."""
    times, every = SAMPLED
    try:
        samples = sample_workers(
            link, {worker: [key]}, times=times, every=every, limit=1
        )
    except (SchedulerGone, WaitTimedOut):
        return None
    tasks, _ = _tasks_of(samples)
    return tasks[0] if tasks else None


# --- one look ---------------------------------------------------------------------


def _look(view: LiveView, asked: _Asked) -> _Found:
    answer = view.ask("running", {"keys": asked.keys, "limit": MOST_WORKERS})
    wanted = _wanted(answer, asked.keys)
    first = dict([*wanted.items()][:MOST_WORKERS])
    samples = sample_workers(
        view.link, first, times=asked.times, every=asked.every, limit=asked.limit
    )
    tasks, errors = _tasks_of(samples)
    samples = samples._replace(errors=errors)
    tasks.sort(key=lambda each: -(each.running or 0.0))
    return _Found(answer, samples, tasks, len(wanted) - len(first))


def _tasks_of(
    samples: Samples,
) -> tuple[list[PeekedTask], dict[str, BaseException]]:
    """The tasks of all answers that can be read, and the errors of the others."""
    tasks: list[PeekedTask] = []
    errors = dict(samples.errors)
    shown = Shown()
    for address, one in samples.answers.items():
        try:
            tasks += [_task(form, one, address, shown) for form in one["tasks"]]
        except MALFORMED as error:
            errors[address] = AnswerUnreadable(
                f"the answer of worker {address} cannot be read: {safe_repr(error)}",
                "it may run another release of Dask",
            )
    return tasks, errors


def _wanted(answer: Running, keys: list[Any] | None) -> dict[str, list[Any] | None]:
    """Which worker to ask for which keys; None: for all that it runs."""
    if keys is None:
        return {each["address"]: None for each in answer["workers"]}
    wanted: dict[str, list[Any]] = {}
    for task in answer["tasks"]:
        if task["worker"] is not None and (
            task["state"] == "processing" or task["actor"]
        ):
            wanted.setdefault(task["worker"], []).append(task["key"])
    # What the scheduler has forgotten may still hold a thread.
    if answer["unknown_keys"]:
        for each in answer["workers"]:
            wanted.setdefault(each["address"], []).extend(answer["unknown_keys"])
    return dict(wanted)


def _may_run(view: LiveView, asked: _Asked, found: _Found) -> bool:
    """Whether what is to be looked at may be about to run, or to be known as done."""
    samples = found.samples
    if asked.keys is None or found.tasks or samples.silent or samples.errors:
        return False
    if unknown := found.answer["unknown_keys"]:
        held = held_future_states(view.client).items()
        pending = {key for key, state in held if state.status == "pending"}
        if pending.intersection(unknown) or {*map(str, pending)}.intersection(unknown):
            return True  # it was submitted a moment ago
    rest = {state for one in found.samples.answers.values() for _, state in one["rest"]}
    processing = found.answer["states"].get("processing", 0)
    return processing > 0 and not rest & {"waiting", "ready", "constrained"}


def _task(form: PeekedForm, one: Peeked, worker: str, shown: Shown) -> PeekedTask:
    since = form["since"]
    actor = form["how"] == "actor"
    hidden = secret_names()
    frames = (FrameSummary.from_wire(each) for each in form["frames"])
    lines = [_line(each, form["samples"], shown) for each in form["lines"]]
    return PeekedTask(
        key=form["key"],
        name=f"method {show(form['key'])}" if actor else name_of(form["key"]),
        worker=worker,
        pid=one["pid"],
        state=form["state"],
        how=form["how"],
        running=None if since is None or actor else max(0.0, one["now"] - since),
        frames=tuple(shown.frame(each, hidden) for each in frames),
        lines=tuple(sorted(lines, key=lambda line: -line.samples)),
        samples=form["samples"],
        notes=tuple(_notes_of(form, one)),
    )


def _line(form: LineForm, samples: int, shown: Shown) -> PeekedLine:
    """A line with its file and text, which a worker may not have."""
    text, lineno = form["text"], form["lineno"]
    source = ((lineno, text),) if text else ()
    code = tuple(map(str, form.get("code") or ()))
    frame = shown.frame(
        FrameSummary(form["filename"], lineno, form["function"], source, code=code),
        secret_names(),
    )
    return PeekedLine(
        filename=frame.filename,
        lineno=frame.lineno,
        function=frame.function,
        text=dict(frame.source).get(lineno, text).strip(),
        samples=form["samples"],
        share=form["samples"] / max(1, samples),
    )


def _notes_of(form: PeekedForm, one: Peeked) -> Iterable[str]:
    """What is not shown of a task, and what has to be known of it."""
    how, state = form["how"], form["state"]
    if state in ("cancelled", "resumed"):
        yield (
            "the scheduler has released it, most likely because its client cancelled "
            "it or has gone; it runs here until it ends"
        )
    elif state == "long-running" and not form["paused"]:
        yield "it has seceded: it holds none of the worker's threads"
    if how == "actor":
        yield "it is a method of an actor, which is no task of its own"
    if how == "coroutine":
        yield (
            "it is an async function: what is shown is where it awaits; what it "
            "computes in between keeps the event loop that looks at it"
        )
        if form["awaits"]:
            yield f"it awaits {form['awaits']}"
    if how == "elsewhere":
        yield (
            f"it runs in the executor {form['executor']}, in another process: its "
            "worker cannot look into that"
        )
    if how == "unseen":
        yield "no thread runs it at this moment: it has just begun, or has just ended"
    if form["paused"]:
        yield form["paused"]
    if form["unread"]:
        yield (
            "its local variables were not read: before Python 3.13 reading them from "
            "outside undoes what was assigned at a prompt"
        )
    missed = one["samples"] - form["samples"]
    if form["samples"] and missed:
        yield f"{counted(missed, 'sample')} of {one['samples']} found it not running"
    if form["other_lines"]:
        yield f"{counted(form['other_lines'], 'sample')} saw it at further lines"


# --- what comes of it -----------------------------------------------------------------


def _peek(asked: _Asked, found: _Found) -> Peek:
    answers = found.samples.answers.values()
    kept = tuple(found.tasks[: asked.limit])
    omitted = sum(one["omitted"] for one in answers)
    notes = [*asked.notes, *_left_out(asked, found)]
    return Peek(
        tasks=kept,
        omitted=omitted + len(found.tasks) - len(kept),
        samples=max((one["samples"] for one in answers), default=0),
        seconds=max((one["seconds"] for one in answers), default=0.0),
        when=datetime.now(timezone.utc),
        silent=tuple(sorted([*found.samples.silent, *found.samples.errors])),
        span=span_of(found.answer),
        notes=tuple(notes),
    )


def _left_out(asked: _Asked, found: _Found) -> Iterable[str]:
    samples, answer = found.samples, found.answer
    if samples.silent:
        does = "does" if len(samples.silent) == 1 else "do"
        named = several(sorted(samples.silent))
        yield f"{named} {does} not answer: {advice.call('why')} says what keeps it"
    for error in list(samples.errors.values())[:3]:
        yield str(error)
    if asked.keys is None:
        if answer["omitted_workers"]:
            more = counted(answer["omitted_workers"], "more worker")
            yield f"{more} that had run their tasks for less long were not asked"
        return
    if found.not_asked:
        yield f"{counted(found.not_asked, 'more worker')} that have some were not asked"
    states = Counter(answer["states"])
    states["processing"] -= len(found.tasks)
    states["unknown"] = len(answer["unknown_keys"])
    rest = [f"{count} {state}" for state, count in (+states).items()]
    if rest and len(asked.keys) > 1:
        yield f"of the others that were asked for: {', '.join(rest)}"


def _refuse(view: LiveView, asked: _Asked, found: _Found) -> None:
    """Raise the error that says why nothing is seen; none if nothing was asked for."""
    samples = found.samples
    for error in samples.errors.values():
        if isinstance(error, DbgkitError):
            raise error
    if samples.errors and not samples.answers:
        address, error = next(iter(samples.errors.items()))
        raise SchedulerGone(
            f"worker {address} could not look at its tasks: {safe_repr(error)}",
            "its log may say more",
        )
    if asked.keys is None:
        return
    placed = {task["key"]: task for task in found.answer["tasks"]}
    if samples.silent:
        key = next(iter(placed), asked.keys[0])
        raise WaitTimedOut(
            f"{several(sorted(samples.silent))}, which may run {show(key)}, did not "
            "answer in time",
            f"{advice.call('why', key)} says what keeps it",
            key=key,
        )
    if not placed:
        key = asked.keys[0]
        held = held_future_states(view.client).get(key)
        error = not_failed(key, "unknown", held.status if held else "", view.client)
        if error.hint == PASS_EXCEPTION:
            listing = advice.call("tasks", state="processing")
            error.hint = f"{listing} lists what is on workers"
        raise error
    rest = [pair for one in samples.answers.values() for pair in one["rest"]]
    here = dict(rest)
    raise not_running(next(iter(placed.values())), here, len(asked.keys))
