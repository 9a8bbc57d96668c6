"""Tasks and others that wait for a lock, an event, a queue or the like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from dbgkit.diagnose.sentences import MOST_NAMED, Words
from dbgkit.diagnose.why.board import Running
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.deadlocks import holders
from dbgkit.diagnose.why.look import Assigned, Look
from dbgkit.diagnose.why.threads import run_of, stack_lines
from dbgkit.remote.common.why_words import waiter_of

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import Waiter
    from dbgkit.remote.common.wire_why_workers import Waits

# What anybody may set or fill: that somebody waits for it says nothing by itself.
_OPEN = {
    "event": "find out which task or client should set it, and whether that still runs",
    "variable": "find out which task or client should set it, and whether that still "
    "runs",
    "queue": "find out which task or client should put something in, or take it out, "
    "and whether that still runs",
}
_NOBODY = (
    "none of the tasks that were looked at: a client, or somebody who has gone and is "
    "still counted"
)


def waits_for(task: Assigned) -> Waits | None:
    """The lock, event, queue, … that a task waits for."""
    waits = task.row["waits"]
    return waits if waits and waits["kind"] != "future" else None


class Waiting(NamedTuple):
    """Who waits for a lock or the like: a task, or whoever the scheduler counts."""

    kind: str
    name: str | None
    task: Assigned | None
    waiter: Waiter | None
    held_by: tuple[list[str], list[str]]  # lines, and advice
    limited: bool  # the wait has a timeout


def find_lock_wait(look: Look) -> Iterator[Cause[Waiting]]:
    waiters = look.answer["waiters"] or ()
    for task in look.assigned:
        waits = waits_for(task)
        if task.stage == "executing" and waits is not None:
            same = [each for each in waiters if each["name"] == waits["name"]]
            waiter = same[0] if same else None
            held_by = holders(look.board, waits["kind"], waits["name"])
            waiting = Waiting(
                waits["kind"], waits["name"], task, waiter, held_by, waits["limited"]
            )
            cause = Cause(waiting, task.end, like=waiting[:2])
            if look.whole:
                cause.besides = {
                    run.run: 1 for run in _runs(look, waits["name"], waits["kind"])
                }
                cause.besides.pop((task.end["worker"], task.end["key"]), None)
            yield cause
    for waiter in _others(look):
        kind, name = waiter["kind"], waiter["name"]
        runs = _runs(look, name, kind)
        if runs or kind not in _OPEN:
            waiting = Waiting(
                kind, name, None, waiter, holders(look.board, kind, name), False
            )
            cause = Cause(waiting, count=waiter["waiting"], like=waiting[:2])
            cause.besides = {run.run: 1 for run in runs}
            yield cause


def _runs(look: Look, name: str | None, kind: str) -> list[Running]:
    """All tasks that are known to wait for something."""
    return [
        run
        for run in look.board.running.values()
        if run.waits is not None
        and (run.waits["name"], run.waits["kind"]) == (name, kind)
    ]


def _others(look: Look) -> list[Waiter]:
    """Of the whole cluster, what is waited for by none of the tasks that are ends."""
    named = {step.lock for circle in look.circles.values() for step in circle}
    for task in look.assigned:
        waits = waits_for(task)
        if task.stage == "executing" and waits is not None:
            named.add(waits["name"])
    waiters = look.answer["waiters"] or ()
    return [each for each in waiters if look.whole and each["name"] not in named]


def open_waits(look: Look) -> list[str]:
    """Evidence of who waits for what any client may set or fill, besides tasks."""
    return [
        f"{waiter_of(waiter)}: {_NOBODY}"
        for waiter in _others(look)
        if waiter["kind"] in _OPEN and not _runs(look, waiter["name"], waiter["kind"])
    ]


def lock_wait(cause: Cause[Waiting]) -> Words:
    kind, name, task, waiter, (held_by, advice), _ = cause.first
    limited = all(part.limited for part in cause.parts)
    who = f"{cause.count} wait" if task is None else cause.they("waits", "wait")
    tasks = [part.task for part in cause.parts[:MOST_NAMED] if part.task]
    evidence = list(map(run_of, tasks))
    if waiter:
        evidence.append(waiter_of(waiter))
        if not cause.blocked:
            evidence.append(f"who waits is {_NOBODY}")
    evidence += held_by
    if limited:
        evidence.append("the wait has a timeout")
    if task:
        evidence += stack_lines(task.row["stack"])
    if not held_by:
        advice = [
            _OPEN.get(kind, "find out what holds it, and whether that still runs")
        ]
    if not limited:
        advice = [*advice, "pass a timeout where you wait"]
    return (
        f"{who} for {kind} {name!r}" if name else f"{who} for {kind}",
        evidence,
        advice,
    )
