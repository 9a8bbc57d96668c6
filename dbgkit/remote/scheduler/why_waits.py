"""What running tasks wait for: the tasks behind their futures, the leases of locks.

Only workers know that a task waits for a future or a lock. Here is what the scheduler
knows of those: which task makes the future, what that one waits for in the end, where
it could run; and since when nobody has said that a lock's lease is still held.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from ..common.keys import find_task
from ..common.pacing import Pace
from .why_order import executed_by
from .why_places import lacks, may_be_placed

if TYPE_CHECKING:
    from ..common.wire_why_waits import (
        Blocker,
        LockForm,
        WaitedFor,
        WaitsForm,
        WaitsQuestion,
    )

MOST_KEYS = 500  # futures of one question
MOST_LOCKS = 50
MOST_WALKED = 10_000  # tasks, and inputs of them, behind the futures of one question
MOST_BLOCKERS = 20  # of one future
MOST_PLACES = 64  # workers of which a free thread is awaited
NAME_LIMIT = 200  # characters of a lock's name, as workers cut it
_OPEN = ("init", "running", "paused")  # of a worker that runs tasks, or will again


async def follow_waits(state: Any, question: WaitsQuestion) -> WaitsForm:
    """What blocks some futures, and who may hold some locks."""
    walk = _Walk(state, Pace())
    keys = question["keys"][:MOST_KEYS]
    return {
        "keys": [await walk.waited_for(key) for key in keys],
        "locks": [_lock(state, name) for name in question["locks"][:MOST_LOCKS]],
    }


class _Places(NamedTuple):
    """Workers that could run some task: some, how many, how many with a free thread."""

    some: list[str]
    total: int
    free: int


class _Walk:
    """Follows what futures wait for, all of one question within one limit."""

    def __init__(self, state: Any, pace: Pace) -> None:
        self.state = state
        self.pace = pace
        self.left = MOST_WALKED
        self._places: dict[Any, _Places] = {}
        self._steps = 0

    async def _step(self) -> None:
        self._steps += 1
        if self._steps % 100 == 0:
            await self.pace.checkpoint()

    async def waited_for(self, key: Any) -> WaitedFor:
        ts = find_task(self.state, key)
        found: WaitedFor = {
            "key": key,
            "state": "unknown" if ts is None else ts.state,
            "blockers": [],
        }
        if ts is not None:
            for end in (await self._ends(ts))[:MOST_BLOCKERS]:
                found["blockers"].append(await self._blocker(end))
        return found

    async def _ends(self, start: Any) -> list[Any]:
        """Tasks behind one that is not done, which are not just waiting for others.

        One for each place where it may run: the others there wait for the same.
        """
        order, seen, at = [start], {start}, 0
        ends: dict[Any, Any] = {}
        while at < len(order) and self.left > 0:
            ts = order[at]
            at += 1
            self.left -= 1
            await self._step()
            if ts.state == "waiting" and ts.waiting_on:
                for dts in islice(list(islice(ts.waiting_on, self.left)), self.left):
                    self.left -= 1
                    await self._step()
                    if dts not in seen:
                        seen.add(dts)
                        order.append(dts)
            elif ts.state in ("processing", "queued", "no-worker"):
                ends.setdefault(self._place(ts), ts)
        return list(ends.values())

    def _place(self, ts: Any) -> Any:
        ws = ts.processing_on if ts.state == "processing" else None
        if ws is None:
            return (ts.state, _restrictions(ts))
        # What a worker executes has an end of its own each.
        return (ws.address, ts.key if ts in executed_by(ws) else "", _restrictions(ts))

    async def _blocker(self, ts: Any) -> Blocker:
        ws = ts.processing_on if ts.state == "processing" else None
        places = await self._places_of(ts, ws)
        return {
            "key": ts.key,
            "state": ts.state,
            "worker": None if ws is None else ws.address,
            "bound": (ws is not None and not self._steals) or bool(_restrictions(ts)),
            "places": places.some,
            "places_count": places.total,
            "free": places.free,
        }

    async def _places_of(self, ts: Any, ws: Any) -> _Places:
        """Workers that may run a task that does not run yet.

        One that was assigned to a worker may be stolen by others that may run it:
        ``WorkStealing._get_thief`` (distributed/stealing.py). A paused one may go on.
        """
        if ws is not None and not self._steals:
            return _Places([ws.address], 1, int(_has_free_thread(ws)))
        wanted = _restrictions(ts)
        found = self._places.get(wanted)
        if found is None:
            some: list[str] = []
            total = free = 0
            for each in list(self.state.workers.values()):
                await self._step()
                if each.status.name not in _OPEN or (wanted and not _may_run(each, ts)):
                    continue
                total += 1
                free += each.status.name == "running" and _has_free_thread(each)
                if len(some) < MOST_PLACES:
                    some.append(each.address)
            found = self._places[wanted] = _Places(some, total, free)
        if ws is not None and ws.address not in found.some:
            return _Places([*found.some, ws.address], found.total + 1, found.free)
        return found

    @property
    def _steals(self) -> bool:
        return "stealing" in (getattr(self.state, "extensions", None) or ())


def _restrictions(ts: Any) -> Any:
    """What binds a task to some workers; empty if it may run on any."""
    resources = tuple(sorted((ts.resource_restrictions or {}).items()))
    if ts.loose_restrictions or not (
        ts.worker_restrictions or ts.host_restrictions or resources
    ):
        return ()
    return (
        frozenset(ts.worker_restrictions or ()),
        frozenset(ts.host_restrictions or ()),
        resources,
    )


def _may_run(ws: Any, ts: Any) -> bool:
    placed = ts.worker_restrictions or ts.host_restrictions
    return not (placed and not may_be_placed(ws, ts)) and not lacks(
        ws, ts.resource_restrictions or {}
    )


def _has_free_thread(ws: Any) -> bool:
    return bool(len(ws.processing) - len(ws.long_running) < ws.nthreads)


def _lock(state: Any, name: str) -> LockForm:
    """A lock or semaphore by its name, as text: ``SemaphoreExtension`` of distributed.

    ``leases`` has when each was last refreshed, ``lease_timeouts`` after how many
    seconds without that it is taken back, which is looked at every
    ``lease-validation-interval``. Looking must not make an entry there.
    """
    extension = (getattr(state, "extensions", None) or {}).get("semaphores")
    found: LockForm = {
        "name": name,
        "most": None,
        "leases": [],
        "timeout": None,
        "interval": None,
    }
    known: dict[Any, int] = {} if extension is None else extension.max_leases
    own: Any = name
    if name not in known:
        own = next((each for each in known if str(each)[:NAME_LIMIT] == name), None)
    if extension is None or own is None:
        return found
    from distributed.metrics import time

    now = time()
    found["most"] = known[own]
    found["leases"] = [
        {"id": id_, "age": max(0.0, now - seen)}
        for id_, seen in list(extension.leases.get(own, {}).items())
    ]
    found["timeout"] = extension.lease_timeouts.get(own)
    checks = state.periodic_callbacks.get("semaphore-lease-timeout")
    if checks is not None:
        found["interval"] = checks.callback_time / 1000
    return found
