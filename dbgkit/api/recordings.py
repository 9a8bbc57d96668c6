"""``dbgkit.recordings``: what the recorder holds, and the recording of a target."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, overload

from dbgkit import advice
from dbgkit.api.asking import Async, Looking, Sync, Unpack, look, own_client
from dbgkit.api.locate import locate_here
from dbgkit.api.recorder import is_closed, link_of
from dbgkit.cluster.clients import is_open
from dbgkit.cluster.link import Link
from dbgkit.cluster.recordings import (
    all_left,
    held_recordings,
    is_anything_left,
    without_recording,
)
from dbgkit.cluster.view import View
from dbgkit.errors import (
    Cancelled,
    NoFailure,
    NotFailed,
    NotRecorded,
    SchedulerGone,
    UnknownKey,
)
from dbgkit.model import Failure, Recording, Recordings
from dbgkit.remote.common.texts import safe_str
from dbgkit.replays.inputs_compared import recorded_failure
from dbgkit.replays.planning import Wanted
from dbgkit.source import Index
from dbgkit.source.shown import Shown
from dbgkit.targets.naming import recorded_name

MOST_ALIKE = 20
MOST_EXPLAINED = 3  # tasks without a recording, one call to the scheduler each


class _Options(Looking, total=False):
    limit: int


@overload
def recordings(
    target: Any = None, *, asynchronous: Sync = None, **options: Unpack[_Options]
) -> Recordings: ...


@overload
def recordings(
    target: Any = None, *, asynchronous: Async, **options: Unpack[_Options]
) -> Coroutine[Any, Any, Recordings]: ...


def recordings(
    target: Any = None,
    *,
    client: Any = None,
    view: Any = None,
    limit: int = 50,
    source: Any = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> Recordings | Coroutine[Any, Any, Recordings]:
    """List what the recorder holds, the newest first.

    If it is off, or the cluster is gone, that is what was kept in this process when it
    was turned off.

    Parameters
    ----------
    target : optional
        A key (also as text), a future, a failure, or a list of these; by default all.
    client, source, timeout, asynchronous
        As for `failures`.
    view : View, optional
        A cluster that is already open; a dump has no recordings.
    limit : int
        At most this many recordings are returned; the rest is counted.

    Returns
    -------
    Recordings
        With `failures`, `gaps` and `dropped` counted since it was turned on, and
        `unknown`: those of the target that were not recorded. With an asynchronous
        client, an awaitable.

    Raises
    ------
    NoFailure, SchedulerGone, WaitTimedOut
        There is no cluster and nothing was kept, or the cluster does not answer.

    Notes
    -----
    Costs the scheduler two calls, and up to 32 MB over the wire.

    Examples
    --------
    >>> from distributed import Client, wait
    >>> import dbgkit
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     with dbgkit.record():
    ...         future = client.submit(lambda x: 1 / x, 0, key="ratio-2")
    ...         _ = wait(future)
    ...         (newest,) = dbgkit.recordings("ratio-2", limit=1).recordings
    >>> newest.key, newest.exception_type
    ('ratio-2', 'ZeroDivisionError')
    """
    keys = None if target is None else keys_of(target)

    def run(found: View) -> Recordings:
        link = link_of(found)
        held = with_source(held_recordings(link, keys, limit, recorded_name))
        return held if keys is None else with_missing(held, keys, link)

    nobody = client is None and view is None and is_closed(own_client(target))
    if nobody and is_anything_left():
        held = with_source(all_left(None, keys, limit))
        return held if keys is None else with_missing(held, keys, None)
    return look(target, client, view, timeout, run, asynchronous, source)


def with_source(held: Recordings) -> Recordings:
    """Recordings whose frames have their files and source."""
    shown = Shown()
    return replace(held, recordings=tuple(map(shown.recording, held.recordings)))


def with_missing(held: Recordings, keys: list[Any], link: Link | None) -> Recordings:
    """Say which of the requested tasks were not recorded."""
    missing = without_recording(link, keys, held)
    killed = () if link is None else _killed(missing[:MOST_EXPLAINED], link)
    notes = [
        f"{key!r} has no recording, as its worker died (KilledWorker): "
        f"{advice.call('deaths')} says why"
        for key in killed
    ]
    return replace(
        held, asked=tuple(keys), unknown=tuple(missing), notes=(*held.notes, *notes)
    )


def _killed(keys: list[Any], link: Link) -> list[Any]:
    """Which of some tasks failed because their worker died."""
    found = []
    for key in keys:
        try:
            failure = locate_here(key, link.client, link.timeout)[0]
        except (NoFailure, NotFailed, UnknownKey, Cancelled):
            continue
        if failure.killed:
            found.append(failure.key)
    return found


def recording_for(
    target: Any, client: Any, wanted: Wanted, *, newest: bool = False
) -> Recording:
    """The recording of the failure that a target leads to, or raise `NotRecorded`.

    ``newest``: no target was given, so it is the current exception, if there is one; if
    that leads to no recording, the newest recording is taken.
    """
    found: Recording | None = None
    failure: Failure | None = None
    link = None
    if client is not None and is_open(client):
        link = Link(client, wanted.timeout)
    try:
        failure = locate_here(target, client, wanted.timeout)[0]
    except (NoFailure, UnknownKey, Cancelled, SchedulerGone) as error:
        # A recording outlives all by which a failure is found.
        if link is not None and isinstance(error, (Cancelled, SchedulerGone)):
            raise
        if newest:
            found = _newest(link, None)
        elif isinstance(target, BaseException):
            found = _alike(link, type(target).__name__, safe_str(target))
        else:
            found = _newest(link, keys_of(target))
        unknown = isinstance(error, UnknownKey) and not newest
        if found is None and (link is None or unknown):
            raise
    else:
        found = _recording_of(failure, client, wanted)
        if found is None and failure.kind in ("carried", "remote"):
            found = _alike(link, failure.exception_type, failure.message)
        # A forgotten failure is what was meant, not whatever else was recorded.
        if found is None and newest and failure.found_in != "history":
            found = _newest(link, None)
    if found is None:
        raise _not_recorded(target, failure, link)
    return Shown(Index(wanted.sources)).recording(found)


def _newest(link: Link | None, keys: list[Any] | None) -> Recording | None:
    """The newest recording with content, of all or of some keys."""
    return next((each for each in _held(link, keys, 5) if each.frames), None)


def _alike(link: Link | None, kind: str, message: str) -> Recording | None:
    """The newest recording of the same exception, where no key leads to it."""
    for each in _held(link, None, MOST_ALIKE):
        if each.frames and (each.exception_type, each.message) == (kind, message):
            return each
    return None


def _held(
    link: Link | None, keys: list[Any] | None, most: int
) -> tuple[Recording, ...]:
    """The newest recordings: of the cluster, or kept in this process without one."""
    if link is None:
        return all_left(None, keys, most).recordings
    return held_recordings(link, keys, most, recorded_name).recordings


def _not_recorded(
    target: Any, failure: Failure | None, link: Link | None
) -> NotRecorded:
    """The error to raise if there is no recording; it says why, as far as known."""
    key = failure.key if failure is not None else None
    of = "" if target is None else " of this exception: no task raised it"
    of = of if key is None else f" of {key!r}"
    hint = f"{advice.call('record')} records what fails from then on"
    if failure is not None and failure.killed:
        hint = f"its worker died: {advice.call('deaths')} says why"
    elif link is not None:
        keys = None if key is None else [key]
        held = held_recordings(link, keys, 1, recorded_name)
        if held.since is not None:
            hint = f"the recorder is on, {_although_on(held, failure)}"
    return NotRecorded(f"there is no recording{of}", hint, key=key)


def _although_on(held: Recordings, failure: Failure | None) -> str:
    """Why a recorder that is on has no recording of a failure."""
    if failure is None or failure.key is None:
        return f"and {advice.call('recordings')} lists what it holds"
    if len(held) and held[0].gap:
        return f"but nothing was recorded of this failure: {held[0].gap}"
    assert held.since is not None
    if failure.when is not None and failure.when < held.since:
        return "but was turned on after this failure"
    return (
        "but this failure was not recorded, or its recording was dropped: "
        f"{advice.call('recordings')} counts those"
    )


def recording_of(failure: Failure, client: Any, wanted: Wanted) -> Recording | None:
    """The recording of a failure, with its source lines; None if there is none."""
    found = _recording_of(failure, client, wanted)
    return None if found is None else Shown(Index(wanted.sources)).recording(found)


def _recording_of(failure: Failure, client: Any, wanted: Wanted) -> Recording | None:
    """The newest recording with content of a failure, preferably of its root cause."""
    there = client is not None and is_open(client)
    link = Link(client, wanted.timeout) if there else None
    found = None
    if failure.forgotten is not None:
        found = _newest(link, [failure.forgotten])
    return recorded_failure(link, failure) if found is None else found


def keys_of(target: Any) -> list[Any]:
    """Keys of the given keys, futures and failures."""
    members = list(target) if isinstance(target, (list, set)) else [target]
    return [getattr(member, "key", member) for member in members]
