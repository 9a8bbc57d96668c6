"""The state of a whole cluster, for a screen that follows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dbgkit.model.base import Span
from dbgkit.model.display import Displayed
from dbgkit.model.failures import FailureReport
from dbgkit.model.why import Explanation


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
    """

    address: str
    taken: Span
    took: float
    failures: FailureReport
    why: Explanation
    summary: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    workers: Mapping[str, int] = field(default_factory=dict)
    threads: int = 0

    @property
    def healthy(self) -> bool:
        """Whether no task has failed, and all is done or goes on by itself."""
        return not self.failures.total and self.why.healthy

    def to_json(self) -> dict[str, Any]:
        """Builtin types only, for ``--json``."""
        return {
            "healthy": self.healthy,
            "address": self.address,
            "taken": [self.taken.start.isoformat(), self.taken.end.isoformat()],
            "took": self.took,
            "threads": self.threads,
            "workers": dict(self.workers),
            "summary": {name: dict(states) for name, states in self.summary.items()},
            "failures": self.failures.to_json(),
            "why": self.why.to_json(),
        }
