"""Causes of what is not there any more: cancelled, forgotten, or without an input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from dbgkit import advice as advised
from dbgkit.diagnose.sentences import Words, cut, moment, several, show
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.here import FutureHere
from dbgkit.diagnose.why.look import Look, StillRun
from dbgkit.diagnose.why.threads import restart, running_for, stack_lines
from dbgkit.remote.secrets.redact import redact_text

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import Forgotten, LostEnd

MOST_TEXT = 200  # characters of a reason

_UNWANTED = {
    "left": "its client disconnected",
    "released": "its client released it",
    "cancelled": "it was cancelled",
    "restarted": "the client restarted the cluster",
}


class Unknown(NamedTuple):
    """A task that the scheduler does not know, and the status of a future here."""

    task: Forgotten
    places: list[StillRun]
    future: FutureHere | None
    started: float | None  # when the scheduler was


def _unknown(look: Look, *, cancelled: bool) -> Iterator[Cause[Unknown]]:
    """Tasks that the scheduler does not know; of some the future here is cancelled."""
    for entry, count in look.unknown(lost=False):
        key = entry["key"]
        future = look.futures.get(key)
        if (future is not None and future.status == "cancelled") == cancelled:
            started = look.answer["started"]
            unknown = Unknown(entry, look.still_run(key), future, started)
            like: tuple[Any, ...] = bool(entry["unwanted"]), bool(unknown.places)
            if cancelled and future is not None:
                like = future.reason, bool(unknown.places)
            yield Cause(unknown, key=key, count=count, like=like)


def find_cancelled(look: Look) -> Iterator[Cause[Unknown]]:
    return _unknown(look, cancelled=True)


# What Dask's futures say (distributed/client.py and scheduler.py), and what it means.
_REASONS = {
    "scheduler-connection-lost": (
        "this client lost the connection to the scheduler",
        "a scheduler forgets what only a client wants that it cannot reach, and one "
        "that is started anew knows nothing of before",
    ),
    "scheduler-restart": (
        "the cluster was restarted",
        "client.restart() forgets all tasks",
    ),
    "lost dependencies": (
        "data that it needs is lost",
        "no worker holds it any more, and no task computes it",
    ),
    "already forgotten": (
        "the scheduler had forgotten it",
        "nothing needed it any more",
    ),
    "unknown": (
        "its future was cancelled",
        "a client cancelled it, and gave no reason",
    ),
}


def cancelled(cause: Cause[Unknown]) -> Words:
    task, _, future, started = cause.first
    assert future is not None  # it is cancelled
    reason = cut(redact_text(future.reason), MOST_TEXT)
    why, meaning = _REASONS.get(future.reason, (f"as {reason!r}", ""))
    evidence = [f"the future here is cancelled, with the reason {reason!r}"]
    if meaning:
        evidence.append(meaning)
    if future.reason == "scheduler-connection-lost" and started:
        evidence.append(
            f"the scheduler that is there now was started at {moment(started)}"
        )
    if task["when"]:
        evidence.append(
            f"it was {task['was']}, and forgotten at {moment(task['when'])}"
        )
    summary = f"{cause.they('was', 'were')} cancelled: {why}"
    advice = ["submit it again: a cancelled future never gets a result"]
    if future.reason == "lost dependencies":
        advice = ["scatter or compute the data again, and submit it again"]
    still, more, restarting = _runs_still(cause)
    return summary + still, [*evidence, *more], [*advice, *restarting]


def find_unknown_key(look: Look) -> Iterator[Cause[Unknown]]:
    return _unknown(look, cancelled=False)


def unknown_key(cause: Cause[Unknown]) -> Words:
    task, _, future, started = cause.first
    evidence = [f"the future here is {future.status}"] if future else []
    if future and future.status == "error":
        evidence[0] += f": {cut(redact_text(future.reason), MOST_TEXT)}"
    if task["when"]:
        evidence.append(
            f"it was {task['was']}, and forgotten at {moment(task['when'])}"
        )
    else:
        evidence.append(
            "the scheduler's transition log has no entry for it, or no longer has one"
        )
        if started:
            evidence.append(
                f"the scheduler was started at {moment(started)}: it does not know "
                "tasks of an earlier one"
            )
    summary = f"the scheduler does not know {cause.tasks}"
    advice = [
        f"find the right key with {advised.call('tasks', keys='*part of the name*')}",
        "keep a reference to the future of any task that should stay known",
    ]
    if task["unwanted"]:
        them = "it" if cause.count == 1 else "them"
        summary = (
            f"the scheduler has forgotten {cause.tasks}: no client needs {them} any "
            "longer"
        )
        evidence.append(
            f"{_UNWANTED[task['unwanted']]}: the scheduler forgets tasks that "
            "nothing needs"
        )
        advice = [
            "submit it again, and keep its future for as long as you need the result",
        ]
    still, more, restarting = _runs_still(cause)
    return summary + still, [*evidence, *more], [*advice, *restarting]


def _runs_still(cause: Cause[Unknown]) -> tuple[str, list[str], list[str]]:
    """Of forgotten tasks that workers still run: summary's end, evidence, advice."""
    places = [place for part in cause.parts for place in part.places]
    workers = sorted({place.worker for place in places})
    if not workers:
        return "", [], []
    runs = "runs it" if cause.count == 1 else "run them"
    evidence = [line for part in cause.parts for line in _still_run(part)]
    evidence.append("a thread cannot be stopped: it runs until the task ends")
    return f"; {several(workers)} still {runs}", evidence, [restart(workers)]


def _still_run(part: Unknown) -> list[str]:
    """How long workers have run a forgotten task, and its line."""
    evidence = []
    for place in part.places:
        since = running_for(place.row["since"], place.probe)
        evidence += [
            f"{place.worker} has been running {show(part.task['key'])}{since}",
            *stack_lines(place.row["stack"]),
        ]
    return evidence


def find_lost(look: Look) -> Iterator[Cause[LostEnd | Forgotten]]:
    for end in look.ends:
        if end["code"] == "lost-dependencies":
            yield Cause["LostEnd | Forgotten"](end, end)
    for entry, count in look.unknown(lost=True):
        yield Cause["LostEnd | Forgotten"](entry, key=entry["key"], count=count)


def lost(cause: Cause[LostEnd | Forgotten]) -> Words:
    first = cause.first
    lost = first["dependency"]
    was = cause.they("was", "were")
    summary = f"{was} dropped by the scheduler: an input is lost"
    evidence = []
    if lost is not None:
        summary += f": {show(lost)}"
        evidence.append(
            "no worker holds it, and the scheduler has no task that computes it"
        )
    if cause.first["when"]:
        evidence.append(f"forgotten at {moment(cause.first['when'])}")
    return (
        summary,
        evidence,
        [
            "scatter the input again and submit the task again",
            "client.scatter(…, broadcast=True) keeps it on all workers; data "
            "loaded in a task can be computed again",
        ],
    )
