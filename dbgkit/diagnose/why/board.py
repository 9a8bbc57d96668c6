"""Which running tasks wait for each other, or for what is never released.

A task that runs may wait for a future, whose task may need the very thread that the
first one holds; or for a lock, whose holder waits in turn. Only tasks of which all is
known are stuck: whoever may still go on by itself is not.
"""

from __future__ import annotations

from collections import deque
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
MOST_JOINED = 200  # stuck tasks of which all that belong together are shown

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


@dataclass(frozen=True)
class Step:
    """One step of a circle: a task, what it waits for, and which task is in the way.

    ``holder`` is that of a ``lock``; else ``key`` is a future's. ``thread`` are the
    workers of which that one, or ``behind`` it, needs a thread; ``bound`` if it can
    run on no other.
    """

    task: Running
    next: Running | None
    kind: str = "future"
    lock: str | None = None
    holder: Holder | None = None
    key: Any = None
    behind: Any = None
    thread: tuple[str, ...] = ()
    bound: bool = False


# Each waits for the next, and the last for the first; or for what is never released.
Circle = tuple[Step, ...]


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
        ways = (any(self._behind(key, stuck)) for key in waits["keys"])
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

    def _behind(self, key: Any, stuck: set[Run]) -> Iterator[Blocker]:
        """What a task waits for that cannot come.

        All that it waits for has to come: one that cannot is enough.
        """
        waited = self.futures.get(key)
        for blocker in waited["blockers"] if waited else ():
            run = self._run_of(blocker)
            if run in stuck if run is not None else self._is_full(blocker, stuck):
                yield blocker

    def _run_of(self, blocker: Blocker) -> Run | None:
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

    # -- circles -----------------------------------------------------------------

    def circle_of(self, key: Any, worker: str | None) -> Circle:
        """What a task waits for in the end, if that never comes; else nothing.

        A circle begins with the same task wherever one comes into it.
        """
        start = (worker or "", key)
        if start not in self.stuck:
            blockers = self._behind(key, self.stuck)
            runs = (run for blocker in blockers for run in self._at(blocker))
            start = next(runs, start)
        if start not in self.stuck:
            return ()
        circle = self._nearest(start)
        if circle[0].next is not None and len(self.stuck) <= MOST_JOINED:
            circle = self._joined(circle)
        first = min(range(len(circle)), key=lambda at: str(circle[at].task.run))
        return circle[first:] + circle[:first]

    def _at(self, blocker: Blocker) -> list[Run]:
        """Runs in the way of a task: its own, or those that hold all threads."""
        run = self._run_of(blocker)
        if run is not None:
            return [run]
        return [run for place in blocker["places"] for run in self.slots[place]]

    def _after(self, run: Run) -> list[Run]:
        """Stuck tasks that one waits for; none, for what is never released."""
        waits = self.running[run].waits
        assert waits is not None  # it is stuck
        if waits["kind"] in LOCKS:
            found = [
                (holder.worker or "", key)
                for holder in self.holders(str(waits["name"]))
                for key in holder.tasks
            ]
        else:
            found = [
                other
                for key in waits["keys"]
                for blocker in self._behind(key, self.stuck)
                for other in self._at(blocker)
            ]
        return list(dict.fromkeys(found))

    def _step(self, run: Run, after: Run | None) -> Step:
        """How a stuck task waits for another one."""
        task = self.running[run]
        waits = task.waits
        assert waits is not None  # it is stuck
        following = None if after is None else self.running.get(after)
        if waits["kind"] in LOCKS:
            name = str(waits["name"])
            holder = next(
                each
                for each in self.holders(name)
                if (
                    not each.tasks
                    if after is None
                    else each.worker == after[0] and after[1] in each.tasks
                )
            )
            return Step(task, following, waits["kind"], name, holder)
        key, blocker = next(
            (key, blocker)
            for key in waits["keys"]
            for blocker in self._behind(key, self.stuck)
            if after in self._at(blocker)
        )
        return Step(
            task,
            following,
            key=key,
            behind=None if blocker["key"] == key else blocker["key"],
            thread=() if self._run_of(blocker) else tuple(blocker["places"]),
            bound=blocker["bound"],
        )

    def _steps(self, path: Sequence[Run]) -> Circle:
        """Steps from each run of a path to the next, and back to the first."""
        following = [*path[1:], path[0]]
        return tuple(map(self._step, path, following))

    def _nearest(self, start: Run) -> Circle:
        """The first circle that one comes to, or what is never released."""
        for run in self._reached(start):
            path = self._round(run)
            if path:
                return self._steps(path)
            if not self._after(run):
                return (self._step(run, None),)
        raise AssertionError("a stuck task leads to a circle, or to a lock")

    def _reached(self, start: Run) -> Iterator[Run]:
        seen, left = {start}, deque([start])
        while left:
            run = left.popleft()
            yield run
            for other in self._after(run):
                if other not in seen:
                    seen.add(other)
                    left.append(other)

    def _round(self, start: Run) -> list[Run]:
        """The shortest way from a task back to itself, if there is one."""
        before: dict[Run, Run] = {}
        left = deque([start])
        while left:
            run = left.popleft()
            for other in self._after(run):
                if other == start:
                    path = [run]
                    while path[-1] != start:
                        path.append(before[path[-1]])
                    return path[::-1]
                if other not in before:
                    before[other] = run
                    left.append(other)
        return []

    def _joined(self, circle: Circle) -> Circle:
        """A circle with all tasks that are in one with its own.

        Who needs any one of several threads waits for all the tasks that hold them.
        """
        start = circle[0].task.run
        ahead = list(self._reached(start))
        after = {run: self._after(run) for run in ahead}
        joined, left = {start}, [start]
        before: dict[Run, list[Run]] = {}
        for run, others in after.items():
            for other in others:
                before.setdefault(other, []).append(run)
        while left:
            for run in before.get(left.pop(), ()):
                if run not in joined:
                    joined.add(run)
                    left.append(run)
        if joined <= {step.task.run for step in circle}:
            return circle
        return tuple(
            self._step(run, next(other for other in after[run] if other in joined))
            for run in sorted(joined, key=str)
        )

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
