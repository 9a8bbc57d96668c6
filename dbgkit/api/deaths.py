"""The verb for workers that went away."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any, overload

from dbgkit.api.asking import Async, Looking, Sync, Unpack, look
from dbgkit.api.by_name import by_name
from dbgkit.diagnose.deaths.explain import tell_deaths
from dbgkit.model import Deaths


class _Options(Looking, total=False):
    limit: int


@overload
def deaths(*, asynchronous: Sync = None, **options: Unpack[_Options]) -> Deaths: ...


@overload
def deaths(
    *, asynchronous: Async, **options: Unpack[_Options]
) -> Coroutine[Any, Any, Deaths]: ...


@by_name
def deaths(
    *,
    client: Any = None,
    view: Any = None,
    limit: int = 50,
    source: Any = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> Deaths | Coroutine[Any, Any, Deaths]:
    """Say why workers went away, and what they were running then.

    With the recorder on (`record`), each worker keeps a small file about what it does,
    which its nanny reads once its process has ended. It tells what ran, and at which
    line, from what was only queued, and has the last warnings and errors that were
    logged, and the memory of the last minute. Without the recorder, only what Dask's
    own events and logs still hold is known.

    Parameters
    ----------
    client, view, source, timeout, asynchronous
        As for `failures`. Dumps hold no events, so little is known from one.
    limit : int
        At most this many deaths are returned; the rest is counted.

    Returns
    -------
    Deaths
        The newest first, each with a verdict and its evidence; the tasks in `ran`
        have keys that are targets. With an asynchronous client, an awaitable.

    Raises
    ------
    NoFailure, SchedulerGone, WaitTimedOut, DumpUnreadable
        As for `failures`.

    Notes
    -----
    Costs the scheduler one call, or several within three seconds while a nanny has yet
    to report. Without the recorder, nannies are asked for their logs; without a nanny,
    one worker of that host is asked for the file that a dead one left.

    Examples
    --------
    >>> from distributed import Client
    >>> import dbgkit
    >>> with Client(processes=False, n_workers=2, dashboard_address=":0") as client:
    ...     first = next(iter(client.scheduler_info()["workers"]))
    ...     _ = client.retire_workers([first])
    ...     gone = dbgkit.deaths()
    >>> [death.verdict for death in gone]
    ['closed-on-purpose']
    """
    if not isinstance(limit, int) or limit < 1:
        raise ValueError(f"limit={limit!r}: not a whole number of at least 1")

    run = partial(tell_deaths, limit=limit)
    return look(None, client, view, timeout, run, asynchronous, source)
