"""Wire forms of locks and semaphores that tasks hold."""

from __future__ import annotations

from typing import Any, TypedDict


class LeasesQuestion(TypedDict):
    name: Any


class LeasesForm(TypedDict):
    """``leases.tell_leases``: what the scheduler knows of a lock or semaphore."""

    known: bool
    most: int
    leases: list[str]


class HeldLeases(TypedDict):
    """``leases.find_leases``: which of some leases are held on a worker."""

    held: list[str]  # by its own tasks
    replayed: list[str]  # by replays in its process
    shared: list[str]  # by these, or by another worker or client of its process
    running: int  # tasks; `keys` are some of them
    keys: list[Any]
