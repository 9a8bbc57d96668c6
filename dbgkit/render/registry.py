"""Which renderer shows which type: by qualified name, loaded on first use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from rich.console import RenderableType

T = TypeVar("T")


@dataclass(frozen=True)
class Renderer(Generic[T]):
    """How one type is shown."""

    rich: Callable[[T], RenderableType]  # the plain text is made of it
    html: Callable[[T], str]  # a fragment that brings its own style
    whole: Callable[[T], RenderableType] | None = None  # with all that is known


# Qualified name of a type -> where its `Renderer` is.
RENDERERS = {
    "dbgkit.model.attach.Stop": "attach:STOP",
    "dbgkit.model.attach.Stops": "attach:STOPS",
    "dbgkit.model.bundle.Bundle": "bundle:BUNDLE",
    "dbgkit.model.deaths.Death": "deaths:DEATH",
    "dbgkit.model.deaths.Deaths": "deaths:DEATHS",
    "dbgkit.model.doctor.Checkup": "doctor:CHECKUP",
    "dbgkit.model.doctor.Finding": "doctor:FINDING",
    "dbgkit.model.failure.Failure": "failure:FAILURE",
    "dbgkit.model.failures.FailureGroup": "failures:GROUP",
    "dbgkit.model.failures.FailureReport": "failures:FAILURES",
    "dbgkit.model.graph.TaskGraph": "graph:GRAPH",
    "dbgkit.model.peek.Peek": "peek:PEEK",
    "dbgkit.model.plan.Plan": "plan:PLAN",
    "dbgkit.model.recordings.Recording": "recordings:RECORDING",
    "dbgkit.model.recordings.Recordings": "recordings:RECORDINGS",
    "dbgkit.model.report.ClusterReport": "report:REPORT",
    "dbgkit.model.shrink.Shrunk": "shrink:SHRUNK",
    "dbgkit.model.story.Timeline": "story:STORY",
    "dbgkit.model.tasks.TaskTable": "tasks:TASKS",
    "dbgkit.model.watch.Glance": "watch_overview:OVERVIEW",
    "dbgkit.model.why.Explanation": "why:WHY",
    "dbgkit.model.replay.Replay": "replay:REPLAY",
}


def renderer_of(obj: object) -> Renderer[Any]:
    """The renderer of an object's type, or of the nearest type it derives from."""
    for kind in type(obj).__mro__:
        home = RENDERERS.get(f"{kind.__module__}.{kind.__qualname__}")
        if home is not None:
            module, _, name = home.partition(":")
            found = getattr(import_module(f"dbgkit.render.{module}"), name)
            assert isinstance(found, Renderer)
            return found
    kind = type(obj)
    raise TypeError(
        f"there is no renderer for {kind.__module__}.{kind.__qualname__}: "
        f"add one to dbgkit.render.registry.RENDERERS"
    )
