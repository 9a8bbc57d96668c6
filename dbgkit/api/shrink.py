"""``dbgkit.shrink``: the smallest input that still fails the same way."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, overload

from dbgkit.api.asking import Asking, Async, Sync, Unpack, ask, seconds
from dbgkit.api.locate import captured_of, locate_here
from dbgkit.api.replay import read_options, silent
from dbgkit.model import Shrunk
from dbgkit.remote.common.parsing import in_daskish
from dbgkit.replays.alive import refuse_taskless
from dbgkit.replays.capture import prepared_for
from dbgkit.replays.preparing import Notify
from dbgkit.replays.shrink_plan import ShrinkWanted
from dbgkit.replays.shrinking import shrink_failure, shrink_prepared


class _Options(Asking, total=False):
    all: bool
    where: str | None
    time: Any
    runs: int | None
    recompute: bool | None
    max_bytes: Any
    source: Any
    notify: Notify | None


@overload
def shrink(
    target: Any = None, *, asynchronous: Sync = None, **options: Unpack[_Options]
) -> Shrunk: ...


@overload
def shrink(
    target: Any = None, *, asynchronous: Async, **options: Unpack[_Options]
) -> Coroutine[Any, Any, Shrunk]: ...


def shrink(
    target: Any = None,
    *,
    all: bool = False,
    where: str | None = None,
    time: Any = "1 min",
    runs: int | None = None,
    client: Any = None,
    recompute: bool | None = None,
    timeout: Any = "30s",
    max_bytes: Any = "1 GiB",
    source: Any = None,
    notify: Notify | None = None,
    asynchronous: bool | None = None,
) -> Shrunk | Coroutine[Any, Any, Shrunk]:
    """Find the smallest input with which a task still fails the same way.

    The task runs again and again on parts of its inputs: rows of frames and then
    columns, elements of arrays, lists and bags' partitions, keys of dicts; of several
    inputs at once, of its own literals, and of what its first step has read.

    Parameters
    ----------
    target, client, timeout, asynchronous
        As for `locate`.
    all : bool
        Find also every other part that makes it fail by itself, with any message.
    where : {"here", "process", "worker"}, optional
        On a worker, in a thread of its own, where the inputs stay; in this process; or
        each run in a process of its own, which may die or hang without ending the rest.
        By default on the worker that has the inputs, unless they are small; in
        processes if the task has killed a worker, or comes from a file.
    time : str or float
        Limit of it all, in seconds or as ``"1 min"``. What is best so far is returned
        then, and at Ctrl-C.
    runs : int, optional
        The most runs of the task.
    recompute, max_bytes, source, notify
        As for `replay`.

    Returns
    -------
    Shrunk
        With a verdict. It is a target itself: ``dbgkit.debug(shrunk)`` opens the
        debugger on the smallest input. With an asynchronous client, an awaitable.

    Raises
    ------
    NotFailed
        It has not failed.
    NoTask, InputsTooLarge, InputLost, InputNotCopyable, RunSpecUnreadable
        As for `replay`: it cannot be run again.
    WouldKill
        It killed a worker, and was to run here or on another worker.
    NotHere
        No worker can run it.
    WaitTimedOut
        The limit was reached before the whole input had been run once.

    Notes
    -----
    Failing the same way means: class, the user's own line, causes, and a message that
    says nothing else than that of the whole input, run in the same place. For one
    culprit among a million rows the task runs some 25 times, on twice its input in all.
    Whatever the task does to the outside world, it does each time.

    Examples
    --------
    >>> import dask, dbgkit
    >>> rows = [*range(500), "n/a", *range(500)]
    >>> try:
    ...     dask.delayed(sum)(rows).compute(scheduler="sync")
    ... except TypeError as error:
    ...     shrunk = dbgkit.shrink(error)
    >>> shrunk.verdict, shrunk.culprits[0].position
    ('one', 500)
    """
    wanted = read_options(
        "task", where, 1, recompute, timeout, max_bytes, source=source
    )
    if runs is not None and (not isinstance(runs, int) or runs < 1):
        raise ValueError(f"runs={runs!r}: not a whole number of at least 1")
    shrinking = ShrinkWanted(seconds(in_daskish(time), "time"), runs, bool(all))
    tell = notify or silent

    def run(target: Any, found: Any) -> Shrunk:
        captured = captured_of(target)
        prepared = None if captured is None else prepared_for(captured, wanted)
        if prepared is not None:
            return shrink_prepared(prepared, shrinking, tell, chosen=where)
        failure = locate_here(target, found, timeout, wanted)[0]
        refuse_taskless(failure)
        return shrink_failure(failure, wanted, shrinking, tell)

    return ask(target, client, timeout, run, asynchronous, source)
