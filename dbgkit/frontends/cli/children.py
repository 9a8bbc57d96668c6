"""Functions of ours that new processes run before they run the script again.

A spawned process is sent what it needs beforehand (multiprocessing/spawn.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Call:
    """When unpickled in a new process, calls a function there."""

    def __init__(self, place: str, *args: Any) -> None:
        self._place, self._args = place, args

    def __reduce__(self) -> tuple[Any, ...]:
        module, _, name = self._place.partition(":")
        # As little as can be, and never an error: dbgkit may be missing there.
        called = f"__import__({module!r}, fromlist=[{name!r}]).{name}(*{self._args!r})"
        found = "__import__('importlib.util', fromlist=['x']).find_spec('dbgkit')"
        return eval, (f"{called} if {found} else None",)


@contextmanager
def run_in_children(place: str, *args: Any) -> Iterator[None]:
    """Have new processes call ``"module:function"`` with literals, while inside.

    ``multiprocessing.spawn.get_preparation_data`` says what a new process gets
    before it runs the script; what it does not know of it leaves alone.
    """
    from multiprocessing import spawn

    before: Any = spawn.get_preparation_data

    def prepared(name: str) -> dict[str, Any]:
        data: dict[str, Any] = before(name)
        data[f"dbgkit {place}"] = _Call(place, *args)
        return data

    spawn.get_preparation_data = prepared
    try:
        yield
    finally:
        spawn.get_preparation_data = before
