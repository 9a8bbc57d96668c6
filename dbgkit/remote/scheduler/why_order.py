"""How much waits for each cause, and which causes are worth being described."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

MOST_GROUPS = 40  # groups of ends that are described
MOST_LONG = 5  # of which some are on the workers with the longest-running tasks
MOST_PROBED = 4  # tasks of one worker that it is asked about
MOST_WAITING = 1_000  # tasks counted behind one end
MOST_COUNTED = 10_000  # tasks looked at for one answer; at most some 3 ms


@dataclass
class Group:
    """Ends of one signature: how many, and a few to examine.

    ``longest``: the most seconds that one of them has run.
    """

    count: int = 0
    tasks: list[Any] = field(default_factory=list)
    longest: float = 0.0

    def add(self, ts: Any) -> None:
        self.count += 1
        if len(self.tasks) < MOST_PROBED:
            self.tasks.append(ts)


def is_restricted(ts: Any) -> bool:
    """Whether a task asks for certain workers, hosts or resources."""
    return bool(
        ts.worker_restrictions or ts.host_restrictions or ts.resource_restrictions
    )


def signature(ts: Any) -> tuple[Any, ...]:
    """Tasks with one signature are blocked for one reason."""
    state = ts.state
    if state == "processing":
        ws = ts.processing_on
        return (state, ws.address if ws is not None else None)
    if state == "no-worker" and is_restricted(ts):
        return (
            state,
            frozenset(ts.worker_restrictions or ()),
            frozenset(ts.host_restrictions or ()),
            tuple(sorted((ts.resource_restrictions or {}).items())),
            bool(ts.loose_restrictions),
        )
    return (state,)


def executed_by(ws: Any) -> dict[Any, float]:
    """What a worker executes, as of its last heartbeat: task -> seconds.

    Tasks are equal whose keys are (``TaskState.__eq__``), and the heartbeat may have
    told of one that was forgotten since, and submitted again.
    """
    return {ts: took for ts, took in ws.executing.items() if ts.processing_on is ws}


def of_worker(ws: Any) -> Group:
    """What a worker has to do: what it executes longest, and one task that waits."""
    executing = executed_by(ws)
    there = sorted(executing.items(), key=lambda each: -each[1])
    tasks = [ts for ts, _ in there[: MOST_PROBED - 1]]
    idle = (ts for ts in ws.processing if ts not in executing)
    longest = there[0][1] if there else 0.0
    return Group(len(ws.processing), [*tasks, *islice(idle, 1)], longest)


def chosen(groups: Iterable[Group]) -> tuple[list[Group], list[Group]]:
    """The groups to describe, and those left out.

    The largest, but also those with the longest-running tasks: on a large cluster one
    slow task may be what the rest waits for.
    """
    ranked = sorted(groups, key=lambda group: -group.count)
    if len(ranked) <= MOST_GROUPS:
        return ranked, []
    most = MOST_GROUPS - MOST_LONG
    rest = sorted(ranked[most:], key=lambda group: -group.longest)
    return ranked[:most] + rest[:MOST_LONG], rest[MOST_LONG:]


# How many unfinished tasks need a task, directly or not; and whether there may be more.
Waiting = tuple[int, bool]


class Counter:
    """Counts what waits for tasks, all of one answer within one limit."""

    def __init__(self) -> None:
        self.left = MOST_COUNTED

    def waiting(self, starts: Iterable[Any]) -> Waiting:
        """The tasks that wait for some, each once.

        ``TaskState.waiters`` (distributed/scheduler.py) are those dependents that
        have not finished yet.
        """
        order = list(starts)
        seen = set(order)
        given = len(order)
        for ts in order:  # which grows meanwhile
            for dts in ts.waiters or ():
                if self.left <= 0 or len(order) - given >= MOST_WAITING:
                    return len(order) - given, True
                self.left -= 1
                if dts not in seen:
                    seen.add(dts)
                    order.append(dts)
        return len(order) - given, False


def count_waiting(found: list[tuple[Group, Any]]) -> Mapping[Any, Waiting]:
    """What waits for each task that is described, given with its group.

    All tasks of a group that no worker has are blocked for one reason.
    """
    counter = Counter()
    counts = {}
    for group, ts in found:
        alone = ts.state == "processing"
        counts[ts] = counter.waiting([ts] if alone else group.tasks)
    return counts
