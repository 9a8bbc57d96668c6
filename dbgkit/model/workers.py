"""What workers have to do, and how full they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dbgkit.model.base import Jsonable


@dataclass(frozen=True)
class WorkerLoad(Jsonable):
    """One worker.

    Attributes
    ----------
    address, name : str
    status : str
        ``"running"``, ``"paused"``, ``"closing_gracefully"``, …
    threads : int
    tasks : int
        That it runs or has before it.
    memory, memory_limit : int or None
        Bytes that its process uses, and may use; None if that is not known, or if
        there is no limit.
    """

    address: str
    name: str
    status: str
    threads: int
    tasks: int
    memory: int | None = None
    memory_limit: int | None = None

    @classmethod
    def from_wire(cls, row: Mapping[str, Any]) -> WorkerLoad:
        """A row of the scheduler's, which may have more than is known here."""
        return cls(**{each.name: row[each.name] for each in fields(cls)})
