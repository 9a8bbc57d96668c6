"""Keys in human words."""

from __future__ import annotations

from typing import Any

from dbgkit.remote.frames import is_own, parse_traceback


def prefix_of(key: Any) -> str:
    """What Dask groups a key under: its name without the token (dask.key_split)."""
    from dask.utils import key_split

    return str(key_split(key))


def step_of(traceback_text: str) -> str:
    """Name of the task's own function: the outermost frame of the user's code."""
    for filename, _, function in parse_traceback(traceback_text):
        if is_own(filename):
            return "" if function.startswith("<") else function
    return ""


def name_of(key: Any, size: int | None = None, step: str = "") -> str:
    """A key in human words.

    Parameters
    ----------
    key : Key or None
    size : int, optional
        How many tasks the key's group has.
    step : str
        Name of the function that failed, where it is known.

    >>> name_of(("boom-9f86d081884c7d659a2feaa0c55ad015", 6), 10)
    'step "boom" on partition 7 of 10'
    """
    if key is None:
        return f'function "{step}"' if step else "no task"
    label = step or prefix_of(key)
    place = key[1:] if isinstance(key, tuple) else ()
    if not place:
        return f'task "{label}"'
    if len(place) == 1 and isinstance(place[0], int):
        of = f" of {size}" if size and size > place[0] else ""
        return f'step "{label}" on partition {place[0] + 1}{of}'
    if all(isinstance(part, int) for part in place):
        of = f", one of {size}" if size else ""
        return f'step "{label}" on chunk {place}{of}'
    return f'step "{label}" at {", ".join(map(str, place))}'
