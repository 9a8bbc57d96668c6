"""Wire forms of ``why``: what running tasks wait for, and who holds that."""

from __future__ import annotations

from typing import TypedDict

from .wire import Asked, Count, Key, Number


class WaitsQuestion(TypedDict):
    """``keys`` of futures, names of ``locks``."""

    keys: list[Asked]
    locks: list[str]


class Blocker(TypedDict):
    """A task that must run first, and the workers that could run it."""

    key: Key
    state: str
    worker: str | None
    bound: bool  # to these workers
    places: list[str]
    places_count: Count
    free: Count  # of these with a thread that has nothing to do


class WaitedFor(TypedDict):
    """The task of a future, and what it waits for in the end."""

    key: Asked
    state: str
    blockers: list[Blocker]


class Lease(TypedDict):
    id: str
    age: Number  # seconds since it was refreshed


class LockForm(TypedDict):
    """A lock or semaphore; ``most`` is None if the scheduler does not know it."""

    name: str
    most: Count | None
    leases: list[Lease]
    timeout: Number | None  # seconds; None: leases are never taken back
    interval: Number | None  # seconds between two checks of that


class WaitsForm(TypedDict):
    """``scheduler.why_waits.follow_waits``"""

    keys: list[WaitedFor]
    locks: list[LockForm]


class HeldLease(TypedDict):
    """A lease that is held in a worker's process."""

    id: str
    refreshed: bool  # else the scheduler takes it back after a while
    own: bool  # taken in a task of this worker
    kept: bool  # something can release it still, besides tasks that run


class Holders(TypedDict):
    """``common.leases.holders_of``: leases held on a worker, and what runs there."""

    held: list[HeldLease]
    running: Count
    keys: list[Key]
