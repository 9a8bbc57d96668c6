"""What the verbs share: which client is asked, and from which thread."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

from dbgkit import render
from dbgkit.advice import repeating
from dbgkit.cluster.clients import (
    client_of,
    current_client,
    is_future,
    loop_thread_is_here,
)
from dbgkit.cluster.view import View, open_view
from dbgkit.errors import NotHere
from dbgkit.remote.common.texts import safe_repr
from dbgkit.source import naming_sources, read_sources
from dbgkit.targets.tracebacks import exception_at_hand, meant_by

if TYPE_CHECKING:
    from typing_extensions import Unpack as Unpack
else:
    Unpack = Any  # in annotations only, which nothing evaluates

T = TypeVar("T")
R = TypeVar("R")

# With ``asynchronous`` as a `Sync` a verb gives its result, as an `Async` an awaitable.
Sync = Literal[False] | None
Async = Literal[True]

# What the verbs return can show itself.
render.register()


class Asking(TypedDict, total=False):
    """Options of each verb that asks a cluster, for its overloads."""

    client: Any
    timeout: Any


class Looking(Asking, total=False):
    """Of each that reads a dump too, and shows text of code."""

    view: Any
    source: Any


def ask(
    target: Any,
    client: Any,
    timeout: Any,
    run: Callable[[Any, Any], T],
    asynchronous: bool | None,
    source: Any = None,
) -> T | Coroutine[Any, Any, T]:
    """Run a verb with its client; in the client's own loop, return a coroutine."""
    return ask_and_show(
        target, client, timeout, run, lambda found: found, asynchronous, source
    )


def ask_and_show(
    target: Any,
    client: Any,
    timeout: Any,
    run: Callable[[Any, Any], T],
    show: Callable[[T], R],
    asynchronous: bool | None,
    source: Any = None,
) -> R | Coroutine[Any, Any, R]:
    """As `ask`; the result is shown in the thread that asks."""
    if target is None:
        target = exception_at_hand()
    target = meant_by(target)
    mine = client if client is not None else own_client(target)

    def work() -> T:
        with client_of(mine, seconds(timeout)) as found:
            return run(target, found)

    async def awaited() -> R:
        with repeating(given):
            return show(await _in_thread(work))

    given = _again(mine, None, source)
    if _is_awaited(mine, asynchronous):
        return awaited()
    with repeating(given):
        return show(work())


def look(
    target: Any,
    client: Any,
    view: Any,
    timeout: Any,
    run: Callable[[View], T],
    asynchronous: bool | None,
    source: Any = None,
) -> T | Coroutine[Any, Any, T]:
    """Ask a view; in the client's own loop, return a coroutine."""
    mine = client if client is not None or view is not None else own_client(target)
    sources = read_sources(source)

    def work() -> T:
        with (
            repeating(_again(mine, view, source)),
            open_view(view, mine, seconds(timeout)) as found,
            naming_sources(sources),
        ):
            return run(found)

    return now_or_awaited(work, mine, asynchronous)


def now_or_awaited(
    work: Callable[[], T], client: Any, asynchronous: bool | None
) -> T | Coroutine[Any, Any, T]:
    """The result; in the client's own loop, a coroutine."""
    return _in_thread(work) if _is_awaited(client, asynchronous) else work()


def _again(client: Any, view: Any, source: Any) -> dict[str, Any]:
    """Options of a call which the next one needs too, as texts.

    A client has no name that is known here; of the current cluster, none is needed.
    """
    address = client if isinstance(client, str) else _address_of(client)
    if address == _address_of(current_client()):
        address = None
    paths = source if isinstance(source, (list, tuple)) else [source]
    files = [os.fspath(p) for p in paths if isinstance(p, (str, os.PathLike))]
    given = {
        "client": address,
        "view": os.fspath(view) if isinstance(view, (str, os.PathLike)) else None,
        "source": files[0] if len(files) == 1 else files or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _address_of(client: Any) -> str | None:
    """Address of the scheduler of a client; None if it has closed, or is none."""
    return getattr(getattr(client, "scheduler", None), "address", None)


def _is_awaited(client: Any, asynchronous: bool | None) -> bool:
    """Whether a verb returns a coroutine, rather than the result itself."""
    known = not (client is None or isinstance(client, str))
    inside = known and loop_thread_is_here(client)
    if inside and asynchronous is False:
        raise NotHere(
            "asynchronous=False would block the client's own event loop forever",
            "leave it out and await the call, or call it in another thread",
        )
    return inside if asynchronous is None else asynchronous


async def _in_thread(run: Callable[[], T]) -> T:
    """Run a verb in a thread of its own; a coroutine that is cancelled stops it.

    Ctrl-C does that too, which would otherwise wait for a replay to end.
    """
    done: Future[T] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            result = context.run(run)
        except BaseException as error:  # raised again where it is awaited
            if not done.cancelled():
                done.set_exception(error)
        else:
            if not done.cancelled():
                done.set_result(result)

    # A thread that cannot be stopped (it is in C code) keeps no process alive.
    thread = threading.Thread(target=work, name="dbgkit-verb", daemon=True)
    thread.start()
    try:
        return await asyncio.wrap_future(done)
    except asyncio.CancelledError:
        _interrupt(thread)
        raise


def _interrupt(thread: threading.Thread) -> None:
    """Have a thread raise ``KeyboardInterrupt`` as soon as it runs Python code."""
    import ctypes

    if thread.ident is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt)
        )


def own_client(target: Any) -> Any:
    """The client of a future, else the current one."""
    members = target if isinstance(target, (list, tuple, set)) else [target]
    for member in members:
        if is_future(member):
            return member.client
    return current_client()


def seconds(timeout: Any, name: str = "timeout") -> float:
    """A ``timeout=``: seconds, or a text such as ``"5 s"``; else `ValueError`.

    ``name``: of the option, if it is another one.
    """
    from dask.utils import parse_timedelta

    try:
        value = float(parse_timedelta(timeout, "s"))
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError(
            f"{name}={safe_repr(timeout, 100)}: expected a number of seconds above 0, "
            "or a text such as '5 s'"
        )
    return value
