"""Keys as they are written, and the tasks that they name."""

from __future__ import annotations

from typing import Any

from .parsing import literal

# What the text of a key begins with that is not a text itself, or is a quoted one.
_SPELLED = ("(", "[", "'", '"', "b", "-", *"0123456789")


def find_task(state: Any, key: Any) -> Any:
    """The task of a key, or of a text that spells a tuple key; None without one.

    A tuple key is spelled ``('x', 1)`` by Python and ``['x', 1]`` in a cluster dump.
    """
    try:
        ts = state.tasks.get(key)
    except TypeError:  # not hashable: a list, which is how a dump has a tuple
        return state.tasks.get(as_key(key)) if isinstance(key, list) else None
    if ts is None and isinstance(key, str) and key[:1] in _SPELLED:
        try:
            ts = state.tasks.get(as_key(literal(key)))
        except (ValueError, TypeError):
            return None
    return ts


def as_key(value: Any) -> Any:
    """A key out of what a dump or a message made of it: lists were tuples."""
    if not isinstance(value, (list, tuple)):
        return value
    return tuple(
        [as_key(part) if isinstance(part, (list, tuple)) else part for part in value]
    )
