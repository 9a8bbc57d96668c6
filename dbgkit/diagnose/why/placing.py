"""Causes of what no worker takes; of a late scheduler; and of none of them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dbgkit.diagnose.sentences import Words, several
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.look import Look

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import (
        ResourcesEnd,
        RestrictionsEnd,
        Wanted,
    )

LATE = 0.25  # seconds of the scheduler's event loop
_OVER = ("finished", "failed", "cascaded", "released")


def restrictions_unmet(cause: Cause[RestrictionsEnd]) -> Words:
    nearest = cause.first["nearest"]
    where = "on the same host" if nearest["same_host"] else "on another host"
    return (
        f"{cause.tasks} may run only on {wanted_of(cause.first)}, and no such worker "
        "is connected",
        [
            f"{cause.first['present']} workers are connected",
            f"the nearest is {nearest['address']} (name {nearest['name']!r}), {where}",
        ],
        [
            "start a worker there, or submit without workers=, or with "
            "allow_other_workers=True",
        ],
    )


def resources_unmet(cause: Cause[ResourcesEnd]) -> Words:
    nearest = cause.first["nearest"]
    lacks = ", ".join(
        f"{name}: {wanted:g} needed, {has:g} there"
        for name, (wanted, has) in sorted(nearest["lacks"].items())
    )
    return (
        f"{cause.they('needs', 'need')} {_amounts(cause.first['resources'])}, "
        "which no worker has",
        [
            f"{cause.first['present']} workers would be eligible otherwise",
            f"the nearest is {nearest['address']} (name {nearest['name']!r}), "
            f"which lacks {lacks}",
        ],
        [
            'start workers with it: dask worker ADDRESS --resources "NAME=AMOUNT"',
            "or submit with less in resources=",
        ],
    )


def wanted_of(wanted: Wanted) -> str:
    """What a task asks of a worker, in words."""
    parts = [
        *wanted["only_workers"],
        *(f"host {host}" for host in wanted["only_hosts"]),
    ]
    if wanted["resources"]:
        parts.append(_amounts(wanted["resources"]))
    return several(parts)


def _amounts(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in sorted(resources.items()))


def find_overloaded(look: Look) -> Iterator[Cause[float]]:
    late = look.answer["late"]
    waiting = any(
        end["code"] not in _OVER or look.lack_of(end) or look.unread_of(end)
        for end in look.answer["ends"]
    ) or any(look.unknown(lost=True))
    if late is not None and late > LATE and (look.whole or waiting):
        yield Cause(late)


def overloaded(cause: Cause[float]) -> Words:
    return (
        "the scheduler is overloaded",
        [f"its event loop is {cause.first * 1000:.0f} ms late"],
        [
            "make fewer, larger tasks; keep big objects out of the graph",
            "check for code that runs on the scheduler: plugins, run_on_scheduler",
        ],
    )


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
