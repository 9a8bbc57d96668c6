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
    """``leases.find_leases``: which of them are held on a worker."""

    held: list[str]
    replayed: list[str]
    shared: list[str]
    running: int
    keys: list[Any]
