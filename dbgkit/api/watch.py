"""``dbgkit.watch``: the state of one cluster, again and again."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, ExitStack, closing
from time import monotonic
from typing import Any, overload

from dbgkit.api.asking import (
    Async,
    Looking,
    Sync,
    Unpack,
    now_or_awaited,
    own_client,
    seconds,
)
from dbgkit.api.by_name import by_name
from dbgkit.cluster.view import View, open_view
from dbgkit.diagnose.failures import report_failures, span_of
from dbgkit.diagnose.why.explain import explain
from dbgkit.errors import DbgkitError
from dbgkit.model import Glance, WorkerLoad
from dbgkit.source import naming_sources, read_sources

# What looks, how often, how long it may go without an answer, and how many updates.
Show = Callable[[Callable[[], Glance], float, float, "int | None"], "Glance | None"]
MOST_GROUPS = 50  # root causes of one look


class _Options(Looking, total=False):
    every: Any
    once: bool
    updates: int | None


@overload
def watch(
    *, asynchronous: Sync = None, **options: Unpack[_Options]
) -> Glance | None: ...


@overload
def watch(
    *, asynchronous: Async, **options: Unpack[_Options]
) -> Coroutine[Any, Any, Glance | None]: ...


@by_name
def watch(
    *,
    client: Any = None,
    view: Any = None,
    every: Any = "2s",
    once: bool = False,
    updates: int | None = None,
    source: Any = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> Glance | Coroutine[Any, Any, Glance | None] | None:
    """Watch a cluster on a live screen: tasks, failures, what is blocked, workers.

    The screen is a list to move in, with details to open: ``?`` shows the keys. It
    stays until ``q`` or Ctrl-C, also while the scheduler is unreachable for less than
    `timeout`. Without a terminal there is one update, unless `updates` asks for more:
    then each that differs from the one before is printed. A dump has one.

    Parameters
    ----------
    client, view, source, timeout, asynchronous
        As for `failures`.
    every : str or float
        Time between updates; none begins before the last has ended.
    once : bool
        Return one update, without a screen.
    updates : int, optional
        End after so many updates.

    Returns
    -------
    Glance or None
        The last update; None if the screen was closed before there was one. With an
        asynchronous client, an awaitable.

    Raises
    ------
    NoFailure, SchedulerGone, WaitTimedOut, DumpUnreadable
        As for `failures`.

    Notes
    -----
    An update costs the scheduler three calls: counts that it keeps anyway, the index of
    failures (one pass over all tasks at first), and what `why` costs.

    Examples
    --------
    >>> from distributed import Client
    >>> import dbgkit
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     seen = dbgkit.watch(once=True)
    >>> seen.healthy, seen.failures.total
    (True, 0)
    """
    from dbgkit.render.watch import in_blocks, on_screen, takes_screen

    screen = takes_screen()
    if once or view is not None or (updates is None and not screen):
        updates = 1
    show = on_screen if screen else in_blocks
    return watch_with(
        show,
        client=client,
        view=view,
        every=every,
        updates=updates,
        source=source,
        timeout=timeout,
        asynchronous=asynchronous,
    )


def watch_with(
    show: Show,
    *,
    client: Any = None,
    view: Any = None,
    every: Any = "2s",
    updates: int | None = None,
    source: Any = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> Glance | Coroutine[Any, Any, Glance | None] | None:
    """As `watch`, with a function that shows updates; it is not called for only one."""
    if updates is not None and (not isinstance(updates, int) or updates < 1):
        raise ValueError(f"updates={updates!r}: expected a whole number of at least 1")
    mine = own_client(None) if client is None and view is None else client
    limit, period, sources = seconds(timeout), seconds(every), read_sources(source)

    def connect() -> AbstractContextManager[View]:
        return open_view(view, mine, limit)

    def work() -> Glance | None:
        with naming_sources(sources):
            return follow(connect, show, every=period, patience=limit, updates=updates)

    return now_or_awaited(work, mine, asynchronous)


def follow(
    connect: Callable[[], AbstractContextManager[View]],
    show: Show,
    *,
    every: float,
    patience: float,
    updates: int | None,
) -> Glance | None:
    """Look once, or again and again, and have that shown; the last look."""
    with closing(Looks(connect)) as look:
        if updates == 1:
            return look()
        return show(look, every, patience, updates)


def glance(view: View) -> Glance:
    """The state of a whole cluster: tasks, failures, and why nothing moves."""
    began = monotonic()
    counts = view.ask("counts", {})
    failures = report_failures(view, limit=MOST_GROUPS)
    why = explain(view)
    return Glance(
        address=counts["address"],
        taken=span_of(counts),
        took=monotonic() - began,
        failures=failures,
        why=why,
        summary=counts["summary"],
        workers=counts["workers"],
        threads=counts["threads"],
        loads=tuple(map(WorkerLoad.from_wire, counts["loads"])),
    )


class Looks:
    """Looks at one cluster, one after the other, over one connection.

    After a failed look the next one reconnects: the scheduler may have been started
    again, or have been out of reach for a while.
    """

    def __init__(self, connect: Callable[[], AbstractContextManager[View]]) -> None:
        self._connect = connect
        self._open = ExitStack()
        self._view: View | None = None

    def __call__(self) -> Glance:
        try:
            if self._view is None:
                self._view = self._open.enter_context(self._connect())
            return glance(self._view)
        except DbgkitError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next look opens another one."""
        self._view = None
        opened, self._open = self._open, ExitStack()
        opened.close()
