"""Why a task, a collection or a cluster makes no progress."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dask.core import flatten

from dbgkit import advice
from dbgkit.cluster.view import View
from dbgkit.diagnose.failures import span_of
from dbgkit.diagnose.graph import graph_around
from dbgkit.diagnose.sentences import several, show
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.causes import causes_of, explained
from dbgkit.diagnose.why.locks import open_waits
from dbgkit.diagnose.why.look import Look, look_at
from dbgkit.diagnose.why.outcomes import idle
from dbgkit.errors import AnswerUnreadable, SchedulerGone, WaitTimedOut, WrongTarget
from dbgkit.model import Explanation
from dbgkit.remote.common.texts import safe_repr
from dbgkit.targets.resolve import Sought, sort_target
from dbgkit.targets.scheduler_texts import keys_holding
from dbgkit.targets.tracebacks import trace

LOOKS = 4  # passes, as messages may be on their way
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
    futures: dict[Any, Any] = field(default_factory=dict)  # by their keys


def explain(view: View, target: Any = None) -> Explanation:
    """Why a target, or the whole cluster (None), makes no progress.

    The target is a future, a collection, a key, a failure, or several of these; if it
    leads to no task, `WrongTarget` says so.
    """
    asked = _Asked(None) if target is None else _keys_of(view, target)
    for attempt in range(LOOKS):
        if attempt:
            time.sleep(PAUSE)
        look = look_at(view, asked.keys, asked.futures)
        causes = causes_of(look)
        if not (view.live and any(map(_may_change, causes))):
            break
    return _with_graph(view, _compose(asked, look, causes), causes)


def _may_change(cause: Cause[Any]) -> bool:
    """Whether it may be one because a message is on its way."""
    return cause.code in ("client-out-of-step", "unexplained")


def _keys_of(view: View, target: Any) -> _Asked:
    sought = sort_target(target)
    keys = [*sought.keys, *(failure.key for failure in sought.failures)]
    keys += _of_exceptions(view, sought)
    asked = _Asked(keys, futures=sought.futures)
    if sought.collections and not sought.futures:
        for collection in sought.collections:
            keys += flatten([collection.__dask_keys__()])
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


def _compose(asked: _Asked, look: Look, causes: list[Cause[Any]]) -> Explanation:
    """The first cause, with the others."""
    states = look.answer.get("asked_states", {})
    # What the inputs of a shuffle's barrier wait for comes after it.
    barriers = [cause for cause in causes if cause.code == "p2p-barrier"]
    causes = [cause for cause in causes if cause.code != "p2p-barrier"]
    if not look.whole and set(states) != {"memory"}:
        causes = [cause for cause in causes if cause.code != "finished"] or causes
    found = list(map(explained, [*barriers, *causes])) or [_idle(look)]
    if not (look.whole or barriers):
        first = causes[0]
        if first.length > 1 and first.code != "cascaded":
            found[0] = _waiting(asked, states, first, found[0], causes)
    return replace(
        found[0],
        others=tuple(found[1:]),
        span=span_of(look.answer),
        notes=_notes(asked, look, causes),
    )


def _idle(look: Look) -> Explanation:
    cluster = look.answer["cluster"]
    assert cluster is not None  # it was asked for
    summary, evidence, _ = idle(cluster)
    return Explanation("finished", summary, (*evidence, *open_waits(look)))


def _waiting(
    asked: _Asked,
    states: Mapping[str, int],
    end: Cause[Any],
    explained: Explanation,
    causes: list[Cause[Any]],
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
    return replace(
        explained,
        cause="waiting-on",
        summary=f"{show(end.chain[0])} waits for {show(end.key)}, because "
        f"{explained.summary}",
        evidence=(*evidence, *explained.evidence),
        because=explained.cause,
    )


def _notes(asked: _Asked, look: Look, causes: list[Cause[Any]]) -> tuple[str, ...]:
    notes, answer = list(asked.notes), look.answer
    if causes:
        notes += open_waits(look)
    if not look.view.live:
        notes.append(_NOT_IN_DUMPS)
    left_out = {
        "more tasks were counted, but not examined": answer["omitted_ends"],
        "workers were not asked whether they still run it": answer["not_asked"],
        "tasks failed because of others, and not all their dependencies were examined: "
        "an earlier failure may be among them": answer["unfollowed"],
    }
    notes += [f"{count} {what}" for what, count in left_out.items() if count]
    return tuple(notes)


def _with_graph(
    view: View, explained: Explanation, causes: list[Cause[Any]]
) -> Explanation:
    """Add the graph around the end of the chain, or around the main cause."""
    candidates = (explained, *explained.others)
    if explained.cause == "p2p-barrier":
        candidates = (*explained.others, explained)
    lengths = {cause.key: cause.length for cause in causes}
    for each in candidates:
        if each.key is None or each.cause in ("finished", "unknown-key", "cancelled"):
            continue
        chains = {each.key: (each.chain, lengths.get(each.key, 0))}
        try:
            found = graph_around(view, [each.key], chains=chains)
        except (AnswerUnreadable, SchedulerGone, WaitTimedOut) as error:
            note = f"the graph around it is not available: {error.message}"
            return replace(explained, notes=(*explained.notes, note))
        return replace(explained, graph=found.get(each.key))
    return explained
