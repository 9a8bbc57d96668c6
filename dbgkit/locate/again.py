"""A failure that was located before, looked at again."""

from __future__ import annotations

from dataclasses import replace

from dbgkit.cluster.clients import is_open
from dbgkit.cluster.link import Link
from dbgkit.errors import UnknownKey
from dbgkit.model import Failure


def look_again(failure: Failure, timeout: float, max_bytes: int) -> Failure:
    """The same failure, with what a replay needs as it stands by now."""
    stale = replace(failure, evidence=replace(failure.evidence, visit=None))
    return relocate([stale], timeout, True, max_bytes)[0]


def relocate(
    failures: list[Failure], timeout: float, specs: bool, max_bytes: int
) -> list[Failure]:
    """Failures that were located before: the first again, with what a replay needs."""
    if not failures:
        return failures
    first = failures[0]
    evidence = first.evidence
    visit = evidence.visit
    complete = visit is not None and any(
        row["key"] == first.key for row in visit["tasks"]
    )
    if not specs or complete or evidence.graph is not None or evidence.client is None:
        return failures
    if not is_open(evidence.client):
        return failures
    answer = Link(evidence.client, timeout).visit(
        keys=[first.key], specs=True, max_bytes=max_bytes, leaders=False
    )
    if not answer["tasks"]:
        raise UnknownKey(
            f"the scheduler has forgotten {first.key!r} since it was located",
            "hold its future, or hand in the exception",
            key=first.key,
        )
    return [replace(first, evidence=replace(evidence, visit=answer)), *failures[1:]]
