"""The recorder that is on, as `record` gives it, and how it is turned off."""

from __future__ import annotations

import asyncio
import threading
import warnings
import weakref
from collections.abc import Coroutine, Generator, Mapping
from dataclasses import replace
from typing import Any, Literal, overload

from dbgkit.api.asking import look
from dbgkit.api.record_settings import Holding
from dbgkit.cluster import live
from dbgkit.cluster.clients import opened_client
from dbgkit.cluster.connection import scheduler_id
from dbgkit.cluster.link import Link
from dbgkit.cluster.recordings import leave_behind, switch_off
from dbgkit.cluster.view import View
from dbgkit.errors import DbgkitError, SchedulerGone, WrongTarget
from dbgkit.model import SwitchedOff, SwitchedOn
from dbgkit.remote.scheduler.live import HOLDS
from dbgkit.targets.naming import recorded_name

PROBE_LIMIT = 2.0  # seconds for a scheduler to answer a new client
KEEPING = 0.5  # of the time limit of turning it off, for what is kept of it here
NAMED = 5  # workers that did not answer, in a warning

# Recorders that somebody still has.
_handed_out: weakref.WeakSet[Recorder] = weakref.WeakSet()
_handing_out = threading.Lock()


class Recorder:
    """The recorder of a cluster, as `record` turned it on.

    A context manager that turns it off again. The recorder stays on if it was on
    before, or if somebody else has turned it on meanwhile.

    Attributes
    ----------
    without : mapping of str to str
        Addresses of workers and nannies that did not answer when it was turned on, and
        why. They get it as soon as they answer.
    page : str
        Address of the page on the scheduler's HTTP server, if there is one.
    """

    def __init__(
        self, client: Any, timeout: Any, token: str, asynchronous: bool | None
    ) -> None:
        self.without: Mapping[str, str] = {}
        self.page = ""
        self._client = client
        self._timeout = timeout
        self._was_on = False
        self._token = token
        self._asynchronous = asynchronous
        self._scheduler = ""
        with _handing_out:
            _handed_out.add(self)
        # A closed client no longer knows what it was connected to.
        self._address = getattr(getattr(client, "scheduler", None), "address", None)

    @overload
    def off(
        self, *, keep: bool = True, asynchronous: Literal[False] | None = None
    ) -> SwitchedOff: ...

    @overload
    def off(
        self, *, keep: bool = True, asynchronous: Literal[True]
    ) -> Coroutine[Any, Any, SwitchedOff]: ...

    def off(
        self, *, keep: bool = True, asynchronous: bool | None = None
    ) -> SwitchedOff | Coroutine[Any, Any, SwitchedOff]:
        """Turn it off everywhere; the cluster forgets what it holds.

        It stays on, with all that it holds, as long as another connected client wants
        it.

        Parameters
        ----------
        keep : bool
            Keep the newest recordings in this process, for `recordings` and `debug`:
            at most 50, and 5 MB.
        asynchronous : bool, optional
            As for `record`, by default as it was given there.

        Returns
        -------
        SwitchedOff
            ``others``: how many other clients want it; ``without``: which workers did
            not answer in time, and lose it as soon as they do. With an asynchronous
            client, an awaitable.

        Warns
        -----
        RuntimeWarning
            A worker or nanny did not answer in time.
        """
        given = self._asynchronous if asynchronous is None else asynchronous
        return record_off(
            client=self._client, timeout=self._timeout, keep=keep, asynchronous=given
        )

    def _leave(
        self, asynchronous: bool
    ) -> SwitchedOff | Coroutine[Any, Any, SwitchedOff]:
        """At the end of a ``with`` block."""
        return record_off(
            client=self._client,
            timeout=self._timeout,
            asynchronous=asynchronous,
            block=self,
        )

    def _take(self, switched: SwitchedOn) -> None:
        """Take the result of turning it on."""
        self._was_on, self.without = switched.was_on, switched.without
        self.page = switched.page
        self._scheduler = _scheduler_of(self._client)

    def _warn_of_restart(self, value: BaseException | None) -> None:
        """Warn that the scheduler was restarted: nothing was left to turn off.

        An exception that leaves the block has it as a note.
        """
        found = _scheduler_of(self._client)
        if not (found and self._scheduler) or found == self._scheduler:
            return
        message = (
            "the scheduler was restarted during the block: the recorder and all that "
            "it held are lost"
        )
        if value is None:
            warnings.warn(message, RuntimeWarning, stacklevel=3)
        _note(value, message)

    def _pass_on(
        self, error: DbgkitError, value: BaseException | None, gone: bool
    ) -> None:
        """Let the exception that leaves the block be seen, not one of the recorder.

        The cluster may have gone during the block, and the recorder with it.
        """
        _note(value, f"the recorder could not be turned off: {error}")
        if value is None and not gone:
            if not self._is_closed():
                raise error
            if not self._was_on:
                warnings.warn(
                    f"{error.message}, so the recorder could not be turned off: it "
                    "stays on for as long as the cluster runs",
                    RuntimeWarning,
                    stacklevel=3,
                )

    def _is_closed(self) -> bool:
        """Whether the client was closed in the block."""
        return getattr(self._client, "status", "") == "closed"

    def _is_gone(self) -> bool:
        """Whether the cluster went away during the block, with its client.

        After ``Client.shutdown``, a client that was made with an address looks like
        any closed one.
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

    def __exit__(self, kind: object, value: BaseException | None, tb: object) -> None:
        try:
            self._leave(asynchronous=False)
        except DbgkitError as error:
            gone = value is None and self._is_gone()
            self._pass_on(error, value, gone)
        else:
            self._warn_of_restart(value)

    def __repr__(self) -> str:
        but = f", except on {', '.join(self.without)}" if self.without else ""
        return f"<Recorder: on{but}; .off() turns it off, dbgkit.recordings() reads it>"


class AsyncRecorder(Recorder):
    """The same with an asynchronous client: to be awaited, or with ``async with``."""

    def __init__(self, starting: Coroutine[Any, Any, SwitchedOn], *args: Any) -> None:
        super().__init__(*args)
        self._starting: Coroutine[Any, Any, SwitchedOn] | None = starting

    def close(self) -> None:
        """Do not turn it on if it was never awaited."""
        if self._starting is not None:
            self._starting.close()

    def __enter__(self) -> Recorder:
        self.close()
        raise WrongTarget(
            "an asynchronous client cannot be used in a with block",
            "use async with dbgkit.record()",
        )

    def __await__(self) -> Generator[Any, None, Recorder]:
        if self._starting is not None:
            starting, self._starting = self._starting, None
            self._take((yield from starting.__await__()))
            warn_of(self.without, "the recorder is on")
        return self

    async def __aenter__(self) -> Recorder:
        return await self

    async def __aexit__(
        self, kind: object, value: BaseException | None, tb: object
    ) -> None:
        try:
            leaving = self._leave(asynchronous=True)
            assert not isinstance(leaving, SwitchedOff)
            await leaving
        except DbgkitError as error:
            gone = value is None and await asyncio.to_thread(self._is_gone)
            self._pass_on(error, value, gone)
        else:
            self._warn_of_restart(value)


def record_off(
    *,
    client: Any = None,
    timeout: Any = "30s",
    keep: bool = True,
    asynchronous: bool | None = None,
    block: Recorder | None = None,
) -> SwitchedOff | Coroutine[Any, Any, SwitchedOff]:
    """Turn the recorder off; see `Recorder.off`.

    ``block``: for this use of it alone, not for others of the same client, in other
    threads or around it.
    """

    def run(found: View) -> SwitchedOff:
        link = link_of(found)
        with link.altogether():
            try:
                if keep:
                    with link.altogether(KEEPING):
                        leave_behind(link, None, recorded_name)
            finally:
                off = _switch_off(link, block)
                tokens = None if block is None else [block._token]
                live.switch_off(link, tokens, orphans=block is None, kind=HOLDS)
        return off

    ended = look(None, client, None, timeout, run, asynchronous)
    if isinstance(ended, SwitchedOff):
        warn_of(ended.without, "the recorder is off")
        return ended
    return _ended(ended)


def _switch_off(link: Link, block: Recorder | None) -> SwitchedOff:
    goes_on = () if block is None else _tokens_but(block)
    return switch_off(link, goes_on, orphans=block is None)


def hold_too(
    link: Link, recorder: Recorder, on: SwitchedOn, wanted: Holding
) -> SwitchedOn:
    """Have failures held as well, by a recorder that is on; else it is off again."""
    try:
        held = live.switch_on(link, recorder._token, *wanted, everyone=True, holds=True)
    except BaseException:
        if not on.was_on:
            _switch_off(link, recorder)
        raise
    return replace(on, without={**held.without, **on.without})


async def _ended(ending: Coroutine[Any, Any, SwitchedOff]) -> SwitchedOff:
    ended = await ending
    warn_of(ended.without, "the recorder is off")
    return ended


def _tokens_but(block: Recorder) -> list[str]:
    """Tokens of all recorders of this process that somebody still has, but one."""
    with _handing_out:
        handed_out = list(_handed_out)
    return [each._token for each in handed_out if each._token != block._token]


def _note(error: BaseException | None, text: str) -> None:
    if error is not None and hasattr(error, "add_note"):  # from Python 3.11 on
        error.add_note(text)


def warn_of(without: Mapping[str, str], what: str, stacklevel: int = 3) -> None:
    """Warn of those that did not answer in time; ``stacklevel`` as in `warnings`."""
    if without:
        shown = [f"{address}: {why}" for address, why in list(without.items())[:NAMED]]
        if len(without) > NAMED:
            shown.append(f"and {len(without) - NAMED} more")
        warnings.warn(
            f"{what}, and will be there too as soon as they answer; {'; '.join(shown)}",
            RuntimeWarning,
            stacklevel=stacklevel,
        )


def _scheduler_of(client: Any) -> str:
    """Id of a client's scheduler; empty for an address, and if none is known."""
    return "" if client is None or isinstance(client, str) else scheduler_id(client)


def is_closed(client: Any) -> bool:
    """Whether there is no client to ask."""
    return client is None or client.status == "closed"


def link_of(found: View) -> Link:
    link = getattr(found, "link", None)
    if link is None:
        raise WrongTarget("a dump has no recordings", "ask the cluster: client=")
    assert isinstance(link, Link)
    return link
