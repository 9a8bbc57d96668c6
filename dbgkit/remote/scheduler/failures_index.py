"""Which tasks have failed, and because of which: updated with each change.

What is done on each change of a task's state costs about a microsecond.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ..common.frame_codes import KeptCodes
from ..common.pacing import Pace, all_tasks, is_dump, slices
from ..common.pickles import MOST_BYTES, Raised, pickle_of
from ..common.texts import COMPARED
from .failures_groups import Row
from .p2p import P2P, as_text, cause_in_shuffle

if TYPE_CHECKING:
    from ..common.wire_failures import HistoryEntry

MOST_SHUFFLES = 100  # failures of P2P shuffles whose causes are kept
MOST_HEALED = 10_000  # keys that are remembered; more are only counted


class Unread(NamedTuple):
    """An exception whose pickle has not been read yet."""

    text: str
    pickle: bytes


class ErredIndex:
    """Failed tasks of one state.

    Attributes
    ----------
    complete : bool
        Whether it has all that had failed before, too; `dated`: with its times.
    blame : dict of Key to Key
        Each failed task and its root cause: itself, or why it failed.
    members : dict of Key to int
        How many failed tasks each root cause has, itself included.
    when : dict of Key to float or None
        When a root cause failed; None: unknown.
    rows : dict of Key to Row
        What a report needs of each root cause; made when first asked for.
    shuffles : dict of Key to Unread, Raised or None
        What tasks of P2P shuffles were raised from, read once it is asked for (see
        `cause_in_shuffle`); it outlives the task, of which the scheduler's history
        has only the phase.
    retried : dict of Key to None
        Tasks that failed while a retry was left, and have not succeeded since.
    forgotten : int
        How many tasks were forgotten since the index exists.
    codes : KeptCodes
        Which code the last ones failed in, also once they are forgotten.
    led : dict of Key to (float, Key, float)
        Those of `rows` that failed because of what they had submitted, as far as that
        is certain: when, because of which task, and when that one failed.
    submitted : Submitted or None
        Failures by what those who waited for them received, once that was asked for
        (see ``inner_table``); `fresh`: root causes that are to be added to it.
    healed : dict of Key to None
        Those that have succeeded since; `healed_more` counts those not kept.
    """

    most_noted = 100_000  # failures that are kept in a table of what tasks submitted

    def __init__(self) -> None:
        self.complete = False
        self.dated = False
        self.blame: dict[Any, Any] = {}
        self.members: dict[Any, int] = {}
        self.when: dict[Any, float | None] = {}
        self.rows: dict[Any, Row] = {}
        self.shuffles: dict[Any, Unread | Raised | None] = {}
        self.retried: dict[Any, None] = {}
        self.healed: dict[Any, None] = {}
        self.healed_more = 0
        self.led: dict[Any, tuple[float, Any, float]] = {}
        self.submitted: Any = None
        self.fresh: list[Any] | None = None
        self.forgotten = 0
        self.codes = KeptCodes()

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
            if self.fresh is not None:
                self.fresh.append(key)
                if len(self.fresh) > self.most_noted:
                    self.fresh = None  # the table is made anew
            text = ts.exception_text
            if text is not None and text.startswith(P2P):
                self._add_shuffle(ts)
            self.codes.failed(key)

    def _add_shuffle(self, ts: Any) -> None:
        pickle = pickle_of(ts.exception)
        if 0 < len(pickle) <= MOST_BYTES:
            self.shuffles.pop(ts.key, None)
            self.shuffles[ts.key] = Unread(ts.exception_text[:COMPARED], pickle)
            if len(self.shuffles) > MOST_SHUFFLES:
                del self.shuffles[next(iter(self.shuffles))]

    def cause_in_shuffle(self, key: Any) -> Raised | None:
        """What a task of a P2P shuffle was raised from, as far as that is known."""
        found = self.shuffles.get(key)
        if isinstance(found, Unread):
            found = self.shuffles[key] = cause_in_shuffle(*found)
        return found

    def with_cause(self, entry: HistoryEntry) -> HistoryEntry:
        """An entry of the history, with the code that its frames were in.

        Of a P2P shuffle's task also what it was raised from.
        """
        shuffled = entry["exception_text"].startswith(P2P)
        cause = self.cause_in_shuffle(entry["key"]) if shuffled else None
        return {
            **entry,
            "codes": self.codes.of(entry["key"]),
            "cause_text": cause.text if cause else "",
            "cause_frames": as_text(cause) if cause else "",
        }

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
        if self.led:
            self.led.pop(root, None)

    def note_row(self, root: Any, row: Row) -> None:
        """Keep what was read of a root cause, as long as it is one."""
        if root in self.members:
            self.rows[root] = row

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
        dump = counted = is_dump(state)
        async for part in slices(list(state.task_prefixes.values()), pace):
            counted = counted or any(prefix.states.get("erred") for prefix in part)
        # From here on the extension's transition() keeps it.
        if not counted:
            self.complete = True
            return False
        async for part in all_tasks(state, pace):
            for ts in part:
                # Whichever of the two is quicker to read.
                if ts.state == "erred" if dump else ts.exception_blame is not None:
                    if ts.state == "erred" and ts.key not in self.blame:
                        self.add(ts)
                        if self.blame[ts.key] == ts.key:
                            del self.when[ts.key]  # it was not now
                elif ts.annotations and _was_healed(ts):
                    self.heal(ts.key)
        self.complete = True
        return True

    async def find_times(
        self, state: Any, history: list[HistoryEntry], pace: Pace
    ) -> None:
        """Times of what had failed before it was kept, as far as they are known."""
        if self.dated:
            return
        times = {entry["key"]: entry["when"] for entry in reversed(history)}
        async for part in slices(list(state.transition_log), pace):
            for entry in part:
                if entry[2] == "erred":
                    times[entry[0]] = max(entry[5], times.get(entry[0], 0.0))
        for root in self.members:
            self.when.setdefault(root, times.get(root))
        self.dated = True

    async def task_of(self, state: Any, root: Any, pace: Pace) -> Any:
        """The task of a root cause, also if it is forgotten and only others name it."""
        ts = state.tasks.get(root)
        if ts is not None and ts.exception_text is not None:
            return ts
        if ts is not None and self.blame.get(root) == root:
            return ts
        async for part in slices(list(self.blame.items()), pace):
            for key, blamed in part:
                other = state.tasks.get(key) if blamed == root else None
                if other is not None and other.exception_blame is not None:
                    return other.exception_blame
        return ts


def _was_healed(ts: Any) -> bool:
    """Whether a task that is in memory has used up retries."""
    retries = ts.annotations.get("retries")
    return isinstance(retries, int) and ts.state == "memory" and ts.retries < retries
