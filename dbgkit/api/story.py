"""``dbgkit.story``: what happened to one task."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, overload

from dbgkit.api.asking import Async, Looking, Sync, Unpack, look, seconds
from dbgkit.cluster.view import View
from dbgkit.diagnose.story import tell_story
from dbgkit.model import Timeline
from dbgkit.targets.tracebacks import exception_at_hand


@overload
def story(
    target: Any = None, *, asynchronous: Sync = None, **options: Unpack[Looking]
) -> Timeline: ...


@overload
def story(
    target: Any = None, *, asynchronous: Async, **options: Unpack[Looking]
) -> Coroutine[Any, Any, Timeline]: ...


def story(
    target: Any = None,
    *,
    client: Any = None,
    view: Any = None,
    source: Any = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> Timeline | Coroutine[Any, Any, Timeline]:
    """Say what happened to one task: all that any log still holds, in order of time.

    Parameters
    ----------
    target : optional
        What `locate` takes. The task need not have failed, nor still be known. In a
        dump: a key, a failure, or nothing for the newest failure.
    client, view, source, timeout, asynchronous
        As for `failures`. Workers that do not answer within half of `timeout`, at
        most 10 s, are left out and named.

    Returns
    -------
    Timeline
        Transitions of the scheduler and of the workers, events, and log lines that
        name the task; `notes` says which parts are missing. What looks like a secret is
        hidden. With an asynchronous client, an awaitable.

    Raises
    ------
    UnknownKey
        No log mentions the key.
    NoFailure, WrongTarget
        The target is not a task, or there is none.
    SchedulerGone, WaitTimedOut, AnswerUnreadable, DumpUnreadable
        As for `failures`.

    Notes
    -----
    Costs the scheduler a pass over its logs, in slices, and each worker (at most 200)
    two short calls.

    Examples
    --------
    >>> from distributed import Client, wait
    >>> import dbgkit
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     future = client.submit(divmod, 1, 0, key="ratio-1")
    ...     _ = wait(future)
    ...     story = dbgkit.story("ratio-1")
    >>> [each.what for each in story.moments if each.found_in == "scheduler"]
    ['released -> waiting', 'waiting -> processing', 'processing -> erred']
    """
    limit = seconds(timeout)
    # In the thread that may ask for us, no exception is being handled.
    at_hand = exception_at_hand() if target is None else None

    def run(found: View) -> Timeline:
        return tell_story(found, target, timeout=limit, at_hand=at_hand)

    return look(target, client, view, timeout, run, asynchronous, source)
