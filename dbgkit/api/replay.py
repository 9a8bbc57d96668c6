"""``dbgkit.replay``: run a failed task again, with its real inputs."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Literal, overload

from dbgkit.api.asking import Asking, Async, Sync, Unpack, ask, seconds
from dbgkit.api.locate import captured_of, locate_here
from dbgkit.model import Plan, Replay
from dbgkit.replays.alive import refuse_taskless
from dbgkit.replays.capture import prepared_for
from dbgkit.replays.planning import Wanted
from dbgkit.replays.preparing import Notify, plan_alone, prepare
from dbgkit.replays.replaying import execute
from dbgkit.source import read_sources


class Replaying(Asking, total=False):
    """Options of `replay` and `debug`."""

    scope: str
    where: str | None
    times: int
    recompute: bool | None
    max_bytes: Any
    source: Any
    notify: Notify | None


@overload
def replay(
    target: Any = None,
    *,
    dry_run: Literal[False] = False,
    asynchronous: Sync = None,
    **options: Unpack[Replaying],
) -> Replay: ...


@overload
def replay(
    target: Any = None,
    *,
    dry_run: Literal[False] = False,
    asynchronous: Async,
    **options: Unpack[Replaying],
) -> Coroutine[Any, Any, Replay]: ...


@overload
def replay(
    target: Any = None,
    *,
    dry_run: Literal[True],
    asynchronous: Sync = None,
    **options: Unpack[Replaying],
) -> Plan: ...


@overload
def replay(
    target: Any = None,
    *,
    dry_run: Literal[True],
    asynchronous: Async,
    **options: Unpack[Replaying],
) -> Coroutine[Any, Any, Plan]: ...


def replay(
    target: Any = None,
    *,
    client: Any = None,
    scope: str = "task",
    where: str | None = None,
    times: int = 1,
    recompute: bool | None = None,
    dry_run: bool = False,
    timeout: Any = "30s",
    max_bytes: Any = "1 GiB",
    source: Any = None,
    notify: Notify | None = None,
    asynchronous: bool | None = None,
) -> Replay | Plan | Coroutine[Any, Any, Replay | Plan]:
    """Run a failed task again, with its real inputs.

    Parameters
    ----------
    target, client, timeout, asynchronous
        As for `locate`. A finished task is run again too, with a note that it had not
        failed.
    scope : {"task", "ancestors"}
        The task alone, with its inputs fetched from the cluster; or also the tasks that
        lead to it and whose results the cluster does not hold, here, under Dask's
        synchronous scheduler.
    where : {"here", "process", "worker"}, optional
        In this process, so that the frames stay alive. Or in a child process, which may
        die, within `timeout` and the worker's memory limit. Or on the worker that holds
        most of its inputs, in a separate thread, on copies: the outcome comes back with
        a `Recording` of what it raised, and the data stays there; a thread that exceeds
        `timeout` goes on running, which is reported. By default here, or in a child
        process if the task has killed a worker or its inputs cannot be copied.
    times : int
        How often to run it, for tasks that fail only sometimes.
    recompute : bool, optional
        False: raise rather than compute released inputs again.
    dry_run : bool
        Return the `Plan` alone.
    max_bytes : str or int
        Most bytes to transfer in all, to here or between workers; nothing is pulled if
        it would be more.
    source : str, path or list of them, optional
        Files (``.py``), notebooks (``.ipynb``) and folders in which to look for the
        text of code that travelled by value, besides what this process knows: for use
        in a terminal other than the job's.
    notify : callable, optional
        Called with the `Plan` (it may return False to decline it), with each `Progress`
        and with each `Notice`.

    Returns
    -------
    Replay or Plan
        With an asynchronous client, an awaitable of it.

    Raises
    ------
    InputsTooLarge, InputLost, InputNotCopyable
        The inputs are too large, gone, or cannot be copied.
    RecomputeRefused, RecomputeFailed, Declined
        Released inputs may not be computed again, or failed when they were; or the plan
        was declined.
    RunSpecUnreadable
        The task needs a module that is not here.
    WouldKill
        It killed a worker, and was to run here or on another worker.
    NotHere
        No worker can run it: none is running, memory is short, or tasks that lead to it
        are part of a P2P shuffle.
    NoTask
        No task raised the failure.

    Notes
    -----
    Costs the cluster one call, the transfer of the inputs that are in memory, and the
    tasks that compute those that are not: on the cluster, under private keys, so that
    every task keeps its state and blame. Whatever the task does to the outside world,
    it does again.

    Examples
    --------
    >>> import dask, dbgkit
    >>> try:
    ...     dask.delayed(lambda x: 1 / x)(0).compute(scheduler="sync")
    ... except ZeroDivisionError as error:
    ...     again = dbgkit.replay(error)
    >>> again.outcome, again.args
    ('same', (0,))
    """
    wanted = read_options(
        scope, where, times, recompute, timeout, max_bytes, source=source
    )
    tell = notify or silent

    def run(target: Any, found: Any) -> Replay | Plan:
        captured = captured_of(target)
        prepared = None if captured is None else prepared_for(captured, wanted)
        if prepared is not None:
            return prepared.plan if dry_run else execute(prepared, tell)
        if captured is not None and captured.plan is not None and dry_run:
            return captured.plan
        failure = locate_here(target, found, timeout, wanted, finished=True)[0]
        refuse_taskless(failure)
        if dry_run:
            return plan_alone(failure, wanted)
        return execute(prepare(failure, wanted, tell), tell)

    return ask(target, client, timeout, run, asynchronous, source)


def read_options(
    scope: str,
    where: str | None,
    times: int,
    recompute: bool | None,
    timeout: Any,
    max_bytes: Any,
    *,
    source: Any = None,
) -> Wanted:
    from dask.utils import parse_bytes

    one_of("scope", scope, ("task", "ancestors"))
    one_of("where", where, (None, "here", "process", "worker"))
    if not isinstance(times, int) or times < 1:
        raise ValueError(f"times={times!r}: not a whole number of at least 1")
    size = parse_bytes(max_bytes)
    sources = read_sources(source)
    return Wanted(scope, where, times, recompute, seconds(timeout), int(size), sources)


def one_of(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raise unless an option has an allowed value."""
    if value not in choices:
        names = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name}={value!r} is not one of {names}")


def silent(event: Any) -> None:
    return None
