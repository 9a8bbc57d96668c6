"""Holds recordings, within bounds.

Recordings arrive as events of one topic. They are removed from the scheduler's own list
of events at once, and never unpacked here.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from time import time
from typing import TYPE_CHECKING, Any, cast

from distributed.diagnostics.plugin import SchedulerPlugin

from ..common.handlers import Handler
from ..common.keys import as_key
from .dashboard_place import page_of
from .leftovers import forget_events
from .recordings_inputs import KeptInputs
from .recordings_switch import Switch, merged, plain

if TYPE_CHECKING:
    from ..common.wire_recordings import (
        Here,
        IsOff,
        IsOn,
        ListedHeader,
        OtherSettings,
        RecorderSettings,
        RecordingEvent,
        RecordingsForm,
    )

VERBS = ("list", "fetch", "on", "off")
MOST_GAPS = 1_000  # recordings without content: a header each
MOST_LISTED = 1_000
OVERHEAD = 1_500  # bytes of the objects around a recording, measured


class RecordStore(SchedulerPlugin):  # type: ignore[misc]
    """Holds recordings, and answers for them.

    Parameters
    ----------
    name : str
        Of the handlers, and the topic of the events; unique to one version.
    hold : int
        Bytes to hold at most.
    deaths : (str, bytes)
        Name of the part that watches deaths, and that part, pickled: it comes and
        goes with this one.
    """

    def __init__(
        self, name: str, hold: int = 0, deaths: tuple[str, bytes] = ("", b"")
    ) -> None:
        self.name = name
        self.hold = hold
        self.deaths = deaths
        self.scheduler: Any = None
        self.settings: RecorderSettings = {}
        self.inputs = KeptInputs(name, 0)
        self._clear()

    def _clear(self) -> None:
        self.held = 0
        self.number = 0
        # By kind, oldest first; what is dropped is the oldest of the largest kind.
        self.kinds: dict[str, deque[RecordingEvent]] = {}
        self.largest: list[tuple[int, str]] = []  # a heap
        self.gaps: deque[RecordingEvent] = deque(maxlen=MOST_GAPS)
        self.counts: Counter[str] = Counter()
        self.since = time()

    async def start(self, scheduler: Any) -> None:
        """Called again as the scheduler starts, where a preload has put it there."""
        if self.scheduler is None:
            self.scheduler = scheduler
            self.switch = Switch(scheduler, self.name, self, self.deaths)
            self.add_handlers()

    def add_handlers(self) -> None:
        for verb in VERBS:
            self.scheduler.handlers[f"{self.name}-{verb}"] = getattr(self, f"on_{verb}")
        # The only one that workers call, and not our own part here.
        name = f"{self.name}-here"
        self.scheduler.handlers[name] = Handler(name, self, "on_here")

    def remove_handlers(self) -> None:
        """Remove them, as unregistering a plugin does not notify the plugin."""
        for verb in (*VERBS, "here"):
            self.scheduler.handlers.pop(f"{self.name}-{verb}", None)
        forget_events(self.scheduler, self.name)

    def forget(self) -> None:
        """Forget all that is held."""
        forget_events(self.scheduler, self.name)
        self.inputs.release(self.scheduler)
        self._clear()

    async def on_on(
        self,
        owner: str,
        token: str,
        given: RecorderSettings,
        settings: RecorderSettings,
        plugin: bytes,
        limit: float,
        page: bytes | None = None,
    ) -> OtherSettings | IsOn:
        """Turn the recorder on; if it is, it takes the given settings.

        Parameters
        ----------
        owner, token : str
            Who wants it, and for which use.
        given : mapping
            Settings that are asked for.
        settings : mapping
            All of them, as the plugin has them.
        plugin : bytes
            The workers' part.
        limit : float
            Seconds to wait for the workers.
        page : bytes, optional
            The part that shows a page, if it is to be there.

        Returns
        -------
        dict
            ``was_on``, where the ``page`` is, and what `Switch.on` returns. Or
            ``settings``: the plugin has to be made with these, and sent again.
        """
        wanted = plain(settings)
        if self.switch.is_on:
            wanted = merged(self.settings, given)
            if wanted not in (self.settings, plain(settings)):
                return {"settings": wanted}
        was_on, changed = self.switch.is_on, wanted != self.settings
        if not was_on:
            self._clear()
        limits = self._take(wanted)
        sent = plugin if changed or not was_on else None
        without = await self.switch.on(owner, token, sent, limits, page, limit)
        return {"was_on": was_on, "page": page_of(self.scheduler), **without}

    def _take(self, settings: RecorderSettings) -> RecorderSettings:
        """Take settings; returns those of one recording, for the workers."""
        limits = settings.copy()
        self.settings = settings
        self.hold, self.inputs.limit = limits.pop("hold"), limits.pop("keep_inputs")
        limits.pop("dashboard")
        self._trim()
        self.inputs.trim(self.scheduler)
        return limits

    async def on_off(
        self, owner: str, keep: Collection[str], orphans: bool, limit: float
    ) -> IsOff:
        """Turn it off, unless somebody else wants it: see `Switch.off`."""
        return await self.switch.off(owner, keep, orphans, limit)

    async def on_here(self, address: str) -> Here:
        """A worker's part has been set up: see `Spread.heard`."""
        return {"settings": self.switch.spread.heard(address)}

    def add_worker(self, scheduler: Any, worker: str) -> None:
        if self.switch.is_on:
            self.switch.spread.joined(worker)

    def remove_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
        self.switch.spread.left(worker)

    def restart(self, scheduler: Any) -> None:
        """Called as a client restarts the cluster: no task is left."""
        self.inputs.sizes.clear()

    async def before_close(self) -> None:
        self.switch.spread.close()
        self.forget()
        self.remove_handlers()

    def log_event(self, topic: str, msg: Any) -> None:
        """Called by the scheduler for each event of any topic."""
        if topic != self.name:
            return
        forget_events(self.scheduler, self.name)
        if "parted" in msg:
            self.switch.spread.parted(msg["parted"])
            return
        if not self.switch.is_on:
            return  # it was on its way
        event = recording_event(msg)
        if event is None:
            return
        self.add(event)
        self.inputs.keep(self.scheduler, event["key"])

    def add(self, event: RecordingEvent) -> None:
        """Take one recording in, and drop what is then too much."""
        self.number += 1
        event["number"] = self.number
        event["when"] = time()  # by the clock that failures are logged by
        self.counts["failures"] += 1
        if not event["packed"]:
            self.counts["gaps"] += 1
            self.gaps.append(event)
            return
        self.held += _cost(event)
        events = self.kinds.setdefault(event["kind"], deque())
        events.append(event)
        heapq.heappush(self.largest, (-len(events), event["kind"]))
        if len(self.largest) > 4 * len(self.kinds) + 1_000:
            self.largest = [(-len(each), kind) for kind, each in self.kinds.items()]
            heapq.heapify(self.largest)
        self._trim()

    def _trim(self) -> None:
        while self.held > self.hold:
            self._drop()

    def _drop(self) -> None:
        """Drop the oldest of the most frequent kind.

        The heap has an entry for each length that a kind has had; those that are out
        of date are skipped.
        """
        size, kind = heapq.heappop(self.largest)
        events = self.kinds.get(kind)
        if events is None or len(events) != -size:
            return
        dropped = events.popleft()
        if events:
            heapq.heappush(self.largest, (-len(events), kind))
        else:
            del self.kinds[kind]
        self.held -= _cost(dropped)
        self.counts["dropped"] += 1

    def _events(self) -> list[RecordingEvent]:
        found = [event for events in self.kinds.values() for event in events]
        return sorted([*found, *self.gaps], key=lambda event: -event["number"])

    async def on_list(
        self, keys: Iterable[Any] | None = None, limit: int = 50
    ) -> RecordingsForm | None:
        """Headers of recordings, of all or some tasks, and what is no longer held.

        The newest come first. None while it is off, and only waits for the workers to
        be off.
        """
        if not self.switch.is_on:
            return None
        events = self._events()
        if keys is not None:
            wanted = {as_key(key) for key in keys}
            spelled = {key for key in wanted if isinstance(key, str)}
            events = [
                event
                for event in events
                if event["key"] in wanted or str(event["key"]) in spelled
            ]
        limit = min(limit, MOST_LISTED)
        return {
            "headers": list(map(_header, events[:limit])),
            "omitted": max(0, len(events) - limit),
            "counts": dict(self.counts),
            "held": self.held,
            "hold": self.hold,
            "inputs": {
                "kept": len(self.inputs.sizes),
                "nbytes": self.inputs.nbytes,
                "dropped": self.inputs.dropped,
            },
            "since": self.since,
        }

    async def on_fetch(
        self, numbers: Iterable[int] = (), nbytes: int = 32_000_000
    ) -> dict[int, bytes]:
        """Recordings by their numbers, in order, of at most so many bytes."""
        wanted, found = set(numbers), {}
        for event in self._events():
            if event["number"] in wanted and event["packed"]:
                nbytes -= len(event["packed"])
                if nbytes < 0:
                    break
                found[event["number"]] = event["packed"]
        return found


def _header(event: RecordingEvent) -> ListedHeader:
    """A recording without its content."""
    header: Any = {name: value for name, value in event.items() if name != "packed"}
    return cast("ListedHeader", {**header, "size": len(event["packed"])})


def recording_event(msg: Any) -> RecordingEvent | None:
    """One recording out of an event of its topic; None if no recorder sent it.

    Anyone who reaches a scheduler can log events of any topic.
    """
    if not isinstance(msg, Mapping):
        return None
    event: Any = {name: msg.get(name) for name in ("key", *_FIELDS)}
    event["key"] = as_key(event["key"])
    try:
        hash(event["key"])
    except TypeError:
        return None
    whole = all(type(event[name]) is kind for name, kind in _FIELDS.items())
    return cast("RecordingEvent", event) if whole else None


_FIELDS = {
    "carried": bool,
    "exception_type": str,
    "gap": str,
    "kind": str,
    "left_out": int,
    "message": str,
    "packed": bytes,
    "pid": int,
    "worker": str,
}


def _cost(event: RecordingEvent) -> int:
    """Bytes that one recording takes here."""
    texts = sum(len(text) for text in event.values() if isinstance(text, str))
    return len(event["packed"]) + 2 * texts + OVERHEAD
