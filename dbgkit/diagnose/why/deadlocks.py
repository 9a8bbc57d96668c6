"""Deadlocks: tasks that are stuck for good, as they wait for each other."""

from __future__ import annotations

from collections.abc import Iterator

from dbgkit import advice as advised
from dbgkit.diagnose.sentences import MOST_NAMED, Words, seconds, several, show
from dbgkit.diagnose.why.board import LOCKS, Board, Holder
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.circles import MOST_JOINED, Circle, Step
from dbgkit.diagnose.why.look import Look
from dbgkit.diagnose.why.threads import stack_lines

MOST_STEPS = 8  # of a circle that are shown
_NEVER = "distributed.scheduler.locks.lease-timeout"
_WITH = "take a lock in a with statement: it is released however the task ends"


def find_deadlocks(look: Look) -> Iterator[Cause[Circle]]:
    many = len(look.board.stuck) > MOST_JOINED
    for end in look.answer["ends"]:
        circle = look.circles.get(end["key"])
        if circle:
            # Of very many, those that need threads are not told apart.
            alike = "threads" if many and circle[0].thread else None
            runs = tuple(step.task.run for step in circle)
            yield Cause(circle, end, like=alike or runs)


def deadlock(cause: Cause[Circle]) -> Words:
    circle = cause.first
    evidence = [line for step in circle[:MOST_STEPS] for line in _step(step)]
    if len(circle) > MOST_STEPS:
        evidence.append(f"and {len(circle) - MOST_STEPS} more tasks")
    own = {step.task.key for step in circle}
    own |= {key for step in circle for key in (step.key, step.behind)}
    blocked = [key for key in cause.keys if key not in own]
    if blocked:
        evidence.append(f"also blocked by this: {several(map(show, blocked))}")
    return _summary(circle), evidence, _advice(circle)


def _summary(circle: Circle) -> str:
    first = circle[0]
    name = show(first.task.key)
    if first.next is None:
        return f"{name} waits for {_lock(first)}, which is never released"
    if len(circle) > 1:
        names = several(show(step.task.key) for step in circle)
        if all(step.thread for step in circle):
            return (
                f"{len(circle)} tasks wait for tasks that need their threads: {names}"
            )
        return f"{len(circle)} tasks wait for each other: {names}"
    if first.lock is not None:
        return f"{name} waits for {_lock(first)}, which it holds itself"
    return f"{name} waits for {_awaited(first)}, which needs its thread"


def _awaited(step: Step) -> str:
    """The task that is waited for, and the one that this waits for in turn."""
    if step.behind is None:
        return show(step.key)
    return f"{show(step.key)}, which waits for {show(step.behind)}"


def _step(step: Step) -> list[str]:
    """A task, what it waits for, who is in the way; and its line."""
    text = f"{show(step.task.key)} on {step.task.worker} waits for "
    if step.holder is not None:
        text += f"{_lock(step)}, {held_by(step.holder)}"
    elif not step.thread:
        text += f"{_awaited(step)}, which is running"
    elif len(step.thread) == 1 and step.next is not None:
        text += (
            f"{_awaited(step)}, which needs a thread of {step.thread[0]}: "
            f"{show(step.next.key)} holds it"
        )
    else:
        text += f"{_awaited(step)}, which needs a thread of {several(step.thread)}"
    return [text, *stack_lines(step.task.stack)[-1:]]


def _lock(step: Step) -> str:
    return f"{step.kind} {step.lock!r}"


def held_by(holder: Holder) -> str:
    """Who holds a lease of a lock, as the rest of a sentence about the lock."""
    frees = ""
    if holder.frees is not None:
        frees = f"the scheduler takes it back in at most {seconds(holder.frees)}"
    if holder.worker is not None:
        names = several(map(show, holder.tasks))
        text = f"held by one of the tasks on {holder.worker}: {names}"
        if len(holder.tasks) == 1 and holder.all:
            text = f"held by {names} on {holder.worker}"
        if not holder.tasks:
            text = f"taken on {holder.worker} by a task that ended without releasing it"
        if not holder.tasks and holder.kept:
            text += ", which something else may do still"
        return f"{text}; {frees}" if frees else text
    if holder.here:
        return "held by this process"
    if not holder.asked:
        return "held by somebody: not all workers were asked, or answered"
    if holder.refreshed:
        return (
            "held outside the workers: by a client, another process, or somebody who "
            "has just gone"
        )
    if frees:
        return f"held by somebody who has gone: {frees}"
    return (
        "held by no worker; if no client holds it, who did has gone, and the "
        f"scheduler never takes it back ({_NEVER} is inf)"
    )


def holders(board: Board, kind: str, name: str | None) -> tuple[list[str], list[str]]:
    """Lines about those who hold a lock, if that is known, and advice."""
    found = board.holders(name) if name is not None and kind in LOCKS else []
    lines = list(dict.fromkeys(f"it is {held_by(holder)}" for holder in found))
    if len(lines) > MOST_NAMED:
        lines[MOST_NAMED:] = [f"and by {len(lines) - MOST_NAMED} more"]
    advice = []
    if any(each.worker is not None and not each.tasks for each in found):
        advice.append(_WITH)
    runs = [key for each in found if len(each.tasks) == 1 for key in each.tasks]
    if runs:
        advice.append(f"see what its holder does: {advised.call('why', runs[0])}")
    if any(not each.refreshed and each.frees is None for each in found):
        advice.append(f"Semaphore(name={name!r}).close() lets go of what is left of it")
    return lines, advice


def _advice(circle: Circle) -> list[str]:
    workers = sorted({step.task.worker for step in circle})
    ended = [step.holder.worker for step in circle if not step.next and step.holder]
    if ended:
        return [
            _WITH,
            f"client.restart_workers({ended}) ends the process that keeps it; the "
            f"scheduler then takes it back, unless {_NEVER} is inf",
        ]
    advice = []
    if any(step.lock is None for step in circle):
        advice.append(
            "submit and wait within worker_client() in place of get_client(), or call "
            "secede() before waiting: the thread is free for others meanwhile"
        )
    if any(step.thread and not step.bound for step in circle):
        advice.append("more threads let these tasks go on now: cluster.scale(n)")
    if any(step.lock is not None for step in circle):
        advice += [
            "take locks in the same order in every task, or all at once with "
            "MultiLock, and release them before waiting for other tasks",
            f"client.restart_workers({workers}) ends these tasks; they run again",
        ]
    return advice
