"""Causes of workers that are not there: not yet, no more, or never to come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dbgkit import advice as advised
from dbgkit.cluster.starting import Starting, Starts
from dbgkit.cluster.why import none_comes_again, planned_workers
from dbgkit.diagnose.sentences import (
    MOST_NAMED,
    Words,
    counted,
    seconds,
    several,
    show,
)
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.look import Assigned, Look
from dbgkit.model import Death
from dbgkit.remote.common.why_words import (
    LONG,
    all_long,
    being_set_up,
    nannies_start,
    never_joined,
    not_started,
    wanted_of,
)
from dbgkit.remote.secrets.redact import redact_text

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import NoWorkersEnd
    from dbgkit.remote.common.wire_why_workers import Joining

_START_SOME = "start workers: cluster.scale(n), or dask worker ADDRESS"

# How long ago workers left, and how; the newest first.
Left = list[tuple[float, Death]]
# They, and whether their nannies may start others.
Leaving = tuple["NoWorkersEnd", Left, bool]


# -- no worker ---------------------------------------------------------------------


def find_no_workers(look: Look) -> Iterator[Cause[Leaving]]:
    for end in look.ends:
        if end["code"] == "no-workers" and _prospect(look, end) == "none":
            others = not none_comes_again(look.view.client)
            yield Cause((end, look.left, others), end)


def no_workers(cause: Cause[Leaving]) -> Words:
    end, left, others = cause.first
    wanted = wanted_of(end)
    evidence, advice = of_left(left)
    start = _START_SOME
    if not others:
        no_use = "waiting does not help: none is started in their place"
        advice = [no_use] if left else []
        # A cluster manager counts those that have left for a while still.
        start = start.replace("scale(n)", "scale(0), then cluster.scale(n)")
    if wanted:
        evidence.append(f"it asks for {wanted}")
    return (
        f"no worker is connected; {cause.tasks} cannot run",
        evidence,
        [
            *advice,
            start,
            f"if there were some, find out why they left: {advised.call('deaths')}, "
            "and the logs of the workers and nannies",
        ],
    )


def _prospect(look: Look, end: NoWorkersEnd) -> str:
    """Whether workers are ``"coming"``, ``"stuck"``, ``"failed"`` to start, or none."""
    starting, failed = look.starts.of("starting"), look.starts.of("failed")
    if starting and all((each.seconds or 0.0) > LONG for each in starting):
        return "stuck"
    if starting or end["starting"]:
        return "coming"
    if failed:
        return "failed"
    return "coming" if _planned(look) else "none"


def _planned(look: Look) -> list[str]:
    return planned_workers(look.view.client) if look.view.client else []


def of_left(left: Left) -> tuple[list[str], list[str]]:
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


# -- workers that failed to start --------------------------------------------------


def find_start_failed(look: Look) -> Iterator[Cause[Starts]]:
    for end in look.ends:
        if end["code"] == "no-workers" and _prospect(look, end) == "failed":
            yield Cause(look.starts, end)


def start_failed(cause: Cause[Starts]) -> Words:
    starts = cause.first
    failed = starts.of("failed")
    errors = dict.fromkeys(each.error for each in failed if each.error)
    evidence = [
        f"worker {each.name}: {redact_text(each.error) or _ended(starts)}"
        for each in failed[:MOST_NAMED]
    ]
    said = f": {redact_text(next(iter(errors)))}" if len(errors) == 1 else ""
    advice = [
        "waiting does not help: whatever ends a worker as it starts ends the next one, "
        "if its nanny tries again at all",
        "the standard error of the process that started the cluster has the whole "
        "traceback",
    ]
    if not errors:
        advice.append(
            "usual reasons: a script without the guard if __name__ == '__main__', a "
            "preload or an import that ends the process, too little memory"
        )
    advice.append(
        "mend that, then start workers again: cluster.scale(0), then scale(n)"
    )
    return (
        f"no worker is connected, and {counted(len(failed), 'worker')} failed to "
        f"start{said}; {cause.tasks} cannot run",
        evidence,
        advice,
    )


def _ended(starts: Starts) -> str:
    """How a process ended that did not say why; the log does not say whose it was."""
    if not starts.ended:
        return "its process ended before it registered, how is not recorded"
    how = several(dict.fromkeys(starts.ended))
    count = len(starts.ended)
    often = f", {count} processes in the last minutes" if count > 1 else ""
    return f"its process ended before it registered ({how}{often})"


# -- workers that are starting -----------------------------------------------------


@dataclass
class Coming:
    """Workers that are being started.

    ``joining`` have registered, and ``starting`` have not; others are ``planned``, as
    sentences say.
    """

    joining: list[Joining] = field(default_factory=list)
    starting: list[Starting] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)
    left: Left = field(default_factory=list)


def find_workers_starting(look: Look) -> Iterator[Cause[Coming]]:
    for end in look.ends:
        if end["code"] == "workers-starting" and not all_long(end["joining"]):
            yield Cause(Coming(end["joining"], left=look.left), end)
        elif end["code"] == "no-workers" and _prospect(look, end) == "coming":
            planned = _planned(look)
            if end["starting"]:
                planned.append(nannies_start(end["starting"]))
            starting = look.starts.of("starting")
            yield Cause(Coming([], starting, planned, look.left), end)
    for task, joining in _assigned_early(look):
        if joining["age"] <= LONG:
            yield Cause(Coming([joining]), task.end)


def _assigned_early(look: Look) -> Iterator[tuple[Assigned, Joining]]:
    """Tasks of workers that do not answer yet, as they are still being set up."""
    for task in look.assigned:
        if task.stage == "silent" and (joining := task.end["joining"]):
            yield task, joining


def workers_starting(cause: Cause[Coming]) -> Words:
    coming = cause.first
    waits = cause.they("waits", "wait")
    return (
        f"workers are being started; {waits} for the first",
        [*being_set_up(coming.joining), *coming.planned, *of_left(coming.left)[0]],
        [
            "wait; if none starts within a minute, something in it may hang: ask "
            "again, and check the log of the cluster manager"
        ],
    )


def find_start_stuck(look: Look) -> Iterator[Cause[Coming]]:
    for end in look.ends:
        if end["code"] == "workers-starting" and all_long(end["joining"]):
            yield Cause(Coming(end["joining"]), end)
        elif end["code"] == "no-workers" and _prospect(look, end) == "stuck":
            yield Cause(Coming([], look.starts.of("starting")), end)
    known = set()
    for task, joining in _assigned_early(look):
        if joining["age"] > LONG:
            known.add(joining["address"])
            yield Cause(Coming([joining]), task.end)
    cluster = look.answer["cluster"] if look.whole else None
    for joining in cluster["joining"] if cluster else ():
        if joining["age"] > LONG and joining["address"] not in known:
            yield Cause(Coming([joining]))


def start_stuck(cause: Cause[Coming]) -> Words:
    joining = {each["address"]: each for part in cause.parts for each in part.joining}
    starting = {each.name: each for part in cause.parts for each in part.starting}
    evidence = [never_joined(joining[each]) for each in sorted(joining)[:MOST_NAMED]]
    evidence += [
        f"worker {name}: its process {each.pid} has been starting for "
        f"{seconds(each.seconds or 0.0)}, and has not registered"
        for name, each in sorted(starting.items())[:MOST_NAMED]
    ]
    plugins = dict.fromkeys(p for each in joining.values() for p in each["plugins"])
    if plugins:
        evidence.append(
            f"worker plugins are set up then: {several(map(show, plugins))}"
        )
    culprit = "a plugin's setup" if joining else "a preload or an import"
    pids = [each["pid"] for each in joining.values() if each["pid"]]
    pids += [each.pid for each in starting.values() if each.pid]
    waits = "" if cause.key is None else cause.they("waits", "wait")
    return (
        not_started(len(joining) + len(starting), waits),
        evidence,
        [
            f"most likely {culprit} does not end: see where it hangs, on its host: "
            + "; ".join(f"py-spy dump --pid {pid}" for pid in pids[:3]),
            "wait only if you know that this takes so long",
        ],
    )
