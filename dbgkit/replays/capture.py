"""Collect what a replay needs while a client is still there.

``with Client() as client:`` has closed the client by the time that anybody outside
sees the exception. Inside `capturing`, a client that exits because of an exception is
asked first.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from dbgkit import advice
from dbgkit.cluster.clients import is_open
from dbgkit.cluster.link import Link
from dbgkit.cluster.recordings import leave_behind
from dbgkit.errors import DbgkitError, NotHere
from dbgkit.model import Failure, Plan, Progress
from dbgkit.remote.common.texts import safe_repr
from dbgkit.replays.environment import ask_worker
from dbgkit.replays.planning import Wanted, where_to_run
from dbgkit.replays.preparing import Notify, Prepared, plan_replay, prepare
from dbgkit.targets.ending import to_debug
from dbgkit.targets.locate import locate_failures
from dbgkit.targets.naming import recorded_name
from dbgkit.targets.tracebacks import chain


@dataclass
class Captured:
    """What was collected for one exception.

    Either ``prepared`` is there, or ``error`` says why it is not; ``failures`` and
    ``plan`` as far as they are available.
    """

    exception: BaseException
    failures: list[Failure] = field(default_factory=list)
    plan: Plan | None = None
    prepared: Prepared | None = None
    error: Exception | None = None


@dataclass(eq=False)
class Capture:
    """One `capturing` block: its options, and what it has collected."""

    wanted: Wanted
    notify: Notify
    inputs: bool = True
    taken: list[Captured] = field(default_factory=list)

    def take(self, client: Any, exception: BaseException) -> None:
        """Ask a client that is about to close; never raises into its exit."""
        meant = to_debug(exception)
        if meant is None or not is_open(client) or find_captured(meant) is not None:
            return
        captured = Captured(meant)
        try:
            captured.failures = locate_failures(
                meant,
                client=client,
                timeout=self.wanted.timeout,
                specs=True,
                max_bytes=self.wanted.max_bytes,
            )
            found_in = captured.failures[0].found_in
            if found_in == "exception":
                return
            if found_in in ("scheduler", "graph", "history"):
                keys = [failure.key for failure in captured.failures[:20]]
                leave_behind(Link(client, self.wanted.timeout), keys, recorded_name)
            if found_in in ("scheduler", "graph"):
                self._plan(captured)
        except Exception as error:  # kept, and reported in place of the replay
            captured.error = error
        except KeyboardInterrupt:
            # The client still has to close.
            captured.error = DbgkitError(
                "what a replay needs was not collected: stopped by Ctrl-C"
            )
        finally:
            self.notify(Progress("pull", 1, 1))  # also where that has failed
        self.taken.append(captured)

    def _plan(self, captured: Captured) -> None:
        failure = captured.failures[0]
        if self.wanted.where == "worker":
            raise too_late()
        if not self.inputs:
            captured.plan = plan_replay(failure, self.wanted)[0]
            return
        prepared = prepare(failure, self.wanted, self.notify)
        link = prepared.material.link
        if link is not None:
            prepared.there = ask_worker(link, failure)
            # The cluster is about to go: everything has been asked.
            prepared.material.link = None
        captured.prepared, captured.plan = prepared, prepared.plan


_active: list[Capture] = []
_lock = threading.Lock()  # of the list, and of what is put into `Client`
# The blocks that this thread, or this coroutine, is in: the innermost last.
_mine: ContextVar[tuple[Capture, ...]] = ContextVar("dbgkit_capturing", default=())


def find_captured(exception: BaseException) -> Captured | None:
    """What was collected for an exception, or for one of its causes."""
    errors = {id(error) for error in chain(exception)}
    for capture in _nearest_first():
        for captured in capture.taken:
            if id(captured.exception) in errors:
                return captured
    return None


def _nearest_first() -> list[Capture]:
    """Blocks that are active: those around the code that asks, then any other."""
    with _lock:
        active = list(_active)
    mine = [capture for capture in _mine.get() if capture in active]
    others = [capture for capture in active if capture not in mine]
    return [*reversed(mine), *reversed(others)]


@contextmanager
def capturing(
    wanted: Wanted, notify: Notify, *, inputs: bool = True
) -> Iterator[Capture]:
    """Capture while inside; after the last such block ``Client`` is as it was.

    Blocks may overlap in any order, in threads too: each handles what its own thread
    raises, and what threads outside any block raise. Without ``inputs`` the replay is
    only planned.
    """
    capture = Capture(wanted, notify, inputs)
    with _lock:
        if not _active:
            _put_hooks()
        _active.append(capture)
    _mine.set((*_mine.get(), capture))
    try:
        yield capture
    finally:
        # Perhaps in another context, which does not know the block.
        _mine.set(tuple(each for each in _mine.get() if each is not capture))
        with _lock:
            _active.remove(capture)
            if not _active:
                _take_off_hooks()


def _take(client: Any, exception: BaseException) -> None:
    """Have the nearest block collect what it needs from a closing client."""
    for capture in _nearest_first()[:1]:
        capture.take(client, exception)


# The exits of a ``Client``'s block that are replaced: ours, and its own.
_hooks: dict[str, tuple[Any, Any]] = {}


def _put_hooks() -> None:
    from distributed import Client

    own, own_async = Client.__exit__, Client.__aexit__

    def leave(self: Any, kind: Any, value: Any, tb: Any) -> Any:
        if value is not None:
            _take(self, value)
        return own(self, kind, value, tb)

    async def leave_async(self: Any, kind: Any, value: Any, tb: Any) -> Any:
        if value is not None:
            await asyncio.to_thread(_take, self, value)
        return await own_async(self, kind, value, tb)

    _hooks.update(__exit__=(leave, own), __aexit__=(leave_async, own_async))
    for name, (ours, _) in _hooks.items():
        setattr(Client, name, ours)


def _take_off_hooks() -> None:
    from distributed import Client

    for name, (ours, own) in _hooks.items():
        # What others have wrapped around ours meanwhile stays: ours then only passes
        # on.
        if Client.__dict__.get(name) is ours:
            setattr(Client, name, own)


def prepared_for(captured: Captured, wanted: Wanted) -> Prepared | None:
    """What was collected, to be run with the options now given; None if not prepared.

    Raises if it cannot be run that way, because the client has closed.
    """
    prepared = captured.prepared
    if wanted.where == "worker":
        raise too_late()
    if prepared is None:
        return None
    if wanted.scope != prepared.wanted.scope:
        raise NotHere(
            f"scope={wanted.scope!r} can no longer be run: the client has closed, and "
            f"scope={prepared.wanted.scope!r} was requested when it closed",
            f"{advice.call('debugging', scope=wanted.scope)} collects what that needs",
            key=prepared.failure.key,
        )
    where = where_to_run(prepared.failure, wanted)
    plan = replace(prepared.plan, where=where, times=wanted.times)
    return replace(prepared, plan=plan, wanted=wanted)


def too_late() -> NotHere:
    """Why nothing is run on a worker for a client that has closed, or is about to."""
    return NotHere(
        f"{advice.option('where', 'worker')} needs the client, which closed because of "
        "the exception",
        f"call {advice.call('debug', where='worker')} inside the client's with block, "
        f"or leave {advice.option('where')} out: what was collected as it closed runs "
        "here",
    )


def error_of(captured: Captured) -> DbgkitError:
    """Why nothing could be captured, as an error of ours."""
    assert captured.error is not None
    if isinstance(captured.error, DbgkitError):
        return captured.error
    error = DbgkitError(
        "what a replay needs could not be collected as the client closed: "
        f"{safe_repr(captured.error)}",
        f"call {advice.call('debug')} inside the client's with block",
    )
    error.__cause__ = captured.error
    return error
