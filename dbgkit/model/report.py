"""Everything that can be said of a cluster or a dump at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dbgkit.model.base import Span, plain_key
from dbgkit.model.deaths import Deaths
from dbgkit.model.display import Displayed
from dbgkit.model.doctor import Checkup
from dbgkit.model.failures import FailureReport
from dbgkit.model.graph import TaskGraph
from dbgkit.model.tasks import TaskTable
from dbgkit.model.why import Explanation
from dbgkit.model.workers import WorkerLoad

if TYPE_CHECKING:
    from dask.typing import Key


@dataclass(frozen=True)
class ClusterReport(Displayed):
    """What failed, what does not move, and what to change, as of one moment.

    Attributes
    ----------
    address : str
        Of the scheduler, or the path of the dump.
    live : bool
        Whether it is of a cluster; False: of a dump.
    taken : Span
        When it was taken.
    failures : FailureReport
    why : Explanation or None
        Why the cluster as a whole does not move on.
    tasks : TaskTable or None
        What failed by itself, then what is unfinished.
    checkup : Checkup or None
    graphs : mapping of Key to TaskGraph
        Around examples of the failures, and the task that holds up the others.
    notes : tuple of str
        Which parts are missing (they are None), and why.
    deaths : Deaths or None
        How workers went away.
    workers : tuple of WorkerLoad
        Those first that are not running, then the fullest.
    more_workers : int
        How many more there are.
    dashboard : str
        Address of Dask's own dashboard; empty if there is none.
    """

    address: str
    live: bool
    taken: Span
    failures: FailureReport
    why: Explanation | None = None
    tasks: TaskTable | None = None
    checkup: Checkup | None = None
    graphs: Mapping[Key, TaskGraph] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    deaths: Deaths | None = None
    workers: tuple[WorkerLoad, ...] = ()
    more_workers: int = 0
    dashboard: str = ""
    _json = (
        "address live healthy dashboard taken failures why tasks workers more_workers "
        "checkup deaths graphs=_graphs notes"
    )

    @property
    def healthy(self) -> bool:
        """Whether all parts could be read, and nothing wrong was found in them."""
        if self.why is None or self.checkup is None:
            return False
        problems = any(found.level == "problem" for found in self.checkup.findings)
        return not self.failures.total and self.why.healthy and not problems

    @property
    def _graphs(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(
            {"key": plain_key(key), "graph": graph}
            for key, graph in self.graphs.items()
        )
