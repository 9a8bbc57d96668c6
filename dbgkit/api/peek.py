"""``dbgkit.peek``: what running tasks do now."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any, overload

from dbgkit import advice
from dbgkit.api.asking import Async, Looking, Sync, Unpack, look, seconds
from dbgkit.diagnose.peek import peek_at
from dbgkit.errors import WrongTarget
from dbgkit.model import Peek

SHORTEST = 0.001  # seconds between two samples


class _Options(Looking, total=False):
    times: int
    every: Any
    limit: int


@overload
def peek(
    target: Any = None, *, asynchronous: Sync = None, **options: Unpack[_Options]
) -> Peek: ...


@overload
def peek(
    target: Any = None, *, asynchronous: Async, **options: Unpack[_Options]
) -> Coroutine[Any, Any, Peek]: ...


def peek(
    target: Any = None,
    *,
    times: int = 1,
    every: Any = "0.1s",
    limit: int = 10,
    client: Any = None,
    view: Any = None,
    source: Any = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> Peek | Coroutine[Any, Any, Peek]:
    """Show what running tasks do now: their call stacks, with source and locals.

    They are looked at from outside, on their workers: nothing is stopped, and nothing
    of yours is called. What looks like a secret is hidden.

    Parameters
    ----------
    target : optional
        A future, a key (also as text), a persisted collection, several of these in a
        list; or nothing: what runs now, the longest first.
    times : int
        How many samples to take. With more than one, `PeekedTask.lines` says at which
        of your lines the task was, and in which share of them.
    every : str or float
        Time between two samples, at least 1 ms. All of them are to be taken within
        `timeout`.
    limit : int
        At most this many tasks are returned; the rest is counted.
    client, source, timeout, asynchronous
        As for `failures`. A worker that does not answer within 5 s beyond the time that
        the samples take is left out and named; for the only task that was asked for it
        is an error.
    view : View, optional
        A cluster that is already open; nothing runs in a dump.

    Returns
    -------
    Peek
        With an asynchronous client, an awaitable.

    Raises
    ------
    NotRunning
        The task is there, but does not run: it waits, or has ended.
    UnknownKey, Cancelled, WrongTarget, NoFailure
        There is no such task; the samples cannot be taken in time; there is no cluster.
    NotHere
        A dump was given, or the worker may run no functions (``blocked-handlers``).
    SchedulerGone, WaitTimedOut, AnswerUnreadable
        As for `failures`; or the task's worker does not answer.

    Notes
    -----
    Costs the scheduler two calls, one of which it hands on to at most 32 workers. A
    sample takes a worker's event loop less than a millisecond for each task. If the
    call is interrupted, workers still take the samples that they were asked for.

    Before Python 3.13, reading the local variables of a thread that is traced or paused
    would undo what was assigned at its prompt: they are left out there.

    Examples
    --------
    >>> from distributed import Client, Event
    >>> import dbgkit
    >>> def wait_for(name):
    ...     return Event(name).wait()
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     future = client.submit(wait_for, "go", key="waits-1")
    ...     while not client.processing() or not any(client.processing().values()):
    ...         pass
    ...     found = dbgkit.peek(future)
    ...     Event("go").set()
    ...     _ = future.result()
    >>> found[0].key, found[0].frames[-1].function
    ('waits-1', 'wait_for')
    """
    limit_of_wait, pause = seconds(timeout), seconds(every, "every")
    for name, value in (("times", times), ("limit", limit)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}={value!r}: not a whole number of at least 1")
    if pause < SHORTEST:
        raise WrongTarget(
            f"{advice.option('every', every)} is too short for a worker's event loop",
            "pass at least 1 ms",
        )
    if (times - 1) * pause >= limit_of_wait:
        raise WrongTarget(
            f"{times:,} samples, one every {pause:g} s, take longer than "
            f"{advice.option('timeout', timeout)} allows",
            f"raise {advice.option('timeout')}, or take fewer",
        )
    run = partial(peek_at, target=target, times=times, every=pause, limit=limit)
    return look(target, client, view, timeout, run, asynchronous, source)
