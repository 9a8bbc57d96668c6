"""``dbgkit.live``: builtin ``breakpoint()`` stops in tasks."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, Literal, overload

from dbgkit import advice, render
from dbgkit.api.asking import Asking, Async, Sync, Unpack, look, own_client, seconds
from dbgkit.api.by_name import by_name
from dbgkit.api.live_settings import configured, parsed
from dbgkit.api.recorder import is_closed, link_of, warn_of
from dbgkit.cluster.clients import opened_client
from dbgkit.cluster.live import switch_off, switch_on
from dbgkit.cluster.live_notices import STOPPED, Event, tell, untell
from dbgkit.cluster.view import View
from dbgkit.errors import SchedulerGone, WrongTarget
from dbgkit.model.live import WentOff, WentOn
from dbgkit.remote.common.sentences import several
from dbgkit.remote.common.wire_live import AtForm
from dbgkit.remote.scheduler.live import PLACES, STOPS

_CONNECTED = ("running", "connecting")
MOST_TOLD = 5  # stops that are told of as they happen


class Live:
    """Tasks stop at their ``breakpoint()``, as `live` turned it on.

    A context manager that turns it off again: what waits then goes on.

    Attributes
    ----------
    without : mapping of str to str
        Addresses of workers where tasks do not stop (yet), and why.
    is_on : bool
        False once it was turned off, or the connection of its client was lost.
    """

    _at: AtForm | None = None  # of `break_at`
    _call = "dbgkit.live()"

    def __init__(self, client: Any, timeout: Any, asynchronous: bool | None) -> None:
        self.without: Any = {}
        self._client = client
        self._timeout = timeout
        self._asynchronous = asynchronous
        self._token = uuid.uuid4().hex
        self._told = 0  # how many stops
        self._over = False
        self._connection: Any = None  # of the client as it was turned on
        self._opened = ExitStack()  # a client that was opened for an address

    @overload
    def off(self, *, asynchronous: Literal[False] | None = None) -> WentOff: ...

    @overload
    def off(self, *, asynchronous: Literal[True]) -> Coroutine[Any, Any, WentOff]: ...

    def off(
        self, *, asynchronous: bool | None = None
    ) -> WentOff | Coroutine[Any, Any, WentOff]:
        """Let no more tasks stop, and those that wait go on.

        Tasks that another client, or another use of this one, wants to stop wait on.

        Parameters
        ----------
        asynchronous : bool, optional
            As for `live`, by default as it was given there.

        Returns
        -------
        WentOff
            ``went_on``: how many tasks waited; ``others``: how many other uses there
            are. With an asynchronous client, an awaitable.
        """
        given = self._asynchronous if asynchronous is None else asynchronous
        if isinstance(self._client, str) or is_closed(self._client):
            return WentOff()  # it went with its client

        def ended() -> None:
            self._over = True
            untell(self._client, self._tell)
            self._opened.close()

        return _turned_off(self._client, self._timeout, [self._token], given, ended)

    def _turn_on(
        self, most: int, limit: float, everyone: bool, asynchronous: bool | None
    ) -> Any:
        """Turn it on; with an asynchronous client, a coroutine."""

        def run(found: View) -> WentOn:
            link = link_of(found)
            self._client = link.client
            tell(link.client, self._tell)  # before anything can stop
            try:
                with link.altogether():
                    return switch_on(link, self._token, most, limit, everyone, self._at)
            except BaseException:
                untell(link.client, self._tell)
                raise

        return look(None, self._client, None, self._timeout, run, asynchronous)

    def _is_on(self, started: WentOn) -> None:
        self.without = started.without
        self._connection = self._client.scheduler_comm

    @property
    def is_on(self) -> bool:
        """Whether it is on still: it ends with its client's connection.

        Also if that is back at once: the scheduler takes the client for another one.
        """
        client = self._client
        is_connected = client is not None and client.status in _CONNECTED
        same = is_connected and client.scheduler_comm is self._connection
        return same and not self._over

    def _open(self) -> None:
        """Keep a client of an address connected: it ends with its client."""
        if isinstance(self._client, str):
            opening = opened_client(self._client, seconds(self._timeout))
            self._client = self._opened.enter_context(opening)

    def _tell(self, event: Event) -> bool:
        """Say what has stopped; called in the client's event loop."""
        if event["what"] != STOPPED or self._token not in event.get("tokens", ()):
            return False
        self._told += 1
        if self._told > MOST_TOLD:
            return True
        key = event["key"]
        how = advice.call("attach", key)
        if self._told == MOST_TOLD:
            how += f"; what else stops, {advice.call('attach')} lists"
        render.say(f"{key!r} waits at its breakpoint, on {event['worker']}: {how}")
        return True

    def __enter__(self) -> Live:
        return self

    def __exit__(self, kind: object, value: BaseException | None, tb: object) -> None:
        try:
            self.off(asynchronous=False)
        except SchedulerGone:
            if value is None and not is_closed(self._client):
                raise

    def __repr__(self) -> str:
        if not self.is_on:
            return f"<Live: off; {self._call} turns it on again>"
        but = f", except on {', '.join(self.without)}" if self.without else ""
        return (
            f"<Live: breakpoint() stops in tasks{but}; .off() turns it off, "
            "dbgkit.attach() lists what waits>"
        )


class AsyncLive(Live):
    """The same with an asynchronous client: to be awaited, or with ``async with``."""

    _starting: Coroutine[Any, Any, WentOn] | None = None

    def close(self) -> None:
        """Do not turn it on if it was never awaited."""
        if self._starting is not None:
            self._starting.close()

    def __enter__(self) -> Live:
        self.close()
        raise WrongTarget(
            "an asynchronous client cannot be used in a with block",
            f"use async with {self._call}",
        )

    def __await__(self) -> Generator[Any, None, Live]:
        if self._starting is not None:
            starting, self._starting = self._starting, None
            self._is_on((yield from starting.__await__()))
            _warn_of(self.without)
        return self

    async def __aenter__(self) -> Live:
        return await self

    async def __aexit__(
        self, kind: object, value: BaseException | None, tb: object
    ) -> None:
        try:
            leaving: Any = self.off(asynchronous=True)
            if not isinstance(leaving, WentOff):
                await leaving
        except SchedulerGone:
            if value is None and not is_closed(self._client):
                raise


class _Options(Asking, total=False):
    most: int | None
    limit: Any
    everyone: bool | None


@overload
def live(*, asynchronous: Sync = None, **options: Unpack[_Options]) -> Live: ...


@overload
def live(*, asynchronous: Async, **options: Unpack[_Options]) -> AsyncLive: ...


@by_name
def live(
    *,
    client: Any = None,
    most: int | None = None,
    limit: Any = None,
    everyone: bool | None = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> Live:
    """Have builtin ``breakpoint()`` stop in tasks, on their workers.

    `attach` lists what waits, and enters it: the prompt is that of pdb, in the task's
    own thread, with the task's own values. While it waits, its thread is given back to
    the worker, so that others run, and the pause counts in none of its durations.

    Parameters
    ----------
    client : Client or str, optional
        By default the current one.
    most : int, optional
        How many tasks stop in all, for each prefix and worker; 1 by default. Others
        run through, and are counted. One that has stopped stops again.
    limit : str or float, optional
        How long a task waits without a command until it goes on by itself;
        ``"10 min"`` by default.
    everyone : bool, optional
        Whether tasks of every client stop. By default only those of this client, with
        an address those of all.
    timeout : str or float
        Limit of all waits on the cluster together.
    asynchronous : bool, optional
        As for `locate`; `Live.off` follows it too, unless given its own.

    Returns
    -------
    Live
        With ``off()``; also a context manager. With an asynchronous client it is to be
        awaited, or entered with ``async with``.

    Raises
    ------
    NoFailure, SchedulerGone, WaitTimedOut
        There is no cluster, or its scheduler does not answer.
    NotHere
        The cluster refuses to run code that is sent to it (``blocked-handlers``).
    RecorderBroken
        It failed on a worker as it started, and is off again.
    ValueError
        A setting is not a number, or not a time.

    Warns
    -----
    RuntimeWarning
        A worker did not answer in time, or refuses to run code that it is sent.

    Notes
    -----
    It is off once this client has gone, and what waits goes on. ``async def`` tasks,
    methods of actors and tasks in process pools never stop: `attach` lists where they
    passed. ``PYTHONBREAKPOINT=0`` on a worker turns it off there. The defaults are
    those of Dask's configuration, ``dbgkit.live.most`` and ``dbgkit.live.limit``.

    Examples
    --------
    >>> from distributed import Client
    >>> import dbgkit
    >>> def ratio(x):
    ...     breakpoint()
    ...     return 1 / x
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     with dbgkit.live():
    ...         future = client.submit(ratio, 4, key="ratio-4")
    ...         while not (waiting := dbgkit.attach()):
    ...             pass
    ...     print(waiting[0].key, future.result())  # it went on as the block ended
    ratio-4 0.25
    """
    mine = own_client(None) if client is None else client
    found = Live(mine, timeout, asynchronous)
    return turned_on(found, AsyncLive, most, limit, everyone, 4)  # `by_name` is above


def turned_on(
    found: Live,
    awaited: type[AsyncLive],
    most: int | None,
    limit: Any,
    everyone: bool | None,
    level: int,
) -> Live:
    """Turn a use on; with an asynchronous client, ``awaited`` is what is to be awaited.

    ``level``: how far above the caller of the verb is, for warnings.
    """
    settings = {**configured(), **parsed({"most": most, "limit": limit})}
    has_address = isinstance(found._client, str)
    if has_address:
        found._open()
    everyone = has_address if everyone is None else everyone
    asynchronous = found._asynchronous
    client = found._client
    try:
        started = found._turn_on(
            settings["most"], settings["limit"], everyone, asynchronous
        )
    except BaseException:
        found._opened.close()
        raise
    if isinstance(started, WentOn):
        found._is_on(started)
        _warn_of(found.without, level + 1)
        return found
    waiting = awaited(client, found._timeout, asynchronous)
    vars(waiting).update(vars(found))
    waiting._starting = started
    return waiting


def _warn_of(without: Mapping[str, str], stacklevel: int = 3) -> None:
    """Warn of workers where tasks do not stop, or do not stop yet."""
    if without:
        shown = several((f"{where} ({why})" for where, why in without.items()), most=5)
        warnings.warn(
            f"tasks do not stop on {shown}; one that has not answered follows as soon "
            "as it does",
            RuntimeWarning,
            stacklevel=stacklevel,
        )


def live_off(
    *,
    client: Any = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
    places: bool = False,
) -> WentOff | Coroutine[Any, Any, WentOff]:
    """Turn all uses of a client off; see `Live.off`. ``places``: of `break_at` only.

    Also those of clients that are no longer connected.
    """
    return _turned_off(client, timeout, None, asynchronous, lambda: None, places=places)


def _turned_off(
    client: Any,
    timeout: Any,
    tokens: Iterable[str] | None,
    asynchronous: bool | None,
    ended: Callable[[], None],
    *,
    places: bool = False,
) -> WentOff | Coroutine[Any, Any, WentOff]:
    def run(found: View) -> WentOff:
        link = link_of(found)
        with link.altogether():
            kind = PLACES if places else STOPS
            off = switch_off(link, tokens, orphans=tokens is None, kind=kind)
        ended()
        return off

    found = look(None, client, None, timeout, run, asynchronous)
    if isinstance(found, WentOff):
        warn_of(found.without, "live is off", 4)
    return found
