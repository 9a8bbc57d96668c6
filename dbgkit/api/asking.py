"""What the verbs share: which client is asked, and from which thread."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from dbgkit import render
from dbgkit.cluster.clients import (
    client_of,
    current_client,
    is_future,
    loop_thread_is_here,
)
from dbgkit.cluster.view import View, open_view
from dbgkit.source import naming_sources, read_sources
from dbgkit.targets.tracebacks import exception_at_hand, meant_by

# What the verbs return shows itself.
render.register()


def ask(
    target: Any,
    client: Any,
    timeout: Any,
    run: Callable[[Any, Any], Any],
    show: Callable[[Any], Any] = lambda result: result,
    *,
    awaited: bool = False,
) -> Any:
    """Run a verb with its client; in the client's own loop, as a coroutine.

    ``awaited``: as a coroutine in any case.
    """
    if target is None:
        target = exception_at_hand()
    target = meant_by(target)
    mine = client if client is not None else own_client(target)
    if not (mine is None or isinstance(mine, str)) and loop_thread_is_here(mine):
        return _run_in_thread(run, show, target, mine)

    def with_client(target: Any, mine: Any) -> Any:
        with client_of(mine, seconds(timeout)) as found:
            return run(target, found)

    if awaited:
        return _run_in_thread(with_client, show, target, mine)
    return show(with_client(target, mine))


def look(
    target: Any,
    client: Any,
    view: Any,
    timeout: Any,
    run: Callable[[View], Any],
    source: Any = None,
) -> Any:
    """Ask a view; in the client's own loop, as a coroutine."""
    mine = client if client is not None or view is not None else own_client(target)
    sources = read_sources(source)

    def ask() -> Any:
        with open_view(view, mine, seconds(timeout)) as found, naming_sources(sources):
            return run(found)

    if not (mine is None or isinstance(mine, str)) and loop_thread_is_here(mine):
        return asyncio.to_thread(ask)
    return ask()


async def _run_in_thread(
    run: Callable[[Any, Any], Any],
    show: Callable[[Any], Any],
    target: Any,
    client: Any,
) -> Any:
    """Run a verb in a thread of its own; a coroutine that is cancelled stops it.

    So Ctrl-C does, which else would wait for a replay to end.
    """
    done: Future[Any] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            result = context.run(run, target, client)
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
        result = await asyncio.wrap_future(done)
    except asyncio.CancelledError:
        _interrupt(thread)
        raise
    return show(result)


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


def seconds(timeout: Any) -> float:
    from dask.utils import parse_timedelta

    return float(parse_timedelta(timeout, "s"))
