"""Keys in forms that other programs can read."""

from __future__ import annotations

from typing import Any


def plain_key(key: Any) -> Any:
    """A key as JSON has it: tuples become their text."""
    return key if isinstance(key, (str, int, float, type(None))) else str(key)
