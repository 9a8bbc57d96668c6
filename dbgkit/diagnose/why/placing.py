"""Causes of what no worker takes, and of what has no cause that is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dbgkit.cluster.why import planned_workers
from dbgkit.diagnose.sentences import (
    MOST_NAMED,
    Words,
    clock,
    counted,
    cut,
    seconds,
    several,
    show,
    size,
)
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.look import Look
from dbgkit.model import Death
from dbgkit.model import advice as advised
from dbgkit.targets.modules import Lack, advice_of, evidence_of, modules_of

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_failures import Needs
    from dbgkit.remote.common.wire_why import (
        Gone,
        Lacking,
        Named,
        NearestResources,
        NoWorkersEnd,
        Paused,
        ResourcesEnd,
        RestrictionsEnd,
        Wanted,
    )


# How long ago workers left, and how; the newest first.
Left = list[tuple[float, Death]]


def find_no_workers(look: Look) -> Iterator[Cause[tuple[NoWorkersEnd, Left]]]:
    for end in look.ends:
        if end["code"] == "no-workers" and not _coming(look, end):
            yield Cause((end, look.left), end)


def no_workers(cause: Cause[tuple[NoWorkersEnd, Left]]) -> Words:
    end, left = cause.first
    wanted = _wanted(end)
    evidence, advice = _left(left)
    if wanted:
        evidence.append(f"it asks for {wanted}")
    return (
        f"no worker is connected; {cause.tasks} cannot run",
        evidence,
        [
            *advice,
            "start workers: cluster.scale(n), or dask worker ADDRESS",
            f"if there were some, find out why they left: {advised.call('deaths')}, "
            "and the logs of the workers and nannies",
        ],
    )


def find_workers_starting(look: Look) -> Iterator[Cause[tuple[list[str], Left]]]:
    for end in look.ends:
        if end["code"] == "workers-starting":
            joining = [f"{place} is being set up" for place in end["joining"]]
            yield Cause((joining, look.left), end)
        elif end["code"] == "no-workers" and (coming := _coming(look, end)):
            yield Cause((coming, look.left), end)


def workers_starting(cause: Cause[tuple[list[str], Left]]) -> Words:
    coming, left = cause.first
    waits = cause.they("waits", "wait")
    return (
        f"workers are being started; {waits} for the first",
        [*coming, *_left(left)[0]],
        ["wait; if none starts, check the log of the cluster manager"],
    )


def _coming(look: Look, end: NoWorkersEnd) -> list[str]:
    """Evidence of workers that are still to come."""
    coming = planned_workers(look.view.client) if look.view.client else []
    if end["starting"]:
        coming.append(f"{end['starting']} nannies are starting a worker")
    return coming


def _left(left: Left) -> tuple[list[str], list[str]]:
    """Evidence of workers that have just left, the newest first, and advice."""
    if not left:
        return [], []
    evidence = [
        f"{counted(len(left), 'worker')} left within the last minute, the last one "
        f"{seconds(left[0][0])} ago"
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


def find_module_missing(look: Look) -> Iterator[Cause[tuple[Needs, Lack]]]:
    for end in look.answer["ends"]:
        lack, needs = look.lack_of(end), end.get("needs")
        if lack is not None and needs is not None:
            yield Cause((needs, lack), end, like=(lack.modules, lack.certain))


def module_missing(cause: Cause[tuple[Needs, Lack]]) -> Words:
    needs, lack = cause.first
    surely = "as" if lack.certain else "most likely as"
    evidence = [evidence_of(lack)] if lack.certain else []
    if needs["lasted"]:
        longest = max(needs["lasted"])
        when = "at once" if longest < 0.1 else f"within {seconds(longest)}"
        evidence.append(
            f"{counted(len(needs['lasted']), 'worker')} that {show(cause.key)} was "
            f"sent to ended {when}, without an error message"
        )
    evidence.append(
        "a worker that cannot deserialize a task closes, and its nanny does not "
        "restart it"
    )
    advice = [
        "waiting does not help: every further worker would end in the same way",
        *advice_of(lack),
    ]
    if not needs["workers"]:
        advice.append("then start workers: cluster.scale(n), or dask worker ADDRESS")
    advice.append(
        "registering a module by value does not help: the graph is pickled as a whole"
    )
    sent = f"{show(cause.key)} ends every worker that receives it"
    if cause.count > 1:
        sent = f"{cause.tasks} end every worker that receives one of them"
    summary = f"{sent}, {surely} {modules_of(lack)} is missing there"
    return summary, evidence, advice


# Some of the workers that are paused, and how many there are.
AllPaused = tuple[list["Paused"], int]


def find_workers_paused(look: Look) -> Iterator[Cause[AllPaused]]:
    known = False
    for end in look.ends:
        if end["code"] == "workers-paused":
            known = True
            yield Cause((end["paused"], end["count"]), end)
    for task in look.assigned:
        if task.stage == "paused":
            known = True
            yield Cause((task.end["paused"], len(task.end["paused"])), task.end)
    cluster = look.answer["cluster"] if look.whole and not known else None
    if cluster and cluster["paused_count"]:
        yield Cause((cluster["paused"], cluster["paused_count"]))


def workers_paused(cause: Cause[AllPaused]) -> Words:
    found = {each["address"]: each for paused, _ in cause.parts for each in paused}
    evidence = []
    for address, worker in sorted(found.items())[:MOST_NAMED]:
        memory = ""
        if worker["memory"] and worker["limit"]:
            memory = f", {size(worker['memory'])} of {size(worker['limit'])} in use"
        evidence.append(f"{address}: {worker['status']}{memory}")
    count = max(len(found), cause.first[1])
    workers = "1 worker is" if count == 1 else f"{count} workers are"
    about = f"; {cause.tasks} cannot run" if cause.key is not None else ""
    return (
        f"{workers} paused{about}",
        evidence,
        [
            "free memory: release futures, make chunks smaller, or give workers more",
            "unmanaged memory stays until its owner frees it: restart those workers",
        ],
    )


def restrictions_unmet(cause: Cause[RestrictionsEnd]) -> Words:
    end = cause.first
    nearest = end["nearest"]
    where = "on the same host" if nearest["same_host"] else "on another host"
    present = f"{end['present']} workers are connected"
    if end["present"] == 1:
        present = "1 worker is connected"
    advice = [
        "start a worker there, or submit without workers=, or with "
        "allow_other_workers=True",
    ]
    if end["only_workers"]:
        advice.append(
            "a worker that is restarted mostly has another port: pass its name or its "
            "host to workers="
        )
    return (
        f"{cause.tasks} may run only on {_wanted(end)}, and no such worker is "
        "connected",
        [
            *map(_gone, end["gone"]),
            present,
            f"the nearest is {_worker(nearest)}, {where}",
        ],
        advice,
    )


def _gone(gone: Gone) -> str:
    how = "left" if gone["expected"] else "left unexpectedly"
    return f"{gone['address']} {how} at {clock(gone['when'])}"


def resources_unmet(cause: Cause[ResourcesEnd]) -> Words:
    end = cause.first
    evidence = list(map(_lacking, end["lacking"]))
    if not evidence:  # each is there, but nowhere all of them
        evidence.append("no worker has all of it")
        evidence += [f"{_worker(each)} {_lacks(each)}" for each in end["nearest"]]
    others = [name for name in end["offered"] if name not in end["resources"]]
    if others:  # the name may be misspelled
        evidence.append(f"other resources that workers have: {several(others)}")
    restricted = end["only_workers"] or end["only_hosts"]
    if restricted:
        evidence.append(f"it may run only on {several(_placed(end))}")
    for worker in end["elsewhere"]:
        evidence.append(f"{_worker(worker)} has it, but is none of these")
    return (
        f"{cause.they('needs', 'need')} {_amounts(end['resources'])}, which no "
        f"{'such ' if restricted else ''}worker has",
        evidence,
        [
            f"start workers with it: dask worker ADDRESS --resources "
            f'"{" ".join(_amounts(end["resources"]).split(", "))}"',
            "or submit with less in resources=",
        ],
    )


def _lacking(lacking: Lacking) -> str:
    """A resource of which no worker has enough."""
    name = cut(lacking["resource"], 80)
    if not lacking["has"]:
        return f"{name}: no worker has any"
    return (
        f"{name}: {lacking['wanted']:g} wanted, the nearest worker {_worker(lacking)} "
        f"has {lacking['has']:g}"
    )


def _lacks(nearest: NearestResources) -> str:
    lacks = ", ".join(
        f"{name}: {wanted:g} wanted, {has:g} there"
        for name, (wanted, has) in sorted(nearest["lacks"].items())
    )
    return f"lacks {lacks}"


def _worker(worker: Named) -> str:
    if worker["name"] == worker["address"]:
        return worker["address"]
    return f"{worker['address']} (name {worker['name']!r})"


def _placed(wanted: Wanted) -> list[str]:
    hosts = (f"host {host}" for host in wanted["only_hosts"])
    return [*wanted["only_workers"], *hosts]


def _wanted(wanted: Wanted) -> str:
    parts = _placed(wanted)
    if wanted["resources"]:
        parts.append(_amounts(wanted["resources"]))
    return several(parts)


def _amounts(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in sorted(resources.items()))


def find_unexplained(look: Look) -> Iterator[Cause[tuple[str, list[str]]]]:
    for end in look.ends:
        if end["code"] == "unexplained":
            yield Cause((end["state"], end["ruled_out"]), end)
    for task in look.assigned:
        if task.stage == "unheard":
            ruled_out = [
                f"worker {task.end['worker']} is running and answers",
                "but it does not know of the task",
            ]
            yield Cause((task.end["state"], ruled_out), task.end)


def unexplained(cause: Cause[tuple[str, list[str]]]) -> Words:
    state, ruled_out = cause.first
    return (
        f"{cause.they('is', 'are')} {state or 'unfinished'}, and no known cause "
        "explains why",
        [f"ruled out: {reason}" for reason in ruled_out],
        [
            "ask again in a while; if nothing has changed, report it to Dask's "
            "developers with the output of client.dump_cluster_state(path)",
        ],
    )
