"""The verbs: from a target to a failure, a replay, a prompt.

Each takes any target first and options by keyword. They return data; `debug` opens
the debugger too. With an asynchronous client, in its own event loop, each returns an
awaitable, as Dask's own methods do.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any

from dbgkit import debugger, render
from dbgkit.cluster.clients import (
    client_of,
    current_client,
    is_future,
    loop_thread_is_here,
)
from dbgkit.cluster.view import View, open_view
from dbgkit.diagnose import root_causes
from dbgkit.diagnose.doctor import examine_cluster
from dbgkit.diagnose.failures import report_failures
from dbgkit.diagnose.story import tell_story
from dbgkit.diagnose.tables import table_tasks
from dbgkit.diagnose.why import explain
from dbgkit.errors import DbgkitError, WrongTarget
from dbgkit.locate import locate_failures
from dbgkit.locate.traces import exception_at_hand
from dbgkit.model import Failure, FailureReport, Plan, TaskTable, Timeline
from dbgkit.replay import Replay, execute, live_post_mortem, prepare
from dbgkit.replay.capture import Capture, Captured, capturing, error_of, find_captured
from dbgkit.replay.planning import Wanted
from dbgkit.replay.replaying import Notify, refuse_taskless
from dbgkit.replay.replaying import dry_run as plan_alone

render.register()


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
    return _ask(
        target,
        client,
        timeout,
        lambda target, found: _locate(target, found, timeout)[0],
    )


def locate_all(target: Any = None, *, client: Any = None, timeout: Any = "30s") -> Any:
    """One failure of each root cause that a target leads to, the earliest first.

    Takes what `locate` takes, and raises what it raises.

    Returns
    -------
    tuple of Failure
    """
    return _ask(
        target,
        client,
        timeout,
        lambda target, found: tuple(root_causes(_locate(target, found, timeout))),
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
    where : {"here", "process"}, optional
        In this process, so that the frames stay alive; or in a child, which may die,
        within ``timeout`` and the worker's memory limit. By default here, but in a
        child what has killed a worker or cannot be copied.
    times : int
        How often, for what fails now and then.
    recompute : bool, optional
        False: raise rather than compute released inputs again.
    dry_run : bool
        Return the `Plan` alone.
    max_bytes : str or int
        Most bytes to bring, in all; nothing is pulled if it would be more.
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
        It killed a worker and was asked to run here.
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
    wanted = _wanted(scope, where, times, recompute, timeout, max_bytes)
    tell = notify or _silent

    def run(target: Any, found: Any) -> Replay | Plan:
        captured = _captured(target)
        if captured is not None and captured.plan is not None and dry_run:
            return captured.plan
        if captured is not None and captured.prepared is not None and not dry_run:
            return execute(captured.prepared, tell)
        failure = _locate(target, found, timeout, wanted, finished=True)[0]
        refuse_taskless(failure)
        if dry_run:
            return plan_alone(failure, wanted)
        return execute(prepare(failure, wanted, tell), tell)

    return _ask(target, client, timeout, run)


def debug(
    target: Any = None,
    *,
    client: Any = None,
    prompt: bool | None = None,
    notify: Notify | None = None,
    scope: str = "task",
    where: str | None = None,
    times: int = 1,
    recompute: bool | None = None,
    timeout: Any = "30s",
    max_bytes: Any = "1 GiB",
) -> Any:
    """Open the debugger in the failed task, at the line of the user's own code.

    Where the failure's frames are still alive in this process they are entered as
    they are; else the task is replayed. Without a terminal, or without live frames,
    the report is printed instead.

    Parameters
    ----------
    prompt : bool, optional
        False: print the report, never prompt.
    notify : callable, optional
        By default progress is shown on a terminal, and plans of much work are asked
        about there.
    target, client, scope, where, times, recompute, timeout, max_bytes
        As for `replay`.

    Returns
    -------
    Replay
        After the debugger was left. With an asynchronous client, an awaitable.

    Raises
    ------
    DbgkitError
        What `replay` raises.
    """
    wanted = _wanted(scope, where, times, recompute, timeout, max_bytes)

    def run(target: Any, found: Any) -> tuple[Replay, int]:
        with _telling(notify) as tell:
            return _replay_for_debug(target, found, wanted, tell)

    def show(result: tuple[Replay, int]) -> Replay:
        again, remaining = result
        wants_prompt = debugger.can_prompt() if prompt is None else prompt
        if again.exception is not None and wants_prompt:
            colour = sys.stdout.isatty()
            header = render.header(again, remaining=remaining, color=colour)
            debugger.enter(again.exception, header=header)
        else:
            render.report(again)
        return again

    return _ask(target, client, timeout, run, show)


class debugging:
    """Debug what fails inside: for scripts, with ``with`` or ``async with``.

    While inside, a ``Client`` that exits because of an exception is first asked for
    what a replay needs, as it is closed by the time that the exception gets here.
    Then `debug` is called with the exception, and the exception goes on.

    Parameters
    ----------
    **options
        As for `debug`, but for the target.

    Examples
    --------
    >>> import dbgkit
    >>> with dbgkit.debugging():
    ...     total = sum(range(10))
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._capturing: AbstractContextManager[Capture] | None = None

    def __enter__(self) -> debugging:
        options = {
            name: self._options[name]
            for name in ("timeout", "max_bytes")
            if name in self._options
        }
        self._capturing = capture(**options)
        self._capturing.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        assert self._capturing is not None
        try:
            if isinstance(value, Exception):
                with _told_on_stderr():
                    done = debug(value, **self._options)
                    if asyncio.iscoroutine(done):
                        done.close()
                        raise WrongTarget(
                            "an asynchronous client cannot be asked in a with block",
                            "use async with dbgkit.debugging()",
                        )
        finally:
            self._capturing.__exit__(kind, value, tb)

    async def __aenter__(self) -> debugging:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        assert self._capturing is not None
        try:
            if isinstance(value, Exception):
                with _told_on_stderr():
                    done = debug(value, **self._options)
                    if asyncio.iscoroutine(done):
                        await done
        finally:
            self._capturing.__exit__(kind, value, tb)


def capture(
    *,
    timeout: Any = "30s",
    max_bytes: Any = "1 GiB",
    inputs: bool = True,
    notify: Notify | None = None,
) -> AbstractContextManager[Capture]:
    """Keep what a replay needs of clients that exit because of an exception.

    Inside, and after such a client has closed, the exception is a target as before.
    """
    wanted = _wanted("task", None, 1, None, timeout, max_bytes)
    return capturing(wanted, notify or _silent, inputs=inputs)


def why(
    target: Any = None,
    *,
    client: Any = None,
    view: Any = None,
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
    timeout : str or float
        Limit of each wait on the cluster, in seconds or as ``"30s"``.

    Returns
    -------
    Explanation
        With a stable code in `cause`; further causes are ranked in `others`, and the
        chain of tasks that wait for one another is followed to its end. With an
        asynchronous client, an awaitable.

    Raises
    ------
    WrongTarget, NoFailure
        No task can be found from the target, or there is no cluster.
    SchedulerGone, WaitTimedOut
        The cluster does not answer.
    DumpUnreadable
        The file is no dump, or not a whole one.

    Notes
    -----
    Costs the cluster one call, which grows with the chain that is followed; workers
    that hold back a task are asked once, each within a few seconds. Nothing is
    changed.

    Examples
    --------
    >>> from distributed import Client
    >>> import dbgkit
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     future = client.submit(max, 1, 2, resources={"GPU": 1})
    ...     dbgkit.why(future).cause
    'resources-unmet'
    """
    return _look(target, client, view, timeout, lambda found: explain(found, target))


def failures(
    *,
    client: Any = None,
    view: Any = None,
    since: Any = None,
    of_client: Any = None,
    span: str | None = None,
    limit: int | None = 20,
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

    return _look(None, client, view, timeout, run)


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

    return _look(None, client, view, timeout, run)


# -- what the verbs share ----------------------------------------------------


def story(
    target: Any = None, *, client: Any = None, view: Any = None, timeout: Any = "30s"
) -> Any:
    """Tell what happened to one task: all that any log still holds, in order of time.

    Parameters
    ----------
    target : optional
        What `locate` takes. A key need not have failed, nor be known any more. In a
        dump a key, a failure, or nothing for the newest failure.
    client, view, timeout
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
    limit = _seconds(timeout)
    # In the thread that may ask for us, no exception is being handled.
    at_hand = exception_at_hand() if target is None else None

    def run(found: View) -> Timeline:
        return tell_story(found, target, timeout=limit, at_hand=at_hand)

    return _look(target, client, view, timeout, run)


def doctor(*, client: Any = None, view: Any = None, timeout: Any = "30s") -> Any:
    """Check whether a cluster is fit for debugging, and say what to change.

    Looks at versions, workers that do not answer, are paused or have no nanny, the
    lengths of logs, memory that frames of failed tasks hold, and settings that hide
    failures.

    Parameters
    ----------
    client, view, timeout
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
    return _look(None, client, view, timeout, examine_cluster)


def _ask(
    target: Any,
    client: Any,
    timeout: Any,
    run: Callable[[Any, Any], Any],
    show: Callable[[Any], Any] = lambda result: result,
) -> Any:
    """Run a verb with its client; in the client's own loop, as a coroutine."""
    if target is None:
        target = exception_at_hand()
    mine = client if client is not None else _own_client(target)
    if not (mine is None or isinstance(mine, str)) and loop_thread_is_here(mine):
        return _run_in_thread(run, show, target, mine)
    with client_of(mine, _seconds(timeout)) as found:
        result = run(target, found)
    return show(result)


def _look(
    target: Any,
    client: Any,
    view: Any,
    timeout: Any,
    run: Callable[[View], Any],
) -> Any:
    """Ask a view; in the client's own loop, as a coroutine."""
    mine = client if client is not None or view is not None else _own_client(target)

    def ask() -> Any:
        with open_view(view, mine, _seconds(timeout)) as found:
            return run(found)

    if not (mine is None or isinstance(mine, str)) and loop_thread_is_here(mine):
        return asyncio.to_thread(ask)
    return ask()


async def _run_in_thread(
    run: Callable[[Any, Any], Any],
    show: Callable[[Any], Any],
    target: Any,
    client: Any,
) -> Any:
    return show(await asyncio.to_thread(run, target, client))


def _own_client(target: Any) -> Any:
    """The client of a future, else the current one."""
    members = target if isinstance(target, (list, tuple, set)) else [target]
    for member in members:
        if is_future(member):
            return member.client
    return current_client()


def _locate(
    target: Any,
    client: Any,
    timeout: Any,
    wanted: Wanted | None = None,
    finished: bool = False,
) -> list[Failure]:
    captured = _captured(target)
    if captured is not None:
        if captured.failures:
            return captured.failures
        raise error_of(captured)
    return locate_failures(
        target,
        client=client,
        timeout=_seconds(timeout),
        specs=wanted is not None,
        max_bytes=wanted.max_bytes if wanted else 0,
        finished=finished,
    )


def _captured(target: Any) -> Captured | None:
    return find_captured(target) if isinstance(target, BaseException) else None


def _replay_for_debug(
    target: Any, client: Any, wanted: Wanted, tell: Notify
) -> tuple[Replay, int]:
    """The replay to enter, and how many other root causes there are."""
    failures = _locate(target, client, wanted.timeout, wanted, finished=True)
    remaining = len(root_causes(failures)) - 1
    captured = _captured(target)
    if captured is not None and captured.error is not None:
        raise error_of(captured)
    alive = live_post_mortem(failures[0])
    if alive is not None:
        return alive, remaining
    if captured is not None and captured.prepared is not None:
        return execute(captured.prepared, tell), remaining
    return execute(prepare(failures[0], wanted, tell), tell), remaining


def _wanted(
    scope: str,
    where: str | None,
    times: int,
    recompute: bool | None,
    timeout: Any,
    max_bytes: Any,
) -> Wanted:
    from dask.utils import parse_bytes

    _one_of("scope", scope, ("task", "ancestors"))
    _one_of("where", where, (None, "here", "process", "worker"))
    if not isinstance(times, int) or times < 1:
        raise ValueError(f"times={times!r}: a whole number from 1")
    size = parse_bytes(max_bytes)
    return Wanted(scope, where, times, recompute, _seconds(timeout), int(size))


def _one_of(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if value not in choices:
        names = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name}={value!r} is none of {names}")


def _seconds(timeout: Any) -> float:
    from dask.utils import parse_timedelta

    return float(parse_timedelta(timeout, "s"))


def _silent(event: Any) -> None:
    return None


@contextmanager
def _telling(notify: Notify | None) -> Iterator[Notify]:
    if notify is not None:
        with nullcontext():
            yield notify
        return
    with render.Notifier() as shown:
        yield shown


@contextmanager
def _told_on_stderr() -> Iterator[None]:
    """Say an error of ours in a line: the user's own exception goes on."""
    try:
        yield
    except DbgkitError as error:
        print(f"dbgkit: {error}", file=sys.stderr)
