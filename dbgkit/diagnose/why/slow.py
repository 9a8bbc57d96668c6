"""Tasks that run: as long as their like, or so long that they hold up the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dbgkit import advice as advised
from dbgkit.diagnose.sentences import MOST_NAMED, Words, counted, several, show
from dbgkit.diagnose.why.assigned import (
    all_held,
    find_at,
    told_apart,
    workers_of,
)
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.locks import waits_for
from dbgkit.diagnose.why.look import Assigned, Busy, Look, lasted
from dbgkit.diagnose.why.threads import doing, restart, run_of, stack_lines, threads

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import QueuedEnd

SLOW = 10.0  # times what others of its name took on average
BRIEF = 10.0  # seconds within which no task is slow
LONG = 60.0  # seconds for which a task may hold up others before that is told first


class Slow(NamedTuple):
    """A slow task; or who waits for a thread of workers that run only such tasks."""

    task: Assigned | None
    places: Sequence[Busy] = ()


def seconds_of(task: Assigned) -> float | None:
    """For how long a task has run, as far as it is known."""
    took = lasted(task.row["since"], task.probe)
    return task.end["duration"] if took is None else took


def is_slow(took: float | None, average: float | None) -> bool:
    """Whether a task takes far longer than others of its name did."""
    if took is None or average is None:
        return False
    return took > max(BRIEF, SLOW * average)


def _waiting_there(task: Assigned) -> dict[Any, int]:
    """How many tasks wait for the thread that this one holds, if all are taken."""
    end, probe = task.end, task.probe
    busy = len(probe["executing"]) if probe else len(end["executing"])
    if busy < end["nthreads"] or task.row["state"] == "long-running":
        return {}
    ready = end["processing"] - busy
    if probe is not None:
        ready = probe["ready"] + probe["constrained"]
    found = {end["worker"]: ready, "queued": end["queued"]}
    return {what: count for what, count in found.items() if count > 0}


def _executing(look: Look) -> Iterator[Cause[Assigned]]:
    """Tasks that run, and neither wait for a lock nor run again.

    Of the whole cluster, what waits for each is counted: what it needs it for, its
    thread, and its result within another task.
    """
    found = []
    awaited: dict[Any, dict[Any, int]] = {}
    for cause in find_at("executing")(look):
        task = cause.first
        waits = task.row["waits"]
        if task.retried or waits_for(task):
            continue
        found.append(cause)
        if look.whole:
            cause.besides = _waiting_there(task)
            cause.indirect = waits is not None
            for key in waits["keys"] if waits else ():
                awaited.setdefault(key, {})[cause.key, "result"] = 1 + cause.behind
    for cause in found:
        cause.besides.update(awaited.get(cause.key, {}))
    return iter(found)


def _is_slow(task: Assigned) -> bool:
    """What waits for another task is as slow as that one."""
    return task.row["waits"] is None and is_slow(seconds_of(task), task.end["average"])


def _all_slow(places: Sequence[Busy]) -> bool:
    """Whether workers' threads all run slow tasks."""
    return all(map(_runs_slow, places))


def _runs_slow(at: Busy) -> bool:
    place, probe = at
    since = {e["key"]: e["since"] for e in probe["executing"]} if probe else {}
    slow = 0
    for each in place["executing"]:
        took = lasted(since.get(each["key"]), probe)
        took = each["duration"] if took is None else took
        slow += is_slow(took, each["average"])
    return slow >= place["nthreads"]


def find_slow(look: Look) -> Iterator[Cause[Slow]]:
    for cause in _executing(look):
        task = cause.first
        if _is_slow(task):
            prefix = task.end["prefix"]
            slow = Cause(Slow(task), task.end, besides=cause.besides, like=prefix)
            slow.urgent = not look.whole or (seconds_of(task) or 0.0) > LONG
            yield slow
    if look.whole:  # what holds the threads is itself named
        return
    for task in look.assigned:
        if task.stage == "ready" and _runs_slow((task.end, task.probe)):
            yield Cause(Slow(None, [(task.end, task.probe)]), task.end)
    for end, places in _queued(look):
        if _all_slow(places):
            yield Cause(Slow(None, places), end)


def slow_task(cause: Cause[Slow]) -> Words:
    tasks = [part.task for part in cause.parts if part.task is not None]
    if not tasks:
        places = [place for part in cause.parts for place in part.places]
        workers = sorted({place["worker"] for place, _ in places})
        evidence, advice = threads(places)
        return (
            f"{cause.they('waits', 'wait')} for a thread of {several(workers)}; all "
            "run tasks that take far longer than others of their name",
            evidence,
            advice,
        )
    first = tasks[0]
    evidence = [*map(run_of, tasks[:MOST_NAMED]), *holds(tasks)]
    return (
        f"{cause.they('runs', 'run')} on {workers_of(tasks)}, for far longer than "
        f"others named {first.end['prefix']!r}{cause.holds_up}",
        [*evidence, *doing(first)],
        [
            _check(first),
            f"if it is not, {restart({task.end['worker'] for task in tasks})}",
        ],
    )


def _check(task: Assigned) -> str:
    """What to do about a task that runs for long."""
    peek = advised.call("peek", task.end["key"], times=20)
    return f"is it where you expect it to be? {peek} says where it spends its time"


def holds(tasks: Sequence[Assigned]) -> list[str]:
    """Evidence of threads that tasks hold, and that others wait for."""
    evidence: list[str] = []
    told = set()
    for task in tasks:
        end, worker = task.end, task.end["worker"]
        waiting = sum(_waiting_there(task).values())
        if not waiting or worker in told:
            continue
        told.add(worker)
        own = sum(each.end["worker"] == worker for each in tasks)
        of = f"{own} of {end['nthreads']} threads"
        if own == end["nthreads"]:
            of = "the only thread" if own == 1 else f"all {own} threads"
        they = "it holds" if len(tasks) == 1 else "they hold"
        if len(evidence) < MOST_NAMED:
            waits = "waits" if waiting == 1 else "wait"
            evidence.append(
                f"{they} {of} of {worker}; {counted(waiting, 'task')} {waits} for a "
                "thread"
            )
    return evidence


def find_running(look: Look) -> Iterator[Cause[Assigned]]:
    for cause in _executing(look):
        task = cause.first
        if _is_slow(task):
            continue
        if not cause.indirect:
            long = (seconds_of(task) or 0.0) > LONG
            cause.urgent = long and cause.blocked > cause.count
        cause.like = cause.indirect, cause.urgent
        yield cause
    yield from find_at("done")(look)  # the scheduler is about to hear of it


def running(cause: Cause[Assigned]) -> Words:
    evidence = list(map(run_of, cause.parts[:MOST_NAMED]))
    row = cause.first.row
    waits = row["waits"]
    advice = ["wait, or check the call stack: is it where you expect it to be?"]
    if cause.urgent:
        advice = [_check(cause.first)]
        if any(map(_waiting_there, cause.parts)):
            advice.append("more threads let the others go on: cluster.scale(n)")
    if waits and waits["keys"]:
        names = several(map(show, waits["keys"]))
        results = "results of other tasks:" if waits["keys"][1:] else "result of"
        evidence.append(f"it waits for the {results} {names}")
        advice = [f"see why that is not there: {advised.call('why', waits['keys'][0])}"]
    elif waits:
        evidence.append("it waits for the result of another task")
    if row["state"] == "executing" and row["stack"] is None and cause.first.live:
        evidence.append(
            "no thread of the worker runs it: either it runs in a pool of processes, "
            "or it has ended and the worker missed that"
        )
    now = doing(cause.first) if cause.urgent else stack_lines(row["stack"])
    return (
        f"{cause.they('runs', 'run')} on {workers_of(cause.parts)}"
        f"{cause.holds_up if cause.urgent else ''}",
        [*evidence, *holds(cause.parts), *now],
        advice,
    )


# -- what waits for a thread -----------------------------------------------------------


def find_saturated(look: Look) -> Iterator[Cause[Assigned]]:
    for cause in find_at("ready")(look):
        task = cause.first
        if look.whole or not _runs_slow((task.end, task.probe)):
            yield told_apart(cause)


def _queued(look: Look) -> Iterator[tuple[QueuedEnd, list[Busy]]]:
    """What is queued, though some thread runs what is still needed."""
    for end in look.ends:
        if end["code"] == "queued" and not all_held(places := look.places(end)):
            yield end, places


def find_queued(look: Look) -> Iterator[Cause[tuple[QueuedEnd, list[Busy]]]]:
    for end, places in _queued(look):
        if look.whole or not _all_slow(places):
            yield Cause((end, places), end)
