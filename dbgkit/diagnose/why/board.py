"""Which running tasks wait for each other, or for what is never released.

A task that runs may wait for a future, whose task may need the very thread that the
first one holds; or for a lock, whose holder waits in turn. Only tasks of which all is
known are stuck: whoever may still go on by itself is not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why_waits import (
        Blocker,
        HeldLease,
        Holders,
        Lease,
        LockForm,
        WaitedFor,
    )
    from dbgkit.remote.common.wire_why_workers import Executing, Probe, Waits

LOCKS = ("lock", "semaphore")
REFRESHED = 0.3  # of its timeout: a lease that is held is refreshed after a fifth

# A run of a task: the worker, and the key. One key may run on two workers for a while.
Run = tuple[str, Any]


@dataclass(frozen=True)
class Running:
    """A task that runs, and what it waits for."""

    key: Any
    worker: str
    since: float | None
    waits: Waits | None
    stack: Sequence[str] = field(default=(), compare=False)

    @property
    def run(self) -> Run:
        return self.worker, self.key


@dataclass(frozen=True)
class Holder:
    """Who holds one lease of a lock.

    On a ``worker`` it is one of the ``tasks`` that run there, and no other if they are
    ``all``; none, if the task that took it has ended: then something that is ``kept``
    may release it still. Without a worker it is held ``here``, in this process; or
    elsewhere, which is not known if not all workers were ``asked``; or by nobody any
    more, if it is not ``refreshed``. What is not refreshed is taken back within
    ``frees`` seconds, if ever.
    """

    worker: str | None = None
    tasks: tuple[Any, ...] = ()
    all: bool = False
    kept: bool = False
    here: bool = False
    asked: bool = True
    refreshed: bool = True
    frees: float | None = None

    def never_releases(self, stuck: set[Run]) -> bool:
        """Whether its tasks are stuck, or have ended and left it behind."""
        if self.worker is None or self.frees is not None:
            return False
        if not self.tasks:
            return not self.kept
        return self.all and {(self.worker, key) for key in self.tasks} <= stuck


class Board:
    """All that is known about who waits for whom.

    Parameters
    ----------
    growing : bool
        Whether more workers are on their way, which may run what can run anywhere.
    """

    def __init__(self, growing: bool = False) -> None:
        self.growing = growing
        self.running: dict[Run, Running] = {}
        self.threads: dict[str, int] = {}
        self.slots: dict[str, list[Run]] = {}  # what holds a worker's threads
        self.futures: dict[Any, WaitedFor] = {}
        self.locks: dict[str, LockForm] = {}
        self.held: dict[str, Holder] = {}
        self._stuck: set[Run] | None = None
        self._full: dict[tuple[str, ...], bool] = {}

    def add_probe(self, worker: str, probe: Probe) -> None:
        """What a worker says of all that it runs."""
        self.threads[worker] = probe["nthreads"]
        self.slots[worker] = [(worker, entry["key"]) for entry in probe["executing"]]
        for entry in (*probe["executing"], *probe["seceded"]):
            self.running[worker, entry["key"]] = _running(worker, entry)

    def add_lock(
        self,
        lock: LockForm,
        found: Mapping[str, Holders],
        here: Collection[str],
        asked: bool,
    ) -> None:
        """A lock: what workers say of its leases, those of this process.

        ``asked``: whether all workers were, and have answered.
        """
        self.locks[lock["name"]] = lock
        for lease in lock["leases"]:
            self.held[lease["id"]] = _holder(lock, lease, found, here, asked)

    def holders(self, name: str) -> list[Holder]:
        """Who holds a lock."""
        lock = self.locks.get(name)
        return [self.held[each["id"]] for each in lock["leases"]] if lock else []

    # -- who can go on -----------------------------------------------------------

    @property
    def stuck(self) -> set[Run]:
        """Running tasks that never go on by themselves.

        The largest set in which each waits for others of it: whoever can go on is
        taken out, and then those that it lets go on.
        """
        if self._stuck is None:
            self._stuck = self._stuck_of(
                run
                for run, task in self.running.items()
                if task.waits is not None and not task.waits["limited"]
            )
        return self._stuck

    def still_stuck(self, earlier: Board) -> None:
        """Leave only who was stuck in an earlier look, and waits for the same since.

        What workers and the scheduler say is of different moments: a lock may have
        passed from one to the other in between.
        """
        self._stuck = self._stuck_of(
            run
            for run in earlier.stuck & self.stuck
            if self.running[run] == earlier.running[run]
            and self._leases(run) == earlier._leases(run)
        )

    def _leases(self, run: Run) -> list[str]:
        waits = self.running[run].waits
        lock = self.locks.get(str(waits["name"])) if waits else None
        return sorted(lease["id"] for lease in lock["leases"]) if lock else []

    def _stuck_of(self, runs: Iterable[Run]) -> set[Run]:
        found = set(runs)
        while True:
            self._full.clear()
            free = {run for run in found if not self._is_stuck(run, found)}
            if not free:
                return found
            found -= free

    def _is_stuck(self, run: Run, stuck: set[Run]) -> bool:
        waits = self.running[run].waits
        if waits is None:
            return False
        if waits["kind"] in LOCKS:
            return self._is_taken(waits, stuck)
        ways = (any(self.behind(key, stuck)) for key in waits["keys"])
        # Of several, one that never comes is enough, unless another one is.
        return bool(waits["keys"]) and (all(ways) if waits["any"] else any(ways))

    def _is_taken(self, waits: Waits, stuck: set[Run]) -> bool:
        """Whether all leases of a lock are held by who never releases them."""
        name = waits["name"]
        lock = self.locks.get(name) if name is not None else None
        if name is None or lock is None or lock["most"] is None:
            return False
        holders = self.holders(name)
        full = len(holders) >= max(1, lock["most"])
        return full and all(each.never_releases(stuck) for each in holders)

    def behind(self, key: Any, stuck: set[Run]) -> Iterator[Blocker]:
        """What a task waits for that cannot come.

        All that it waits for has to come: one that cannot is enough.
        """
        waited = self.futures.get(key)
        for blocker in waited["blockers"] if waited else ():
            run = self.run_of(blocker)
            if run in stuck if run is not None else self._is_full(blocker, stuck):
                yield blocker

    def run_of(self, blocker: Blocker) -> Run | None:
        """The run of a task, if it runs."""
        if blocker["worker"] is None:
            return None
        run = (blocker["worker"], blocker["key"])
        return run if run in self.running else None

    def _is_full(self, blocker: Blocker, stuck: set[Run]) -> bool:
        """Whether all threads of the workers that could run a task are stuck."""
        places = tuple(blocker["places"])
        if not places or blocker["free"] or len(places) < blocker["places_count"]:
            return False
        if self.growing and not blocker["bound"]:
            return False
        if places not in self._full:
            self._full[places] = all(
                place in self.slots
                and len(self.slots[place]) >= self.threads[place]
                and stuck.issuperset(self.slots[place])
                for place in places
            )
        return self._full[places]

    # -- what is still to be asked -----------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether some task waits for a future or a lock."""
        return any(
            waits["keys"] or waits["kind"] in LOCKS for waits in self._all_waits()
        )

    def unknown_futures(self) -> list[Any]:
        """Keys of futures that are waited for, and not yet known; each task's first."""
        rows = [waits["keys"] for waits in self._all_waits()]
        longest = max(map(len, rows), default=0)
        keys = (row[at] for at in range(longest) for row in rows if at < len(row))
        return [key for key in dict.fromkeys(keys) if key not in self.futures]

    def unknown_locks(self) -> list[str]:
        """Names of locks that are waited for, and not yet known."""
        names = (
            waits["name"]
            for waits in self._all_waits()
            if waits["kind"] in LOCKS and waits["name"] is not None
        )
        return [name for name in dict.fromkeys(names) if name not in self.locks]

    def unknown_workers(self) -> list[str]:
        """Workers whose threads matter, and that have not said what they run."""
        found: dict[str, None] = {}
        for waited in self.futures.values():
            for blocker in waited["blockers"]:
                if blocker["worker"] is not None:
                    found.setdefault(blocker["worker"])
                if not blocker["free"]:
                    found.update(dict.fromkeys(blocker["places"]))
        for holder in self.held.values():
            if holder.worker is not None:
                found.setdefault(holder.worker)
        return [each for each in found if each not in self.threads]

    def _all_waits(self) -> list[Waits]:
        return [task.waits for task in self.running.values() if task.waits is not None]


def _running(worker: str, entry: Executing) -> Running:
    stack = entry.get("stack") or ()
    return Running(entry["key"], worker, entry["since"], entry.get("waits"), stack)


def _holder(
    lock: LockForm,
    lease: Lease,
    found: Mapping[str, Holders],
    here: Collection[str],
    asked: bool,
) -> Holder:
    timeout, age = lock["timeout"], lease["age"]
    frees = None
    if timeout is not None:
        frees = max(0.0, timeout - age) + (lock["interval"] or 0.0)
    for worker, said in sorted(found.items()):
        held = _lease(said, lease["id"])
        if held is not None:
            return Holder(
                worker,
                tuple(said["keys"]),
                all=held["own"] and len(said["keys"]) == said["running"],
                kept=held["kept"],
                refreshed=held["refreshed"],
                frees=None if held["refreshed"] else frees,
            )
    if lease["id"] in here:
        return Holder(here=True)
    if timeout is not None and age < timeout * REFRESHED:
        return Holder(asked=asked)
    return Holder(asked=asked, refreshed=False, frees=frees)


def _lease(said: Holders, id_: str) -> HeldLease | None:
    return next((held for held in said["held"] if held["id"] == id_), None)
