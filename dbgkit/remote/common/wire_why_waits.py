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
    places: list[str]
    places_count: Count
    free: Count  # of these with a thread that has nothing to do


class WaitedFor(TypedDict):
    """The task of a future, and what it waits for in the end."""

    key: Asked
    state: str
    wanted_by: list[str]  # clients
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


class Holders(TypedDict):
    """``common.leases.holders_of``: leases that are held on a worker.

    ``owners`` has the task of those whose lock one thread alone has at hand.
    """

    held: list[str]
    owners: dict[str, Key]
    running: Count
    keys: list[Key]
