"""How many tasks have stopped, for each arming and prefix, and which may still."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..common.wire_live import Arming


class Claims:
    """Tasks that have stopped; used in their threads.

    One that has stopped stops again, and does not count again.
    """

    def __init__(self) -> None:
        self.stopped: dict[str, dict[str, set[Any]]] = {}
        self._lock = threading.Lock()

    def room(
        self, key: Any, prefix: str, armings: Mapping[str, Arming]
    ) -> dict[str, Arming]:
        """Those armings for which a task may stop."""
        found = {}
        for token, arming in armings.items():
            seen = self.stopped.get(token, {}).get(prefix, ())
            if key in seen or len(seen) < arming["most"]:
                found[token] = arming
        return found

    def claim(self, key: Any, prefix: str, armings: Mapping[str, Arming]) -> set[str]:
        """Armings for which a task may stop: it is counted for them."""
        with self._lock:
            found = self.room(key, prefix, armings)
            for token in found:
                self._seen(token, prefix).add(key)
        return {*found}

    def forget_all_but(self, tokens: Collection[str]) -> None:
        """Forget what has stopped for armings that are over."""
        with self._lock:
            for token in self.stopped.keys() - tokens:
                del self.stopped[token]

    def _seen(self, token: str, prefix: str) -> set[Any]:
        return self.stopped.setdefault(token, {}).setdefault(prefix, set())
