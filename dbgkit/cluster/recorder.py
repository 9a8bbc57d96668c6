"""The client's side of the recorder: on, off, and what it holds."""

from __future__ import annotations

import linecache
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from distributed.protocol.pickle import dumps

from dbgkit.cluster.deaths import death_watch, deaths_name, forget_deaths
from dbgkit.cluster.link import Link
from dbgkit.cluster.shipping import ShippedPlugin, ShippedWorkerPlugin, digest_of
from dbgkit.errors import WaitTimedOut
from dbgkit.model import FrameSummary, Recording, Recordings, Span, recording_from_wire
from dbgkit.remote.packing import unpack
from dbgkit.remote.recordings import FORMAT
from dbgkit.remote.redact import redact_lines

FETCHED_AT_ONCE = 32_000_000  # bytes
MOST_LEFT = 50  # recordings that outlive their recorder in this process
LEFT_BYTES = 5_000_000
AROUND = 5  # lines of source, before and after
SAME_TIME = 1.0  # seconds between a failure and its recording, at the scheduler

# Recordings of recorders that were turned off, and of clusters that went as an
# exception was raised: the scheduler's address, and the recording, by key.
_left: OrderedDict[Any, tuple[str, Recording]] = OrderedDict()


def recorder_name() -> str:
    """Name of the recorder's plugins: one for each version of their sources."""
    return f"dbgkit-recorder-{digest_of('recorder')}-{digest_of('record_store')}"


def switch_on(
    link: Link, given: Mapping[str, Any], defaults: Mapping[str, Any]
) -> bool:
    """Put the recorder on the scheduler and on all workers, later ones too.

    Where it is on, it takes the settings that are given.

    Parameters
    ----------
    link : Link
    given, defaults : mapping
        Settings: limits of one recording (see ``remote.recordings.Limits``), and
        ``hold`` and ``keep_inputs``, in bytes.

    Returns
    -------
    bool
        Whether it was on before.

    Raises
    ------
    WaitTimedOut, SchedulerGone
        The cluster does not answer; what was put on is taken off again.
    """
    listed = _ask(link, "list", keys=(), limit=0)
    if listed is not None:
        _configure(link, listed["settings"], given)
        return True
    name = recorder_name()
    store, plugin = _parts(name, {**defaults, **given})

    async def register() -> None:
        await link.client.register_plugin(store, name=name)
        await link.client.register_plugin(death_watch(), name=deaths_name())
        await link.client.register_plugin(plugin, name=name)

    try:
        link.call(register, what="the recorder's start on all workers")
    except BaseException:
        # A plugin that did not start on one worker would stay registered, and keep
        # later workers from starting.
        with suppress(WaitTimedOut):  # as what is raised here
            switch_off(link)
        raise
    return False


def _configure(
    link: Link, current: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Have a recorder that is on take the settings that are given.

    What somebody wanted hidden stays hidden.
    """
    names = [*current["secret_names"], *given.get("secret_names", ())]
    wanted = {**current, **given, "secret_names": list(dict.fromkeys(names))}
    if wanted == {**current, "secret_names": list(current["secret_names"])}:
        return
    _, plugin = _parts(recorder_name(), wanted)
    hold, keep_inputs, limits = _split(wanted)
    _ask(
        link,
        "configure",
        hold=hold,
        keep_inputs=keep_inputs,
        limits=limits,
        plugin=dumps(plugin),
    )


async def preload(scheduler: Any, settings: Mapping[str, Any]) -> None:
    """Put the recorder on a scheduler from within its own process.

    ``Scheduler.register_scheduler_plugin`` and ``register_worker_plugin``
    (distributed/scheduler.py) are what a client's calls end in.
    """
    name = recorder_name()
    store, plugin = _parts(name, settings)
    await scheduler.register_scheduler_plugin(dumps(store), name=name, idempotent=True)
    await scheduler.register_scheduler_plugin(
        dumps(death_watch()), name=deaths_name(), idempotent=True
    )
    await scheduler.register_worker_plugin(
        None, dumps(plugin), name=name, idempotent=True
    )


def _parts(
    name: str, settings: Mapping[str, Any]
) -> tuple[ShippedPlugin, ShippedWorkerPlugin]:
    hold, keep_inputs, limits = _split(settings)
    return (
        ShippedPlugin("record_store", "RecordStore", name, hold, keep_inputs, limits),
        ShippedWorkerPlugin("recorder", "Recorder", name, limits),
    )


def _split(settings: Mapping[str, Any]) -> tuple[int, int, dict[str, Any]]:
    """Bytes to hold, and of inputs to keep; limits of one recording."""
    limits = dict(settings)
    return limits.pop("hold"), limits.pop("keep_inputs"), limits


def switch_off(link: Link) -> None:
    """Take the recorder off everything, and forget what it holds."""
    if not is_on(link):
        return
    name = recorder_name()

    async def from_workers() -> None:
        with suppress(ValueError):  # it is not there
            await link.client.unregister_worker_plugin(name)

    async def from_scheduler() -> None:
        for each in (name, deaths_name()):
            with suppress(ValueError):
                await link.client.unregister_scheduler_plugin(each)

    try:
        # The workers first: what one of them still sends is then forgotten below.
        link.call(from_workers, what="the recorder's end on all workers")
    finally:
        # A worker that does not answer hears of it later. What was left of it here
        # would pass for a recorder that is on.
        link.call(from_scheduler, what="the recorder's end on the scheduler")
        forget_deaths(link)
        _ask(link, "remove")


def is_on(link: Link) -> bool:
    """Whether this version's recorder is on the scheduler."""
    return _ask(link, "list", keys=(), limit=0) is not None


def leave_behind(link: Link, keys: Iterable[Any] | None, names: Any) -> None:
    """Keep recordings in this process: their recorder or cluster is about to go."""
    held = held_recordings(link, keys, MOST_LEFT, names, LEFT_BYTES)
    for recording in reversed(held.recordings):
        if recording.frames:
            _left[recording.key] = (_address(link), recording)
            _left.move_to_end(recording.key)
    while len(_left) > MOST_LEFT:
        _left.popitem(last=False)


def left_behind(key: Any, when: datetime | None) -> Recording | None:
    """A recording that was kept; none of an earlier failure of the same key."""
    _, found = _left.get(key, ("", None))
    if found is None or when is None:
        return found
    apart = abs((found.when - when).total_seconds())
    return found if apart < SAME_TIME else None


def is_anything_left() -> bool:
    """Whether any recording was kept in this process."""
    return bool(_left)


def all_left(link: Link | None, keys: list[Any] | None, limit: int) -> Recordings:
    """What was kept in this process, the newest first.

    Parameters
    ----------
    link : Link or None
        To a cluster whose recorder is off; None: there is no cluster, so of any.
    keys : list of Key, optional
        Only of these tasks.
    limit : int
    """
    found = [
        recording
        for address, recording in reversed(_left.values())
        if (link is None or address == _address(link))
        and (keys is None or any(_is_key(recording.key, key) for key in keys))
    ]
    if link is None:
        note = "there is no cluster to look at"
    else:
        note = "the recorder is off: dbgkit.record() turns it on"
    if found:
        it = "the recorder" if link is None else "it"
        note += f"; these were kept in this process as {it} was turned off"
    return Recordings(
        tuple(found[:limit]), omitted=max(0, len(found) - limit), notes=(note,)
    )


def without_recording(
    link: Link | None, keys: list[Any], held: Recordings
) -> list[Any]:
    """Those of some keys of which there is no recording.

    Parameters
    ----------
    link : Link or None
    keys : list of Key
    held : Recordings
        What was found when these were asked for.
    """
    missing = [
        key
        for key in keys
        if not any(_is_key(each.key, key) for each in held.recordings)
    ]
    if not (missing and held.omitted):
        return missing
    if link is None or held.since is None:
        rest = all_left(link, keys, MOST_LEFT)
        return without_recording(link, keys, rest)
    return [
        key
        for key in missing
        if not (_ask(link, "list", keys=[key], limit=0) or {}).get("omitted")
    ]


def _is_key(key: Any, asked: Any) -> bool:
    """Whether a key is the one that was asked for, which may be its text."""
    if isinstance(asked, str) and str(key) == asked:
        return True
    return isinstance(asked, (bytes, int, float, tuple)) and bool(key == asked)


def _address(link: Link) -> str:
    """Of the scheduler that a link's client was connected to."""
    return str(getattr(link.client.scheduler, "address", ""))


def _with_source(frame: FrameSummary) -> FrameSummary:
    """A frame of a notebook's cell, whose source this process alone has.

    The file of a cell is named by a digest of its text.
    """
    cell = any(part in frame.filename for part in ("ipykernel_", "<ipython-input-"))
    if frame.source or not cell:
        return frame
    lines = linecache.getlines(frame.filename)[: frame.lineno + AROUND]
    first = max(0, frame.lineno - AROUND - 1)
    shown = redact_lines([line.rstrip() for line in lines], skip=first)
    return replace(frame, source=tuple(enumerate(shown, first + 1)))


def held_recordings(
    link: Link,
    keys: Iterable[Any] | None,
    limit: int,
    names: Callable[[Any], str],
    nbytes: int = FETCHED_AT_ONCE,
) -> Recordings:
    """What the recorder holds, the newest first.

    Parameters
    ----------
    link : Link
    keys : iterable of Key, optional
        Only of these tasks.
    limit : int
    names : callable
        From a key to the task in human words.
    nbytes : int
        The most bytes to fetch; recordings beyond are headers with a gap.
    """
    start = datetime.now(timezone.utc)
    wanted = None if keys is None else list(keys)
    listed = _ask(link, "list", keys=wanted, limit=limit)
    if listed is None:
        return all_left(link, wanted, limit)
    headers = listed["headers"]
    packed = _ask(
        link,
        "fetch",
        numbers=[header["number"] for header in headers if header["size"]],
        nbytes=nbytes,
    )
    notes: list[str] = []
    found = []
    for header in headers:
        content = None
        data = (packed or {}).get(header["number"])
        if data is not None:
            content = unpack(data)
            if content["format"] != FORMAT:
                notes.append(f"{header['key']!r} was recorded by another version")
                content = None
        elif header["size"]:
            header = {**header, "gap": "left out of this answer: ask for its key"}
        recording = recording_from_wire(header, content, names(header["key"]))
        frames = tuple(map(_with_source, recording.frames))
        found.append(replace(recording, frames=frames))
    counts = listed["counts"]
    return Recordings(
        tuple(found),
        omitted=listed["omitted"],
        failures=counts.get("failures", 0),
        gaps=counts.get("gaps", 0),
        dropped=counts.get("dropped", 0),
        held=listed["held"],
        hold=listed["hold"],
        kept_inputs=listed["inputs"]["kept"],
        kept_bytes=listed["inputs"]["nbytes"],
        since=datetime.fromtimestamp(listed["since"], tz=timezone.utc),
        span=Span(start, datetime.now(timezone.utc)),
        notes=tuple(notes),
    )


def _ask(link: Link, verb: str, **options: Any) -> Any:
    """Ask the scheduler's part; None where there is none."""
    question = {"name": recorder_name(), "verb": verb, "options": options}
    return link.question("recorder", question)["answer"]
