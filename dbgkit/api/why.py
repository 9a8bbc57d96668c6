"""``dbgkit.why``: why a task, a collection or the cluster does not move on."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any, overload

from dbgkit.api.asking import Async, Looking, Sync, Unpack, look
from dbgkit.diagnose.why.explain import explain
from dbgkit.model import Explanation


@overload
def why(
    target: Any = None, *, asynchronous: Sync = None, **options: Unpack[Looking]
) -> Explanation: ...


@overload
def why(
    target: Any = None, *, asynchronous: Async, **options: Unpack[Looking]
) -> Coroutine[Any, Any, Explanation]: ...


def why(
    target: Any = None,
    *,
    client: Any = None,
    view: Any = None,
    source: Any = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> Explanation | Coroutine[Any, Any, Explanation]:
    """Say why a task, a collection or the whole cluster does not move on.

    Parameters
    ----------
    target : optional
        A future, a persisted collection, a key (also as text), a failure, several of
        these in a list; or nothing: the whole cluster.
    client, view, source, timeout, asynchronous
        As for `failures`.

    Returns
    -------
    Explanation
        With a stable code in `cause`; further causes are ranked in `others`, and the
        chain of tasks that wait for one another is followed to its end. `graph` has the
        tasks around that end. With an asynchronous client, an awaitable.

    Raises
    ------
    WrongTarget, NoFailure
        No task can be found from the target, or there is no cluster.
    SchedulerGone, WaitTimedOut, AnswerUnreadable, DumpUnreadable
        As for `failures`.

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

    run = partial(explain, target=target)
    return look(target, client, view, timeout, run, asynchronous, source)
