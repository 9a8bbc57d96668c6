"""Which tasks have failed, and because of which: kept from change to change.

This file is sent to the scheduler as source: standard library only. What is done on
each change of a task's state costs about a microsecond.
"""

from __future__ import annotations

from time import time
from typing import Any, NamedTuple

from .pacing import Pace, all_tasks, is_dump, slices
from .texts import Signature

MOST_HEALED = 10_000  # keys that are remembered; more are only counted


class Row(NamedTuple):
    """What a report needs of one root cause, as its texts are slow to read."""

    alike: Signature
    name: str
    workers: tuple[str, ...]


class ErredIndex:
    """Failed tasks of one state.

    Attributes
    ----------
    complete : bool
        Whether all that had failed before is in it too; `dated`: with its times.
    blame : dict of Key to Key
        Each failed task and its root cause: itself, or what it fell because of.
    members : dict of Key to int
        How many failed tasks each root cause has, itself included.
    when : dict of Key to float or None
        When a root cause failed; None: nothing tells.
    rows : dict of Key to Row
        What a report needs of each root cause; made when first asked for.
    retried : dict of Key to None
        Tasks that failed while a retry was left, and have not succeeded since.
    forgotten : int
        How many tasks were forgotten since it is kept.
    healed : dict of Key to None
        Those that have succeeded since; `healed_more` counts those not kept.
    """

    def __init__(self) -> None:
        self.complete = False
        self.dated = False
        self.blame: dict[Any, Any] = {}
        self.members: dict[Any, int] = {}
        self.when: dict[Any, float | None] = {}
        self.rows: dict[Any, Row] = {}
        self.retried: dict[Any, None] = {}
        self.healed: dict[Any, None] = {}
        self.healed_more = 0
        self.forgotten = 0

    def add(self, ts: Any, when: float | None = None) -> None:
        """Note that a task has failed, now or at a known time."""
        key = ts.key
        if key in self.blame:
            self.drop(key)
        cause = ts.exception_blame
        root = key if cause is None else cause.key
        self.blame[key] = root
        self.members[root] = self.members.get(root, 0) + 1
        if root == key:
            self.when[key] = time() if when is None else when
            self.retried.pop(key, None)

    def drop(self, key: Any) -> None:
        """Note that a task is no longer in state erred."""
        root = self.blame.pop(key, None)
        if root is None:
            return
        left = self.members[root] - 1
        if left:
            self.members[root] = left
            return
        del self.members[root]
        self.when.pop(root, None)
        self.rows.pop(root, None)

    def heal(self, key: Any) -> None:
        """Note that a task has succeeded after it had failed."""
        self.retried.pop(key, None)
        if len(self.healed) < MOST_HEALED:
            self.healed[key] = None
        elif key not in self.healed:
            self.healed_more += 1

    async def fill(self, state: Any, pace: Pace) -> bool:
        """Find what had failed before; whether that took a pass over all tasks.

        Where no group of tasks counts a failed one there is nothing to find.
        """
        if self.complete:
            return False
        counted = False
        async for part in slices(list(state.task_prefixes.values()), pace):
            counted = counted or any(prefix.states.get("erred") for prefix in part)
        # From here on the extension's transition() keeps it.
        if not counted and not is_dump(state):
            self.complete = True
            return False
        dump = is_dump(state)
        async for part in all_tasks(state, pace):
            for ts in part:
                # Whichever of the two is the quicker to look at.
                if ts.state == "erred" if dump else ts.exception_blame is not None:
                    if ts.state == "erred" and ts.key not in self.blame:
                        self._add_old(ts)
                elif ts.annotations and _was_healed(ts):
                    self.heal(ts.key)
        self.complete = True
        return True

    def _add_old(self, ts: Any) -> None:
        self.add(ts)
        if self.blame[ts.key] == ts.key:
            del self.when[ts.key]  # it was not now


def _was_healed(ts: Any) -> bool:
    """Whether a task that is in memory has used up retries."""
    retries = ts.annotations.get("retries")
    return isinstance(retries, int) and ts.state == "memory" and ts.retries < retries
