"""What the verbs share: which client is asked, and from which thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dbgkit.cluster.clients import (
    client_of,
    current_client,
    is_future,
    loop_thread_is_here,
)
from dbgkit.cluster.view import View, open_view
from dbgkit.locate.traces import exception_at_hand, meant_by


def ask(
    target: Any,
    client: Any,
    timeout: Any,
    run: Callable[[Any, Any], Any],
    show: Callable[[Any], Any] = lambda result: result,
) -> Any:
    """Run a verb with its client; in the client's own loop, as a coroutine."""
    if target is None:
        target = exception_at_hand()
    target = meant_by(target)
    mine = client if client is not None else own_client(target)
    if not (mine is None or isinstance(mine, str)) and loop_thread_is_here(mine):
        return _run_in_thread(run, show, target, mine)
    with client_of(mine, seconds(timeout)) as found:
        result = run(target, found)
    return show(result)


def look(
    target: Any,
    client: Any,
    view: Any,
    timeout: Any,
    run: Callable[[View], Any],
) -> Any:
    """Ask a view; in the client's own loop, as a coroutine."""
    mine = client if client is not None or view is not None else own_client(target)

    def ask() -> Any:
        with open_view(view, mine, seconds(timeout)) as found:
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
    return show(await asyncio.to_thread(run, target, client))


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
