"""Which task killed a worker, and which ones were only there as it died.

Dask counts a worker's end against all tasks that were assigned to it
(``Scheduler.remove_worker``, distributed/scheduler.py), so that those that were waiting
in its queue fail with ``KilledWorker`` too. What ran there is known from the recorder;
what was assigned, from the scheduler's events or its log of transitions. What these do
not tell apart stays *one of several*. What ran at the last heartbeat decides nothing:
it may have finished, and another task may have begun, as the worker died.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from heapq import nsmallest
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from dask.utils import key_split

from ..common.crashes import crashed_task
from ..common.endings import NO_REPORT, box_of
from ..common.pacing import Pace, is_dump, slices
from ..common.pickles import ran_last
from .removals import removals

if TYPE_CHECKING:
    from ..common.wire_deaths import DeathForm
    from ..common.wire_failures import SharedForm

MOST_ENDS = 500  # that the recorder is asked for
MOST_SHARED = 20  # keys that are sent of one task
MOST_READ = 100  # exceptions of suspects that are read
TOGETHER = 1.0  # seconds in which the scheduler does all that follows from an end

_CLEANUP = "handle-worker-cleanup"  # the stimulus of a worker's lost connection


class End(NamedTuple):
    """A worker that died: the tasks assigned to it, and those that ran, if known."""

    worker: str
    when: float
    had: AbstractSet[Any]
    ran: frozenset[Any] | None

    @property
    def suspects(self) -> AbstractSet[Any]:
        return self.had if self.ran is None else self.ran


class Suspects(NamedTuple):
    """Tasks that may have killed some workers, or that did.

    ``ran`` are those of them that ran at the last heartbeat.
    """

    number: int
    keys: tuple[Any, ...]  # the first of them, by their text
    prefixes: str
    ran: tuple[Any, ...] = ()


class Blame(NamedTuple):
    """What a task that failed as its workers died has to do with that.

    ``role`` is ``"suspect"``: it is one of those that may have killed them;
    ``"bystander"``: others did; or empty: nothing speaks for any other task.
    """

    role: str
    suspects: Suspects

    def shared(self, key: Any) -> SharedForm | None:
        """What is sent of it, of a task."""
        if not self.role:
            return None
        keys = [each for each in self.suspects.keys if each != key][:MOST_SHARED]
        others = self.suspects.number - (self.role == "suspect")
        ran = list(self.suspects.ran)
        more = others - len(keys)
        return {"role": self.role, "keys": keys, "more": more, "ran": ran}


class _Failed(NamedTuple):
    """Tasks that failed by some ends: all, the first by their text, and prefixes."""

    keys: set[Any]
    first: list[Any]
    prefixes: set[str]

    def add(self, keys: list[Any]) -> None:
        self.keys.update(keys)
        self.prefixes.update(map(key_split, keys))
        self._keep_first(keys)

    def join(self, other: _Failed) -> None:
        self.keys.update(other.keys)
        self.prefixes.update(other.prefixes)
        self._keep_first(other.first)

    def _keep_first(self, keys: list[Any]) -> None:
        some = dict.fromkeys([*self.first, *keys])
        self.first[:] = nsmallest(MOST_SHARED + 1, some, key=str)


def was_killed(state: Any, ts: Any) -> bool:
    """Whether a failed task raised nothing: its workers died."""
    return not ts.exception_text and bool(ts.suspicious > state.allowed_failures)


class Killings:
    """The ends of workers, and what they say about the tasks that failed with them.

    Parameters
    ----------
    state : Scheduler or DumpState
    ends : iterable of End
    asked : set of Key
        Tasks that failed by them, about which `blame` is asked.
    """

    def __init__(self, state: Any, ends: Iterable[End], asked: Collection[Any]) -> None:
        self._state = state
        ends = list(ends)
        self._ends = [end for end in ends if not end.had.isdisjoint(asked)]
        self._failed: dict[Any, bool] = {}
        self._of_end: dict[int, _Failed] = {}
        self._suspects: dict[tuple[str, frozenset[int]], Suspects] = {}
        self._blames: dict[Any, Blame] = {}
        # Tasks that are known to have killed a worker, as nothing else ran there.
        self._proven = {
            key
            for end in ends
            if len(end.suspects) == 1
            for key in end.suspects
            if self.has_failed(key)
        }

    @classmethod
    async def of(
        cls, state: Any, killed: Collection[Any], recorder: str, pace: Pace
    ) -> Killings:
        """All that is known, for some keys of tasks that failed as workers died.

        ``recorder``: name of the recorder's part that has the ends of workers.
        """
        if not killed:
            return cls(state, (), ())
        asked = set(killed)
        ends = await _known_ends(state, recorder, pace)
        missing = asked.difference(*(end.had for end in ends))
        if missing:
            ends += await _ends_of_log(state, missing, pace)
        killings = cls(state, ends, asked)
        for at, end in enumerate(killings._ends):
            failed = killings._of_end[at] = _Failed(set(), [], set())
            async for part in slices(list(end.suspects), pace):
                failed.add(list(filter(killings.has_failed, part)))
        return killings

    def blame(self, key: Any) -> Blame:
        """What a task that failed as its workers died has to do with that."""
        if key not in self._blames:
            self._blames[key] = self._judged(key)
        return self._blames[key]

    def _judged(self, key: Any) -> Blame:
        mine = [at for at, end in enumerate(self._ends) if key in end.had]
        alone = Blame("", Suspects(1, (key,), key_split(key)))
        if not mine or key in self._proven:
            return alone
        doubted = [at for at in mine if self._may_be_by(key, self._ends[at])]
        ts = self._state.tasks.get(key)
        all_known = ts is not None and len(mine) >= ts.suspicious
        if not doubted and all_known:
            return Blame("bystander", self._suspects_of("bystander", mine))
        suspects = self._suspects_of("suspect", doubted)
        return Blame("suspect", suspects) if suspects.number > 1 else alone

    def _may_be_by(self, key: Any, end: End) -> bool:
        return key in end.suspects and self._proven.isdisjoint(end.suspects)

    def _suspects_of(self, role: str, positions: list[int]) -> Suspects:
        """Who may have caused some ends; for bystanders, who did, or ran there."""
        at = role, frozenset(positions)
        if at not in self._suspects:
            found = _Failed(set(), [], set())
            for position in positions:
                if role == "suspect":
                    found.join(self._of_end[position])
                else:  # known to be few, as these ran
                    ran = self._ends[position].suspects
                    found.add(list((self._proven & ran) or ran))
            names = ", ".join(sorted(found.prefixes))
            keys = tuple(found.first)
            self._suspects[at] = Suspects(
                len(found.keys), keys, names, self._ran_last(found.keys)
            )
        return self._suspects[at]

    def _ran_last(self, keys: Collection[Any]) -> tuple[Any, ...]:
        """Those of some tasks that ran at the last heartbeat of their worker.

        Each exception names what ran of what had not failed before it.
        """
        tasks = filter(None, map(self._state.tasks.get, islice(keys, MOST_READ)))
        ran = set().union(*(ran_last(ts.exception) for ts in tasks))
        return tuple(sorted(ran.intersection(keys), key=str))

    def seen_first(
        self, tasks: list[tuple[Any, float | None]]
    ) -> list[tuple[Any, float | None]]:
        """Failed tasks, after them those suspects that did not run, others having."""

        def is_unseen(task: tuple[Any, Any]) -> bool:
            key = task[0].key
            ran = self.blame(key).suspects.ran
            return bool(ran) and key not in ran

        return sorted(tasks, key=is_unseen) if self._ends else tasks

    def has_failed(self, key: Any) -> bool:
        """Whether a task is one of those that failed as their workers died."""
        if key not in self._failed:
            ts = self._state.tasks.get(key)
            there = ts is not None and ts.exception_blame is ts
            self._failed[key] = there and was_killed(self._state, ts)
        return self._failed[key]


async def _known_ends(state: Any, recorder: str, pace: Pace) -> list[End]:
    """Ends of workers that were not meant, as the recorder and the events have them."""
    if is_dump(state):
        return []
    ends: list[End] = []
    until = float("inf")
    handler = state.handlers.get(f"{recorder}-list")
    held = None if handler is None else await handler(keys=None, limit=MOST_ENDS)
    if held is not None:
        until = held["since"]
        ends = [_of_record(each) for each in held["deaths"] if not each["expected"]]
    async for when, msg in removals(state, state.get_events(), pace):
        gone = msg["action"] == "remove-worker" and not msg.get("expected")
        if gone and when < until:
            had = msg.get("processing-tasks") or ()
            ends.append(End(msg["worker"], when, frozenset(had), None))
    return ends


def _of_record(death: DeathForm) -> End:
    """An end as the recorder has it; with its nanny's report, what ran is known."""
    box = box_of(death)
    had = set(death["processing"])
    had.update(task["key"] for task in death["heartbeat_tasks"])
    ran: frozenset[Any] | None = None
    if box and not box["left_out"]:
        had.update(task["key"] for task in box["tasks"])
        code = (death["report"] or NO_REPORT)["code"]
        stack = box["stack"] if code is None or code < 0 else ""
        crashed = crashed_task(box["tasks"], stack) if stack else None
        tasks = box["tasks"] if crashed is None else [crashed]
        ran = frozenset(task["key"] for task in tasks) or None
    return End(death["worker"], death["when"], had, ran)


async def _ends_of_log(state: Any, killed: Collection[Any], pace: Pace) -> list[End]:
    """Ends of workers as the transitions show them: what was taken off at one time."""
    log = list(state.transition_log)
    ends: dict[str, tuple[float, set[Any]]] = {}
    async for part in slices(log, pace):
        for key, start, finish, _, stimulus, when in part:
            by_end = finish == "erred" or stimulus.startswith(_CLEANUP)
            if key in killed and start == "processing" and by_end:
                ends.setdefault(stimulus, (when, set()))
    async for part in slices(log if ends else [], pace):
        for key, start, _, _, stimulus, when in part:
            end = ends.get(stimulus)
            if end and start == "processing" and abs(when - end[0]) < TOGETHER:
                end[1].add(key)
    return [End("", when, had, None) for when, had in ends.values()]
