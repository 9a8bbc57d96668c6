"""The wording of causes: one sentence, the evidence for it, and advice.

What changes with time (durations, ages) is in the evidence, never in the sentence, so
that a live cluster and a dump of it are described in the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from dbgkit.diagnose.deaths.explain import tell_of, told_first
from dbgkit.diagnose.sentences import Words, counted, several, show, size
from dbgkit.diagnose.why.phrases import tasks_of, they
from dbgkit.diagnose.why.reasons import Cause
from dbgkit.diagnose.why.words_tasks import (
    barrier,
    held,
    lock,
    restart,
    retrying,
    running,
    saturated,
    still_run,
    transfer,
)
from dbgkit.diagnose.why.words_workers import (
    module_missing,
    no_workers,
    not_answering,
    paused,
    queued,
    resources,
    restrictions,
    starting,
)
from dbgkit.model import Death
from dbgkit.model import advice as advised
from dbgkit.remote.common.frames import own_line_of_text
from dbgkit.remote.common.texts import type_and_message
from dbgkit.source.places import place
from dbgkit.source.shown import Shown, codes_from_wire
from dbgkit.targets.led import submitted_by
from dbgkit.targets.modules import advice_of, evidence_of, modules_of

MOST_DEATHS = 3  # of the workers of one task


def words_of(cause: Cause) -> Words:
    """Summary, evidence and advice of a cause."""
    return _WORDS[cause.code](cause)


# -- failed, finished, gone --------------------------------------------------


def _failed(cause: Cause) -> Words:
    facts = cause.facts
    kind, message = type_and_message(facts["exception_text"])
    what = f"{kind}: {message}" if kind else message
    text = Shown().text(
        facts["traceback_text"], codes_from_wire(facts.get("codes", ()))
    )
    line = own_line_of_text(text)
    summary = f"{show(cause.key)} failed: {_first_line(what)}"
    evidence = []
    if facts["killed"]:
        died = counted(facts["killed"], "worker")
        summary = (
            f"{show(cause.key)} failed: Dask stopped retrying it after {died} "
            "died while assigned to it"
        )
        deaths = facts.get("deaths")
        if deaths:
            evidence += _deaths(cause.key, deaths, facts["killed"])
        else:
            evidence.append(
                "no exception: Dask stops retrying a task (KilledWorker) after losing "
                "more workers with it than "
                "distributed.scheduler.allowed-failures"
            )
    if line is not None:
        evidence.append(f"raised at {place(line[0], line[1])} in {line[2]}")
    if facts.get("shuffle"):
        phase = f"in the {facts['shuffle']} phase of a P2P shuffle"
        evidence.append(f"{phase}: {facts['in_shuffle']}")
    if facts["through"]:
        evidence.append(submitted_by(facts["through"], show))
    if facts["erred_on"]:
        evidence.append(f"on {several(facts['erred_on'])}")
    if facts["when"]:
        evidence.append(f"at {_clock(facts['when'])}")
    lack = facts.get("lack")
    if lack is not None:
        evidence.append(evidence_of(lack))
    if facts["tried"] > 1:
        evidence.append(f"after {facts['tried']} attempts")
    advice = [_open(cause.key)]
    if lack is not None:
        summary += f", as {modules_of(lack)} is missing there"
        advice = advice_of(lack)
    if cause.whole and cause.count > 1:
        more = cause.count - 1
        summary += f"; {more} more failed"
        others = facts["given_up"]
        if others["count"]:
            named = several(map(show, others["keys"]), others["count"])
            evidence.append(
                f"Dask also stopped retrying tasks whose workers died: {named}"
            )
        rest = more - others["count"]
        if rest > 0:
            evidence.append(
                f"{rest} more task{'s have' if rest > 1 else ' has'} failed, "
                "directly or because a dependency failed"
            )
        advice.append(
            f"{advised.call('failures')} lists all {cause.count}, by root cause"
        )
    elif cause.count > 1:
        evidence.append(f"{cause.count} tasks have failed")
    return summary, evidence, advice


def _deaths(key: Any, deaths: Sequence[Death], count: int) -> list[str]:
    """How workers died that had a task, each once, up to a limit."""
    ordered = told_first(key, deaths)[:MOST_DEATHS]
    lines = [tell_of(key, deaths), *(each.summary for each in ordered[1:])]
    more = max(len(deaths), count) - len(ordered)
    if more > 0:
        lines.append(f"{counted(more, 'more worker')} died while assigned to it")
    return lines


def _cascaded(cause: Cause) -> Words:
    summary, evidence, advice = _failed(cause)
    facts = cause.facts
    if facts["others_count"]:
        others = several(map(show, facts["others"]), facts["others_count"])
        evidence.append(f"other dependencies of it failed as well: {others}")
    asked = cause.keys[0] if len(cause.keys) == 1 else None
    cascaded = show(asked) if asked is not None else f"{len(cause.keys)} tasks"
    return f"{cascaded} failed because {summary}", evidence, advice


def _finished(cause: Cause) -> Words:
    facts = cause.facts
    if cause.key is None:
        return (
            "nothing is waiting: no task is unfinished",
            facts.get("evidence", []),
            [],
        )
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
        f"{tasks_of(cause)}: released, as nothing needs the result now",
        ["the scheduler computes it once it is needed"],
        ["hold a future for it, or compute something that depends on it"],
    )


_UNWANTED = {
    "left": "its client disconnected",
    "released": "its client released it",
    "cancelled": "it was cancelled",
    "restarted": "the client restarted the cluster",
}


def _unknown_key(cause: Cause) -> Words:
    facts = cause.facts
    evidence = [*facts.get("evidence", ())]
    if facts["when"]:
        evidence.append(
            f"it was {facts['was']}, and forgotten at {_clock(facts['when'])}"
        )
    else:
        evidence.append(
            "the scheduler's transition log has no entry for it, or no longer has one"
        )
    summary = f"the scheduler does not know {tasks_of(cause)}"
    advice = [
        f"find the right key with {advised.call('tasks', keys='*part of the name*')}",
        "keep a reference to the future of any task that should stay known",
    ]
    if facts["unwanted"]:
        them = "it" if cause.count == 1 else "them"
        how = _UNWANTED[facts["unwanted"]]
        summary = f"the scheduler has forgotten {tasks_of(cause)}: no client needs "
        summary += f"{them} any longer"
        evidence.append(f"{how}: the scheduler forgets tasks that nothing needs")
        advice = [
            "submit it again, and keep its future for as long as you need the result",
        ]
    places = {place["worker"] for part in cause.parts for place in part["workers"]}
    if places:
        summary += f"; {several(sorted(places))} still "
        summary += "runs it" if cause.count == 1 else "run them"
        for part in cause.parts:
            evidence += still_run(part)
        evidence.append("a thread cannot be stopped: it runs until the task ends")
        advice.append(restart(places))
    return summary, evidence, advice


def _lost(cause: Cause) -> Words:
    facts = cause.facts
    lost = facts["dependency"]
    summary = f"{they(cause, 'was', 'were')} dropped by the scheduler: an input is lost"
    evidence = []
    if lost is not None:
        summary += f": {show(lost)}"
        evidence.append(
            "no worker holds it, and the scheduler has no task that computes it"
        )
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
        f"{they(cause, 'is', 'are')} pending on this client, but "
        f"{' and '.join(states)} on the scheduler",
        [
            "the message did not arrive here, or could not be deserialized (as happens "
            "with very deep tracebacks)"
        ],
        advice,
    )


# -- the rest ----------------------------------------------------------------


def _overloaded(cause: Cause) -> Words:
    return (
        "the scheduler is overloaded",
        [f"its event loop is {cause.facts['late'] * 1000:.0f} ms late"],
        [
            "make fewer, larger tasks; keep big objects out of the graph",
            "check for code that runs on the scheduler: plugins, run_on_scheduler",
        ],
    )


def _unexplained(cause: Cause) -> Words:
    facts = cause.facts
    state = facts.get("state") or "unfinished"
    return (
        f"{they(cause, 'is', 'are')} {state}, and no known cause explains why",
        [f"ruled out: {reason}" for reason in facts["ruled_out"]],
        [
            "ask again in a while; if nothing has changed, report it to Dask's "
            "developers with the output of client.dump_cluster_state(path)",
        ],
    )


def _first_line(text: str, limit: int = 200) -> str:
    line = text.strip().split("\n")[0]
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _clock(when: float) -> str:
    moment = datetime.fromtimestamp(when, tz=timezone.utc).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _open(key: Any) -> str:
    return f"{advised.call('debug', key)} opens the debugger where it failed"


_WORDS: dict[str, Callable[[Cause], Words]] = {
    "cascaded": _cascaded,
    "client-out-of-step": _out_of_step,
    "failed": _failed,
    "finished": _finished,
    "lock-wait": lock,
    "lost-dependencies": _lost,
    "module-missing": module_missing,
    "no-workers": no_workers,
    "p2p-barrier": barrier,
    "queued": queued,
    "released": _released,
    "resources-unmet": resources,
    "restrictions-unmet": restrictions,
    "retrying": retrying,
    "running": running,
    "scheduler-overloaded": _overloaded,
    "transfer-stuck": transfer,
    "transferring": transfer,
    "unexplained": _unexplained,
    "unknown-key": _unknown_key,
    "worker-not-answering": not_answering,
    "threads-held": held,
    "worker-saturated": saturated,
    "workers-paused": paused,
    "workers-starting": starting,
}
