"""Which line of which file the rows of an argument came from, counted as it is saved.

Where a file is opened, that one is not to be had.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import TYPE_CHECKING, Any

from dbgkit.model import Failure
from dbgkit.remote.common.shrink_lines import first_of
from dbgkit.replays.by_name import RunTask
from dbgkit.replays.step_call import StepCall

if TYPE_CHECKING:
    from dbgkit.bundles.manifest import ReadForm
    from dbgkit.remote.common.wire_shrink import LineSource

_FILES = ("from_array",)  # what is read without a path


def places_of(call: StepCall) -> Iterator[int | str | None]:
    """Where the arguments stand in a call, in order; None for those of a task."""
    if isinstance(call.function, RunTask):
        return repeat(None, len(call.function.data))
    return iter([*range(len(call.args)), *call.kwargs])


def read_from(
    failure: Failure, value: Any, at: int | str | None
) -> dict[str, ReadForm]:
    """What the manifest says of where an argument was read, if one read fits it."""
    rows = _rows(value)
    if at is None or rows is None:
        return {}
    found: list[LineSource] = []
    for origin in failure.came_from:
        if not origin.path and origin.what not in _FILES:
            continue
        source: LineSource = {
            "what": origin.what,
            "path": origin.path,
            "place": origin.place,
        }
        first = first_of(source, rows)
        if first is not None:
            found.append({**source, "first": first})
    return {"read": {**found[0], "at": str(at)}} if len(found) == 1 else {}


def _rows(value: Any) -> Any:
    """What has rows: a table, an array, a list."""
    kind = type(value)
    tabular = kind.__module__.partition(".")[0] in ("pandas", "numpy")
    if kind in (list, tuple) or tabular:
        return value if getattr(value, "shape", (1,)) != () and _size(value) else None
    return None


def _size(value: Any) -> int:
    return len(value) if hasattr(value, "__len__") else 0
