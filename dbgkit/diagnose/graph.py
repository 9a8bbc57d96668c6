"""The part of the graph around a failure or a stuck task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dbgkit.cluster.view import View
from dbgkit.model import GraphNode, TaskGraph
from dbgkit.remote.scheduler.graph import MOST_TASKS

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_tasks import AroundTask, GraphForm


def graph_around(
    view: View,
    keys: Iterable[Any],
    *,
    limit: int = 40,
    chains: Mapping[Any, tuple[Sequence[Any], int]] | None = None,
) -> dict[Any, TaskGraph]:
    """What some tasks need, and what needs them: for each key its graph, if known.

    A task that failed because of another is shown with that one as the culprit. A graph
    has at most ``limit`` tasks, the nearest first. ``chains`` are shown: for a key what
    waits for it, one for the next, the first one first; and how many these are, should
    the middle be left out.

    One call for 20 keys, which costs what is shown, however many tasks there are.
    """
    wanted: list[AroundTask] = []
    for key in dict.fromkeys(keys):
        chain, length = (chains or {}).get(key, ((), 0))
        wanted.append({"key": key, "chain": list(chain), "length": length})
    found = {}
    for at in range(0, len(wanted), MOST_TASKS):
        part = wanted[at : at + MOST_TASKS]
        answer = view.ask("around", {"tasks": part, "limit": limit})
        for asked, graph in zip(part, answer["graphs"], strict=False):
            if graph is not None:
                found[asked["key"]] = _graph_of(graph)
    return found


def _graph_of(wire: GraphForm) -> TaskGraph:
    keys = [node[0] for node in wire["nodes"]]
    asked = wire["asked"]
    return TaskGraph(
        nodes=tuple(
            GraphNode(key, state, prefix, index == 0, above, below)
            for index, (key, state, prefix, above, below) in enumerate(wire["nodes"])
        ),
        edges=tuple((keys[above], keys[below]) for above, below in wire["edges"]),
        culprit=keys[0],
        asked=keys[asked] if asked else None,
        gaps=tuple(
            (keys[above], keys[below], count) for above, below, count in wire["gaps"]
        ),
    )
