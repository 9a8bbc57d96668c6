"""Wording for what blocks a task that was assigned to a worker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dbgkit.diagnose.sentences import MOST_NAMED, Words, counted, seconds, several, show
from dbgkit.diagnose.why.phrases import by_worker, tasks_of, they, workers_of
from dbgkit.diagnose.why.reasons import Cause, Facts, died_with
from dbgkit.model import advice as advised
from dbgkit.remote.common.frames import is_own
from dbgkit.source.shown import Shown

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import Waiter


def running(cause: Cause) -> Words:
    evidence = [_run(facts) for facts in cause.parts[:MOST_NAMED]]
    first = cause.facts
    row = first.get("row") or {}
    waits = row.get("waits")
    if waits:
        name = f" {waits['name']}" if waits["name"] else ""
        evidence.append(f"it waits for the result of another task{name}")
    if row.get("state") == "executing" and row["stack"] is None and first["live"]:
        evidence.append(
            "no thread of the worker runs it: either it is an async function, or it "
            "has ended and the worker missed that"
        )
    evidence += _stack(row)
    return (
        f"{they(cause, 'runs', 'run')} on {several(workers_of(cause))}",
        evidence,
        ["wait, or check the call stack: is it where you expect it to be?"],
    )


def _run(facts: Facts) -> str:
    row, probe = facts.get("row") or {}, facts.get("probe") or {}
    took = facts["duration"]
    if row.get("since") and probe:
        took = max(0.0, probe["now"] - row["since"])
    text = f"{show(facts['key'])} has just started"
    if took is not None:
        text = f"{show(facts['key'])} has been running for {seconds(took)}"
    average = facts["average"]
    if average is None:
        return f"{text}; no task named {facts['prefix']!r} has finished yet"
    took_others = f"others named {facts['prefix']!r} took {seconds(average)}"
    return f"{text}; {took_others} on average"


def _stack(row: Facts) -> list[str]:
    """The user's own lines of the call stack, else the innermost."""
    lines = list(row.get("stack") or ())
    own = [line for line in lines if is_own(line.partition(":")[0])]
    shown = Shown()
    return [f"at {shown.line(line)}" for line in (own or lines)[-3:]]


def retrying(cause: Cause) -> Words:
    failed = [facts for facts in cause.parts if facts["tried"] > 0]
    evidence: list[str] = []
    for facts in cause.parts[:MOST_NAMED]:
        evidence += _attempts(facts)
        evidence.append(_run(facts))
    evidence += _stack(cause.facts.get("row") or {})
    story = advised.call("story", failed[0]["key"] if failed else cause.key)
    advice = f"{advised.call('deaths')} shows how workers died, {story} what it did"
    before = "as a worker died while assigned to it"
    if failed:
        advice = f"{story} shows the attempts that failed"
        before = "after a failed attempt"
    runs = f"{they(cause, 'runs', 'run')} again on {several(workers_of(cause))}"
    return f"{runs}, {before}", evidence, [advice]


def _attempts(facts: Facts) -> list[str]:
    """Earlier attempts of a task, and workers that died."""
    evidence = []
    if facts["tried"] > 0:
        left = facts["retries_left"]
        evidence.append(
            f"{counted(facts['tried'], 'attempt')} failed, {left} "
            f"{'is' if left == 1 else 'are'} left"
        )
    died, ran = died_with(facts)
    if died > 0:
        how = "while running it" if ran >= died else "while assigned to it"
        evidence.append(f"{counted(died, 'worker')} died {how}")
    return evidence


def saturated(cause: Cause) -> Words:
    evidence, advice = threads(cause)
    return (
        f"{they(cause, 'waits', 'wait')} for a thread of {several(workers_of(cause))}",
        evidence,
        ["wait, or add workers: cluster.scale(n)", *advice],
    )


def held(cause: Cause) -> Words:
    places = workers_of(cause)
    evidence, advice = threads(cause)
    return (
        f"{they(cause, 'waits', 'wait')} for a thread of {several(places)}, which "
        f"{'runs' if len(places) == 1 else 'run'} only tasks that are no longer needed",
        evidence,
        advice,
    )


def threads(cause: Cause) -> tuple[list[str], list[str]]:
    """What workers' threads run and since when, and what to do about it."""
    evidence = []
    longest: tuple[float, Facts] | None = None
    left: dict[Any, str] = {}
    for place in by_worker(cause):
        probe = place.get("probe") or {}
        busy = probe.get("executing") or [{"key": key} for key in place["executing"]]
        tasks = []
        for entry in busy:
            took = _took(entry, probe)
            tasks.append(show(entry["key"]))
            if took is not None:
                tasks[-1] += f" for {seconds(took)}"
                if longest is None or took > longest[0]:
                    longest = took, entry
            if entry.get("state") == "cancelled":
                left[entry["key"]] = place["worker"]
        evidence.append(
            f"{place['worker']}: {counted(place['nthreads'], 'thread')}, "
            f"{counted(place['processing'], 'task')}; running: "
            f"{several(tasks) or 'nothing'}"
        )
        if probe.get("constrained"):
            evidence.append(
                f"{probe['constrained']} of them wait for resources that are in use"
            )
    advice = []
    if longest is not None:
        key = show(longest[1]["key"])
        lines = _stack(longest[1])
        evidence += [f"the longest, {key}, is {line}" for line in lines[-1:]]
        if longest[1].get("state") != "cancelled":
            ask = advised.call("why", longest[1]["key"])
            advice.append(f"see what those threads run: {ask}")
    if left:
        evidence.append(
            f"the scheduler has released {several(map(show, left))}, most likely "
            "because its client disconnected or cancelled it; its thread runs until "
            "it ends"
        )
        advice.append(restart(left.values()))
    return evidence, advice


def restart(workers: Iterable[str]) -> str:
    """Advice to end threads that cannot be stopped."""
    return (
        f"client.restart_workers({sorted(set(workers))}) stops that; all other "
        "results there are computed again"
    )


def _took(entry: Facts, probe: Facts) -> float | None:
    since = entry.get("since")
    return max(0.0, probe["now"] - since) if since else None


def still_run(facts: Facts) -> list[str]:
    """How long workers have run a forgotten task, and its line."""
    evidence = []
    for place in facts["workers"]:
        took = _took(place["row"], place["probe"])
        since = "" if took is None else f" for {seconds(took)}"
        text = f"{place['worker']} has been running {show(facts['key'])}{since}"
        evidence += [text, *_stack(place["row"])]
    return evidence


def transfer(cause: Cause) -> Words:
    facts = cause.facts
    row = facts.get("row") or {}
    evidence = []
    senders: dict[str, None] = {}
    for entry in row.get("inputs") or ():
        took = entry.get("for")
        took = "" if took is None else f" for {seconds(took)}"
        evidence.append(
            f"{show(entry['key'])} from {entry['from']}: {entry['state']}{took}"
        )
        if entry["from"]:
            senders.setdefault(entry["from"])
    if not evidence:
        for missing in facts["missing"]:
            evidence.append(
                f"{show(missing['key'])} is on {several(missing['holders'])}"
            )
            senders.update(dict.fromkeys(missing["holders"][:1]))
    reasons = facts["reasons"]
    if "sender" in reasons:
        evidence.append(f"{several(senders)} does not answer")
    if "limit" in reasons:
        evidence.append("as many transfers as the worker allows are under way")
    stuck = "do not arrive" if cause.code == "transfer-stuck" else "are on their way"
    advice = ["wait"]
    if cause.code == "transfer-stuck":
        advice = [
            "check the worker that should send them: is it running, can it be reached?",
            "client.restart_workers([address]) makes the inputs be computed elsewhere",
        ]
    return (
        f"inputs of {tasks_of(cause)} {stuck} at {several(workers_of(cause))}",
        evidence,
        advice,
    )


def lock(cause: Cause) -> Words:
    waits = cause.facts["waits"]
    named = f"{waits['kind']} {waits['name']!r}" if waits["name"] else waits["kind"]
    evidence = []
    if cause.key is None:
        who = f"{cause.count} wait"
    else:
        who = f"{they(cause, 'waits', 'wait')}"
        evidence = [_run(facts) for facts in cause.parts[:MOST_NAMED]]
    waiter = cause.facts.get("waiter")
    if waiter:
        evidence.append(_waiter(waiter))
    evidence += _stack(cause.facts.get("row") or {})
    return (
        f"{who} for {named}",
        evidence,
        [
            "find out what holds it, or should set or fill it, and whether that is "
            "still running",
            "pass a timeout where you wait",
        ],
    )


def _waiter(waiter: Waiter) -> str:
    text = f"{waiter['waiting']} wait for {waiter['kind']} {waiter['name']!r}"
    if waiter.get("held"):
        text += f", {waiter['held']} hold it"
    if waiter.get("queue"):
        text += f", which is {waiter['queue']}"
    return text


def barrier(cause: Cause) -> Words:
    facts = cause.facts
    return (
        f"the shuffle's barrier {show(cause.key)} is blocked until all its inputs "
        "have finished",
        [
            f"{facts['missing']} of {facts['inputs']} inputs are missing",
            f"{facts['outputs']} tasks come after it",
        ],
        ["see what the missing inputs wait for, below"],
    )
