"""Why a task, a collection or a cluster makes no progress."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from dbgkit.cluster.clients import held_future_states
from dbgkit.cluster.view import LiveView, View
from dbgkit.cluster.why import (
    dumped_workers,
    foreseeing,
    missing_on_workers,
    none_comes_again,
    planned_workers,
    probe_workers,
)
from dbgkit.diagnose.deaths.explain import deaths_of, tell_deaths
from dbgkit.diagnose.graph import graph_around
from dbgkit.diagnose.sentences import several, show
from dbgkit.diagnose.why.reasons import Cause, Facts, causes_of, ranked
from dbgkit.diagnose.why.words import words_of
from dbgkit.errors import (
    AnswerUnreadable,
    SchedulerGone,
    WaitTimedOut,
    WrongTarget,
)
from dbgkit.model import Explanation, Span, advice
from dbgkit.remote.common.texts import safe_repr
from dbgkit.remote.scheduler.foresight import MOST_KILLED, tasks_had, workers_to_ask
from dbgkit.targets.resolve import Sought, sort_target
from dbgkit.targets.scheduler_texts import held_beginnings, keys_holding
from dbgkit.targets.tracebacks import trace

if TYPE_CHECKING:
    from dbgkit.cluster.dumps import DumpState
    from dbgkit.remote.common.wire_why import Why
    from dbgkit.remote.common.wire_why_workers import Probe

PING = 3.0  # seconds for a worker to answer the scheduler
MOST_PENDING = 2_000  # futures of the client that the scheduler is asked about
LOOKS = 4  # passes, as messages may be on their way
COMES_AGAIN = 15.0  # seconds within which a nanny restarts its worker
JUST = 60.0  # seconds since a worker left that has just left
MOST_LEFT = 20
PAUSE = 0.25  # seconds between two passes
_NOT_IN_DUMPS = (
    "from a dump, which lacks call stacks, waits for locks and queues, workers' "
    "answers, the delay of the scheduler's event loop, and this client's futures"
)


@dataclass
class _Asked:
    """The question; ``keys`` is None for the whole cluster."""

    keys: list[Any] | None
    notes: list[str] = field(default_factory=list)


def explain(view: View, target: Any = None) -> Explanation:
    """Why a target, or the whole cluster, makes no progress.

    Parameters
    ----------
    view : LiveView or DumpView
    target : optional
        A future, a collection, a key, a failure, several of these; None: the cluster.

    Raises
    ------
    WrongTarget
        No task can be found from it.
    """
    asked = _Asked(None) if target is None else _keys_of(view, target)
    for look in range(LOOKS):
        if look:
            time.sleep(PAUSE)
        answer, causes = _look(view, asked)
        unsure = answer["out_of_step"] or any(c.code == "unexplained" for c in causes)
        if not (unsure and view.live):
            break
    return _with_graph(view, _compose(view, asked, answer, causes), causes)


def _keys_of(view: View, target: Any) -> _Asked:
    sought = sort_target(target)
    keys = [*sought.keys, *(failure.key for failure in sought.failures)]
    keys += _of_exceptions(view, sought)
    asked = _Asked(keys)
    if sought.collections and not sought.futures:
        for collection in sought.collections:
            keys += _flat(collection.__dask_keys__())
        asked.notes.append(
            "a collection's keys change when it is computed: pass the persisted one, "
            "or a future"
        )
    if not keys:
        raise WrongTarget(
            "no task can be found from the target",
            "pass a future, a key, a persisted collection, or nothing for the "
            "whole cluster",
        )
    return asked


def _of_exceptions(view: View, sought: Sought) -> list[Any]:
    found = []
    for exception in sought.exceptions:
        held = keys_holding(trace(exception), view.client) if view.client else []
        if not held:
            raise WrongTarget(
                f"no future here holds {safe_repr(exception)}",
                "why explains tasks: pass its key or future; "
                f"{advice.call('locate')} finds them from an exception",
            )
        found += held
    return found


def _flat(keys: Any) -> list[Any]:
    """Keys out of nested lists."""
    if not isinstance(keys, list):
        return [keys]
    return [key for part in keys for key in _flat(part)]


def _look(view: View, asked: _Asked) -> tuple[Why, list[Cause]]:
    """One pass: asks the scheduler first, then the workers of the tasks it assigned."""
    pending = _pending(view, asked)
    question = {"keys": asked.keys, "pending": pending, "ping": PING}
    if view.client is not None:
        question["client"] = view.client.id
    if view.client is not None and asked.keys:
        question["texts"] = held_beginnings(view.client, asked.keys)
    if isinstance(view, LiveView):
        answer = view.ask("why", question, foreseeing(view.link, 0))
        probes = probe_workers(view.link, workers_to_ask(answer, True))
    else:
        answer = view.ask("why", question)
        probes = _dumped(view.state, workers_to_ask(answer, False))
    ends: list[Any] = answer["ends"]
    _add_deaths(view, ends)
    _add_missing(view, ends)
    causes = causes_of(answer, probes, whole=asked.keys is None)
    for cause in causes:
        _add_client_side(view, answer, cause)
    return answer, ranked(causes)


def _dumped(state: DumpState, wanted: Mapping[str, list[Any]]) -> dict[str, Probe]:
    """What workers knew in a dump, with the states of what they executed."""
    probes = dumped_workers(state, wanted)
    busy = {
        address: [entry["key"] for entry in probe["executing"]]
        for address, probe in probes.items()
    }
    for address, probe in dumped_workers(state, busy).items():
        states = {row["key"]: row["state"] for row in probe["tasks"]}
        executing = probes[address]["executing"]
        for entry in executing:
            entry["state"] = states[entry["key"]] or ""
        executing.sort(key=lambda entry: entry["since"] or 0.0)
    return probes


def _add_deaths(view: View, ends: list[Facts]) -> None:
    """Add deaths of workers that had a task, if the scheduler counted some."""
    had = tasks_had(ends)
    deaths = deaths_of(view, [key for _, key in had[:MOST_KILLED]])
    for end, key in had:
        end["deaths"] = deaths.get(key, ())


def _add_missing(view: View, ends: list[Facts]) -> None:
    """Add which workers lack modules of tasks that ended other workers."""
    if not isinstance(view, LiveView):
        return
    asked: dict[str, dict[str, list[str]]] = {}
    for end in ends:
        needs = end.get("needs")
        if needs is not None:
            which = repr(needs["modules"])
            if which not in asked:
                asked[which] = missing_on_workers(view.link, needs)
            end["answers"] = asked[which]
            # For tasks that Dask stopped retrying only workers that are there count.
            end["stay_away"] = end["state"] != "erred" and (
                none_comes_again(view.client) or needs["since"] > COMES_AGAIN
            )


def _pending(view: View, asked: _Asked) -> list[Any]:
    """Keys of this client's futures that are pending."""
    if view.client is None:
        return []
    states = held_future_states(view.client)
    keys = list(states) if asked.keys is None else asked.keys
    pending = [k for k in keys if k in states and states[k].status == "pending"]
    return pending[:MOST_PENDING]


def _add_client_side(view: View, answer: Why, cause: Cause) -> None:
    """Add what the client knows: its futures, the cluster manager's plans."""
    facts = cause.facts
    if view.client is not None and cause.code in ("unknown-key", "lost-dependencies"):
        state = held_future_states(view.client).get(cause.key)
        if state is not None:
            facts["evidence"] = [f"the future here is {state.status}"]
    elif cause.code == "workers-starting":
        facts["evidence"] = [f"{place} is being set up" for place in facts["joining"]]
        _add_left(view, answer, facts)
    elif cause.code == "no-workers":
        evidence = planned_workers(view.client) if view.client is not None else []
        if facts["starting"]:
            evidence.append(f"{facts['starting']} nannies are starting a worker")
        if evidence:
            cause.code = "workers-starting"
            facts["evidence"] = evidence
        _add_left(view, answer, facts)
    elif cause.code == "lock-wait":
        for waiter in answer["waiters"] or ():
            if waiter["name"] == facts["waits"]["name"]:
                facts.setdefault("waiter", waiter)


def _add_left(view: View, answer: Why, facts: Facts) -> None:
    """Add workers that have just left, if none is there; dumps lack them."""
    if not view.live:
        return
    ages = [
        (answer["end"] - death.when.timestamp(), death)
        for death in tell_deaths(view, limit=MOST_LEFT)
    ]
    facts["left"] = [(age, death) for age, death in ages if age < JUST]


# -- in words ----------------------------------------------------------------


def _compose(
    view: View, asked: _Asked, answer: Why, causes: list[Cause]
) -> Explanation:
    common: dict[str, Any] = {
        "span": _span(answer),
        "notes": _notes(view, asked, answer),
    }
    if asked.keys is None:
        if not causes:
            causes = [_nothing_waits(answer)]
        for cause in causes:
            cause.whole = True
        explained = [_explanation(cause) for cause in causes]
        return replace(explained[0], others=tuple(explained[1:]), **common)
    states = answer.get("asked_states", {})
    if set(states) != {"memory"}:
        unfinished = [cause for cause in causes if cause.code != "finished"]
        causes = unfinished or causes
    first = causes[0]
    barrier = answer["barrier"]
    explained = [_explanation(cause) for cause in causes]
    if barrier is not None and barrier["state"] in ("waiting", "processing"):
        chain = tuple(barrier["chain"])
        held = Cause("p2p-barrier", barrier["key"], chain, len(chain), [dict(barrier)])
        return replace(_explanation(held), others=tuple(explained), **common)
    if first.length > 1 and first.code != "cascaded":
        return replace(
            _waiting(asked, states, first, explained[0], causes),
            others=tuple(explained[1:]),
            **common,
        )
    return replace(explained[0], others=tuple(explained[1:]), **common)


def _with_graph(view: View, explained: Explanation, causes: list[Cause]) -> Explanation:
    """Add the graph around the end of the chain, or around the main cause."""
    candidates = (explained, *explained.others)
    if explained.cause == "p2p-barrier":
        candidates = (*explained.others, explained)
    lengths = {cause.key: cause.length for cause in causes}
    for each in candidates:
        if each.key is None or each.cause in ("finished", "unknown-key"):
            continue
        chains = {each.key: (each.chain, lengths.get(each.key, 0))}
        try:
            found = graph_around(view, [each.key], chains=chains)
        except (AnswerUnreadable, SchedulerGone, WaitTimedOut) as error:
            note = f"the graph around it is not available: {error.message}"
            return replace(explained, notes=(*explained.notes, note))
        return replace(explained, graph=found.get(each.key))
    return explained


def _explanation(cause: Cause) -> Explanation:
    summary, evidence, advice = words_of(cause)
    chain = cause.chain
    if cause.code == "cascaded":
        chain = (*chain, cause.key)
    return Explanation(
        cause.code, summary, tuple(evidence), tuple(advice), cause.key, chain
    )


def _waiting(
    asked: _Asked,
    states: Mapping[str, int],
    end: Cause,
    explained: Explanation,
    causes: list[Cause],
) -> Explanation:
    """What everything waits for, at the end of the chain."""
    names = [show(key, 40) for key in end.chain]
    if len(names) > 8:
        names = [*names[:4], f"… {end.length - 8} more …", *names[-4:]]
    evidence = [" waits for ".join(names)]
    ends = sum(cause.count for cause in causes)
    if ends > 1:
        evidence.append(f"it is blocked by {ends} tasks in all")
    if len(asked.keys or ()) > 1:
        counts = [f"{count} {state}" for state, count in sorted(states.items())]
        evidence.append(f"the tasks asked about: {several(counts)}")
    return Explanation(
        "waiting-on",
        f"{show(end.chain[0])} waits for {show(end.key)}, because {explained.summary}",
        (*evidence, *explained.evidence),
        explained.advice,
        end.key,
        end.chain,
        because=explained.cause,
    )


def _nothing_waits(answer: Why) -> Cause:
    cluster = answer["cluster"]
    assert cluster is not None  # it was asked for
    states = [f"{count} {state}" for state, count in sorted(cluster["states"].items())]
    evidence = [
        f"tasks: {several(states)}" if states else "the scheduler knows no task",
        f"{cluster['workers']} workers, {cluster['threads']} threads",
    ]
    return Cause("finished", parts=[{"evidence": evidence}])


def _notes(view: View, asked: _Asked, answer: Why) -> tuple[str, ...]:
    notes = list(asked.notes)
    if not view.live:
        notes.append(_NOT_IN_DUMPS)
    if answer["omitted_ends"]:
        notes.append(
            f"{answer['omitted_ends']} more tasks were counted, but not examined"
        )
    if answer["not_asked"]:
        notes.append(
            f"{answer['not_asked']} workers were not asked whether they still run it"
        )
    if answer["unfollowed"]:
        notes.append(
            f"{answer['unfollowed']} tasks failed because of others, and not all their "
            "dependencies were examined: an earlier failure may be among them"
        )
    return tuple(notes)


def _span(answer: Why) -> Span:
    start, end = (
        datetime.fromtimestamp(answer[name], tz=timezone.utc)
        for name in ("start", "end")
    )
    return Span(start, end)
