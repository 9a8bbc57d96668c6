"""What runs inside the scheduler: holds recordings, within bounds.

Recordings come as events of one topic. They are taken out of the scheduler's own list
of events at once, and never unpacked here.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from time import time
from types import MappingProxyType
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

from .kept_inputs import KeptInputs
from .keys import as_key

VERBS = ("list", "fetch", "configure", "remove")
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
        Bytes to hold at the most.
    keep_inputs : int
        Bytes of the inputs of failed tasks to keep on the workers at the most.
    limits : mapping, optional
        Of one recording, as the workers have them.
    """

    def __init__(
        self,
        name: str,
        hold: int,
        keep_inputs: int = 0,
        limits: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self.hold = hold
        self.limits = dict(limits)
        self.inputs = KeptInputs(name, keep_inputs)
        self._clear()

    def _clear(self) -> None:
        self.held = 0
        self.number = 0
        # By kind, oldest first; what is dropped is the oldest of the largest kind.
        self.kinds: dict[str, deque[dict[str, Any]]] = {}
        self.largest: list[tuple[int, str]] = []  # a heap
        self.gaps: deque[dict[str, Any]] = deque(maxlen=MOST_GAPS)
        self.counts: Counter[str] = Counter()
        self.since = time()

    async def start(self, scheduler: Any) -> None:
        self.scheduler = scheduler
        for verb in VERBS:
            scheduler.handlers[f"{self.name}-{verb}"] = getattr(self, f"on_{verb}")

    async def on_remove(self) -> None:
        """Take the handlers off, and forget all: no plugin is told that it went."""
        for verb in VERBS:
            self.scheduler.handlers.pop(f"{self.name}-{verb}", None)
        _forget_events(self.scheduler, self.name)
        self.inputs.release(self.scheduler)
        self._clear()

    def restart(self, scheduler: Any) -> None:
        """Called as a client restarts the cluster: no task is there any more."""
        self.inputs.sizes.clear()

    async def before_close(self) -> None:
        await self.on_remove()

    def log_event(self, topic: str, msg: Any) -> None:
        """Called by the scheduler for each event of any topic."""
        if topic != self.name:
            return
        _forget_events(self.scheduler, self.name)
        self.add(dict(msg))
        self.inputs.keep(self.scheduler, as_key(msg["key"]))

    def add(self, event: dict[str, Any]) -> None:
        """Take one recording in, and drop what is then too much."""
        self.number += 1
        event["key"] = as_key(event["key"])
        event["number"] = self.number
        event["when"] = time()  # by the clock that failures are told by
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

    def _events(self) -> list[dict[str, Any]]:
        found = [event for events in self.kinds.values() for event in events]
        return sorted([*found, *self.gaps], key=lambda event: -event["number"])

    async def on_list(
        self, keys: Iterable[Any] | None = None, limit: int = 50
    ) -> dict[str, Any]:
        """Headers of recordings, the newest first, and what is not held any more.

        Parameters
        ----------
        keys : iterable of Key, optional
            Only of these tasks.
        limit : int
        """
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
            "headers": [
                {**{k: v for k, v in event.items() if k != "packed"}, "size": size}
                for event in events[:limit]
                for size in (len(event["packed"]),)
            ],
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
            "settings": {
                **self.limits,
                "hold": self.hold,
                "keep_inputs": self.inputs.limit,
            },
        }

    async def on_configure(
        self, hold: int, keep_inputs: int, limits: dict[str, Any], plugin: bytes
    ) -> None:
        """Change the settings of a recorder that is on; what it holds stays.

        Parameters
        ----------
        hold, keep_inputs : int
        limits : dict
            Of one recording.
        plugin : bytes
            The workers' part with these limits, for those that join later.
        """
        self.hold, self.inputs.limit, self.limits = hold, keep_inputs, limits
        self._trim()
        self.inputs.trim(self.scheduler)
        replace_worker_plugin(self.scheduler, self.name, plugin)
        told = {"op": f"{self.name}-configure", "limits": limits}
        # One that goes away meanwhile needs none.
        await self.scheduler.broadcast(msg=told, on_error="ignore")

    async def on_fetch(
        self, numbers: Iterable[int] = (), nbytes: int = 32_000_000
    ) -> dict[int, bytes]:
        """Recordings by their numbers, as they came, of so many bytes at the most."""
        wanted, found = set(numbers), {}
        for event in self._events():
            if event["number"] in wanted and event["packed"]:
                nbytes -= len(event["packed"])
                if nbytes < 0:
                    break
                found[event["number"]] = event["packed"]
        return found


def _cost(event: dict[str, Any]) -> int:
    """Bytes that one recording takes here."""
    texts = sum(len(text) for text in event.values() if isinstance(text, str))
    return len(event["packed"]) + 2 * texts + OVERHEAD


def replace_worker_plugin(scheduler: Any, name: str, plugin: bytes) -> None:
    """Have workers that join later start with another plugin of this name.

    ``Scheduler.worker_plugins`` (distributed/scheduler.py) has each as it was pickled.
    """
    scheduler.worker_plugins[name] = plugin


def _forget_events(scheduler: Any, topic: str) -> None:
    """Take the events of a topic out of the scheduler's own list.

    ``Scheduler._broker`` (distributed/broker.py) keeps 1,000 of each topic, whatever
    their size.
    """
    scheduler._broker._topics.pop(topic, None)
