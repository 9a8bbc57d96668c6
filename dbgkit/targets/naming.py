"""Keys in human words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from dbgkit.model import Origin
from dbgkit.remote.common.calls import plain_name
from dbgkit.remote.common.frames import is_own, parse_traceback
from dbgkit.remote.secrets.redact import redact_text

# What Dask calls a task that reads, and what the user called.
_CALLED = {
    "read-csv": "read_csv",
    "file_to_blocks": "read_text",
    "read-block": "read_bytes",
    "readparquetpyarrowfs": "read_parquet",
    "readparquetpyarrowfs-fused-parquet": "read_parquet",
    "fromdelayed": "from_delayed",
    "frompandas": "from_pandas",
    "frommap": "from_map",
}
# What Dask calls a task of an object that is called and has no name.
_OBJECT = re.compile(r"<([\w.<>]+) object at 0x[0-9a-f]+>$")


def prefix_of(key: Any) -> str:
    """What Dask groups a key under: its name without the token (dask.key_split)."""
    from dask.utils import key_split

    return str(key_split(key))


def step_of(traceback_text: str) -> str:
    """Name of the task's own function: the outermost frame of the user's code."""
    for filename, _, function in parse_traceback(traceback_text):
        if is_own(filename):
            return plain_name(function)
    return ""


def lines_of_frames(text: str) -> str:
    """The lines of a formatted exception that belong to frames."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("  "))


def counted(size: int | None, came_from: Iterable[Origin]) -> int | None:
    """How many partitions there are, if they are what the user counts.

    When files are read they are not: Dask skips empty ones, and splits large ones.
    """
    reads = any(one.path and one.what.startswith("read_") for one in came_from)
    return None if reads else size


def recorded_name(key: Any, traceback_text: str = "") -> str:
    """The task of a recording in human words."""
    return name_of(key, step=step_of(traceback_text))


def name_of(key: Any, size: int | None = None, step: str = "") -> str:
    """A key in human words; partitions count from 0, as in Dask.

    Parameters
    ----------
    key : Key or None
    size : int, optional
        How many tasks the key's group has.
    step : str
        Name of the function that failed, where it is known.

    >>> name_of(("boom-9f86d081884c7d659a2feaa0c55ad015", 6), 10)
    'step "boom" on partition 6 (of 10, counted from 0)'
    """
    if key is None:
        return f'function "{step}"' if step else "no task"
    prefix = prefix_of(key)
    called = _OBJECT.match(prefix)
    if called:
        prefix = called[1].rpartition(".")[2]
    label = step or _CALLED.get(prefix) or redact_text(prefix)
    place = key[1:] if isinstance(key, tuple) else ()
    edge = _chunk_of_edge(place)
    if edge:
        return f"edge of chunk {edge}"
    if not place:
        return f'task "{label}"'
    if len(place) == 1 and isinstance(place[0], int):
        of = f" (of {size}, counted from 0)" if size and size > place[0] else ""
        return f'step "{label}" on partition {place[0]}{of}'
    if all(isinstance(part, int) for part in place):
        # Chunks that were fused differently are of another group.
        of = f", one of {size}" if size and size > max(place) else ""
        return f'step "{label}" on chunk {place}{of}'
    return f'step "{label}" at {redact_text(", ".join(map(str, place)))}'


def _chunk_of_edge(place: tuple[Any, ...]) -> tuple[int, ...]:
    """The chunk that a part belongs to, as ``map_overlap`` names the parts it shares.

    ``expand_key`` (dask/array/overlap.py) takes or adds 0.9 to an index, and
    ``fractional_slice`` rounds it.
    """
    numbers = all(type(part) in (int, float) for part in place)
    if not numbers or not any(part != int(part) for part in place):
        return ()
    return tuple(round(part) for part in place)
