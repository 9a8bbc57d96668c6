"""Options of a shrink, and what every place needs of the task that is shrunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dbgkit.model import Failure, Origin, Progress
from dbgkit.remote.common.keys import as_key
from dbgkit.targets.origins import origins_in_graph

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_shrink import LineSource, ShrinkLimits

NO_LIMIT = 2**62


@dataclass(frozen=True)
class ShrinkWanted:
    """How long and how often the task may run, and what is looked for."""

    seconds: float
    runs: int | None = None
    all: bool = False

    def limits(self, once: float, most: int) -> ShrinkLimits:
        """The limits in wire form; ``once``: of one run, ``most``: bytes brought."""
        return {
            "seconds": self.seconds,
            "once": once,
            "runs": self.runs,
            "all": self.all,
            "most": most,
        }


def sources_of(
    failure: Failure, key: Any, nodes: Mapping[Any, Any]
) -> dict[Any, LineSource]:
    """What the values that lead to a task were read from, by the key that has it."""
    if failure.found_in == "file":
        # Files of the same name here are others, perhaps.
        return {
            ("literal", place): each for place, each in failure.evidence.read.items()
        }
    if key == failure.key and failure.came_from:
        return _of_origins(failure.came_from)
    return sources_in(key, nodes)


def sources_in(key: Any, nodes: Mapping[Any, Any]) -> dict[Any, LineSource]:
    """As `sources_of`, from the nodes alone."""
    return _of_origins(origins_in_graph(key, nodes))


def _of_origins(origins: Iterable[Origin]) -> dict[Any, LineSource]:
    found: dict[Any, LineSource] = {}
    for each in origins:
        if each.path or each.what == "from_array":
            form = {"what": each.what, "path": each.path, "place": each.place}
            found[as_key(each.key)] = form  # type: ignore[assignment]
    return found


def telling(notify: Callable[[Any], Any]) -> Callable[[int, int, int], None]:
    """What passes on how much was left out so far."""

    def tell(runs: int, left: int, count: int) -> None:
        notify(Progress("shrink", count - left, count, "parts"))

    return tell
