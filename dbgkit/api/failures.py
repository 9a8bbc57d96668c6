"""``dbgkit.failures``: what failed, in groups of one root cause."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any, overload

from dbgkit.api.asking import Async, Looking, Sync, Unpack, look
from dbgkit.api.by_name import by_name
from dbgkit.diagnose.failures import report_failures
from dbgkit.model import FailureReport


class _Options(Looking, total=False):
    since: Any
    of_client: Any
    span: str | None
    limit: int | None


@overload
def failures(
    *, asynchronous: Sync = None, **options: Unpack[_Options]
) -> FailureReport: ...


@overload
def failures(
    *, asynchronous: Async, **options: Unpack[_Options]
) -> Coroutine[Any, Any, FailureReport]: ...


@by_name
def failures(
    *,
    client: Any = None,
    view: Any = None,
    since: Any = None,
    of_client: Any = None,
    span: str | None = None,
    limit: int | None = 20,
    source: Any = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> FailureReport | Coroutine[Any, Any, FailureReport]:
    """Say which tasks failed and why, grouped by root cause.

    Parameters
    ----------
    client : Client or str, optional
        As for `locate`.
    view : str or path, optional
        A cluster dump to read, in place of a live cluster.
    since : datetime, timedelta, float or str, optional
        Only failures since then, or since so long ago: ``"5 minutes"``. Failures whose
        time is unknown are left out, and counted in `notes`.
    of_client : Client or str, optional
        Only failures of this client's work, or of the client with this id.
    span : str, optional
        Only failures in this span, by its name or id.
    limit : int or None
        At most this many groups are returned; the rest is counted.
    source : str, path or list of them, optional
        As for `replay`.
    timeout : str or float
        Limit of each wait on the cluster, in seconds or as ``"30s"``.
    asynchronous : bool, optional
        As for `locate`.

    Returns
    -------
    FailureReport
        This client's own failures first, then the newest. A group, and its `example`,
        are targets for `debug` and `replay`. With an asynchronous client, an awaitable.

    Raises
    ------
    NoFailure
        There is no cluster to ask.
    SchedulerGone, WaitTimedOut
        The cluster does not answer.
    AnswerUnreadable
        Its answer is not that of any release known here.
    DumpUnreadable
        The file is not a dump, or is incomplete.

    Notes
    -----
    The first call passes once over all tasks of the scheduler, in slices, unless it
    counts no failed task; after that, the failures are kept in an index.

    Examples
    --------
    >>> from distributed import Client, wait
    >>> import dbgkit
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     futures = client.map(lambda x: 1 / x, [0, 0.0, 1])
    ...     _ = wait(futures)
    ...     report = dbgkit.failures()
    >>> report.total, report.groups[0].exception_type
    (2, 'ZeroDivisionError')
    """

    run = partial(
        report_failures, since=since, of_client=of_client, span=span, limit=limit
    )
    return look(None, client, view, timeout, run, asynchronous, source)
