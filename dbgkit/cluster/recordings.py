"""The client's side of the recorder: on, off, and what it holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from threading import Lock
from typing import Any

from distributed.protocol.pickle import dumps

from dbgkit import advice
from dbgkit.cluster.dashboard import page_link
from dbgkit.cluster.extension import extension_name
from dbgkit.cluster.link import Link
from dbgkit.cluster.shapes import fits
from dbgkit.cluster.shipping import (
    ShippedPlugin,
    ShippedWorkerPlugin,
    deaths_name,
    recorder_name,
)
from dbgkit.errors import RecorderBroken
from dbgkit.model import (
    MALFORMED,
    Recording,
    Recordings,
    Span,
    SwitchedOff,
    SwitchedOn,
    recording_from_wire,
)
from dbgkit.remote.common.wire_recordings import ListedHeader, RecorderSettings
from dbgkit.remote.recording.packing import FORMAT, unpack
from dbgkit.remote.scheduler.foresight import contents_question
from dbgkit.remote.scheduler.recordings_switch import page_name

FETCHED_AT_ONCE = 32_000_000  # bytes
MOST_LEFT = 50  # recordings that outlive their recorder in this process
LEFT_BYTES = 5_000_000
MOST_TRIES = 20  # to agree on settings with others who change them
START_LIMIT = 20.0  # seconds for workers to answer as it is turned on,
END_LIMIT = 10.0  # and off
_SCHEDULERS = ("hold", "keep_inputs", "dashboard")  # settings of its part alone
PRELOADED = "preload"  # who wants the recorder of a scheduler that was started with it
SAME_TIME = 1.0  # seconds between a failure and its recording, at the scheduler

# Recordings of recorders that were turned off, and of clusters that went as an
# exception was raised: the scheduler's address, and the recording, by key.
_left: OrderedDict[Any, tuple[str, Recording]] = OrderedDict()
_leaving = Lock()


def switch_on(
    link: Link, given: RecorderSettings, defaults: RecorderSettings, token: str
) -> SwitchedOn:
    """Put the recorder on the scheduler and on all workers, later ones too.

    If it is on, it takes the settings that are given: limits of one recording (see
    ``remote.recording.take.Limits``), ``hold`` and ``keep_inputs``, in bytes. It stays
    on until everybody who turned it on has turned it off; ``token`` names this use
    among others of the same client. If it fails on a worker as it starts, it is turned
    off again, and `RecorderBroken` says so.
    """
    name = recorder_name()
    store = dumps(_store())
    settings: RecorderSettings = {**defaults, **given}
    for _ in range(MOST_TRIES):
        question = {
            "name": name,
            "verb": "on",
            "plugin": store,
            "options": {
                "owner": link.client.id,
                "token": token,
                "given": dict(given),
                "settings": settings,
                "plugin": dumps(_worker_part(settings)),
                "limit": patience(link, START_LIMIT),
                "page": _page(settings),
            },
        }
        answer = link.question("recorder", question)["answer"]
        if "settings" not in answer:
            break
        settings = answer["settings"]  # it is on, and had others
    else:
        raise RecorderBroken(
            "another client changes the recorder's settings as soon as they are set",
            "try again, or find out which client does so",
        )
    if answer["broken"]:
        where, why = next(iter(answer["broken"].items()))
        raise RecorderBroken(
            f"the recorder does not start on {where}, so it is off: {why}",
            "workers need Python 3.10 or newer: "
            f"{advice.call('doctor')} compares versions",
        )
    page = page_link(link.client, answer["page"])
    return SwitchedOn(answer["was_on"], answer["without"], page)


def patience(link: Link, most: float) -> float:
    """Seconds for workers to answer, so that the scheduler's answer is in time too."""
    return min(most, link.left() * 0.7)


async def preload(scheduler: Any, settings: RecorderSettings) -> None:
    """Put the recorder on a scheduler from within its own process.

    ``Scheduler.register_scheduler_plugin`` (distributed/scheduler.py) is what a
    client's call ends in.
    """
    name = recorder_name()
    await scheduler.register_scheduler_plugin(
        dumps(_store()), name=name, idempotent=True
    )
    await scheduler.handlers[f"{name}-on"](
        owner=PRELOADED,
        token="",
        given=settings,
        settings=settings,
        plugin=dumps(_worker_part(settings)),
        limit=0.0,
        page=_page(settings),
    )


def _store() -> ShippedPlugin:
    """The scheduler's part, which installs all others."""
    from dbgkit.cluster.deaths import death_watch

    deaths = (deaths_name(), dumps(death_watch()))
    return ShippedPlugin(
        "scheduler.recordings_store", "RecordStore", recorder_name(), 0, deaths
    )


def _page(settings: RecorderSettings) -> bytes | None:
    """The part that shows a page on the scheduler's HTTP server, if it is wanted."""
    if not settings["dashboard"]:
        return None
    extension = extension_name()
    answering = dumps(ShippedPlugin("scheduler.extension", "Extension", extension))
    parts = (recorder_name(), deaths_name(), (extension, answering))
    page: bytes = dumps(ShippedPlugin("scheduler.dashboard", "Dashboard", *parts))
    return page


def _worker_part(settings: RecorderSettings) -> ShippedWorkerPlugin:
    limits = {k: v for k, v in settings.items() if k not in _SCHEDULERS}
    name, deaths = recorder_name(), deaths_name()
    return ShippedWorkerPlugin("worker.recorder", "Recorder", name, limits, deaths)


def switch_off(link: Link, keep: Iterable[str] = (), *, orphans: bool) -> SwitchedOff:
    """Remove the recorder everywhere, unless somebody else wants it.

    What it holds goes with it, and so do remains of one that was only half removed.
    ``keep`` has the tokens of this client's uses that go on; with ``orphans``, the
    claims of clients that are no longer connected are dropped too.
    """
    question = {
        "name": recorder_name(),
        "verb": "off",
        "plugin": dumps(_store()),
        "remains": [deaths_name(), page_name(recorder_name())],
        "options": {
            "owner": link.client.id,
            "keep": list(keep),
            "orphans": orphans,
            "limit": patience(link, END_LIMIT),
        },
    }
    answer = link.question("recorder", question)["answer"]
    if answer is None:  # it was off
        return SwitchedOff()
    return SwitchedOff(answer["others"], answer["without"])


def leave_behind(link: Link, keys: Iterable[Any] | None, names: Any) -> None:
    """Keep recordings in this process: their recorder or cluster is about to go."""
    held = held_recordings(link, keys, MOST_LEFT, names, LEFT_BYTES)
    with _leaving:
        for recording in reversed(held.recordings):
            if recording.frames:
                _left[recording.key] = (_address(link), recording)
                _left.move_to_end(recording.key)
        while len(_left) > MOST_LEFT:
            _left.popitem(last=False)


def left_behind(key: Any, when: datetime | None) -> Recording | None:
    """A kept recording, unless it is of an earlier failure of the same key."""
    with _leaving:
        _, found = _left.get(key, ("", None))
    if found is None or when is None:
        return found
    apart = abs((found.when - when).total_seconds())
    return found if apart < SAME_TIME else None


def is_anything_left() -> bool:
    """Whether any recording was kept in this process."""
    return bool(_left)


def all_left(link: Link | None, keys: list[Any] | None, limit: int) -> Recordings:
    """What was kept in this process, the newest first; without a link, of any cluster.

    The recorder of the link's cluster is off. With ``keys``, only of these tasks.
    """
    with _leaving:
        left = list(reversed(_left.values()))
    found = [
        recording
        for address, recording in left
        if (link is None or address == _address(link))
        and (keys is None or any(_is_key(recording.key, key) for key in keys))
    ]
    if link is None:
        note = "there is no cluster to look at"
    else:
        note = f"the recorder is off: {advice.call('record')} turns it on"
    if found:
        it = "the recorder" if link is None else "it"
        note += f"; these were kept in this process when {it} was turned off"
    return Recordings(
        tuple(found[:limit]), omitted=max(0, len(found) - limit), notes=(note,)
    )


def without_recording(
    link: Link | None, keys: list[Any], held: Recordings
) -> list[Any]:
    """Those of some keys that have no recording; ``held`` is what was found of them."""
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
    """Whether a key is the requested one, which may be given as text."""
    if isinstance(asked, str) and str(key) == asked:
        return True
    return isinstance(asked, (bytes, int, float, tuple)) and bool(key == asked)


def _address(link: Link) -> str:
    """Of the scheduler that a link's client was connected to."""
    return str(getattr(link.client.scheduler, "address", ""))


def held_recordings(
    link: Link,
    keys: Iterable[Any] | None,
    limit: int,
    names: Callable[[Any, str], str],
    nbytes: int = FETCHED_AT_ONCE,
) -> Recordings:
    """What the recorder holds, the newest first; with ``keys``, only of these tasks.

    ``names`` makes the name of a task of its key and a traceback's text. At most
    ``nbytes`` are fetched: recordings beyond are headers with a gap.
    """
    start = datetime.now(timezone.utc)
    wanted = None if keys is None else list(keys)
    listed = _ask(link, "list", keys=wanted, limit=limit)
    if listed is None:
        return all_left(link, wanted, limit)
    # Anybody who reaches a scheduler may have put anything there.
    headers = [each for each in listed["headers"] if fits(ListedHeader, each)]
    question = contents_question(recorder_name(), headers, nbytes)
    packed = link.question("recorder", question)["answer"]
    odd = len(listed["headers"]) - len(headers)
    notes = ["one that cannot be read was left out"] * odd
    found = []
    for header in headers:
        data = (packed or {}).get(header["number"])
        found.append(read_recording(header, data, names, notes))
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


def read_recording(
    header: ListedHeader,
    data: bytes | None,
    names: Callable[[Any, str], str],
    notes: list[str],
) -> Recording:
    """One recording; a header with a gap if its content is not available."""
    content = None
    if data is not None:
        try:
            content = unpack(data)
            if content["format"] != FORMAT:
                notes.append(f"{header['key']!r} was recorded by another version")
                content = None
            else:
                name = names(header["key"], content["traceback_text"])
                return recording_from_wire(header, content, name)
        except MALFORMED:
            header = {**header, "gap": "its content cannot be read"}
    elif header["size"]:
        header = {**header, "gap": "left out of this answer: ask for its key"}
    return recording_from_wire(header, None, names(header["key"], ""))


def _ask(link: Link, verb: str, **options: Any) -> Any:
    """Ask the scheduler's part; None if it is not there."""
    question = {"name": recorder_name(), "verb": verb, "options": options}
    return link.question("recorder", question)["answer"]
