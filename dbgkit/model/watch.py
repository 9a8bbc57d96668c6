"""The state of a whole cluster, for a screen that follows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dbgkit.model.base import Span
from dbgkit.model.display import Displayed
from dbgkit.model.failures import FailureReport
from dbgkit.model.why import Explanation
from dbgkit.model.workers import WorkerLoad


@dataclass(frozen=True)
class Glance(Displayed):
    """The state of a cluster, or a dump, at one moment.

    Attributes
    ----------
    address : str
        Of the scheduler.
    taken : Span
    took : float
        Seconds that it took to ask, including round trips.
    failures : FailureReport
    why : Explanation
        Of the whole cluster.
    summary : mapping of str to mapping of str to int
        Prefix -> state -> count, of all tasks.
    workers : mapping of str to int
        Status -> count.
    threads : int
        Of all workers.
    loads : tuple of WorkerLoad
        At most 100 workers: those first that are not running, then the fullest.
    """

    address: str
    taken: Span
    took: float
    failures: FailureReport
    why: Explanation
    summary: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    workers: Mapping[str, int] = field(default_factory=dict)
    threads: int = 0
    loads: tuple[WorkerLoad, ...] = ()
    _json = "healthy address taken took threads workers loads summary failures why"

    @property
    def healthy(self) -> bool:
        """Whether no task has failed, and all is done or goes on by itself."""
        return not self.failures.total and self.why.healthy
