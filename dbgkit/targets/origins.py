"""Where a task's values came from, according to the scheduler or a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dbgkit.model import Origin
from dbgkit.model.secret_names import secret_names
from dbgkit.remote.common.origins import origins_of
from dbgkit.remote.common.origins_steps import frames_in
from dbgkit.remote.recording.origins import worded

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_failures import OriginForm


def origins_from_wire(wires: Iterable[OriginForm]) -> tuple[Origin, ...]:
    """Origins from what ``remote.common.origins`` found; secrets hidden."""
    names = secret_names()
    return tuple(Origin.from_wire(worded(wire, extra=names)) for wire in wires)


def origins_in_graph(
    key: Any, graph: Mapping[Any, Any] | None, traceback_text: str = ""
) -> tuple[Origin, ...]:
    """The literals that lead to a task of a graph; nothing if it is not in it.

    Follows up to some hundred of the graph's nodes; nothing is run. The traceback shows
    which step of a fused task failed.
    """
    if key is None or graph is None or key not in graph:
        return ()
    frames = frames_in(traceback_text)
    return origins_from_wire(origins_of(key, graph[key], graph.get, frames=frames))
