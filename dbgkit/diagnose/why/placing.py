"""Causes of what no worker takes, and of what has no cause that is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dbgkit.diagnose.sentences import Words, moment, several
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.look import Look
from dbgkit.remote.common.why_words import (
    amounts,
    lacking_of,
    nearest_of,
    placed,
    wanted_of,
    worker_of,
)

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import (
        Gone,
        NearestResources,
        ResourcesEnd,
        RestrictionsEnd,
    )


def restrictions_unmet(cause: Cause[RestrictionsEnd]) -> Words:
    end = cause.first
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
            nearest_of(end),
        ],
        advice,
    )


def _gone(gone: Gone) -> str:
    how = "left" if gone["expected"] else "left unexpectedly"
    return f"{gone['address']} {how} at {moment(gone['when'])}"


def resources_unmet(cause: Cause[ResourcesEnd]) -> Words:
    end = cause.first
    evidence = lacking_of(end)
    if not end["lacking"]:  # each is there, but nowhere all of them
        evidence += [f"{worker_of(each)} {_lacks(each)}" for each in end["nearest"]]
    others = [name for name in end["offered"] if name not in end["resources"]]
    if others:  # the name may be misspelled
        evidence.append(f"other resources that workers have: {several(others)}")
    restricted = end["only_workers"] or end["only_hosts"]
    if restricted:
        evidence.append(f"it may run only on {several(placed(end))}")
    for worker in end["elsewhere"]:
        evidence.append(f"{worker_of(worker)} has it, but is none of these")
    return (
        f"{cause.they('needs', 'need')} {amounts(end['resources'])}, which no "
        f"{'such ' if restricted else ''}worker has",
        evidence,
        [
            f"start workers with it: dask worker ADDRESS --resources "
            f'"{" ".join(amounts(end["resources"]).split(", "))}"',
            "or submit with less in resources=",
        ],
    )


def _lacks(nearest: NearestResources) -> str:
    lacks = ", ".join(
        f"{name}: {wanted:g} wanted, {has:g} there"
        for name, (wanted, has) in sorted(nearest["lacks"].items())
    )
    return f"lacks {lacks}"


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
