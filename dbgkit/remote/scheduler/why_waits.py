"""What running tasks wait for: the tasks behind their futures, the leases of locks.

Only workers know that a task waits for a future or a lock. Here is what the scheduler
knows of those: which task makes the future, what that one waits for in the end, where
it could run; and since when nobody has said that a lock's lease is still held.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..common.keys import find_task
from ..common.pacing import Pace, is_dump

if TYPE_CHECKING:
    from ..common.wire_why_waits import (
        Blocker,
        LockForm,
        WaitedFor,
        WaitsForm,
        WaitsQuestion,
    )

MOST_KEYS = 200  # futures of one question
MOST_LOCKS = 50
MOST_WALKED = 10_000  # tasks behind the futures of one question
MOST_BLOCKERS = 20  # of one future
MOST_PLACES = 64  # workers of which a free thread is awaited


async def follow_waits(state: Any, question: WaitsQuestion) -> WaitsForm:
    """What blocks some futures, and who may hold some locks."""
    pace = Pace()
    walk = _Walk(state, pace)
    keys = question["keys"][:MOST_KEYS]
    return {
        "keys": [await walk.waited_for(key) for key in keys],
        "locks": [_lock(state, name) for name in question["locks"][:MOST_LOCKS]],
    }


class _Walk:
    """Follows what futures wait for, all of one question within one limit."""

    def __init__(self, state: Any, pace: Pace) -> None:
        self.state = state
        self.pace = pace
        self.left = MOST_WALKED

    async def waited_for(self, key: Any) -> WaitedFor:
        ts = find_task(self.state, key)
        found: WaitedFor = {
            "key": key,
            "state": "unknown" if ts is None else ts.state,
            "wanted_by": [],
            "blockers": [],
        }
        if ts is None:
            return found
        clients = (client.client_key for client in ts.who_wants or ())
        found["wanted_by"] = sorted(map(str, islice(clients, 5)))
        for end in await self._ends(ts):
            if len(found["blockers"]) == MOST_BLOCKERS:
                break
            found["blockers"].append(self._blocker(end))
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
            if at % 100 == 0:
                await self.pace.checkpoint()
            if ts.state == "waiting" and ts.waiting_on:
                fresh = [dts for dts in ts.waiting_on if dts not in seen]
                seen.update(fresh)
                order += fresh
            elif ts.state in ("processing", "queued", "no-worker"):
                ends.setdefault(self._place(ts), ts)
        return list(ends.values())

    def _place(self, ts: Any) -> Any:
        ws = ts.processing_on if ts.state == "processing" else None
        if ws is None:
            return (ts.state, frozenset(ts.worker_restrictions or ()))
        # What a worker executes has an end of its own each.
        return (ws.address, ts.key if ts in ws.executing else "", _is_bound(ts))

    def _blocker(self, ts: Any) -> Blocker:
        ws = ts.processing_on if ts.state == "processing" else None
        places = _places(self.state, ts, ws)
        free = [each for each in places if _has_free_thread(each)]
        return {
            "key": ts.key,
            "state": ts.state,
            "worker": None if ws is None else ws.address,
            "places": [each.address for each in places[:MOST_PLACES]],
            "places_count": len(places),
            "free": len(free),
        }


def _is_bound(ts: Any) -> bool:
    """Whether a task may run on some workers only."""
    restricted = ts.worker_restrictions or ts.host_restrictions
    return bool((restricted and not ts.loose_restrictions) or ts.resource_restrictions)


def _places(state: Any, ts: Any, ws: Any) -> list[Any]:
    """Workers that may run a task that does not run yet, as they are now.

    One that was assigned to a worker may be stolen by others, if it is not bound to
    it: ``WorkStealing`` (distributed/stealing.py) is there if it is switched on.
    """
    if ws is not None and (_is_bound(ts) or not _steals(state)):
        return [ws]
    valid = None
    if _is_bound(ts) and not is_dump(state):
        valid = state.valid_workers(ts)
    workers = state.workers.values() if valid is None else valid
    return [each for each in workers if each.status.name == "running"]


def _steals(state: Any) -> bool:
    return "stealing" in (getattr(state, "extensions", None) or ())


def _has_free_thread(ws: Any) -> bool:
    return bool(len(ws.processing) - len(ws.long_running) < ws.nthreads)


def _lock(state: Any, name: Any) -> LockForm:
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
    names: Iterable[Any] = () if extension is None else list(extension.max_leases)
    own = next((each for each in names if str(each) == name), None)
    if extension is None or own is None:
        return found
    from distributed.metrics import time

    now = time()
    found["most"] = extension.max_leases[own]
    found["leases"] = [
        {"id": id_, "age": max(0.0, now - seen)}
        for id_, seen in list(extension.leases.get(own, {}).items())
    ]
    found["timeout"] = extension.lease_timeouts.get(own)
    checks = state.periodic_callbacks.get("semaphore-lease-timeout")
    if checks is not None:
        found["interval"] = checks.callback_time / 1000
    return found
