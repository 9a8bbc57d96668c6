"""Who holds a lock or a semaphore: the scheduler has ids, the workers their owners.

All that is looked at stays as it is.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterable
from types import FrameType
from typing import TYPE_CHECKING, Any

from .frames import frames_of_threads, is_in_worker, places_of

if TYPE_CHECKING:
    from .wire_leases import HeldLeases, LeasesForm, LeasesQuestion
    from .wire_why_waits import Holders

MOST_NAMED = 5  # tasks of a worker that are listed by name
MOST_RUNNING = 50  # of which one may hold a lock


async def tell_leases(state: Any, question: LeasesQuestion) -> LeasesForm:
    """What the scheduler knows about one lock or semaphore, by its name.

    ``SemaphoreExtension`` (distributed/semaphore.py) has ``max_leases``, where a name
    is once it is registered, and ``leases``; looking must not make an entry there.
    """
    extension = state.extensions.get("semaphores")
    name = question["name"]
    name = tuple(name) if isinstance(name, list) else name
    if extension is None or name not in extension.max_leases:
        return {"known": False, "most": 0, "leases": []}
    return {
        "known": True,
        "most": extension.max_leases[name],
        "leases": list(extension.leases.get(name, ())),
    }


async def find_leases(ids: Iterable[str], dask_worker: Any = None) -> HeldLeases:
    """Which leases are held by tasks of a worker, and what runs there."""
    found = await _found(ids)
    replayed = {id_ for id_, each in found.items() if _of_a_replay(each)}
    own = _own(found, dask_worker)
    keys = _running(dask_worker)
    return {
        "held": list(own),
        "replayed": list(replayed),
        "shared": [id_ for id_ in found if id_ not in own],
        "running": len(keys),
        "keys": keys[:MOST_NAMED],
    }


async def holders_of(
    ids: Iterable[str], everywhere: bool, dask_worker: Any = None
) -> Holders:
    """Which leases are held in a worker's process, and what runs there.

    With ``everywhere``, leases that nobody refreshes are looked for among all objects.
    """
    refreshed = set(held_here(asyncio.get_running_loop(), ids))
    found = await _found(ids, everywhere)
    # Counted is how many more references a semaphore has than an object of ours that
    # is held alike: those may release it still.
    found = {**found, _OURS: _Timed()}
    references = {id_: sys.getrefcount(each) for id_, each in found.items()}
    del found[_OURS]
    keys = _running(dask_worker)
    return {
        "held": [
            {
                "id": id_,
                "refreshed": id_ in refreshed,
                "own": each._scheduler is dask_worker.scheduler,
                "kept": references[id_] > references[_OURS],
            }
            for id_, each in _own(found, dask_worker).items()
        ],
        "running": len(keys),
        "keys": keys[:MOST_RUNNING],
    }


_OURS = ""  # is no id of a lease


class _Timed:
    """Referred to as a semaphore is that only its own timer refers to."""

    def __init__(self) -> None:
        self.timer = self.refresh

    def refresh(self) -> None:
        pass


async def _found(ids: Iterable[str], everywhere: bool = True) -> dict[str, Any]:
    """Semaphores of this process by ids of their leases."""
    wanted = set(ids)
    found = held_here(asyncio.get_running_loop(), wanted)
    if everywhere and wanted - found.keys():
        # A lock that came as an argument is refreshed by nobody (Semaphore.__init__
        # had no loop then), and is found by looking at all objects only.
        found.update(await asyncio.to_thread(_held_anywhere, wanted - found.keys()))
    return found


def _own(found: dict[str, Any], worker: Any) -> dict[str, Any]:
    """Those that tasks of a worker hold, not a replay or others of its process."""
    alone = _is_alone(worker)
    return {
        id_: each
        for id_, each in found.items()
        if not _of_a_replay(each) and (alone or each._scheduler is worker.scheduler)
    }


def held_here(loop: Any, ids: Iterable[str]) -> dict[str, Any]:
    """Semaphores by ids of their leases, of those that this loop refreshes."""
    return _by_lease(refreshed_by(loop), set(ids))


def refreshed_by(loop: Any) -> list[Any]:
    """Semaphores whose leases an asyncio loop refreshes; none if that is unknown.

    Each has a ``PeriodicCallback`` of its bound method ``_refresh_leases``, which
    tornado schedules with ``call_at``; ``_scheduled`` (asyncio/base_events.py) has
    the handles. Other loops, uvloop's say, have no such list.
    """
    found: dict[int, Any] = {}
    for handle in list(getattr(loop, "_scheduled", ())):
        for argument in getattr(handle, "_args", None) or ():
            callback = getattr(argument, "func", argument)
            timer = getattr(callback, "__self__", None)
            method = getattr(timer, "callback", None)
            semaphore = getattr(method, "__self__", None)
            if _is_semaphore(semaphore):
                found[id(semaphore)] = semaphore
    return list(found.values())


def _held_anywhere(ids: set[str]) -> dict[str, Any]:
    from distributed.semaphore import Semaphore

    objects = gc.get_objects()
    found = [each for each in objects if issubclass(type(each), Semaphore)]
    del objects
    return _by_lease(found, ids)


def _by_lease(semaphores: Iterable[Any], ids: set[str]) -> dict[str, Any]:
    return {
        id_: semaphore
        for semaphore in semaphores
        for id_ in list(getattr(semaphore, "_leases", ()))
        if id_ in ids
    }


def _is_semaphore(value: Any) -> bool:
    """Whether it is a semaphore, or a lock, which is one.

    By its type, as ``isinstance`` would ask proxy objects.
    """
    from distributed.semaphore import Semaphore

    return issubclass(type(value), Semaphore)


def _of_a_replay(semaphore: Any) -> bool:
    """Whether a replay's task has it; by name, as another version may have made it."""
    return type(semaphore._scheduler).__name__ == "SchedulerInPlace"


def _is_alone(worker: Any) -> bool:
    """Whether a worker is the only one of its process, with no client of a user's."""
    from distributed import Worker

    inproc = str(worker.address).startswith("inproc")
    return not inproc and len(list(Worker._instances)) == 1


def _is_busy(frame: FrameType | None) -> bool:
    """Whether a thread is within what ``distributed/worker.py`` runs in threads."""
    return is_in_worker(places_of(frame))


def _running(worker: Any) -> list[Any]:
    """Keys of what runs on a worker: tasks, also seceded ones, and actors' methods."""
    with worker.active_threads_lock:
        active = dict(worker.active_threads)
    frames = frames_of_threads()
    # An actor's method that raises stays there (apply_function_actor in
    # distributed/worker.py): what its thread does decides.
    busy = [key for thread, key in active.items() if _is_busy(frames.get(thread))]
    tasks = (*worker.state.executing, *worker.state.long_running)
    return list(dict.fromkeys([*busy, *(ts.key for ts in tasks)]))
