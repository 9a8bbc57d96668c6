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
    gone,
    locks,
    loops,
    outcomes,
    paused,
    placing,
    plugins,
    silent,
    slow,
    starting,
    stopped,
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


# What tasks wait for in vain, or may.
_BLOCKING = (
    Code("client-out-of-step", outcomes.out_of_step, outcomes.find_out_of_step),
    Code("lost-dependencies", gone.lost, gone.find_lost),
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
    Code("worker-not-answering", silent.not_answering, silent.find_not_answering),
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
    Code("at-breakpoint", stopped.at_breakpoint, stopped.find_at_breakpoint),
    Code("deadlock", deadlocks.deadlock, deadlocks.find_deadlocks),
    Code("lock-wait", locks.lock_wait, locks.find_lock_wait),
    Code("threads-held", assigned.threads_held, assigned.find_threads_held),
    Code("retry-loop", loops.loop, loops.find_loops),
    Code("slow-task", slow.slow_task, slow.find_slow),
    Code("p2p-barrier", assigned.barrier, assigned.find_barrier),
    Code("scheduler-overloaded", silent.overloaded, silent.find_overloaded),
    Code("unexplained", placing.unexplained, placing.find_unexplained),
)
# What is over: nothing waits for it in the cluster any more.
_FAILED = (
    Code("failed", outcomes.failed, outcomes.find_failed),
    Code("cascaded", outcomes.cascaded, outcomes.find_cascaded),
    Code("cancelled", gone.cancelled, gone.find_cancelled),
)
# What goes on by itself, or is done.
_OTHER = (
    Code("transferring", assigned.transfer, assigned.find_at("waiting")),
    Code("worker-saturated", assigned.saturated, slow.find_saturated),
    Code("queued", assigned.queued, slow.find_queued),
    Code("retrying", assigned.retrying, assigned.find_retrying),
    Code("running", slow.running, slow.find_running),
    Code("plugin-failed", plugins.plugin_failed, plugins.find_plugin_failed),
    Code("unknown-key", gone.unknown_key, gone.find_unknown_key),
    Code("released", outcomes.released),
    Code("finished", outcomes.finished),
)
CODES = (*_BLOCKING, *_FAILED, *_OTHER)
_BY_NAME = {code.name: code for code in CODES}
_PLACES = {code.name: place for place, code in enumerate(CODES)}
_FIRST, _LATER, _LAST = range(3)
_RANKS = {
    **{code.name: _FIRST for code in _BLOCKING},
    **{code.name: _LATER for code in _FAILED},
    **{code.name: _LAST for code in _OTHER},
}


# What no task may be waiting for.
_MAY_BLOCK = (
    "worker-not-answering",
    "start-stuck",
    "spill-failed",
    "paused-for-good",
    "workers-paused",
    "lock-wait",
)


def causes_of(look: Look) -> list[Cause[Any]]:
    """All causes, what blocks the most tasks first; those that read alike are one.

    What has failed comes after all that blocks others, and before what goes on by
    itself.
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
                same.merge(cause)
        found += merged.values()
    return sorted(found, key=_rank)


def _rank(cause: Cause[Any]) -> tuple[int, ...]:
    """The place of a cause; of one code, the deeper in the chain comes first."""
    rank, place = _RANKS[cause.code], _PLACES[cause.code]
    if cause.urgent:
        rank = _FIRST
    slow = cause.code == "slow-task"
    if slow and not (cause.urgent or cause.blocked > cause.count):
        rank, place = _LATER, len(CODES)  # some tasks of a name may well take longer
    if cause.code in _MAY_BLOCK and not cause.blocked:
        rank, place = _LATER, len(CODES)
    if rank == _FIRST:
        return rank, -cause.blocked, place, -cause.length
    return rank, place, cause.indirect, -cause.length, -cause.count


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
    evidence = [*evidence, *cause.waiting]
    chain = (*cause.chain, cause.key) if cause.code == "cascaded" else cause.chain
    return Explanation(
        cause.code, summary, tuple(evidence), tuple(advice), cause.key, chain
    )
