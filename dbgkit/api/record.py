"""``dbgkit.record``: turn the recorder on, and off again."""

from __future__ import annotations

import asyncio
import uuid
import warnings
import weakref
from collections.abc import Coroutine, Generator, Iterable, Mapping
from types import TracebackType
from typing import Any

from dbgkit.api.asking import look, own_client
from dbgkit.api.record_settings import configured, parsed
from dbgkit.cluster.clients import opened_client
from dbgkit.cluster.connection import scheduler_id
from dbgkit.cluster.link import Link
from dbgkit.cluster.recordings import (
    leave_behind,
    switch_off,
    switch_on,
)
from dbgkit.cluster.view import View
from dbgkit.errors import (
    DbgkitError,
    SchedulerGone,
    WrongTarget,
)
from dbgkit.model import SwitchedOff, SwitchedOn
from dbgkit.targets.naming import recorded_name

PROBE_LIMIT = 2.0  # seconds for a scheduler to answer a new client


KEEPING = 0.5  # of the time limit of turning it off, for what is kept of it here


NAMED = 5  # workers that did not answer, in a warning


# Recorders that somebody still has.
_handed_out: weakref.WeakSet[Recorder] = weakref.WeakSet()


class Recorder:
    """The recorder of a cluster, as `record` turned it on.

    A context manager that turns it off again, for its own part: where it was on before,
    or somebody else has turned it on meanwhile, it stays on.

    Attributes
    ----------
    without : mapping of str to str
        Addresses of workers, or nannies, that did not answer as it was turned on, and
        why. They get it as soon as they answer.
    """

    def __init__(self, client: Any, timeout: Any) -> None:
        self.without: Mapping[str, str] = {}
        self._client = client
        self._timeout = timeout
        self._was_on = False
        self._token = uuid.uuid4().hex
        self._scheduler = ""
        _handed_out.add(self)
        # A client that is closed does not know any more where it was connected to.
        self._address = getattr(getattr(client, "scheduler", None), "address", None)

    def off(self, *, keep: bool = True) -> Any:
        """Turn it off everywhere; the cluster forgets what it holds.

        It stays on, with all that it holds, for as long as another client that is
        connected wants it.

        Parameters
        ----------
        keep : bool
            Keep the newest recordings in this process, for `recordings` and `debug`:
            50 and 5 MB at the most.

        Returns
        -------
        SwitchedOff
            ``others``: how many other clients want it; ``without``: who did not answer
            in time, and loses it as soon as it does. With an asynchronous client, an
            awaitable.

        Warns
        -----
        RuntimeWarning
            Somebody did not answer in time.
        """
        return record_off(client=self._client, timeout=self._timeout, keep=keep)

    def _leave(self) -> Any:
        """At the end of a ``with`` block."""
        return _end(self._client, self._timeout, keep=True, block=self)

    def _take(self, switched: SwitchedOn) -> None:
        """Take what became of turning it on."""
        self._was_on, self.without = switched.was_on, switched.without
        self._scheduler = _scheduler_of(self._client)

    def _tell_of_restart(self, value: BaseException | None) -> None:
        """Say where the scheduler was restarted in the block: nothing was left to end.

        What leaves the block has it as a note.
        """
        found = _scheduler_of(self._client)
        if not (found and self._scheduler) or found == self._scheduler:
            return
        told = (
            "the scheduler was restarted in the block: the recorder, and all that it "
            "held, went with the old one"
        )
        if value is None:
            warnings.warn(told, RuntimeWarning, stacklevel=3)
        elif hasattr(value, "add_note"):  # from Python 3.11 on
            value.add_note(told)

    def _pass_on(
        self, error: DbgkitError, value: BaseException | None, gone: bool
    ) -> None:
        """Have what leaves the block be seen, and not what became of the recorder.

        The cluster may have gone in the block, and taken the recorder along.
        """
        if value is not None:
            if hasattr(value, "add_note"):  # from Python 3.11 on
                value.add_note(f"the recorder could not be turned off: {error}")
        elif not gone:
            if not self._is_closed():
                raise error
            if not self._was_on:
                warnings.warn(
                    f"{error.message}, so the recorder could not be turned off: it "
                    "is on for as long as the cluster runs",
                    RuntimeWarning,
                    stacklevel=3,
                )

    def _is_closed(self) -> bool:
        """Whether the client was closed in the block."""
        return getattr(self._client, "status", "") == "closed"

    def _is_gone(self) -> bool:
        """Whether the cluster went in the block, with its client.

        That of ``Client.shutdown`` looks as any closed client, where it was made with
        an address.
        """
        cluster = getattr(self._client, "cluster", None)
        if cluster is not None:
            status = getattr(cluster, "status", None)
            return getattr(status, "name", status) in ("closed", "closing")
        if not self._is_closed() or not self._address:
            return False
        try:
            with opened_client(
                self._address, PROBE_LIMIT, security=self._client.security
            ):
                return False
        except SchedulerGone:
            return True

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            self._leave()
        except DbgkitError as error:
            gone = value is None and self._is_gone()
            self._pass_on(error, value, gone)
        else:
            self._tell_of_restart(value)

    def __repr__(self) -> str:
        but = f", but for {', '.join(self.without)}" if self.without else ""
        return f"<Recorder: on{but}; .off() turns it off, dbgkit.recordings() reads it>"


class AsyncRecorder(Recorder):
    """The same with an asynchronous client: to be awaited, or with ``async with``."""

    def __init__(
        self, client: Any, timeout: Any, starting: Coroutine[Any, Any, SwitchedOn]
    ) -> None:
        super().__init__(client, timeout)
        self._starting: Coroutine[Any, Any, SwitchedOn] | None = starting

    def close(self) -> None:
        """Give up on turning it on, where that was never awaited."""
        if self._starting is not None:
            self._starting.close()

    def __enter__(self) -> Recorder:
        self.close()
        raise WrongTarget(
            "an asynchronous client cannot be asked in a with block",
            "use async with dbgkit.record()",
        )

    def __await__(self) -> Generator[Any, None, Recorder]:
        if self._starting is not None:
            starting, self._starting = self._starting, None
            self._take((yield from starting.__await__()))
            _warn_of(self.without, "the recorder is on")
        return self

    async def __aenter__(self) -> Recorder:
        return await self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            await self._leave()
        except DbgkitError as error:
            gone = value is None and await asyncio.to_thread(self._is_gone)
            self._pass_on(error, value, gone)
        else:
            self._tell_of_restart(value)


def record(
    *,
    client: Any = None,
    hold: Any = None,
    keep_inputs: Any = None,
    nbytes: Any = None,
    kept: Any = None,
    time: Any = None,
    secret_names: Iterable[str] | None = None,
    timeout: Any = "30s",
) -> Recorder:
    """Turn the recorder on: what fails from now on is recorded on its worker.

    Frames with their source and locals, each within a budget, are taken at the
    moment that a task fails, and held by the scheduler; they outlive the futures and
    the worker. Workers that join later record too. Nothing is installed on the
    cluster. Where it is on already, it takes the settings that are given here.

    Parameters
    ----------
    client : Client or str, optional
        By default the current one.
    hold : str or int, optional
        Most bytes that the scheduler holds; ``"64 MB"`` by default. Of more, the
        oldest of the most frequent kind of failure is dropped first, and counted.
    keep_inputs : str or int, optional
        Bytes of the inputs of failed tasks to keep in the workers' memory at the most,
        so that a replay computes nothing again; none by default.
    nbytes : str or int, optional
        Most bytes of one recording as it is sent; ``"256 kB"`` by default.
    kept : str or int, optional
        A value of up to so many bytes comes along whole; ``"4 kB"`` by default. Of
        larger ones there is a text.
    time : str or float, optional
        Time that one recording may take, in seconds or as ``"100 ms"``.
    secret_names : iterable of str, optional
        Names of variables, attributes and keys to hide besides the usual ones, and
        those that a recorder that is on hides already.
    timeout : str or float
        Limit of all waits on the cluster together. Workers have twenty seconds of it
        at most: those that do not answer get the recorder as soon as they do.

    Returns
    -------
    Recorder
        With ``off()``, and ``without``: who did not answer; also a context manager
        that turns it off, unless it was on before or another client wants it. With an
        asynchronous client it is to be awaited, or entered with ``async with``.

    Raises
    ------
    NoFailure, SchedulerGone, WaitTimedOut
        There is no cluster, or its scheduler does not answer.
    RecorderBroken
        It failed on a worker as it started, and is off again.
    ValueError
        A setting is no size, no time or no name.

    Warns
    -----
    RuntimeWarning
        Somebody did not answer in time.

    Notes
    -----
    Whoever has turned it on keeps it until turning it off, or until the client has gone
    and somebody else turns it off. The defaults are those of Dask's configuration,
    ``dbgkit.record.hold`` and so on. Costs a healthy task some microseconds, a failing
    one at most `time` or so.

    Examples
    --------
    >>> from distributed import Client, wait
    >>> import dbgkit
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     with dbgkit.record():
    ...         future = client.submit(lambda x: 1 / x, 0, key="ratio-1")
    ...         _ = wait(future)
    ...         held = dbgkit.recordings()
    >>> [(each.key, each.exception_type) for each in held.recordings]
    [('ratio-1', 'ZeroDivisionError')]
    """
    given = parsed(
        {
            "hold": hold,
            "keep-inputs": keep_inputs,
            "nbytes": nbytes,
            "kept": kept,
            "time": time,
            "secret-names": secret_names,
        }
    )

    # The current client may be another one by the time that it is turned off.
    client = own_client(None) if client is None else client
    recorder = Recorder(client, timeout)

    def run(found: View) -> SwitchedOn:
        link = link_of(found)
        with link.altogether():
            return switch_on(link, given, configured(), recorder._token)

    starting = look(None, client, None, timeout, run)
    if isinstance(starting, SwitchedOn):
        recorder._take(starting)
        _warn_of(recorder.without, "the recorder is on")
        return recorder
    awaited = AsyncRecorder(client, timeout, starting)
    awaited._token = recorder._token
    return awaited


def record_off(*, client: Any = None, timeout: Any = "30s", keep: bool = True) -> Any:
    """Turn the recorder off; see `Recorder.off`."""
    return _end(client, timeout, keep=keep)


def _end(
    client: Any, timeout: Any, *, keep: bool, block: Recorder | None = None
) -> Any:
    """Keep recordings in this process, and turn the recorder off.

    ``block``: for this use of it alone, and not for others of the same client, in
    other threads or around it.
    """

    def run(found: View) -> SwitchedOff:
        link = link_of(found)
        with link.altogether():
            try:
                if keep:
                    with link.altogether(KEEPING):
                        leave_behind(link, None, recorded_name)
            finally:
                goes_on = () if block is None else _tokens_but(block)
                off = switch_off(link, goes_on, orphans=block is None)
        return off

    ended = look(None, client, None, timeout, run)
    if isinstance(ended, SwitchedOff):
        _warn_of(ended.without, "the recorder is off")
        return ended
    return _ended(ended)


async def _ended(ending: Coroutine[Any, Any, SwitchedOff]) -> SwitchedOff:
    ended = await ending
    _warn_of(ended.without, "the recorder is off")
    return ended


def _tokens_but(block: Recorder) -> list[str]:
    """Tokens of all recorders of this process that somebody still has, but one."""
    return [each._token for each in list(_handed_out) if each._token != block._token]


def _warn_of(without: Mapping[str, str], what: str) -> None:
    """Name those who did not answer in time."""
    if without:
        shown = [f"{address}: {why}" for address, why in list(without.items())[:NAMED]]
        if len(without) > NAMED:
            shown.append(f"and {len(without) - NAMED} more")
        warnings.warn(
            f"{what}, and will be there too as soon as they answer; {'; '.join(shown)}",
            RuntimeWarning,
            stacklevel=3,
        )


def _scheduler_of(client: Any) -> str:
    """Id of a client's scheduler; empty for an address, and where none is known."""
    return "" if client is None or isinstance(client, str) else scheduler_id(client)


def _is_closed(client: Any) -> bool:
    """Whether there is no client to ask."""
    return client is None or client.status == "closed"


def link_of(found: View) -> Link:
    link = getattr(found, "link", None)
    if link is None:
        raise WrongTarget("a dump has no recordings", "ask the cluster: client=")
    assert isinstance(link, Link)
    return link
