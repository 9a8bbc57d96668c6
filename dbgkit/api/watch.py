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
from dbgkit.cluster.view import View, open_view
from dbgkit.diagnose.failures import report_failures, span_of
from dbgkit.diagnose.why.explain import explain
from dbgkit.errors import DbgkitError
from dbgkit.model import Glance
from dbgkit.source import naming_sources, read_sources

MOST_GROUPS = 50  # root causes of one look


class _Options(Looking, total=False):
    every: Any
    once: bool


@overload
def watch(
    *, asynchronous: Sync = None, **options: Unpack[_Options]
) -> Glance | None: ...


@overload
def watch(
    *, asynchronous: Async, **options: Unpack[_Options]
) -> Coroutine[Any, Any, Glance | None]: ...


def watch(
    *,
    client: Any = None,
    view: Any = None,
    every: Any = "2s",
    once: bool = False,
    source: Any = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> Glance | Coroutine[Any, Any, Glance | None] | None:
    """Watch a cluster on a live screen: states of tasks, failures, what is blocked.

    The screen stays until ``q`` or Ctrl-C, also while the scheduler is unreachable for
    less than `timeout`. Without a terminal, as in a notebook, and for a dump, there is
    one update only.

    Parameters
    ----------
    client, view, source, timeout, asynchronous
        As for `failures`.
    every : str or float
        Time between updates; none begins before the last has ended.
    once : bool
        Return one update, without a screen.

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
    from dbgkit.render.watch import takes_screen

    mine = own_client(None) if client is None and view is None else client
    limit, period, sources = seconds(timeout), seconds(every), read_sources(source)
    only_once = once or view is not None or not takes_screen()

    def connect() -> AbstractContextManager[View]:
        return open_view(view, mine, limit)

    def work() -> Glance | None:
        with naming_sources(sources):
            return follow(connect, every=period, patience=limit, once=only_once)

    return now_or_awaited(work, mine, asynchronous)


def follow(
    connect: Callable[[], AbstractContextManager[View]],
    *,
    every: float,
    patience: float,
    once: bool,
) -> Glance | None:
    """Look once, or again and again on the screen; the last look."""
    from dbgkit.render.watch import watch as on_screen

    with closing(Looks(connect)) as look:
        return look() if once else on_screen(look, every=every, patience=patience)


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
