"""Wording for what blocks tasks without a worker, or with a worker in trouble."""

from __future__ import annotations

from dbgkit.diagnose.sentences import (
    MOST_NAMED,
    Words,
    counted,
    seconds,
    several,
    show,
    size,
)
from dbgkit.diagnose.why.phrases import by_worker, tasks_of, they, workers_of
from dbgkit.diagnose.why.reasons import Cause, Facts
from dbgkit.diagnose.why.words_tasks import threads
from dbgkit.model import advice as advised
from dbgkit.targets.modules import advice_of, evidence_of, modules_of


def no_workers(cause: Cause) -> Words:
    facts = cause.facts
    wanted = _wanted(facts)
    evidence, advice = _left(facts)
    if wanted:
        evidence.append(f"it asks for {wanted}")
    return (
        f"no worker is connected; {tasks_of(cause)} cannot run",
        evidence,
        [
            *advice,
            "start workers: cluster.scale(n), or dask worker ADDRESS",
            f"if there were some, find out why they left: {advised.call('deaths')}, "
            "and the logs of the workers and nannies",
        ],
    )


def _left(facts: Facts) -> tuple[list[str], list[str]]:
    """Evidence of workers that have just left, the newest first, and advice."""
    left = facts.get("left") or ()
    if not left:
        return [], []
    age = left[0][0]
    evidence = [
        f"{counted(len(left), 'worker')} left within the last minute, the last one "
        f"{seconds(age)} ago"
    ]
    for _, death in left[:3]:
        had = several(map(show, death.queued), death.queued_count)
        had = f"; it was assigned {had}" if had and not death.ran else ""
        evidence.append(f"{death.summary}{had}")
    # What is not known of it has no process id either.
    alone = all(death.pid and not death.nanny for _, death in left)
    if alone or all(death.expected for _, death in left):
        return evidence, []
    return evidence, [
        "wait some seconds and ask again: their nannies may be restarting them",
    ]


def module_missing(cause: Cause) -> Words:
    facts = cause.facts
    lack, lasted = facts["lack"], facts["needs"]["lasted"]
    surely = "as" if lack.certain else "most likely as"
    evidence = [evidence_of(lack)] if lack.certain else []
    if lasted:
        longest = max(lasted)
        when = "at once" if longest < 0.1 else f"within {seconds(longest)}"
        evidence.append(
            f"{counted(len(lasted), 'worker')} that {show(cause.key)} was sent to "
            f"ended {when}, without an error message"
        )
    evidence.append(
        "a worker that cannot deserialize a task closes, and its nanny does not "
        "restart it"
    )
    advice = [
        "waiting does not help: every further worker would end in the same way",
        *advice_of(lack),
        "registering a module by value does not help: the graph is pickled as a whole",
    ]
    if not facts["needs"]["workers"]:
        advice.insert(
            -1, "then start workers: cluster.scale(n), or dask worker ADDRESS"
        )
    sent = f"{show(cause.key)} ends every worker that receives it"
    if cause.count > 1:
        sent = f"{tasks_of(cause)} end every worker that receives one of them"
    summary = f"{sent}, {surely} {modules_of(lack)} is missing there"
    return summary, evidence, advice


def starting(cause: Cause) -> Words:
    facts = cause.facts
    return (
        f"workers are being started; {they(cause, 'waits', 'wait')} for the first",
        [*facts["evidence"], *_left(facts)[0]],
        ["wait; if none starts, check the log of the cluster manager"],
    )


def not_answering(cause: Cause) -> Words:
    places = workers_of(cause)
    evidence = [
        f"{facts['worker']}: last heard from {seconds(facts['age'])} ago"
        + (
            f", {counted(facts['processing'], 'task')} assigned to it"
            if "processing" in facts
            else ""
        )
        for facts in by_worker(cause)
    ]
    return (
        f"{several(places)} {_do(places, 'does', 'do')} not answer",
        evidence,
        [
            "its process is stopped, swaps, or runs code that never releases the GIL: "
            "inspect it with top and py-spy dump",
            "client.restart_workers([address]) restarts it, and its tasks go to "
            "other workers",
        ],
    )


def paused(cause: Cause) -> Words:
    found = {
        worker["address"]: worker for part in cause.parts for worker in part["paused"]
    }
    evidence = []
    for address, worker in sorted(found.items())[:MOST_NAMED]:
        memory = ""
        if worker["memory"] and worker["limit"]:
            memory = f", {size(worker['memory'])} of {size(worker['limit'])} in use"
        evidence.append(f"{address}: {worker['status']}{memory}")
    count = max(len(found), cause.facts.get("count", 0))
    workers = "1 worker is" if count == 1 else f"{count} workers are"
    about = f"; {tasks_of(cause)} cannot run" if cause.key is not None else ""
    return (
        f"{workers} paused{about}",
        evidence,
        [
            "free memory: release futures, make chunks smaller, or give workers more",
            "unmanaged memory stays until its owner frees it: restart those workers",
        ],
    )


def restrictions(cause: Cause) -> Words:
    facts = cause.facts
    nearest = facts["nearest"]
    where = "on the same host" if nearest["same_host"] else "on another host"
    return (
        f"{tasks_of(cause)} may run only on {_wanted(facts)}, and no such worker is "
        "connected",
        [
            f"{facts['present']} workers are connected",
            f"the nearest is {nearest['address']} (name {nearest['name']!r}), {where}",
        ],
        [
            "start a worker there, or submit without workers=, or with "
            "allow_other_workers=True",
        ],
    )


def resources(cause: Cause) -> Words:
    facts = cause.facts
    nearest = facts["nearest"]
    lacks = ", ".join(
        f"{name}: {wanted:g} needed, {has:g} there"
        for name, (wanted, has) in sorted(nearest["lacks"].items())
    )
    return (
        f"{they(cause, 'needs', 'need')} {_amounts(facts['resources'])}, "
        "which no worker has",
        [
            f"{facts['present']} workers would be eligible otherwise",
            f"the nearest is {nearest['address']} (name {nearest['name']!r}), "
            f"which lacks {lacks}",
        ],
        [
            'start workers with it: dask worker ADDRESS --resources "NAME=AMOUNT"',
            "or submit with less in resources=",
        ],
    )


def _wanted(facts: Facts) -> str:
    parts = [
        *facts["only_workers"],
        *(f"host {host}" for host in facts["only_hosts"]),
    ]
    if facts["resources"]:
        parts.append(_amounts(facts["resources"]))
    return several(parts)


def _amounts(resources: dict[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in sorted(resources.items()))


def queued(cause: Cause) -> Words:
    facts = cause.facts
    evidence, advice = threads(cause)
    many = facts["queued"] != 1
    return (
        f"{tasks_of(cause)}: queued until a thread is free",
        [
            f"{counted(facts['queued'], 'task')} {'are' if many else 'is'} queued",
            f"{counted(facts['workers'], 'worker')} with "
            f"{counted(facts['threads'], 'thread')} "
            f"{'has' if facts['workers'] == 1 else 'have'} "
            f"{counted(facts['processing'], 'task')} to run",
            *evidence,
        ],
        ["wait, or add workers: cluster.scale(n)", *advice],
    )


def _do(names: list[str], one: str, many: str) -> str:
    return one if len(names) == 1 else many
