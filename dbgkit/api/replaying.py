"""The verbs that find a failed task and run it again."""

from __future__ import annotations

from typing import Any

from dbgkit.api.asking import ask, seconds
from dbgkit.diagnose import root_causes
from dbgkit.locate import locate_failures
from dbgkit.model import Failure, Plan
from dbgkit.replay import Replay, execute, prepare
from dbgkit.replay.capture import Captured, error_of, find_captured, prepared_for
from dbgkit.replay.planning import Wanted
from dbgkit.replay.replaying import Notify, refuse_taskless
from dbgkit.replay.replaying import dry_run as plan_alone
from dbgkit.source import read_sources


def locate(target: Any = None, *, client: Any = None, timeout: Any = "30s") -> Any:
    """Find the failure that a target leads to.

    Parameters
    ----------
    target : optional
        A future, a collection, a key (also as text), an exception, several of these
        in a list, or nothing: the exception being handled, else the last one that
        reached the prompt, else the newest failed future of the client, else the
        newest failure that the scheduler knows.
    client : Client or str, optional
        The client to ask, or the address of a scheduler, to which a client is then
        opened for this call. By default the target's own, else the current one.
    timeout : str or float
        Limit of each wait on the cluster, in seconds or as ``"30s"``.

    Returns
    -------
    Failure
        The earliest root cause; what fell because of it is not one. `others` has
        the keys of further ones. With an asynchronous client, an awaitable.

    Raises
    ------
    NoFailure, NotFailed, UnknownKey, Cancelled
        Nothing has failed, or not (any more) there.
    SchedulerGone, WaitTimedOut
        The cluster does not answer.
    WrongTarget
        A failure cannot be found from it.

    Notes
    -----
    Costs the cluster one call of about 0.5 ms; nothing is run and nothing is pulled.
    For a failed ``compute()`` of which nothing was kept, the graph in the exception's
    traceback is made once more on the client.

    Examples
    --------
    >>> import dask, dbgkit
    >>> try:
    ...     dask.delayed(lambda x: 1 / x)(0).compute(scheduler="sync")
    ... except ZeroDivisionError as error:
    ...     failure = dbgkit.locate(error)
    >>> failure.exception_type, failure.source
    ('ZeroDivisionError', 'local')
    """
    return ask(
        target,
        client,
        timeout,
        lambda target, found: locate_here(target, found, timeout)[0],
    )


def locate_all(target: Any = None, *, client: Any = None, timeout: Any = "30s") -> Any:
    """One failure of each root cause that a target leads to, the earliest first.

    Takes what `locate` takes, and raises what it raises.

    Returns
    -------
    tuple of Failure
    """
    return ask(
        target,
        client,
        timeout,
        lambda target, found: tuple(root_causes(locate_here(target, found, timeout))),
    )


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
) -> Any:
    """Run a failed task again, with its real inputs.

    Parameters
    ----------
    target, client, timeout
        As for `locate`. A finished task is run again too, and is said not to have
        failed.
    scope : {"task", "ancestors"}
        The task alone, its inputs being brought from the cluster; or all that leads
        to it and is not held by the cluster, here under Dask's synchronous scheduler.
    where : {"here", "process", "worker"}, optional
        In this process, so that the frames stay alive; or in a child, which may die,
        within ``timeout`` and the worker's memory limit; or on the worker that holds
        most of its inputs, in a thread of its own, on copies: what it came to comes
        home with a `Recording` of what it raised, and the data stays there. Past
        ``timeout`` such a thread still runs, which is said. By default here, but in a
        child what has killed a worker or cannot be copied.
    times : int
        How often, for what fails now and then.
    recompute : bool, optional
        False: raise rather than compute released inputs again.
    dry_run : bool
        Return the `Plan` alone.
    max_bytes : str or int
        Most bytes to bring, in all, be it here or from one worker to another; nothing
        is pulled if it would be more.
    source : str, path or list of them, optional
        Files (``.py``), notebooks (``.ipynb``) and folders to look for the text of
        code in that travelled by value, besides what this process knows: for a
        terminal beside the job.
    notify : callable, optional
        Is told the `Plan` (it may return False to decline), `Progress` and `Notice`.

    Returns
    -------
    Replay or Plan
        With an asynchronous client, an awaitable of it.

    Raises
    ------
    InputsTooLarge, InputLost, InputNotCopyable
        The inputs are too large, gone, or cannot be copied.
    RecomputeRefused, RecomputeFailed, Declined
        Released inputs may not be computed again, or failed when they were.
    RunSpecUnreadable
        The task needs a module that is not here.
    WouldKill
        It killed a worker and was asked to run here, or on another worker.
    NotHere
        No worker can run it: none is running, memory is short, or what leads to it is
        part of a P2P shuffle.
    NoTask
        The failure is no task's.

    Notes
    -----
    Costs the cluster one visit, the transfer of the inputs that are in memory, and
    the tasks that compute those that are not: on the cluster, under private keys, so
    that every state and blame stays as it was. What the task itself does to the
    outside world, it does again.

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

    return ask(target, client, timeout, run)


def locate_here(
    target: Any,
    client: Any,
    timeout: Any,
    wanted: Wanted | None = None,
    finished: bool = False,
) -> list[Failure]:
    captured = captured_of(target)
    if captured is not None:
        if captured.failures:
            return captured.failures
        raise error_of(captured)
    return locate_failures(
        target,
        client=client,
        timeout=seconds(timeout),
        specs=wanted is not None,
        max_bytes=wanted.max_bytes if wanted else 0,
        finished=finished,
    )


def captured_of(target: Any) -> Captured | None:
    return find_captured(target) if isinstance(target, BaseException) else None


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
        raise ValueError(f"times={times!r}: a whole number from 1")
    size = parse_bytes(max_bytes)
    sources = read_sources(source)
    return Wanted(scope, where, times, recompute, seconds(timeout), int(size), sources)


def one_of(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raise unless an option has one of its values."""
    if value not in choices:
        names = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name}={value!r} is none of {names}")


def silent(event: Any) -> None:
    return None
