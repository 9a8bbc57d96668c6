"""Take what a replay needs while a client is still there.

``with Client() as client:`` has closed the client by the time that anybody outside
sees the exception. Inside `capturing`, a client that exits because of an exception is
asked first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dbgkit.cluster.clients import is_open
from dbgkit.cluster.link import Link
from dbgkit.cluster.recorder import leave_behind
from dbgkit.errors import DbgkitError
from dbgkit.locate.failures import locate_failures
from dbgkit.locate.naming import name_of
from dbgkit.locate.traces import chain
from dbgkit.model import Failure, Plan
from dbgkit.replay.differences import ask_worker
from dbgkit.replay.planning import Wanted
from dbgkit.replay.replaying import Notify, Prepared, plan_replay, prepare


@dataclass
class Captured:
    """What was taken for one exception.

    Either ``prepared`` is there, or ``error`` says why it is not; ``failures`` and
    ``plan`` as far as they could be had.
    """

    exception: BaseException
    failures: list[Failure] = field(default_factory=list)
    plan: Plan | None = None
    prepared: Prepared | None = None
    error: Exception | None = None


@dataclass
class Capture:
    """One `capturing` block: its limits, and what it has taken."""

    wanted: Wanted
    notify: Notify
    inputs: bool = True
    taken: list[Captured] = field(default_factory=list)

    def take(self, client: Any, exception: BaseException) -> None:
        """Ask a client that is about to close; never raises into its exit."""
        if not is_open(client) or find_captured(exception) is not None:
            return
        captured = Captured(exception)
        try:
            captured.failures = locate_failures(
                exception,
                client=client,
                timeout=self.wanted.timeout,
                specs=True,
                max_bytes=self.wanted.max_bytes,
            )
            if captured.failures[0].source == "exception":
                return
            if captured.failures[0].source in ("scheduler", "graph"):
                keys = [failure.key for failure in captured.failures[:20]]
                leave_behind(Link(client, self.wanted.timeout), keys, name_of)
                self._plan(captured)
        except Exception as error:  # kept, and told in place of the replay
            captured.error = error
        self.taken.append(captured)

    def _plan(self, captured: Captured) -> None:
        failure = captured.failures[0]
        if not self.inputs:
            captured.plan = plan_replay(failure, self.wanted)[0]
            return
        captured.prepared = self._prepare(failure)
        captured.plan = captured.prepared.plan

    def _prepare(self, failure: Failure) -> Prepared:
        prepared = prepare(failure, self.wanted, self.notify)
        link = prepared.material.link
        if link is not None:
            prepared.there = ask_worker(link, failure)
            # The cluster is about to go: what has to be asked was asked.
            prepared.material.link = None
        return prepared


_active: list[Capture] = []


def find_captured(exception: BaseException) -> Captured | None:
    """What was taken for an exception, or for one that it was raised from."""
    errors = {id(error) for error in chain(exception)}
    for capture in reversed(_active):
        for captured in capture.taken:
            if id(captured.exception) in errors:
                return captured
    return None


@contextmanager
def capturing(
    wanted: Wanted, notify: Notify, *, inputs: bool = True
) -> Iterator[Capture]:
    """Capture while inside; afterwards ``Client`` is as it was.

    Parameters
    ----------
    inputs : bool
        Whether the inputs are pulled too, or the replay is planned only.
    """
    from distributed import Client

    capture = Capture(wanted, notify, inputs)
    own = {name: Client.__dict__[name] for name in ("__exit__", "__aexit__")}
    _active.append(capture)
    for name, replacement in _hooks(capture, own).items():
        setattr(Client, name, replacement)
    try:
        yield capture
    finally:
        for name, function in own.items():
            setattr(Client, name, function)
        _active.remove(capture)


def _hooks(capture: Capture, own: dict[str, Any]) -> dict[str, Any]:
    def leave(self: Any, kind: Any, value: Any, tb: Any) -> Any:
        if value is not None:
            capture.take(self, value)
        return own["__exit__"](self, kind, value, tb)

    async def leave_async(self: Any, kind: Any, value: Any, tb: Any) -> Any:
        if value is not None:
            await asyncio.to_thread(capture.take, self, value)
        return await own["__aexit__"](self, kind, value, tb)

    return {"__exit__": leave, "__aexit__": leave_async}


def error_of(captured: Captured) -> DbgkitError:
    """Why nothing could be captured, as an error of ours."""
    assert captured.error is not None
    if isinstance(captured.error, DbgkitError):
        return captured.error
    error = DbgkitError(
        f"what a replay needs could not be taken as the client closed: "
        f"{captured.error!r}",
        "call dbgkit.debug() inside the client's with block",
    )
    error.__cause__ = captured.error
    return error
