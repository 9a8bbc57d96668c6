"""The client that a replayed task is given: the user's own, with limited waits.

In a coroutine it is one of the coroutine's own loop, which is closed with it.
"""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable, Generator
from typing import Any

from dbgkit.cluster.clients import event_loop, is_open
from dbgkit.remote.worker.replay_waits import (
    SchedulerInPlace,
    connect_first,
    running_loop,
)

SUBMITS = "the task asks for a client: work it submits really runs"

# Methods of a Client that have the cluster do something.
_WORK = {
    *("submit", "map", "compute", "persist", "get", "scatter", "replicate"),
    *("rebalance", "run", "run_on_scheduler", "retry", "cancel", "upload_file"),
    *("register_plugin", "publish_dataset", "restart", "restart_workers"),
    "retire_workers",
}


class ClientStandIn:
    """Acts as the client; calls ``announce`` when the task has it do something.

    Its methods run in the context of before the task, ``outside``, where ``get_worker``
    finds no worker: ``Client.gather`` and ``Client.scatter`` (distributed/client.py)
    would else take and leave values in the stand-in's memory.
    """

    def __init__(
        self,
        client: Any,
        scheduler: SchedulerInPlace,
        announce: Callable[[], None],
        outside: contextvars.Context,
    ) -> None:
        self._dbgkit_client = client
        self._dbgkit_announce = announce
        self._dbgkit_outside = outside
        self.scheduler = scheduler

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._dbgkit_client)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(self._dbgkit_client, name)
        if not inspect.ismethod(value):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            if name in _WORK:
                self._dbgkit_announce()
            return self._dbgkit_outside.copy().run(value, *args, **kwargs)

        return call

    def sync(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """What ``Queue`` and ``Variable`` call the scheduler by."""
        result = self._dbgkit_client.sync(function, *args, **kwargs)
        if inspect.iscoroutine(result):  # a Future is awaitable too
            return self._dbgkit_awaited(result)
        return self._dbgkit_bound(result)

    async def _dbgkit_awaited(self, result: Any) -> Any:
        return self._dbgkit_bound(await result)

    def _dbgkit_bound(self, result: Any) -> Any:
        """Futures belong to the client, which takes no others (``Client._gather``)."""
        from distributed import Future

        each = result if isinstance(result, list) else [result]
        for future in each:
            if isinstance(future, Future) and future._client is self:
                future._client = self._dbgkit_client
        return result

    def _send_to_scheduler(self, message: dict[str, Any]) -> None:
        if message.get("op") == "queue_release":
            self.scheduler.dbgkit_released(message.get("name"))
        self._dbgkit_client._send_to_scheduler(message)

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """The task must not close it, as it must not close a worker's own."""
        return self.__aexit__() if self._dbgkit_client.asynchronous else None

    def __enter__(self) -> ClientStandIn:
        return self

    def __exit__(self, *raised: object) -> None:
        """Leave it open: see `close`."""

    def __await__(self) -> Generator[Any, Any, ClientStandIn]:
        yield from self._dbgkit_client.__await__()  # until it is connected
        return self

    async def __aenter__(self) -> ClientStandIn:
        return await self

    async def __aexit__(self, *raised: object) -> None:
        """Leave it open: see `close`."""

    def __repr__(self) -> str:
        return f"<dbgkit's stand-in for {self._dbgkit_client!r}>"


class Base:
    """The client that all goes through, opened when the task first needs one.

    ``open_client`` gives a client that is no coroutine's, or None if there is no
    cluster.
    """

    def __init__(self, open_client: Callable[[], Any]) -> None:
        self.reopen(open_client)

    def reopen(self, open_client: Callable[[], Any]) -> None:
        """Go through another client, opened when it is needed."""
        self._open_client = open_client
        self._client: Any = None

    @property
    def opened(self) -> bool:
        """Whether anything was asked of it."""
        return self._client is not None

    def client(self) -> Any:
        """The client; None if there is no cluster."""
        if self._client is None:
            self._client = self._open_client()
        elif not is_open(self._client):
            return None
        return self._client

    def runs_here(self) -> bool:
        """Whether this is the thread of the client's own loop."""
        running = running_loop()
        return (
            running is not None and self.opened and running is event_loop(self._client)
        )


def own_client(base: Any, timeout: float) -> Any:
    """A client of the loop that runs here, for a coroutine; to be closed in it.

    A worker's own client gathers from workers directly, which need not be in reach of
    this process.
    """
    from distributed import Client

    client = Client(
        base.scheduler.address,
        security=base.security,
        timeout=timeout,
        asynchronous=True,
        set_as_default=False,
        direct_to_workers=False,
        name="dbgkit-replay",
    )
    connect_first(client)
    return client
