"""One task that raised by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dbgkit.model.display import Displayed


@dataclass(frozen=True)
class Evidence:
    """What a failure was located by, and what a replay goes on from.

    Attributes
    ----------
    client : Client or None
        The client of the cluster that it failed on; None without a cluster.
    visit : mapping or None
        The scheduler's answer, in wire form (see ``remote.scheduler``).
    graph : mapping or None
        ``{key: GraphNode}``, where the task is known from a graph that the client
        still has.
    cache : mapping or None
        Values of inputs that are still in this process, by key.
    outputs : tuple of Key
        What the graph was computed for, where the failed key is not known.
    scheduler : str
        ``"distributed"``, ``"local"`` (Dask's threads, processes or synchronous
        scheduler), or ``""`` where nothing of Dask ran.
    """

    client: Any = None
    visit: Mapping[str, Any] | None = None
    graph: Mapping[Any, Any] | None = None
    cache: Mapping[Any, Any] | None = None
    outputs: tuple[Any, ...] = ()
    scheduler: str = ""


@dataclass(frozen=True)
class Failure(Displayed):
    """One task that raised by itself; what fell because of it is *cascaded*.

    Attributes
    ----------
    key : Key or None
        The key of the task that failed; None if no task did.
    name : str
        The task in human words: ``step "boom" on partition 7 of 10``.
    exception_type : str
        Name of the exception's class, as on the worker, without its module.
    message : str
        The exception's message, as on the worker.
    traceback_text : str
        The frames as text, as on the worker; may be empty (builtin functions, a
        task that killed its worker).
    worker : str or None
        Address of the worker that it failed on.
    when : datetime or None
        When it failed (timezone-aware, UTC); None where Dask does not say.
    attempts : int
        How many times it was tried.
    source : str
        Where it was found: ``"scheduler"`` (the task is still there), ``"graph"``
        (the scheduler has forgotten it, the graph is in the traceback),
        ``"local"`` (a scheduler in this process), ``"meta"`` (Dask called the
        function on made-up data, on the client), ``"exception"`` (nothing to do
        with Dask).
    exception : BaseException or None
        The exception as it reached the client, if it did.
    asked : Key or None
        The key that was asked for, where the failure is upstream of it.
    killed : bool
        Whether it killed the worker that it ran on.
    others : tuple of Key
        Keys of further failures among the same target, earliest first.
    notes : tuple of str
        What else is to be said: that it may be another client's, that several
        tasks match, that text was put right.
    """

    key: Any
    name: str
    exception_type: str
    message: str
    traceback_text: str = ""
    worker: str | None = None
    when: datetime | None = None
    attempts: int = 1
    source: str = "scheduler"
    exception: BaseException | None = field(default=None, repr=False)
    asked: Any = None
    killed: bool = False
    others: tuple[Any, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)
    evidence: Evidence = field(default=Evidence(), repr=False, compare=False)

    def __repr__(self) -> str:
        where = f" on {self.worker}" if self.worker else ""
        return (
            f"<Failure {self.key!r}{where}: {self.exception_type}: "
            f"{self.message[:80]!r}>"
        )
