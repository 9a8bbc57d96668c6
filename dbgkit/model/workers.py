"""What workers have to do, and how full they are."""

from __future__ import annotations

from dataclasses import dataclass

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
