"""Why a task, or a cluster, does not move on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbgkit.model.base import Span
from dbgkit.model.display import Displayed
from dbgkit.model.graph import TaskGraph

if TYPE_CHECKING:
    from dask.typing import Key

# Causes that need no attention.
_HEALTHY = {
    "finished",
    "queued",
    "released",
    "running",
    "transferring",
    "worker-saturated",
    "workers-starting",
}


@dataclass(frozen=True)
class Explanation(Displayed):
    """Why a task, a collection or a cluster does not move on.

    Attributes
    ----------
    cause : str
        A stable code: ``"waiting-on"``, ``"no-workers"``, …
    summary : str
        One sentence.
    evidence : tuple of str
        The facts it rests on.
    advice : tuple of str
        What to do.
    key : Key or None
        The task that it is about: at the end of the chain, not the one asked for.
    chain : tuple of Key
        From the task asked for to `key`.
    others : tuple of Explanation
        Further causes, ranked: what blocks the most tasks comes first.
    because : str
        Of ``"waiting-on"``, the code of what holds up `key`.
    span : Span or None
    notes : tuple of str
        What could not be read.
    graph : TaskGraph or None
        What `key` needs and what needs it, with the chain.
    """

    cause: str
    summary: str
    evidence: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    key: Key | None = None
    chain: tuple[Key, ...] = ()
    others: tuple[Explanation, ...] = ()
    span: Span | None = None
    notes: tuple[str, ...] = ()
    graph: TaskGraph | None = None
    because: str = ""
    _json = "cause because summary evidence advice key chain others span notes graph"

    @property
    def healthy(self) -> bool:
        """Whether all is done, or goes on by itself; the end of a chain decides."""
        rest = all(other.healthy for other in self.others)
        if self.cause == "p2p-barrier" and self.others:
            return rest
        return rest and (self.because or self.cause) in _HEALTHY
