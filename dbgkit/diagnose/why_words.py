"""Causes in human words: one sentence, the facts it rests on, what to do.

What differs from one look to the next (durations, ages) is in the evidence, never in
the sentence, so that a live cluster and a dump of it are told in the same words.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from dbgkit.diagnose.deaths import tell_of
from dbgkit.diagnose.why_reasons import Cause
from dbgkit.diagnose.why_text import (
    MOST_NAMED,
    Words,
    by_worker,
    seconds,
    several,
    show,
    size,
    tasks_of,
    they,
    workers_of,
)
from dbgkit.diagnose.why_words_tasks import (
    barrier,
    lock,
    retrying,
    running,
    saturated,
    transfer,
)
from dbgkit.remote.frames import own_line_of_text
from dbgkit.remote.texts import type_and_message


def words_of(cause: Cause) -> Words:
    """Summary, evidence and advice of a cause."""
    return _WORDS[cause.code](cause)


# -- failed, finished, gone --------------------------------------------------


def _failed(cause: Cause) -> Words:
    facts = cause.facts
    kind, message = type_and_message(facts["exception_text"])
    what = f"{kind}: {message}" if kind else message
    line = own_line_of_text(facts["traceback_text"])
    summary = f"{show(cause.key)} failed: {_first_line(what)}"
    evidence = []
    if facts["killed"]:
        summary = (
            f"{show(cause.key)} was given up: {facts['killed']} workers died of it"
        )
        deaths = facts.get("deaths")
        if deaths:
            evidence.append(tell_of(cause.key, deaths))
            evidence += [each.summary for each in deaths[1:3]]
        else:
            evidence.append("no exception: the workers died while they ran it")
    if line is not None:
        evidence.append(f"raised at {line[0]}:{line[1]} in {line[2]}")
    if facts["erred_on"]:
        evidence.append(f"on {several(facts['erred_on'])}")
    if facts["when"]:
        evidence.append(f"at {_clock(facts['when'])}")
    if facts["tried"] > 1:
        evidence.append(f"after {facts['tried']} attempts")
    advice = [_open(cause.key)]
    if cause.whole and cause.count > 1:
        more = cause.count - 1
        evidence.append(
            f"{more} more task{'s have' if more > 1 else ' has'} failed, or fell "
            "because another failed"
        )
        advice.append(f"dbgkit.failures() has all {cause.count}, by root cause")
    elif cause.count > 1:
        evidence.append(f"{cause.count} tasks have erred")
    return summary, evidence, advice


def _cascaded(cause: Cause) -> Words:
    summary, evidence, advice = _failed(cause)
    facts = cause.facts
    if facts["others_count"]:
        others = several(map(show, facts["others"]), facts["others_count"])
        evidence.append(f"other tasks that it needs failed as well: {others}")
    asked = cause.keys[0] if len(cause.keys) == 1 else None
    fell = show(asked) if asked is not None else f"{len(cause.keys)} tasks"
    return f"{fell} fell because {summary}", evidence, advice


def _finished(cause: Cause) -> Words:
    facts = cause.facts
    if cause.key is None:
        return "nothing waits: no task is unfinished", facts.get("evidence", []), []
    if cause.count > 1:
        return f"all {cause.count} tasks are finished", [], []
    where = several(facts["workers"])
    return (
        f"{show(cause.key)} is finished",
        [f"its result of {size(max(0, facts['nbytes']))} is in memory on {where}"],
        [],
    )


def _released(cause: Cause) -> Words:
    return (
        f"{tasks_of(cause)}: released, as nobody wants the result now",
        ["the scheduler would compute it once it is wanted"],
        ["hold a future of it, or compute what depends on it"],
    )


def _unknown_key(cause: Cause) -> Words:
    facts = cause.facts
    evidence = [*facts.get("evidence", ())]
    if facts["when"]:
        evidence.append(
            f"it was {facts['was']}, and forgotten at {_clock(facts['when'])}"
        )
    else:
        evidence.append("the scheduler's transition log does not tell of it (any more)")
    return (
        f"the scheduler does not know {tasks_of(cause)}",
        evidence,
        [
            "look for the right key among dbgkit.tasks(keys='*part of the name*')",
            "hold on to the future of what should stay known",
        ],
    )


def _lost(cause: Cause) -> Words:
    facts = cause.facts
    lost = facts["dependency"]
    summary = f"{they(cause, 'was', 'were')} given up: an input is lost"
    evidence = []
    if lost is not None:
        summary += f": {show(lost)}"
        evidence.append("no worker holds it, and nothing is known that computes it")
    if facts["when"]:
        evidence.append(f"forgotten at {_clock(facts['when'])}")
    return (
        summary,
        evidence,
        [
            "scatter the input again and submit the task again",
            "client.scatter(…, broadcast=True) keeps it on all workers; data loaded "
            "in a task can be computed again",
        ],
    )


def _out_of_step(cause: Cause) -> Words:
    erred = [part["key"] for part in cause.parts if part["state"] == "erred"]
    states = sorted({part["state"] for part in cause.parts})
    advice = ["cancel the future and submit again, or connect a new Client"]
    if erred:
        advice.insert(0, _open(erred[0]))
    return (
        f"this client believes {tasks_of(cause)} pending, the scheduler says "
        + " and ".join(states),
        [
            "the message did not arrive here, or could not be read (an error with a "
            "very deep traceback cannot)"
        ],
        advice,
    )


# -- workers -----------------------------------------------------------------


def _no_workers(cause: Cause) -> Words:
    facts = cause.facts
    wanted = _wanted(facts)
    return (
        f"no worker is connected; {tasks_of(cause)} cannot run",
        [f"it asks for {wanted}"] if wanted else [],
        [
            "start workers: cluster.scale(n), or dask worker ADDRESS",
            "if some were there, look at why they left: the logs of the workers and "
            "nannies",
        ],
    )


def _starting(cause: Cause) -> Words:
    facts = cause.facts
    return (
        f"workers are being started; {they(cause, 'waits', 'wait')} for the first",
        list(facts["evidence"]),
        ["wait; if none comes, look into the log of the cluster manager"],
    )


def _not_answering(cause: Cause) -> Words:
    places = workers_of(cause)
    evidence = [
        f"{facts['worker']}: last heard of {seconds(facts['age'])} ago"
        + (
            f", {facts['processing']} tasks given to it"
            if "processing" in facts
            else ""
        )
        for facts in by_worker(cause)
    ]
    return (
        f"{several(places)} {_do(places, 'does', 'do')} not answer",
        evidence,
        [
            "its process is stopped, swaps, or runs code that never lets go of the "
            "interpreter's lock: look at it with top and py-spy dump",
            "client.restart_workers([address]) starts it anew, and its tasks go to "
            "others",
        ],
    )


def _paused(cause: Cause) -> Words:
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
            "free memory: let go of futures, make chunks smaller, or give workers more",
            "unmanaged memory stays until its owner lets go: restart those workers",
        ],
    )


def _restrictions(cause: Cause) -> Words:
    facts = cause.facts
    nearest = facts["nearest"]
    where = "on the same host" if nearest["same_host"] else "on another host"
    return (
        f"{tasks_of(cause)} may run on {_wanted(facts)} only, and no such worker is "
        "there",
        [
            f"{facts['present']} workers are connected",
            f"the nearest is {nearest['address']} (name {nearest['name']!r}), {where}",
        ],
        [
            "start a worker there, or submit without workers=, or with "
            "allow_other_workers=True",
        ],
    )


def _resources(cause: Cause) -> Words:
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
            f"{facts['present']} workers come into question",
            f"the nearest is {nearest['address']} (name {nearest['name']!r}), "
            f"which lacks {lacks}",
        ],
        [
            'start workers with it: dask worker ADDRESS --resources "NAME=AMOUNT"',
            "or submit with less in resources=",
        ],
    )


def _wanted(facts: dict[str, Any]) -> str:
    parts = [
        *facts["only_workers"],
        *(f"host {host}" for host in facts["only_hosts"]),
    ]
    if facts["resources"]:
        parts.append(_amounts(facts["resources"]))
    return several(parts)


def _amounts(resources: dict[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in sorted(resources.items()))


def _queued(cause: Cause) -> Words:
    facts = cause.facts
    evidence = [
        f"{facts['queued']} tasks are queued",
        f"{facts['workers']} workers with {facts['threads']} threads have "
        f"{facts['processing']} tasks to run",
    ]
    if facts["busy"]:
        evidence.append(f"running: {several(map(show, facts['busy']))}")
    return (
        f"{tasks_of(cause)}: queued until a thread is free",
        evidence,
        ["wait, or add workers: cluster.scale(n)"],
    )


# -- the rest ----------------------------------------------------------------


def _overloaded(cause: Cause) -> Words:
    return (
        "the scheduler is overloaded",
        [f"its event loop comes {cause.facts['late'] * 1000:.0f} ms late"],
        [
            "make fewer, larger tasks; keep big objects out of the graph",
            "look for code that runs on the scheduler: plugins, run_on_scheduler",
        ],
    )


def _unexplained(cause: Cause) -> Words:
    facts = cause.facts
    state = facts.get("state") or "unfinished"
    return (
        f"{they(cause, 'is', 'are')} {state}, and nothing that is known explains why",
        [f"ruled out: {reason}" for reason in facts["ruled_out"]],
        [
            "look again in a while; if it stays so, client.dump_cluster_state(path) "
            "has what a report to Dask's developers needs",
        ],
    )


def _do(names: list[str], one: str, many: str) -> str:
    return one if len(names) == 1 else many


def _first_line(text: str, limit: int = 200) -> str:
    line = text.strip().split("\n")[0]
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _clock(when: float) -> str:
    moment = datetime.fromtimestamp(when, tz=timezone.utc).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _open(key: Any) -> str:
    return f"dbgkit.debug({show(key)}) opens the debugger where it failed"


_WORDS: dict[str, Callable[[Cause], Words]] = {
    "cascaded": _cascaded,
    "client-out-of-step": _out_of_step,
    "failed": _failed,
    "finished": _finished,
    "lock-wait": lock,
    "lost-dependencies": _lost,
    "no-workers": _no_workers,
    "p2p-barrier": barrier,
    "queued": _queued,
    "released": _released,
    "resources-unmet": _resources,
    "restrictions-unmet": _restrictions,
    "retrying": retrying,
    "running": running,
    "scheduler-overloaded": _overloaded,
    "transfer-stuck": transfer,
    "transferring": transfer,
    "unexplained": _unexplained,
    "unknown-key": _unknown_key,
    "worker-not-answering": _not_answering,
    "worker-saturated": saturated,
    "workers-paused": _paused,
    "workers-starting": _starting,
}
