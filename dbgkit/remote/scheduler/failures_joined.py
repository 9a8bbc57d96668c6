"""Failures of one function whose file is known on one side only are one group.

A task that failed before cloudpickle left out the names of files has one in its
traceback, one that failed since has none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from ..common.codes import is_dynamic, mark_of
from .failures_groups import Groups

# From a group to the fingerprint of the code that its example failed in, or "".
MarkOf = Callable[[Any], Awaitable[str]]


async def join_moved(groups: Groups, read_mark: MarkOf) -> None:
    """Put each group without a file to the only group that it can belong to."""
    alike: dict[Any, list[Any]] = {}
    for signature in groups:
        kind, message, place = signature
        if place is not None:
            alike.setdefault((kind, message, *place[1:]), []).append(signature)
    for signatures in alike.values():
        lost = [one for one in signatures if is_dynamic(one[2][0])]
        if len(signatures) == 1 or not lost:
            continue
        real = [one for one in signatures if one not in lost]
        marks = {one: await read_mark(groups[one]) for one in real}
        # First those whose code is known: they say what the others may be.
        for one in sorted(lost, key=lambda each: not mark_of(each[2][0])):
            home = _home_of(one, signatures, groups, marks)
            if home is not None:
                groups[home].absorb(groups.pop(one))


def _home_of(
    lost: Any, signatures: Iterable[Any], groups: Groups, marks: dict[Any, str]
) -> Any:
    """The one group that a group without a file belongs to; None: none, or several."""
    mark = mark_of(lost[2][0])
    others = [one for one in signatures if one is not lost and one in groups]
    if not mark:
        return others[0] if len(others) == 1 else None
    same = [one for one in others if marks.get(one) == mark]
    if same:
        return same[0] if len(same) == 1 else None
    # Any group whose code is unknown may be it, so there has to be a single one.
    known = [one for one in signatures if mark_of(one[2][0])]
    unknown = [one for one in others if marks.get(one) == ""]
    return unknown[0] if len(unknown) == len(known) == 1 else None
