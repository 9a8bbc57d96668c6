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
        Holders,
        Lease,
        LockForm,
        WaitedFor,
    )
    from dbgkit.remote.common.wire_why_workers import Executing, Probe, Waits

LOCKS = ("lock", "semaphore")
REFRESHED = 0.3  # of its timeout: a lease that is held is refreshed after a fifth
MOST_JOINED = 100  # stuck tasks of which all that belong together are shown


@dataclass(frozen=True)
class Running:
    """A task that runs, and what it waits for; ``slot``: it holds a worker's thread."""

    key: Any
    worker: str
    since: float | None
    waits: Waits | None
    slot: bool
    stack: Sequence[str] = field(default=(), compare=False)


@dataclass(frozen=True)
class Holder:
    """Who holds one lease of a lock.

    ``tasks`` are those of a worker of which one holds it: none if the one that took it
    has ended; ``all_known``: there are no others. ``here``: this process holds it.
    Else it is held elsewhere, or by nobody any more: then ``refreshed`` is False, and
    it is taken back within ``frees`` seconds; None if leases last for ever.
    """

    worker: str | None
    tasks: tuple[Any, ...] = ()
    all_known: bool = False
    here: bool = False
    refreshed: bool = True
    frees: float | None = None


@dataclass(frozen=True)
class Step:
    """One step of a circle: a task, what it waits for, and which task is in the way.

    ``lock`` is the name of a lock, else ``key`` is a future's; ``thread`` are the
    workers of which that one, or ``behind`` it, needs a thread.
    """

    task: Running
    next: Running | None
    lock: str | None = None
    kind: str = "future"
    key: Any = None
    behind: Any = None
    thread: tuple[str, ...] = ()
    holder: Holder | None = None


# Each waits for the next, and the last for the first; or for what is never released.
Circle = tuple[Step, ...]


@dataclass
class Board:
    """All that is known about who waits for whom."""

    running: dict[Any, Running] = field(default_factory=dict)
    threads: dict[str, int] = field(default_factory=dict)
    slots: dict[str, list[Any]] = field(default_factory=dict)
    futures: dict[Any, WaitedFor] = field(default_factory=dict)
    locks: dict[str, LockForm] = field(default_factory=dict)
    held: dict[str, Holder] = field(default_factory=dict)

    def add_probe(self, worker: str, probe: Probe) -> None:
        """What a worker says of all that it runs."""
        self.threads[worker] = probe["nthreads"]
        self.slots[worker] = [entry["key"] for entry in probe["executing"]]
        for entries, slot in ((probe["executing"], True), (probe["seceded"], False)):
            for entry in entries:
                self.running[entry["key"]] = _running(worker, entry, slot)

    def add_lock(
        self, lock: LockForm, found: Mapping[str, Holders], here: Collection[str]
    ) -> None:
        """A lock, what workers say of its leases, and those that this process has."""
        self.locks[lock["name"]] = lock
        for lease in lock["leases"]:
            self.held[lease["id"]] = _holder(lock, lease, found, here)

    def holders(self, name: str) -> list[Holder]:
        """Who holds a lock."""
        lock = self.locks.get(name)
        return [self.held[each["id"]] for each in lock["leases"]] if lock else []

    # -- who can go on -----------------------------------------------------

    def stuck(self) -> set[Any]:
        """Running tasks that never go on by themselves.

        The largest set in which each waits for others of it: whoever can go on is
        taken out, and then those that it lets go on.
        """
        return self._stuck_of(
            key
            for key, task in self.running.items()
            if task.waits is not None and not task.waits["limited"]
        )

    def still_stuck(self, earlier: Board) -> set[Any]:
        """Those that were stuck in an earlier look, and wait for the same since then.

        What workers and the scheduler say is of different moments: a lock may have
        passed from one to the other in between.
        """
        return self._stuck_of(
            key
            for key in earlier.stuck() & self.stuck()
            if self.running[key] == earlier.running[key]
            and self._leases(key) == earlier._leases(key)
        )

    def _leases(self, key: Any) -> list[str]:
        waits = self.running[key].waits
        lock = self.locks.get(str(waits["name"])) if waits else None
        return sorted(lease["id"] for lease in lock["leases"]) if lock else []

    def _stuck_of(self, keys: Iterable[Any]) -> set[Any]:
        found = set(keys)
        while True:
            free = {key for key in found if not self._is_held(key, found)}
            if not free:
                return found
            found -= free

    def _is_held(self, key: Any, stuck: set[Any]) -> bool:
        waits = self.running[key].waits
        return waits is not None and any(self._steps(key, stuck))

    def _steps(self, key: Any, stuck: set[Any]) -> Iterator[Step]:
        """Ways in which a task waits for others that are stuck, if it does."""
        task = self.running[key]
        waits = task.waits
        if waits is None:
            return
        if waits["kind"] in LOCKS and waits["name"] is not None:
            yield from self._lock_steps(task, waits, stuck)
            return
        if waits["kind"] != "future" or not waits["keys"]:
            return
        ways = [list(self._future_steps(task, each, stuck)) for each in waits["keys"]]
        if all(ways) if waits["any"] else any(ways):
            for way in ways:
                yield from way

    def _lock_steps(
        self, task: Running, waits: Waits, stuck: set[Any]
    ) -> Iterator[Step]:
        name = str(waits["name"])
        lock = self.locks.get(name)
        holders = self.holders(name)
        if lock is None or lock["most"] is None or len(holders) < max(1, lock["most"]):
            return
        if not all(_never_released(each, stuck) for each in holders):
            return
        for holder in holders:
            if not holder.tasks:
                yield Step(task, None, name, waits["kind"], holder=holder)
            for key in holder.tasks:
                after = self.running.get(key)
                yield Step(task, after, name, waits["kind"], holder=holder)

    def _future_steps(self, task: Running, key: Any, stuck: set[Any]) -> Iterator[Step]:
        for behind, thread, other in self._through(key, stuck):
            yield Step(
                task,
                self.running[other],
                key=key,
                behind=None if behind == key else behind,
                thread=thread,
            )

    def _through(
        self, key: Any, stuck: set[Any]
    ) -> Iterator[tuple[Any, tuple[str, ...], Any]]:
        """What a task waits for, the workers it needs a thread of, who is stuck there.

        All that it waits for has to come: one that cannot is enough.
        """
        waited = self.futures.get(key)
        for blocker in waited["blockers"] if waited else ():
            if blocker["key"] in self.running:
                if blocker["key"] in stuck:
                    yield blocker["key"], (), blocker["key"]
            elif places := self._full(blocker, stuck):
                for place in places:
                    for other in self.slots[place]:
                        yield blocker["key"], places, other

    def _full(self, blocker: Blocker, stuck: set[Any]) -> tuple[str, ...]:
        """Workers on which a task could run, if all their threads are stuck."""
        places = blocker["places"]
        if blocker["free"] or len(places) < blocker["places_count"]:
            return ()
        for place in places:
            busy = self.slots.get(place)
            if busy is None or len(busy) < self.threads[place]:
                return ()
            if not set(busy) <= stuck:
                return ()
        return tuple(places)

    # -- circles -----------------------------------------------------------

    def circle_of(self, key: Any, stuck: set[Any]) -> Circle:
        """What a task waits for in the end, if it is stuck: empty if it is not.

        A circle begins with the same task wherever one comes into it.
        """
        start = key
        if key not in stuck:
            start = next((other for _, _, other in self._through(key, stuck)), None)
        if start is None:
            return ()
        circle = self._nearest(start, stuck)
        if len(stuck) <= MOST_JOINED:
            circle = self._joined(circle, stuck)
        first = min(range(len(circle)), key=lambda at: str(circle[at].task.key))
        return circle[first:] + circle[:first]

    def _joined(self, circle: Circle, stuck: set[Any]) -> Circle:
        """A circle with all tasks that are in one with its own.

        Who needs any one of several threads waits for all the tasks that hold them.
        """
        after = {
            key: [step for step in self._steps(key, stuck) if step.next is not None]
            for key in stuck
        }
        start = circle[0].task.key
        ahead = _reached({key: _followers(after[key]) for key in after}, start)
        before: dict[Any, list[Any]] = {key: [] for key in after}
        for key, steps in after.items():
            for other in _followers(steps):
                before[other].append(key)
        joined = ahead & _reached(before, start)
        if circle[0].next is None or joined <= {step.task.key for step in circle}:
            return circle
        return tuple(
            next(step for step in after[key] if set(_followers([step])) <= joined)
            for key in sorted(joined, key=str)
        )

    def _nearest(self, key: Any, stuck: set[Any]) -> Circle:
        if first := self._round(key, stuck):
            return first
        ways: dict[Any, tuple[Step, ...]] = {key: ()}
        left = deque([key])
        while left:
            at = left.popleft()
            for step in self._steps(at, stuck):
                if step.next is None:
                    return (step,)
                if step.next.key not in ways:
                    ways[step.next.key] = (*ways[at], step)
                    left.append(step.next.key)
                    if found := self._round(step.next.key, stuck):
                        return found
        return ()

    def _round(self, start: Any, stuck: set[Any]) -> Circle:
        """The shortest circle through a task, if there is one."""
        ways: dict[Any, tuple[Step, ...]] = {start: ()}
        left = deque([start])
        while left:
            at = left.popleft()
            for step in self._steps(at, stuck):
                if step.next is None:
                    continue
                if step.next.key == start:
                    return (*ways[at], step)
                if step.next.key not in ways:
                    ways[step.next.key] = (*ways[at], step)
                    left.append(step.next.key)
        return ()

    # -- what is still to be asked -----------------------------------------

    def unknown_futures(self) -> list[Any]:
        """Keys of futures that are waited for, and not yet known."""
        return list(
            dict.fromkeys(
                key
                for waits in self._all_waits()
                for key in waits["keys"]
                if key not in self.futures
            )
        )

    def unknown_locks(self) -> list[str]:
        """Names of locks that are waited for, and not yet known."""
        return list(
            dict.fromkeys(
                str(waits["name"])
                for waits in self._all_waits()
                if waits["kind"] in LOCKS
                and waits["name"] is not None
                and waits["name"] not in self.locks
            )
        )

    def unknown_workers(self) -> list[str]:
        """Workers whose threads matter, and that were not asked yet."""
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

    @property
    def waiting(self) -> bool:
        """Whether some task waits for a future or a lock."""
        return any(
            waits["keys"] or waits["kind"] in LOCKS for waits in self._all_waits()
        )

    def _all_waits(self) -> Iterable[Waits]:
        return [task.waits for task in self.running.values() if task.waits is not None]


def _followers(steps: Iterable[Step]) -> list[Any]:
    return [step.next.key for step in steps if step.next is not None]


def _reached(edges: Mapping[Any, Iterable[Any]], start: Any) -> set[Any]:
    """Where one comes to from somewhere, that included."""
    found, left = {start}, [start]
    while left:
        fresh = set(edges[left.pop()]) - found
        found |= fresh
        left += fresh
    return found


def _running(worker: str, entry: Executing, slot: bool) -> Running:
    return Running(
        entry["key"],
        worker,
        entry["since"],
        entry.get("waits"),
        slot,
        entry.get("stack") or (),
    )


def _holder(
    lock: LockForm, lease: Lease, found: Mapping[str, Holders], here: Collection[str]
) -> Holder:
    for worker, said in sorted(found.items()):
        if lease["id"] in said["owners"]:
            return Holder(worker, (said["owners"][lease["id"]],), all_known=True)
        if lease["id"] in said["held"]:
            all_known = len(said["keys"]) == said["running"]
            return Holder(worker, tuple(said["keys"]), all_known)
    timeout, age = lock["timeout"], lease["age"]
    if lease["id"] in here or (timeout is not None and age < timeout * REFRESHED):
        return Holder(None, here=lease["id"] in here)
    if timeout is None:
        return Holder(None, refreshed=False)
    frees = max(0.0, timeout - age) + (lock["interval"] or 0.0)
    return Holder(None, refreshed=False, frees=frees)


def _never_released(holder: Holder, stuck: set[Any]) -> bool:
    """Whether a lease is held for ever: its task is stuck, or has ended.

    Of one that is not on a worker nobody knows.
    """
    known = holder.worker is not None and holder.all_known
    return known and set(holder.tasks) <= stuck
