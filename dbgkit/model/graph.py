"""A part of a task graph: what a task needs, and what needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbgkit.model.base import Jsonable
from dbgkit.model.display import Displayed

if TYPE_CHECKING:
    from dask.typing import Key


@dataclass(frozen=True)
class GraphNode(Jsonable):
    """One task of a `TaskGraph`.

    Attributes
    ----------
    key, state, prefix : Key, str, str
    culprit : bool
        Whether the others failed, or wait, because of it.
    more_dependencies, more_dependents : int
        How many of its dependencies and dependents are not in the graph.
    """

    key: Key
    state: str
    prefix: str
    culprit: bool
    more_dependencies: int
    more_dependents: int


@dataclass(frozen=True)
class TaskGraph(Displayed):
    """The part of a graph around a task that failed or does not move.

    Attributes
    ----------
    nodes : tuple of GraphNode
        The culprit first.
    edges : tuple of (Key, Key)
        A dependency, and what depends on it.
    culprit : Key
    asked : Key or None
        The task that was asked for, if it is another one.
    gaps : tuple of (Key, Key, int)
        Where the middle of a chain was left out: the dependency, what comes after
        the middle, and how many tasks are between them (0: it is not known).
    """

    nodes: tuple[GraphNode, ...]
    edges: tuple[tuple[Key, Key], ...]
    culprit: Key
    asked: Key | None = None
    gaps: tuple[tuple[Key, Key, int], ...] = ()
    _json = "culprit asked omitted nodes edges gaps"

    @property
    def omitted(self) -> int:
        """How many neighbours are left out, counted once per task."""
        hidden = sum(count for _, _, count in self.gaps)
        return hidden + sum(
            node.more_dependencies + node.more_dependents for node in self.nodes
        )
