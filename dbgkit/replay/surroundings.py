"""Stand-ins for what surrounds a task on a worker: `get_worker`, `get_client`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dbgkit.errors import StandInLacks
from dbgkit.model import Notice


class WorkerStandIn:
    """Answers for the worker in a replayed task; what it lacks it says by name.

    Work that the task submits through it really runs on the cluster.
    """

    def __init__(
        self,
        key: Any,
        address: str,
        known: Mapping[str, Any],
        open_client: Callable[[], Any],
        notify: Callable[[Any], Any],
    ) -> None:
        self.address = self.contact_address = self.worker_address = address
        self.name = known.get("name", address)
        self.id = f"dbgkit-stand-in-{address}"
        self.nthreads = known.get("nthreads", 1)
        self.memory_limit = known.get("memory_limit")
        self.local_directory = tempfile.gettempdir()
        self.events: list[tuple[Any, Any]] = []
        self.lacked: list[str] = []
        self._key = key
        self._open_client = open_client
        self._notify = notify
        self._client: Any = None

    @property
    def submits(self) -> bool:
        """Whether the task asked for a client."""
        return self._client is not None

    def _get_client(self, timeout: float | None = None) -> Any:
        """What ``distributed.get_client`` asks a worker for (distributed/worker.py)."""
        if self._client is None:
            self._client = self._open_client()
            if self._client is None:
                raise StandInLacks(
                    "the replayed task asks for a client, and there is no cluster",
                    "connect a Client, or scope the task's submissions out",
                )
            self._notify(
                Notice("the task asks for a client: work it submits really runs")
            )
        return self._client

    @property
    def client(self) -> Any:
        return self._get_client()

    @property
    def scheduler(self) -> Any:
        return self._get_client().scheduler

    @property
    def loop(self) -> Any:
        return self._get_client().loop

    def get_current_task(self) -> Any:
        return self._key

    def log_event(self, topic: Any, message: Any) -> None:
        """Kept here, and not sent."""
        self.events.append((topic, message))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.lacked.append(name)
        raise StandInLacks(
            f"the replayed task asks its worker for {name!r}, which dbgkit's "
            "stand-in for a worker has not",
            "give the task what it needs as an argument, or look at the recording",
        )


@contextmanager
def in_place_of_worker(stand_in: WorkerStandIn) -> Iterator[None]:
    """Have `get_worker` answer with the stand-in, in this thread.

    ``distributed.worker._worker_cvar`` is what ``get_worker`` reads.
    """
    from distributed.worker import _worker_cvar

    token = _worker_cvar.set(stand_in)
    try:
        yield
    finally:
        _worker_cvar.reset(token)
