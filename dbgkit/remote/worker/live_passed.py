"""Counts tasks that came to where they might stop, and did not."""

from __future__ import annotations

import threading
from time import time
from typing import TYPE_CHECKING, Any

from distributed.utils import key_split

if TYPE_CHECKING:
    from ..common.wire_live import PassedForm, PlaceForm

MOST = 200  # kinds between two reports


class Passed:
    """What has passed since the last report, by prefix, reason and line."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], PassedForm] = {}
        self._lock = threading.Lock()

    def add(self, key: Any, place: PlaceForm, why: str) -> bool:
        """Count one; whether it is the first since the last report."""
        prefix = key_split(key) if key is not None else ""
        which = prefix, why, f"{place['file']}:{place['line']}"
        with self._lock:
            if which in self._found:
                self._found[which]["count"] += 1
                return False
            if len(self._found) >= MOST:
                return False
            is_first = not self._found
            self._found[which] = {
                "prefix": prefix,
                "why": why,
                "place": place,
                "count": 1,
                "example": key,
                "when": time(),
            }
        return is_first

    def take(self) -> list[PassedForm]:
        """All of it, to be reported."""
        with self._lock:
            found, self._found = list(self._found.values()), {}
        return found
