"""A failure that was located before, brought up to date."""

from __future__ import annotations

from dataclasses import replace

from dbgkit.cluster.clients import is_open
from dbgkit.cluster.connection import RESUBMIT
from dbgkit.cluster.link import Link
from dbgkit.errors import SchedulerGone, UnknownKey
from dbgkit.model import Failure
from dbgkit.targets.past import said_of_past
from dbgkit.targets.refusals import not_again, not_failed


def brought_up_to_date(failure: Failure, timeout: float, max_bytes: int) -> Failure:
    """The same failure, with what a replay needs as it is now."""
    if not _can_be_asked_of(failure):
        return replace(failure, evidence=replace(failure.evidence, visit=None))
    return _with_visit(failure, timeout, max_bytes)


def relocate(
    failures: list[Failure], timeout: float, specs: bool, max_bytes: int
) -> list[Failure]:
    """Failures that were located before; the first one updated for a replay."""
    if not failures:
        return failures
    first = failures[0]
    visit = first.evidence.visit
    complete = visit is not None and any(
        row["key"] == first.key for row in visit["tasks"]
    )
    if not specs or complete or not _can_be_asked_of(first):
        return failures
    return [_with_visit(first, timeout, max_bytes), *failures[1:]]


def _can_be_asked_of(failure: Failure) -> bool:
    """Whether a failure is known from a scheduler that is still there to be asked."""
    evidence = failure.evidence
    if evidence.graph is not None or evidence.client is None:
        return False
    return is_open(evidence.client)


def _with_visit(failure: Failure, timeout: float, max_bytes: int) -> Failure:
    """A failure with what the scheduler reports of it now; raises if it has none."""
    evidence = failure.evidence
    answer = Link(evidence.client, timeout).visit(
        keys=[failure.key], specs=True, max_bytes=max_bytes, leaders=False
    )
    if answer["tasks"]:
        return replace(failure, evidence=replace(evidence, visit=answer))
    before = evidence.visit
    if before is not None and before["scheduler"] != answer["scheduler"]:
        raise SchedulerGone(
            f"the scheduler was restarted since {failure.key!r} was located, and its "
            "tasks are gone",
            RESUBMIT,
            key=failure.key,
        )
    state = answer["asked"][0]["state"]
    if state not in ("unknown", "erred"):
        past = said_of_past(answer, failure.key)
        raise not_failed(failure.key, state, "", evidence.client, past)
    if failure.found_in == "history":
        raise not_again(failure)
    raise UnknownKey(
        f"the scheduler has forgotten {failure.key!r} since it was located",
        "hold its future, or pass the exception",
        key=failure.key,
    )
