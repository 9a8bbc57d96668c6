"""``dbgkit.tasks``: tasks in rows, as the scheduler has them."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any, overload

from dbgkit.api.asking import Asking, Async, Sync, Unpack, look
from dbgkit.api.by_name import by_name
from dbgkit.diagnose.tasks import table_tasks
from dbgkit.model import TaskTable


class _Options(Asking, total=False):
    view: Any
    state: Any
    prefix: Any
    keys: Any
    worker: Any
    failed: bool | None
    sort: str | None
    limit: int | None


@overload
def tasks(*, asynchronous: Sync = None, **options: Unpack[_Options]) -> TaskTable: ...


@overload
def tasks(
    *, asynchronous: Async, **options: Unpack[_Options]
) -> Coroutine[Any, Any, TaskTable]: ...


@by_name
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
    asynchronous: bool | None = None,
) -> TaskTable | Coroutine[Any, Any, TaskTable]:
    """List tasks as the scheduler has them: filtered first, cut after.

    Parameters
    ----------
    client, view, timeout, asynchronous
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
        A column of `TaskRow`: the largest numbers first, texts from A to Z; reversed
        with a ``-`` before it. By default, the scheduler's order.
    limit : int or None
        At most this many rows are returned; the rest is counted.

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

    run = partial(
        table_tasks,
        state=state,
        prefix=prefix,
        keys=keys,
        worker=worker,
        failed=failed,
        sort=sort,
        limit=limit,
    )
    return look(None, client, view, timeout, run, asynchronous)
