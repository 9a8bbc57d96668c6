"""Failures of one function whose file is known on one side only are one group.

A task that failed before cloudpickle left out the names of files has one in its
traceback, one that failed since has none.

This file is sent to the scheduler as source: standard library only.
"""

from __future__ import annotations

import bisect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from ..common.codes import is_dynamic, mark_of

SAMPLE = 10  # keys of one group

# From a group to the fingerprint of the code that its example failed in, or "".
MarkOf = Callable[[Any], Awaitable[str]]


async def join_moved(groups: dict[Any, Any], read_mark: MarkOf) -> None:
    """Put each group without a file to the one group that it can only belong to.

    Parameters
    ----------
    groups : dict of Signature to group
        What is put to another one is taken out.
    read_mark : callable
    """
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
        # Those of which the code is known first: they say what the others may be.
        for one in sorted(lost, key=lambda each: not mark_of(each[2][0])):
            home = _home_of(one, signatures, groups, marks)
            if home is not None:
                absorb(groups[home], groups.pop(one))


def _home_of(
    lost: Any, signatures: Iterable[Any], groups: dict[Any, Any], marks: dict[Any, str]
) -> Any:
    """The one group that a group without a file belongs to; None: none, or several."""
    mark = mark_of(lost[2][0])
    others = [one for one in signatures if one is not lost and one in groups]
    if not mark:
        return others[0] if len(others) == 1 else None
    same = [one for one in others if marks.get(one) == mark]
    if same:
        return same[0] if len(same) == 1 else None
    # Of a group whose code is not known, any may be it, but one only.
    known = [one for one in signatures if mark_of(one[2][0])]
    unknown = [one for one in others if marks.get(one) == ""]
    return unknown[0] if len(unknown) == len(known) == 1 else None


def absorb(group: Any, other: Any) -> None:
    """Count the failures of another group as a group's own."""
    group.count += other.count
    group.cascaded += other.cascaded
    group.forgotten += other.forgotten
    group.workers.update(other.workers)
    group.submitted.update(other.submitted)
    times = [when for when in (group.first, other.first) if when is not None]
    group.first = min(times, default=None)
    times = [when for when in (group.last, other.last) if when is not None]
    group.last = max(times, default=None)
    for place in other.keys:
        bisect.insort(group.keys, place, key=_order)
    del group.keys[SAMPLE:]
    present = [each for each in (group.present, other.present) if each is not None]
    group.present = min(present, key=_order, default=None)
    entries = [each for each in (group.entry, other.entry) if each is not None]
    group.entry = min(entries, key=lambda each: each["when"], default=None)


def _order(place: tuple[Any, ...]) -> tuple[Any, ...]:
    """Time, key as text, and position, as keys themselves may be unorderable."""
    return place[:3]
