"""Calls to one cluster, from outside of its event loop: each wait has a limit."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from distributed.comm import CommClosedError

from dbgkit import advice
from dbgkit.cluster.clients import event_loop, is_open, loop_thread_is_here
from dbgkit.cluster.connection import Connection
from dbgkit.errors import SchedulerGone, WaitTimedOut
from dbgkit.remote.common.loops import begin_in

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")


class Calls:
    """Runs coroutine functions on a client's event loop; each wait has a limit.

    ``timeout``: seconds that it may take.
    """

    def __init__(self, client: Client, timeout: float) -> None:
        if not is_open(client):
            raise SchedulerGone(
                f"the client is {client.status}",
                "connect a new Client, or pass the exception: what its traceback "
                "still holds may be enough",
            )
        if event_loop(client).is_closed():
            # In one process with its workers: Dask lets both through to its loop.
            raise SchedulerGone(
                "the client's event loop has ended, and the client with it; in a "
                "cluster within this process, a task that raises SystemExit or "
                "KeyboardInterrupt ends it",
                "start a new cluster and Client, with worker processes",
            )
        self.client = client
        self.timeout = timeout
        self._connection = Connection(client)
        self._end: float | None = None

    @contextmanager
    def altogether(self, share: float = 1.0) -> Iterator[None]:
        """All waits within the block take no longer than one may.

        ``share``: of what is left of such a block around it.
        """
        before, self._end = self._end, monotonic() + share * self.left()
        try:
            yield
        finally:
            self._end = before

    def left(self) -> float:
        """Seconds that the next wait may take."""
        if self._end is None:
            return self.timeout
        return max(0.0, min(self.timeout, self._end - monotonic()))

    def call(
        self,
        function: Callable[..., Coroutine[Any, Any, T]],
        *args: Any,
        what: str,
        limit: float | None = None,
        look: str = "whether the scheduler is overloaded",
        **kwargs: Any,
    ) -> T:
        """Run a coroutine function on the client's loop, and wait within a limit.

        ``look``: what to check if no answer arrives. `WaitTimedOut` if ``what`` did not
        arrive within the limit; `SchedulerGone` if the connection is down, or leads to
        another scheduler than before.
        """
        if loop_thread_is_here(self.client):
            raise RuntimeError("a Link may not be used in the client's own loop")
        limit = self.timeout if limit is None else limit
        if self._end is not None:
            limit = min(limit, self.left())
        self._connection.check(limit)

        async def bounded() -> T:
            return await asyncio.wait_for(function(*args, **kwargs), limit)

        waiting = begin_in(event_loop(self.client), bounded())
        try:
            # The loop itself may be blocked: then its own limit has no effect.
            answer = waiting.result(limit + 5)
        except (asyncio.TimeoutError, concurrent.futures.TimeoutError) as error:
            waiting.cancel()
            # It may have been lost meanwhile, and be back now.
            self._connection.check(0)
            raise WaitTimedOut(
                f"{what} did not arrive within {limit:g} s",
                f"raise {advice.option('timeout')}, or check {look}",
            ) from error
        except (CommClosedError, OSError) as error:
            raise self._cut(what, error, limit) from error
        except BaseException:
            waiting.cancel()
            raise
        if is_open(self.client):
            # Another scheduler's answer is not one to what this one was asked.
            self._connection.check(limit)
        return answer

    def _cut(self, what: str, error: Exception, limit: float) -> SchedulerGone:
        """The error for an answer lost because the connection was cut."""
        if self._connection.check_cut(limit):
            return SchedulerGone(
                f"the connection to the scheduler was lost for a moment, and {what} "
                "with it",
                "try again: it is back",
            )
        return SchedulerGone(
            f"the cluster does not answer ({what}): {error}",
            "check whether the scheduler still runs",
        )

    def scheduler(self) -> str:
        """Id of the scheduler; it changes when the scheduler is restarted."""
        self._connection.check(self.left())
        return self._connection.scheduler
