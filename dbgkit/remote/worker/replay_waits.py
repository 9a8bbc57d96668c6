"""How a replayed task reaches the scheduler, with a limit for each wait.

Locks, semaphores, queues, variables, events and actors all call operations of the
scheduler (or of a worker) by their names, in the loop of the worker or the client.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from inspect import iscoroutine
from typing import Any

from ..common.loops import begin_in
from .replay_leases import Leases, Tools

# Operations that wait for others, and what each is of (distributed/queues.py,
# variable.py, event.py, multi_lock.py).
_WAITS = {
    "queue_get": "the queue",
    "queue_put": "the queue",
    "variable_get": "the variable",
    "variable_set": "the variable",
    "event_wait": "the event",
    "multi_lock_acquire": "the locks",
}
# Operations that change what others see.
_CHANGES = {
    "queue_get": "takes from the queue",
    "queue_put": "puts into the queue",
    "variable_set": "sets the variable",
    "event_set": "sets the event",
    "event_clear": "clears the event",
    "multi_lock_acquire": "takes the locks",
}
_LEASES: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
    "semaphore_register": Leases.register,
    "semaphore_acquire": Leases.acquire,
    "semaphore_release": Leases.release,
    "semaphore_refresh_leases": Leases.refresh,
    "semaphore_value": Leases.value,
    "semaphore_close": Leases.close,
}
_GRACE = 5.0  # seconds more than the limit, for the answer itself

# An rpc (``PooledRPCCall``, distributed/core.py) and the asyncio loop that it is of.
Reach = Callable[[], tuple[Any, Any]]


class SchedulerInPlace:
    """Stands in for the rpc of a worker or a client to its scheduler."""

    def __init__(self, reach: Reach, tools: Tools) -> None:
        self._dbgkit_reach = reach
        self._dbgkit_tools = tools
        self._dbgkit_leases = Leases(tools)
        self._dbgkit_queues: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        rpc, loop = self._dbgkit_reach()
        if name in vars(rpc) or hasattr(type(rpc), name):
            return getattr(rpc, name)

        async def call(**kwargs: Any) -> Any:
            return await in_loop(loop, self._dbgkit_call, rpc, name, kwargs)

        return call

    async def _dbgkit_call(self, rpc: Any, name: str, kwargs: dict[str, Any]) -> Any:
        if name in _LEASES:
            return await _LEASES[name](self._dbgkit_leases, rpc, **kwargs)
        if name in _CHANGES:
            self._dbgkit_tools.tell(
                f"the task {_CHANGES[name]} {_named(kwargs)}: this is the real one"
            )
        if name == "queue_create":
            self._dbgkit_queues.append(kwargs.get("name"))
        return await self._dbgkit_bounded(rpc, name, kwargs)

    async def _dbgkit_bounded(self, rpc: Any, name: str, kwargs: dict[str, Any]) -> Any:
        """An operation within the limit, or within the task's own, if that is less."""
        from dask.utils import parse_timedelta

        limit = self._dbgkit_tools.limit
        own = False
        if name in _WAITS:
            asked = kwargs.get("timeout")
            asked = None if asked is None else parse_timedelta(asked, "s")
            own = asked is not None and asked <= limit
            kwargs = {**kwargs, "timeout": asked if own else limit}
        calling = getattr(rpc, name)(**kwargs)
        try:
            answer = await asyncio.wait_for(calling, limit + _GRACE)
        except (TimeoutError, asyncio.TimeoutError):
            if own:
                raise
            raise self._dbgkit_refusal(name, kwargs) from None
        if answer is False and name in ("event_wait", "multi_lock_acquire") and not own:
            raise self._dbgkit_refusal(name, kwargs)
        return answer

    def _dbgkit_refusal(self, name: str, kwargs: dict[str, Any]) -> BaseException:
        tools = self._dbgkit_tools
        what = f"{_WAITS.get(name, 'the scheduler to do')} {_named(kwargs) or name}"
        return tools.lacks(
            f"the replayed task waits for {what}: not waited for longer "
            f"than {tools.limit:g} s",
            "provide what it waits for, or try again with a longer timeout",
        )

    def dbgkit_released(self, name: Any) -> None:
        """The task has released a queue by itself."""
        if name in self._dbgkit_queues:
            self._dbgkit_queues.remove(name)

    async def dbgkit_give_back(self) -> list[Any]:
        """Release locks; gives the names of queues that are still to be released."""
        rpc, loop = self._dbgkit_reach()
        queues, self._dbgkit_queues = self._dbgkit_queues, []
        await in_loop(loop, self._dbgkit_leases.give_back, rpc, loop, self)
        return queues


class RpcInPlace:
    """Stands in for the rpc to an actor's worker: answers come within the limit.

    An exception would be lost: ``Actor.__getattr__`` (distributed/actor.py) calls in
    a callback of the loop, and its caller waits for what that sets.
    """

    def __init__(self, reach: Reach, address: str, tools: Tools) -> None:
        self._dbgkit_reach = reach
        self._dbgkit_address = address
        self._dbgkit_tools = tools

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        async def call(**kwargs: Any) -> Any:
            if name in ("actor_execute", "actor_attribute"):
                self._dbgkit_tools.tell(
                    f"the task asks the actor {kwargs.get('actor')!r}: it is the real "
                    "one, on its worker"
                )
            rpc, loop = self._dbgkit_reach()
            return await in_loop(loop, self._dbgkit_call, rpc, name, kwargs)

        return call

    async def _dbgkit_call(self, rpc: Any, name: str, kwargs: dict[str, Any]) -> Any:
        limit = self._dbgkit_tools.limit
        try:
            return await asyncio.wait_for(getattr(rpc, name)(**kwargs), limit)
        except (TimeoutError, asyncio.TimeoutError):
            why = f"has not answered within {limit:g} s"
            hint = "try again with a longer timeout, or check what the actor is doing"
        except Exception as failed:  # of the connection, or the scheduler's
            why = f"cannot be reached: {failed!r:.300}"
            hint = "is that worker still running?"
        error = self._dbgkit_tools.lacks(
            f"the replayed task asks the actor {kwargs.get('actor')!r} on "
            f"{self._dbgkit_address}, which {why}",
            hint,
        )
        return {"status": "error", "exception": error}


class LoopInPlace:
    """Stands in for the worker's loop: in an async task, it is that task's own."""

    def __init__(self, base: Callable[[], Any]) -> None:
        self._dbgkit_base = base

    def _dbgkit_now(self) -> Any:
        from tornado.ioloop import IOLoop

        return self._dbgkit_base() if coroutines_loop() is None else IOLoop.current()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._dbgkit_now(), name)


def running_loop() -> Any:
    """The asyncio loop that runs in this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


# Loops that were made for the coroutine of one task. Another may run in a thread
# beneath a task that is none: a notebook's, say.
_COROUTINES: weakref.WeakSet[Any] = weakref.WeakSet()


def coroutines_loop() -> Any:
    """The loop of a task's coroutine, if it runs in this thread, or None."""
    running = running_loop()
    return running if running in _COROUTINES else None


def of_a_coroutine() -> None:
    """Note that the loop that runs here is one of a task's coroutine."""
    _COROUTINES.add(asyncio.get_running_loop())


def connect_first(client: Any) -> None:
    """Make a coroutine's client wait until it is connected, before it asks anything.

    ``Worker._get_client`` (distributed/worker.py) does not wait for that either, but
    usually the client has been open for long: then its ``scheduler`` is there.
    """
    asking = client.sync

    def sync(function: Any, *args: Any, **kwargs: Any) -> Any:
        result = asking(function, *args, **kwargs)
        return _connected(client, result) if iscoroutine(result) else result

    client.sync = sync


async def _connected(client: Any, coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        await client
    except BaseException:
        coroutine.close()
        raise
    return await coroutine


async def close_connected(client: Any) -> None:
    """Close a coroutine's client; one that has not been connected cannot be closed."""
    with suppress(OSError, TimeoutError, asyncio.TimeoutError):
        await client
    await client.close()


async def in_loop(
    loop: Any, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any
) -> Any:
    """Await a coroutine function in its own loop, whichever runs here."""
    if asyncio.get_running_loop() is loop:
        return await function(*args)
    waiting = begin_in(loop, function(*args))
    return await asyncio.wrap_future(waiting)


def _named(kwargs: dict[str, Any]) -> str:
    name = kwargs.get("name", kwargs.get("locks"))
    return "" if name is None else repr(name)
