"""``dbgkit.locate``: from a target to its failure."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, overload

from dbgkit.api.asking import Asking, Async, Sync, Unpack, ask, seconds
from dbgkit.diagnose.root_causes import root_causes
from dbgkit.model import Failure
from dbgkit.replays.capture import Captured, error_of, find_captured
from dbgkit.replays.planning import Wanted
from dbgkit.source import naming_sources, read_sources
from dbgkit.targets.locate import locate_failures


class _Options(Asking, total=False):
    source: Any


@overload
def locate(
    target: Any = None, *, asynchronous: Sync = None, **options: Unpack[_Options]
) -> Failure: ...


@overload
def locate(
    target: Any = None, *, asynchronous: Async, **options: Unpack[_Options]
) -> Coroutine[Any, Any, Failure]: ...


def locate(
    target: Any = None,
    *,
    client: Any = None,
    source: Any = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> Failure | Coroutine[Any, Any, Failure]:
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
    source : str, path or list of them, optional
        As for `replay`.
    timeout : str or float
        Limit of each wait on the cluster, in seconds or as ``"30s"``.
    asynchronous : bool, optional
        True: return an awaitable, with any client; False: never return one. By default
        an awaitable is returned in the event loop of an asynchronous client, and only
        there; a type checker, which cannot know, assumes that none is.

    Returns
    -------
    Failure
        The earliest root cause, not what failed because of it. `others` has
        the keys of further ones. With an asynchronous client, an awaitable.

    Raises
    ------
    NoFailure, NotFailed, UnknownKey, Cancelled
        Nothing has failed, or the scheduler no longer knows of it.
    SchedulerGone, WaitTimedOut
        The cluster does not answer.
    WrongTarget
        The target is not of a kind that leads to a failure.
    NotHere
        ``asynchronous=False`` in the client's own event loop, which it would block.

    Notes
    -----
    Costs the cluster one call of about 0.5 ms; nothing is run and nothing is pulled.
    After a failed ``compute()`` whose futures are gone, the graph in the exception's
    traceback is built once more on the client.

    Examples
    --------
    >>> import dask, dbgkit
    >>> try:
    ...     dask.delayed(lambda x: 1 / x)(0).compute(scheduler="sync")
    ... except ZeroDivisionError as error:
    ...     failure = dbgkit.locate(error)
    >>> failure.exception_type, failure.found_in
    ('ZeroDivisionError', 'local')
    """
    sources = read_sources(source)

    def run(target: Any, found: Any) -> Failure:
        with naming_sources(sources):
            return locate_here(target, found, timeout)[0]

    return ask(target, client, timeout, run, asynchronous, source)


def locate_all(
    target: Any = None, *, client: Any = None, timeout: Any = "30s"
) -> tuple[Failure, ...] | Coroutine[Any, Any, tuple[Failure, ...]]:
    """As `locate`, a failure of each root cause that a target leads to."""
    return ask(
        target,
        client,
        timeout,
        lambda target, found: tuple(root_causes(locate_here(target, found, timeout))),
        None,
    )


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
