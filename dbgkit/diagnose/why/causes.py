"""All causes by their codes: their order, when they are found, and their words.

A further one is a line of `CODES`, a function that finds it, and one that words it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from dbgkit.diagnose.sentences import Words
from dbgkit.diagnose.why import (
    assigned,
    deadlocks,
    outcomes,
    paused,
    placing,
    plugins,
    starting,
    unpickling,
)
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.look import Look
from dbgkit.model import Explanation


class Code(NamedTuple):
    """One code of `Explanation.cause`.

    Attributes
    ----------
    name : str
    words : callable
        Summary, evidence and advice of such a cause. What changes with time (durations,
        ages) is in the evidence, never in the summary, so that a live cluster and a
        dump of it are described alike.
    find : callable, optional
        What it explains; by default the ends to which the scheduler gives this code.
    """

    name: str
    words: Callable[[Cause[Any]], Words]
    find: Callable[[Look], Iterator[Cause[Any]]] | None = None


# The most likely to stop everything come first.
CODES = (
    Code("client-out-of-step", outcomes.out_of_step, outcomes.find_out_of_step),
    Code("lost-dependencies", outcomes.lost, outcomes.find_lost),
    Code("module-missing", unpickling.module_missing, unpickling.find_module_missing),
    Code(
        "cannot-unpickle",
        unpickling.cannot_unpickle,
        unpickling.find_cannot_unpickle,
    ),
    Code("start-failed", starting.start_failed, starting.find_start_failed),
    Code("no-workers", starting.no_workers, starting.find_no_workers),
    Code("start-stuck", starting.start_stuck, starting.find_start_stuck),
    Code("workers-starting", starting.workers_starting, starting.find_workers_starting),
    Code("worker-not-answering", assigned.not_answering, assigned.find_not_answering),
    Code(
        "transfer-failed",
        assigned.transfer_failed,
        assigned.find_at("cut off"),
    ),
    Code("transfer-stuck", assigned.transfer, assigned.find_at("stuck")),
    Code("spill-failed", paused.spill_failed, paused.find_paused("spill-failed")),
    Code(
        "paused-for-good",
        paused.paused_for_good,
        paused.find_paused("paused-for-good"),
    ),
    Code("workers-paused", paused.workers_paused, paused.find_paused("workers-paused")),
    Code("resources-unmet", placing.resources_unmet),
    Code("restrictions-unmet", placing.restrictions_unmet),
    Code("deadlock", deadlocks.deadlock, deadlocks.find_deadlocks),
    Code("lock-wait", assigned.lock_wait, assigned.find_lock_wait),
    Code("threads-held", assigned.threads_held, assigned.find_threads_held),
    Code("p2p-barrier", assigned.barrier, assigned.find_barrier),
    Code("scheduler-overloaded", placing.overloaded, placing.find_overloaded),
    Code("unexplained", placing.unexplained, placing.find_unexplained),
    Code("failed", outcomes.failed, outcomes.find_failed),
    Code("cascaded", outcomes.cascaded, outcomes.find_cascaded),
    Code("transferring", assigned.transfer, assigned.find_at("waiting")),
    Code("worker-saturated", assigned.saturated, assigned.find_at("ready")),
    Code("queued", assigned.queued, assigned.find_queued),
    Code("retrying", assigned.retrying, assigned.find_retrying),
    Code("running", assigned.running, assigned.find_running),
    Code("plugin-failed", plugins.plugin_failed, plugins.find_plugin_failed),
    Code("unknown-key", outcomes.unknown_key, outcomes.find_unknown_key),
    Code("released", outcomes.released),
    Code("finished", outcomes.finished),
)
_BY_NAME = {code.name: code for code in CODES}


def causes_of(look: Look) -> list[Cause[Any]]:
    """All causes, the likelier first.

    Those that read alike are one. Of one code, the deeper in the chain comes first,
    then what explains more tasks.
    """
    found: list[Cause[Any]] = []
    ends = [end["key"] for end in look.answer["ends"]]
    for code in CODES:
        merged: dict[Any, Cause[Any]] = {}
        causes = code.find(look) if code.find else _said(look, code.name)
        # What several find in turn is in the order of the scheduler's answer.
        for cause in sorted(causes, key=lambda each: _position(each, ends)):
            cause.code = code.name
            same = merged.setdefault(cause.like, cause)
            if same is not cause:
                same.parts += cause.parts
                same.keys += cause.keys
                same.count += cause.count
        found += sorted(merged.values(), key=lambda each: (-each.length, -each.count))
    return found


def _position(cause: Cause[Any], ends: list[Any]) -> int:
    first = cause.keys[0] if cause.keys else None
    return ends.index(first) if first in ends else len(ends)


def _said(look: Look, name: str) -> Iterator[Cause[Any]]:
    """Ends to which the scheduler gives a code; those that ask for the same are one."""
    for end in look.ends:
        if end["code"] == name:
            places = end.get("only_workers"), end.get("only_hosts")
            yield Cause(end, end, like=repr((places, end.get("resources"))))


def explained(cause: Cause[Any]) -> Explanation:
    """A cause in words."""
    summary, evidence, advice = _BY_NAME[cause.code].words(cause)
    chain = (*cause.chain, cause.key) if cause.code == "cascaded" else cause.chain
    return Explanation(
        cause.code, summary, tuple(evidence), tuple(advice), cause.key, chain
    )
