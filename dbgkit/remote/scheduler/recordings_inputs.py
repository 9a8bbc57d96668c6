"""Inputs of failed tasks, kept in the workers' memory so that a replay has them.

A client name of the recorder's own holds them on the scheduler, as Dask's own queues
and published data are held.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any


class KeptInputs:
    """Keeps inputs of failed tasks, the newest ones, within a limit.

    That is in bytes; 0 keeps nothing. ``client`` is the name that wants them.
    """

    def __init__(self, client: str, limit: int) -> None:
        self.client = client
        self.limit = limit
        self.sizes: OrderedDict[Any, int] = OrderedDict()
        self.dropped = 0

    @property
    def nbytes(self) -> int:
        return sum(self.sizes.values())

    def keep(self, scheduler: Any, key: Any) -> None:
        """Keep the inputs of a task that is about to be reported as failed.

        While the task counts as processing its inputs are still held for it.
        """
        ts = scheduler.tasks.get(key)
        if ts is None or not self.limit:
            return
        found = {dts.key: dts.nbytes for dts in ts.dependencies if dts.who_has}
        if not found or sum(found.values()) > self.limit:
            self.dropped += bool(found)
            return
        scheduler.client_desires_keys(list(found), self.client)
        for name, size in found.items():
            self.sizes[name] = max(size, 0)
            self.sizes.move_to_end(name)
        self.trim(scheduler)

    def trim(self, scheduler: Any) -> None:
        """Release the oldest that are beyond the limit."""
        over = self.nbytes - self.limit
        gone = []
        while over > 0:
            name, size = self.sizes.popitem(last=False)
            over -= size
            gone.append(name)
        self.dropped += len(gone)
        self._release(scheduler, gone)

    def release(self, scheduler: Any) -> None:
        """Release all, and remove the client from the scheduler."""
        self._release(scheduler, self.sizes)
        self.sizes.clear()
        scheduler.clients.pop(self.client, None)

    def _release(self, scheduler: Any, keys: Iterable[Any]) -> None:
        names = [name for name in keys if name in scheduler.tasks]
        if names and self.client in scheduler.clients:
            scheduler.client_releases_keys(names, self.client)
