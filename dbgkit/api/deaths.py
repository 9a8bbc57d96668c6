"""The verb for workers that went away."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Literal, overload

from dbgkit.api.asking import look
from dbgkit.cluster.view import View
from dbgkit.diagnose.deaths.explain import tell_deaths
from dbgkit.model import Deaths


@overload
def deaths(
    *,
    client: Any = None,
    view: Any = None,
    limit: int = 50,
    timeout: Any = "30s",
    asynchronous: Literal[False] | None = None,
) -> Deaths: ...


@overload
def deaths(
    *,
    client: Any = None,
    view: Any = None,
    limit: int = 50,
    timeout: Any = "30s",
    asynchronous: Literal[True],
) -> Coroutine[Any, Any, Deaths]: ...


def deaths(
    *,
    client: Any = None,
    view: Any = None,
    limit: int = 50,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> Deaths | Coroutine[Any, Any, Deaths]:
    """Say why workers went away, and what they were running then.

    With the recorder on (`record`), each worker keeps a small file about what it does,
    which its nanny reads once its process has ended. It tells what ran, and at which
    line, from what was only queued. Without the recorder, only what Dask's own events
    and logs still hold is known.

    Parameters
    ----------
    client : Client or str, optional
        By default the current one.
    view : str or path, optional
        A cluster dump to read. Dumps hold no events, so little is known from one.
    limit : int
        At most so many deaths; the rest is counted.
    timeout : str or float
        Limit of each wait on the cluster, in seconds or as ``"30s"``.
    asynchronous : bool, optional
        As for `locate`.

    Returns
    -------
    Deaths
        The newest first, each with a verdict and its evidence; the tasks in `ran`
        have keys that are targets. With an asynchronous client, an awaitable.

    Raises
    ------
    NoFailure
        There is no cluster to ask.
    SchedulerGone, WaitTimedOut
        The cluster does not answer.
    DumpUnreadable
        The file is not a dump, or is incomplete.

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

    def run(found: View) -> Deaths:
        return tell_deaths(found, limit=limit)

    return look(None, client, view, timeout, run, asynchronous)
