"""The verbs that look at what the scheduler knows, live or in a dump."""

from __future__ import annotations

from typing import Any

from dbgkit.api.asking import look, seconds
from dbgkit.cluster.view import View
from dbgkit.diagnose.doctor import examine_cluster
from dbgkit.diagnose.failures import report_failures
from dbgkit.diagnose.story import tell_story
from dbgkit.diagnose.tables import table_tasks
from dbgkit.diagnose.why import explain
from dbgkit.locate.traces import exception_at_hand
from dbgkit.model import FailureReport, TaskTable, Timeline


def why(
    target: Any = None,
    *,
    client: Any = None,
    view: Any = None,
    source: Any = None,
    timeout: Any = "30s",
) -> Any:
    """Tell why a task, a collection or the whole cluster does not move on.

    Parameters
    ----------
    target : optional
        A future, a persisted collection, a key (also as text), a failure, several of
        these in a list; or nothing: the whole cluster.
    client : Client or str, optional
        As for `locate`.
    view : str or path, optional
        A cluster dump to look at, in place of a live cluster.
    source : str, path or list of them, optional
        As for `replay`.
    timeout : str or float
        Limit of each wait on the cluster, in seconds or as ``"30s"``.

    Returns
    -------
    Explanation
        With a stable code in `cause`; further causes are ranked in `others`, and the
        chain of tasks that wait for one another is followed to its end. `graph` has
        what is around that end. With an asynchronous client, an awaitable.

    Raises
    ------
    WrongTarget, NoFailure
        No task can be found from the target, or there is no cluster.
    SchedulerGone, WaitTimedOut
        The cluster does not answer.
    AnswerUnreadable
        It answers what no release does that is known here.
    DumpUnreadable
        The file is no dump, or not a whole one.

    Notes
    -----
    Costs the cluster one call, which grows with the chain that is followed, and a
    small one for the graph; workers that hold back a task are asked once, each within
    a few seconds. Nothing is changed.

    Examples
    --------
    >>> from distributed import Client
    >>> import dbgkit
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     future = client.submit(max, 1, 2, resources={"GPU": 1})
    ...     dbgkit.why(future).cause
    'resources-unmet'
    """

    def run(found: View) -> Any:
        return explain(found, target)

    return look(target, client, view, timeout, run, source)


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
) -> Any:
    """Tell which tasks failed and why, grouped by root cause.

    Parameters
    ----------
    client : Client or str, optional
        As for `locate`.
    view : str or path, optional
        A cluster dump to look at, in place of a live cluster.
    since : datetime, timedelta, float or str, optional
        Only failures since then, or since so long ago: ``"5 minutes"``. What nothing
        tells the time of is left out, and counted in `notes`.
    of_client : Client or str, optional
        Only failures that took something from this client (or the client of this id).
    span : str, optional
        Only failures in this span, by its name or id.
    limit : int or None
        The most groups; the rest is counted.
    source : str, path or list of them, optional
        As for `replay`.
    timeout : str or float
        Limit of each wait on the cluster, in seconds or as ``"30s"``.

    Returns
    -------
    FailureReport
        The most frequent root cause first. A group, and its `example`, are targets
        for `debug` and `replay`. With an asynchronous client, an awaitable.

    Raises
    ------
    NoFailure
        There is no cluster to look at.
    SchedulerGone, WaitTimedOut
        The cluster does not answer.
    AnswerUnreadable
        It answers what no release does that is known here.
    DumpUnreadable
        The file is no dump, or not a whole one.

    Notes
    -----
    The first call passes once over all tasks of the scheduler, in slices, unless it
    counts no failed one; from then on the failures are kept in an index.

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

    def run(found: View) -> FailureReport:
        return report_failures(
            found, since=since, of_client=of_client, span=span, limit=limit
        )

    return look(None, client, view, timeout, run, source)


def tasks(
    *,
    client: Any = None,
    view: Any = None,
    state: Any = None,
    prefix: Any = None,
    keys: Any = None,
    worker: Any = None,
    failed: bool | None = None,
    sort: str | None = None,
    limit: int | None = 50,
    timeout: Any = "30s",
) -> Any:
    """List tasks as the scheduler has them: filtered first, cut after.

    Parameters
    ----------
    client, view, timeout
        As for `failures`.
    state, prefix : str or list of str, optional
        Only tasks in these states, with these prefixes.
    keys : str or list, optional
        A key, a pattern (``"load-*"``), or a list of keys or futures.
    worker : str, optional
        Address or name of a worker that runs them, holds them, or that they failed on.
    failed : bool, optional
        True: only what failed by itself; False: only the rest.
    sort : str, optional
        A column of `TaskRow`: numbers come largest first, texts from A, and the other
        way round with a ``-`` before it. By default, as the scheduler has them.
    limit : int or None
        The most rows; the rest is counted.

    Returns
    -------
    TaskTable
        With `matched` and `omitted`, and in `summary` the number of all tasks by
        prefix and state. With an asynchronous client, an awaitable.

    Raises
    ------
    UnknownName
        There is no such state or column; the nearest one is named.
    NoFailure, SchedulerGone, WaitTimedOut, DumpUnreadable
        As for `failures`.

    Notes
    -----
    Passes once over all tasks of the scheduler, in slices, unless keys are given.

    Examples
    --------
    >>> from distributed import Client
    >>> import dbgkit
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     future = client.submit(max, 1, 2, key="biggest")
    ...     _ = future.result()
    ...     table = dbgkit.tasks(state="memory")
    >>> [(row.key, row.nbytes) for row in table.rows]
    [('biggest', 28)]
    """

    def run(found: View) -> TaskTable:
        return table_tasks(
            found,
            state=state,
            prefix=prefix,
            keys=keys,
            worker=worker,
            failed=failed,
            sort=sort,
            limit=limit,
        )

    return look(None, client, view, timeout, run)


def story(
    target: Any = None,
    *,
    client: Any = None,
    view: Any = None,
    source: Any = None,
    timeout: Any = "30s",
) -> Any:
    """Tell what happened to one task: all that any log still holds, in order of time.

    Parameters
    ----------
    target : optional
        What `locate` takes. A key need not have failed, nor be known any more. In a
        dump a key, a failure, or nothing for the newest failure.
    client, view, source, timeout
        As for `failures`. Workers that do not answer within half of `timeout`, or
        10 s, are left out and named.

    Returns
    -------
    Timeline
        Transitions of the scheduler and of the workers, events, and log lines that
        name the task; `notes` says whose part is missing. What looks like a secret is
        hidden. With an asynchronous client, an awaitable.

    Raises
    ------
    UnknownKey
        No log tells of the key.
    NoFailure, WrongTarget
        No task is meant.
    SchedulerGone, WaitTimedOut
        The cluster does not answer.
    AnswerUnreadable
        It answers what no release does that is known here.
    DumpUnreadable
        The file is no dump, or not a whole one.

    Notes
    -----
    Costs the scheduler a pass over its logs, in slices, and each worker (200 at most)
    two short calls.

    Examples
    --------
    >>> from distributed import Client, wait
    >>> import dbgkit
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     future = client.submit(divmod, 1, 0, key="ratio-1")
    ...     _ = wait(future)
    ...     told = dbgkit.story("ratio-1")
    >>> [each.what for each in told.moments if each.source == "scheduler"]
    ['released -> waiting', 'waiting -> processing', 'processing -> erred']
    """
    limit = seconds(timeout)
    # In the thread that may ask for us, no exception is being handled.
    at_hand = exception_at_hand() if target is None else None

    def run(found: View) -> Timeline:
        return tell_story(found, target, timeout=limit, at_hand=at_hand)

    return look(target, client, view, timeout, run, source)


def doctor(*, client: Any = None, view: Any = None, timeout: Any = "30s") -> Any:
    """Check whether a cluster is fit for debugging, and say what to change.

    Looks at versions, workers that do not answer, are paused or have no nanny, the
    lengths of logs, memory that frames of failed tasks hold, and settings that hide
    failures.

    Parameters
    ----------
    client, view, source, timeout
        As for `failures`. Workers that do not answer within half of `timeout`, or
        10 s, are a finding.

    Returns
    -------
    Checkup
        Its `findings`, problems first; `healthy` where all of them are ``"ok"``. With
        an asynchronous client, an awaitable.

    Raises
    ------
    NoFailure, SchedulerGone, WaitTimedOut, DumpUnreadable
        As for `failures`.

    Notes
    -----
    Costs one call to the scheduler, and one to each worker (64 at most), where it goes
    once through the objects that Python's garbage collector tracks: some 0.1 s a
    million. Nothing is collected.

    Examples
    --------
    >>> from distributed import Client
    >>> import dbgkit
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     checkup = dbgkit.doctor()
    >>> [each.level for each in checkup.findings if each.check == "versions"]
    ['ok']
    """
    return look(None, client, view, timeout, examine_cluster)
