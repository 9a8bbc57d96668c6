"""Causes of what no worker takes, and of what has no cause that is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dbgkit.diagnose.sentences import Words, clock, cut, several
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.look import Look

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import (
        Gone,
        Lacking,
        Named,
        NearestResources,
        ResourcesEnd,
        RestrictionsEnd,
        Wanted,
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
        f"{cause.tasks} may run only on {wanted_of(end)}, and no such worker is "
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


def wanted_of(wanted: Wanted) -> str:
    """What a task asks of a worker, in words."""
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
