"""A replay on a worker: its outcome is brought here, and not the data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from dbgkit import advice
from dbgkit.cluster.link import Link
from dbgkit.cluster.pulls import SLOWEST_PULL
from dbgkit.cluster.replay import (
    closed_on_purpose,
    has_ended,
    how_it_ended,
    look_at_workers,
    replay_on,
)
from dbgkit.errors import (
    AnswerUnreadable,
    DbgkitError,
    InputMoved,
    InputNotCopyable,
    InputUnreadable,
    NotHere,
    RecomputeFailed,
    RunSpecUnreadable,
    SchedulerGone,
    StandInLacks,
    WaitTimedOut,
)
from dbgkit.model import (
    MALFORMED,
    Failure,
    Notice,
    Plan,
    Progress,
    Recording,
    Replay,
    Run,
    ValueSummary,
    recording_from_wire,
)
from dbgkit.model.frames import checked, duration
from dbgkit.model.secret_names import secret_names
from dbgkit.remote.common.texts import safe_repr, safe_str
from dbgkit.remote.recording.packing import unpack
from dbgkit.remote.worker.replay import AROUND
from dbgkit.replays.inputs_compared import (
    InputComparison,
    changed_note,
    recorded_failure,
    with_causes,
)
from dbgkit.replays.material import Material
from dbgkit.replays.on_worker_plan import not_enough_memory
from dbgkit.replays.outcome import (
    CAUSES_UNKNOWN,
    causes_unknown,
    notes_on,
    overall,
    raised_from_wire,
    run_of,
)
from dbgkit.replays.steps import no_steps, steps_from_wire
from dbgkit.replays.submitted import HandedStored, Submissions
from dbgkit.source.shown import Shown
from dbgkit.targets.naming import name_of

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_replays import (
        Job,
        ReplayAnswer,
        RunError,
        SentRecording,
    )


def run_on_worker(
    failure: Failure,
    plan: Plan,
    material: Material,
    timeout: float,
    notify: Callable[[Any], Any],
) -> Replay | HandedStored:
    """Run the task on the plan's worker, and compare the outcome.

    Raises
    ------
    InputMoved
        The worker, or an input, is gone; nothing was run.
    DbgkitError
        It cannot be run there, or does not report its outcome in time.
    """
    link = material.link
    assert link is not None
    recording = recorded_failure(link, failure)
    comparison = InputComparison(recording)
    failure = with_causes(failure, recording)
    job = _job(plan, material, timeout, comparison)
    # Its process shows whether the worker died of the task: which one is it?
    seen = look_at_workers(link, [plan.worker], ()).get(plan.worker)
    if seen is None:
        raise InputMoved(
            f"worker {plan.worker} does not answer (any more)",
            "try again: another worker may be available",
            key=failure.key,
        )
    began = time.perf_counter()
    notify(Progress("times", 0, plan.times))
    try:
        answer = replay_on(link, plan.worker, job, _limit(job))
    except KeyboardInterrupt:
        notify(Notice(f"the task still runs on {plan.worker}, {_UNSTOPPABLE}"))
        raise
    except WaitTimedOut as error:
        raise WaitTimedOut(
            f"worker {plan.worker} did not report the outcome of {failure.key!r}, not "
            "even that it takes too long",
            "the task may be blocking it, and still be running there",
            key=failure.key,
        ) from error
    notify(Progress("times", plan.times, plan.times))
    if isinstance(answer, dict):
        answered = cast("ReplayAnswer", answer)
        with readable(failure, plan):
            handed = [
                list(each["error"]["handed"])
                for each in answered.get("runs", ())
                if each["error"]
            ]
        for keys in handed:
            stored = Submissions(link).stored_among(keys, began)
            if stored is not None:
                return stored
        with readable(failure, plan):
            return replay_from_wire(failure, plan, answered, comparison)
    return _without_answer(failure, plan, link, seen["pid"], answer)


@contextmanager
def readable(failure: Failure, plan: Plan) -> Iterator[None]:
    """Raise a clear error if a worker's answer is malformed."""
    try:
        yield
    except DbgkitError:
        raise
    except MALFORMED as error:
        why = f"{type(error).__name__}: {safe_str(error)}"
        raise _unreadable(failure, plan, why) from error


def _unreadable(failure: Failure, plan: Plan, why: str) -> AnswerUnreadable:
    """The error for an answer that cannot be read, from a worker that did answer."""
    return AnswerUnreadable(
        f"what {plan.worker} answered about {failure.key!r} cannot be read: {why}",
        f"{advice.option('where', 'process')} runs it in a child of this process",
        key=failure.key,
    )


def _is_unread(error: BaseException) -> bool:
    """Whether an exception cannot be unpickled here: only its bytes remain.

    ``clean_exception`` (distributed/core.py).
    """
    return type(error) is Exception and any(isinstance(a, bytes) for a in error.args)


_UNSTOPPABLE = "because a thread cannot be stopped"


def _job(
    plan: Plan, material: Material, timeout: float, comparison: InputComparison
) -> Job:
    """What ``remote.worker.replay.replay`` takes."""
    specs, inputs, nbytes = material_there(plan, material)
    return {
        "order": list(plan.run_here),
        "specs": specs,
        "inputs": inputs,
        "nbytes": nbytes,
        "times": plan.times,
        "timeout": timeout,
        "ancestors": plan.scope == "ancestors",
        "limits": {"secret_names": list(secret_names())},
        "compared": comparison.wanted,
    }


def material_there(
    plan: Plan, material: Material
) -> tuple[dict[Any, bytes], dict[Any, tuple[Any, Sequence[str]]], int]:
    """Run specs for a worker; where it gets their inputs, and the bytes of these."""
    specs: dict[Any, Any] = {}
    for key in plan.run_here:
        row = material.rows[key]
        if row.spec is None:
            row.read()  # writes it, or raises if it is not available
        specs[key] = row.spec
    inputs = material.inputs_of(plan.run_here)
    places: dict[Any, tuple[Any, Sequence[str]]] = {
        key: (material.stored_as(key), material.rows[key].who_has) for key in inputs
    }
    return specs, places, material.nbytes(inputs)


def _limit(job: Job) -> float:
    """Seconds after which a worker that keeps its own limits has answered."""
    around = max(job["timeout"], AROUND) + job["nbytes"] / SLOWEST_PULL
    once = job["timeout"] * len(job["order"]) + 2 * around
    return once * job["times"] + 2 * around


def replay_from_wire(
    failure: Failure,
    plan: Plan,
    answer: ReplayAnswer,
    comparison: InputComparison,
) -> Replay:
    """The replay according to the worker's answer, if the task was run."""
    address = plan.worker
    comparison.compare_prints(answer.get("prints", ()))
    notes = [*failure.notes, *(checked(str, n) for n in answer.get("notes", ()))]
    rows = answer.get("runs", ())
    runs = []
    for each in rows:
        error = raised_from_wire(each["error"]) if each["error"] else None
        runs.append(run_of(failure, error, duration(each["seconds"])))
        if causes_unknown(failure, error):
            notes.append(CAUSES_UNKNOWN)
    if answer["status"] not in ("done", "timeout"):
        raise refusal_of(failure, plan, answer)
    if answer["status"] == "timeout":
        if len(runs) < plan.times and answer["stage"] != "call":
            raise _slow_stage(failure, plan, answer)
        notes.append(
            f"thread {answer['thread']} still runs on {address}, {_UNSTOPPABLE}"
        )
    if len(runs) < plan.times:
        detail = f"thread {answer['thread']} still runs"
        seconds = duration(answer["seconds"])
        runs.append(Run("timeout", detail=detail, seconds=seconds))
        left = plan.times - len(runs)
        if left:
            notes.append(f"{left:,} further {'run' if left == 1 else 'runs'} left out")
    notes += [*comparison.notes(), *notes_on(runs)]
    outcome = overall(runs)
    index = next(i for i, run in enumerate(runs) if run.outcome == outcome)
    row = rows[index] if index < len(rows) else None  # None: it has not ended
    raised = row["error"] if row else None
    recording: Recording | None = None
    if raised:
        _refuse_lack(failure, plan, raised)
        recording = _recording(failure, answer["recordings"].get(raised["kind"]))
    kind = raised["kind"] if raised else ""
    steps = steps_from_wire(answer["steps"].get(kind, ())) if row else ()
    returned = row["returned"] if row and outcome == "passed" else None
    notes += no_steps(plan, outcome, steps)
    if failure.worker and failure.worker != address:
        notes.append(f"it failed before on {failure.worker}, and not on {address}")
    if outcome != "same":
        notes += map(changed_note, answer["changed"])
    if failure.key is None and row and row["key"] is not None:
        failure = replace(failure, key=row["key"], name=name_of(row["key"]))
    return Replay(
        outcome=outcome,
        failure=failure,
        plan=plan,
        runs=tuple(runs),
        frames=recording.frames if recording is not None else (),
        steps=steps,
        recording=recording,
        returned=ValueSummary.from_wire(returned) if returned else None,
        notes=tuple(dict.fromkeys(notes)),
        compared=comparison.verdicts,
    )


def _refuse_lack(failure: Failure, plan: Plan, error: RunError) -> None:
    """Raise if the task asked for what a replay lacks: there is no outcome."""
    links = [(error["type"], error["message"]), *(row[:2] for row in error["chain"])]
    for kind, message in links:
        if kind == StandInLacks.__name__:
            raise StandInLacks(
                f"{failure.key!r} cannot be replayed on {plan.worker}: {message}",
                "if the recorder was on, look at its recording",
                key=failure.key,
            )


def _recording(failure: Failure, header: SentRecording | None) -> Recording | None:
    """The recording of one run, if it was recorded."""
    if header is None:
        return None
    content = unpack(header["packed"]) if header["packed"] else None
    name = failure.name or name_of(header["key"])
    recording = Shown().recording(recording_from_wire(header, content, name))
    return replace(recording, came_from=failure.came_from)


def refusal_of(failure: Failure, plan: Plan, answer: ReplayAnswer) -> DbgkitError:
    """Why the task was not run, as an error of ours."""
    key, text, status = answer["key"], answer["text"], answer["status"]
    where = f"on {plan.worker}"
    if status == "no-memory":
        return not_enough_memory(failure, plan.worker, answer["size"], answer)
    if status == "moved":
        return InputMoved(f"input {key!r} is gone from the workers", _AGAIN, key=key)
    if status == "fetch-timeout":
        message = f"inputs such as {key!r} did not arrive {where} within {text}"
        return WaitTimedOut(message, f"raise {advice.option('timeout')}", key=key)
    if status == "unreadable-input":
        message = f"input {key!r} cannot be deserialised {where}"
        return InputUnreadable(message, "install there what defines its type", key=key)
    if status == "uncopyable":
        message = f"input {key!r} cannot be copied {where}: {text}"
        hint = "if the recorder was on, look at the task's recording"
        return InputNotCopyable(message, hint, key=key)
    if status == "unreadable":
        message = f"the task {key!r} cannot be read {where}: {text}"
        hint = "the code there may differ from the code here"
        return RunSpecUnreadable(message, hint, key=key)
    if status == "input-failed":
        return RecomputeFailed(
            f"an input of {failure.key!r} failed when it was computed again {where}: "
            f"{key!r}: {text}",
            f"{advice.option('scope', 'ancestors')} runs it here, where the debugger "
            "can enter it",
            key=key,
        )
    if status == "actor":
        message = f"input {key!r} is an actor, which the task could change"
        hint = f"{advice.option('where', 'here')} replays with a handle of it"
        return NotHere(message, hint, key=key)
    return DbgkitError(f"{failure.key!r} could not be run {where}: {text}", key=key)


_AGAIN = "try again: the scheduler may compute it again"


def _slow_stage(failure: Failure, plan: Plan, answer: ReplayAnswer) -> WaitTimedOut:
    """The error for a stage other than the task's own call that took too long."""
    doing = {
        "copy": f"the inputs of {failure.key!r} were not copied",
        "compute": f"input {answer['key']!r} was not computed again",
    }.get(answer["stage"], f"the outcome of {failure.key!r} was not recorded")
    return WaitTimedOut(
        f"{doing} within {answer['seconds']:.0f} s on {plan.worker}; thread "
        f"{answer['thread']} still runs there, {_UNSTOPPABLE}",
        f"raise {advice.option('timeout')}",
        key=answer["key"],
    )


def _without_answer(
    failure: Failure, plan: Plan, link: Link, pid: int, error: Any
) -> Replay:
    """A replay without an answer of its worker; raises if it has not died of it."""
    if not isinstance(error, BaseException) or _is_unread(error):
        raise _unreadable(failure, plan, safe_repr(error)[:500])
    if not isinstance(error, OSError):
        raise DbgkitError(
            f"{failure.key!r} could not be run on {plan.worker}: {error!r:.500}",
            f"{advice.option('where', 'process')} runs it in a child of this process",
            key=failure.key,
        )
    if not has_ended(link, plan.worker, pid):
        raise SchedulerGone(
            f"the connection to {plan.worker} was lost while {failure.key!r} ran there",
            "the worker is still there, and may still be running it",
            key=failure.key,
        )
    if closed_on_purpose(link, plan.worker):
        raise SchedulerGone(
            f"worker {plan.worker} was closed on purpose while {failure.key!r} ran "
            "there",
            "try again: another worker may be available",
            key=failure.key,
        )
    detail = how_it_ended(link, pid) or f"its process {pid} has ended"
    return Replay(
        outcome="died",
        failure=failure,
        plan=plan,
        runs=(Run("died", detail=detail),),
        notes=(
            *failure.notes,
            f"worker {plan.worker} is gone, with its memory",
            *no_steps(plan, "died"),
        ),
    )
