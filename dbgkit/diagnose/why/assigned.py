"""Causes of what a worker has: it waits there, or runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dbgkit import advice as advised
from dbgkit.diagnose.sentences import MOST_NAMED, Words, counted, several, show
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.look import Assigned, Busy, Look, held
from dbgkit.diagnose.why.threads import run_of, running_for, stack_lines, threads
from dbgkit.remote.common.texts import type_and_message
from dbgkit.remote.common.why_words import amounts, placed

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import Barrier, QueuedEnd

_ADD_WORKERS = "wait, or add workers: cluster.scale(n)"


def workers_of(parts: list[Assigned]) -> str:
    """The workers that have some tasks."""
    return several(sorted({part.end["worker"] for part in parts}))


def find_at(stage: str) -> Callable[[Look], Iterator[Cause[Assigned]]]:
    """Finds tasks that are at one stage on their workers."""

    def find(look: Look) -> Iterator[Cause[Assigned]]:
        return (Cause(each, each.end) for each in look.assigned if each.stage == stage)

    return find


def find_retrying(look: Look) -> Iterator[Cause[Assigned]]:
    return (each for each in find_at("executing")(look) if each.first.retried)


def retrying(cause: Cause[Assigned]) -> Words:
    evidence: list[str] = []
    for task in cause.parts[:MOST_NAMED]:
        evidence += [*_attempts(task), run_of(task)]
    failed = [task.end["key"] for task in cause.parts if task.end["tried"] > 0]
    story = advised.call("story", failed[0] if failed else cause.key)
    if failed:
        advice = f"{story} shows the attempts that failed"
        before = "after a failed attempt"
    else:
        deaths = advised.call("deaths")
        advice = f"{deaths} shows how workers died, {story} what it did"
        before = "as a worker died while assigned to it"
    runs = cause.they("runs", "run")
    return (
        f"{runs} again on {workers_of(cause.parts)}, {before}",
        [*evidence, *stack_lines(cause.first.row["stack"])],
        [advice],
    )


def _attempts(task: Assigned) -> list[str]:
    """Earlier attempts of a task, and workers that died."""
    evidence = []
    tried, left = task.end["tried"], task.end["retries_left"]
    if tried > 0:
        are = "is" if left == 1 else "are"
        evidence.append(f"{counted(int(tried), 'attempt')} failed, {left} {are} left")
    died, ran = task.died
    if died > 0:
        how = "while running it" if ran >= died else "while assigned to it"
        evidence.append(f"{counted(died, 'worker')} died {how}")
    return evidence


# -- threads -----------------------------------------------------------------------


def all_held(places: list[Busy]) -> bool:
    return all(held(probe) for _, probe in places)


def find_threads_held(look: Look) -> Iterator[Cause[list[Busy]]]:
    for task in look.assigned:
        if task.stage == "held":
            wanted = _resources(task)
            yield Cause([(task.end, task.probe)], task.end, like=wanted)
    for end in look.ends:
        if end["code"] == "queued" and all_held(places := look.places(end)):
            yield Cause(places, end)


def threads_held(cause: Cause[list[Busy]]) -> Words:
    places = [place for part in cause.parts for place in part]
    workers = sorted({place["worker"] for place, _ in places})
    evidence, advice = threads(places)
    what = cause.like or "a thread"
    return (
        f"{cause.they('waits', 'wait')} for {what} of {several(workers)}, which "
        f"{'runs' if len(workers) == 1 else 'run'} only tasks that are no longer "
        "needed",
        evidence,
        advice,
    )


def _resources(task: Assigned) -> str | None:
    """What a task waits for in place of a thread, as others use it."""
    constrained = task.row["state"] == "constrained"
    return amounts(task.end["resources"]) if constrained else None


def _bound(task: Assigned) -> bool:
    """Whether it may run on some workers or hosts only."""
    return bool(task.end["only_workers"] or task.end["only_hosts"])


def told_apart(cause: Cause[Assigned]) -> Cause[Assigned]:
    """Tells tasks apart by what they wait for, and by what would help."""
    task = cause.first
    amount = amounts(task.end["resources"])
    cause.like = _resources(task), amount, _bound(task)
    return cause


def saturated(cause: Cause[Assigned]) -> Words:
    evidence, advice = threads((task.end, task.probe) for task in cause.parts)
    end, wanted = cause.first.end, _resources(cause.first)
    waits, workers = cause.they("waits", "wait"), workers_of(cause.parts)
    summary = f"{waits} for a thread of {workers}"
    more = _ADD_WORKERS
    if wanted is not None:
        summary = f"{waits} for {wanted} of {workers}, in use by other tasks"
    if end["resources"]:
        more = f"wait, or start workers that have {amounts(end['resources'])}"
    if _bound(cause.first):
        if cause.count == 1:
            evidence.append(f"it may run only on {several(placed(end))}")
        more = "wait, or submit without workers=, so that others may run it"
    return summary, evidence, [more, *advice]


def queued(cause: Cause[tuple[QueuedEnd, list[Busy]]]) -> Words:
    end, _ = cause.first
    evidence, advice = threads(at for _, places in cause.parts for at in places)
    return (
        f"{cause.tasks}: queued until a thread is free",
        [
            f"{counted(end['queued'], 'task')} "
            f"{'is' if end['queued'] == 1 else 'are'} queued",
            f"{counted(end['workers'], 'worker')} with "
            f"{counted(end['threads'], 'thread')} "
            f"{'has' if end['workers'] == 1 else 'have'} "
            f"{counted(end['processing'], 'task')} to run",
            *evidence,
        ],
        [_ADD_WORKERS, *advice],
    )


# -- inputs ------------------------------------------------------------------------


def transfer(cause: Cause[Assigned]) -> Words:
    task = cause.first
    evidence, senders = [], []
    for entry in task.row["inputs"]:
        took = running_for(entry["since"], task.probe)
        evidence.append(
            f"{show(entry['key'])} from {entry['from']}: {entry['state']}{took}"
        )
        if entry["from"]:
            senders.append(entry["from"])
    if not evidence:
        for missing in task.end["missing"]:
            holders = missing["holders"]
            evidence.append(f"{show(missing['key'])} is on {several(holders)}")
            senders += holders[:1]
    if "sender" in task.hindered:
        evidence.append(f"{several(dict.fromkeys(senders))} does not answer")
    if "limit" in task.hindered:
        evidence.append("as many transfers as the worker allows are under way")
    stuck, advice = "are on their way", ["wait"]
    if task.stage == "stuck":
        stuck = "have not arrived"
        advice = []
        if set(task.hindered) <= {"slow", "limit"}:  # whoever sends them is there
            advice.append("wait if they are large: they may be on their way still")
        advice += [
            "check the worker that should send them: is it running, can it be reached?",
            "client.restart_workers([address]) makes the inputs be computed elsewhere",
        ]
    return (
        f"inputs of {cause.tasks} {stuck} at {workers_of(cause.parts)}",
        evidence,
        advice,
    )


def transfer_failed(cause: Cause[Assigned]) -> Words:
    task = cause.first
    worker = task.end["worker"]
    entry = next(each for each in task.row["inputs"] if each["error"])
    missing = [m for m in task.end["missing"] if m["key"] == entry["key"]]
    senders = [holder for m in missing for holder in m["holders"]]
    sender = entry["from"] or (senders[0] if senders else None)
    kind, message = type_and_message(entry["error"])
    lines = message.strip().splitlines() or [""]
    # Dask repeats the traceback of the sender's own error in the message.
    pickled = not lines[0].startswith("Could not serialize")
    error = f"{kind}: {lines[0]}" if pickled or len(lines) == 1 else lines[-1]
    value = next((f", a {m['type']}," for m in missing if m.get("type")), "")
    at = f" on {sender}" if sender else ""
    how = f"unpickled on {worker}" if pickled else f"pickled{at}"
    advice = [
        "return something that can be pickled, or let one task make and use it",
        f"submit both with workers=[{sender or worker!r}], so that it need not be sent",
    ]
    if pickled:
        advice[0] = (
            "see that workers have the same packages, and modules of your own: "
            f"{advised.call('doctor')} compares them"
        )
    advice.append("then cancel and submit again: Dask does not try this transfer again")
    return (
        f"{cause.they('waits', 'wait')} for {show(entry['key'])}, which cannot be "
        f"transferred: {error}",
        [f"{show(entry['key'])}{value} cannot be {how}"],
        advice,
    )


def find_barrier(look: Look) -> Iterator[Cause[Barrier]]:
    found = look.answer["barrier"]
    if found and not look.whole and found["state"] in ("waiting", "processing"):
        cause = Cause(found, key=found["key"])
        cause.chain = tuple(found["chain"])
        cause.length = len(cause.chain)
        yield cause


def barrier(cause: Cause[Barrier]) -> Words:
    return (
        f"the shuffle's barrier {show(cause.key)} is blocked until all its inputs "
        "have finished",
        [
            f"{cause.first['missing']} of {cause.first['inputs']} inputs are missing",
            f"{cause.first['outputs']} tasks come after it",
        ],
        ["see what the missing inputs wait for, below"],
    )
