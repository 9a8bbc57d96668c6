"""Failures that are alike, while they are being counted."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..common.texts import Signature, filled

if TYPE_CHECKING:
    from ..common.wire_failures import Fact, GroupForm, HistoryEntry

SAMPLE = 10  # keys of one group
SAMPLE_TEXT = 2_000  # characters of all of them
MOST_WORKERS = 20  # of one group
MESSAGE = 1_000  # characters of one message
TRACEBACK = 8_000  # characters of one
MOST_SEEN = 1_000  # different messages of one group that are told apart
MOST_SHOWN = 4  # of them
TRACEBACKS = 100_000  # characters of all tracebacks


# When one failed, its key as text, its position, and its key, which may be unorderable.
Place = tuple[float, str, int, Any]


def _order(place: Place) -> tuple[float, str, int]:
    return place[:3]


class Row(NamedTuple):
    """What a report needs of one root cause, kept because its texts are slow to read.

    ``handed`` is what it may have received from tasks that it had submitted (see
    ``inner_identities``). ``parts`` is what varies in its message.
    ``follows``: it is what others of a collective raise as one of them fails.
    ``killed``: it raised nothing, its workers died.
    """

    alike: Signature
    parts: tuple[str, ...]
    name: str
    workers: tuple[str, ...]
    handed: tuple[Any, ...]
    follows: bool
    killed: bool


class Messages:
    """The messages of one group, which differ in some of their parts only.

    Attributes
    ----------
    seen : dict
        The parts of the different ones, at most `MOST_SEEN`, in order.
    constant : list of str or None
        Parts that all have, None where they differ; None if some have more than others.
    """

    def __init__(self, words: str) -> None:
        self.words = words
        self.seen: dict[tuple[str, ...], None] = {}
        self.constant: list[str | None] | None = None

    def add(self, parts: tuple[str, ...]) -> None:
        """Count a message; next to nothing for one that was there already."""
        if parts in self.seen or len(self.seen) >= MOST_SEEN:
            return
        if not self.seen:
            self.constant = [*parts]
        elif self.constant is not None:
            if len(parts) != len(self.constant):
                self.constant = None
            else:
                pairs = zip(self.constant, parts, strict=True)
                self.constant = [a if a == b else None for a, b in pairs]
        self.seen[parts] = None

    def absorb(self, other: Messages) -> None:
        for parts in other.seen:
            self.add(parts)

    @property
    def pattern(self) -> str:
        """What all have in common, "…" for what differs."""
        return filled(self.words, () if self.constant is None else self.constant)

    @property
    def sample(self) -> list[str]:
        """Some of them, if there is more than one."""
        if len(self.seen) < 2:
            return []
        # In an order of their own: a dump has the tasks in another one.
        sample = nsmallest(MOST_SHOWN, self.seen)
        return [filled(self.words, parts) for parts in sample]


class Group:
    """Failures that are alike, while they are being counted."""

    def __init__(self, alike: Signature) -> None:
        self.alike = alike
        self.count = 0
        self.cascaded = 0
        self.forgotten = 0
        self.again = 0
        self.workers: dict[str, None] = {}
        self.first: float | None = None
        self.last: float | None = None
        # A sample of the earliest, so that a dump shows the same keys. What has no
        # time failed before all that has one.
        self.keys: list[Place] = []
        # The earliest that the scheduler still has, and that it has forgotten.
        self.present: Place | None = None
        self.entry: HistoryEntry | None = None
        self.messages = Messages(alike[1])
        self.own = False  # whether it concerns the client that asks
        # What is left of the tasks that those of the group had submitted, by key.
        self.submitted: dict[Any, HistoryEntry] = {}

    def add(self, key: Any, row: Row, when: float | None, cascaded: int) -> None:
        self.cascaded += cascaded
        place = (when or 0.0, row.name, self.count, key)
        if self.present is None or place < self.present:
            self.present = place
        self.messages.add(row.parts)
        self._count(place, when, row.workers)

    def add_forgotten(self, entry: HistoryEntry, parts: tuple[str, ...]) -> None:
        again = "now" in entry
        self.again += again
        self.forgotten += not (again or entry.get("carried"))
        self.messages.add(parts)
        when = entry["when"] or 0.0
        if self.entry is None or when < (self.entry["when"] or 0.0):
            self.entry = entry
        place = (when, str(entry["key"]), self.count, entry["key"])
        self._count(place, when, entry["erred_on"])

    def _count(self, place: Place, when: float | None, workers: Iterable[str]) -> None:
        self.count += 1
        for worker in workers:
            self.workers[worker] = None
        if when is not None:
            self.first = when if self.first is None or when < self.first else self.first
            self.last = when if self.last is None or when > self.last else self.last
        if len(self.keys) < SAMPLE or place < self.keys[-1]:
            bisect.insort(self.keys, place)
            del self.keys[SAMPLE:]

    def absorb(self, other: Group) -> None:
        """Count the failures of another group as this one's own."""
        self.count += other.count
        self.cascaded += other.cascaded
        self.forgotten += other.forgotten
        self.again += other.again
        self.workers.update(other.workers)
        self.submitted.update(other.submitted)
        self.messages.absorb(other.messages)
        self.own = self.own or other.own
        self.first = min(_known(self.first, other.first), default=None)
        self.last = max(_known(self.last, other.last), default=None)
        self.keys = sorted([*self.keys, *other.keys], key=_order)[:SAMPLE]
        present = _known(self.present, other.present)
        self.present = min(present, key=_order, default=None)
        entries = _known(self.entry, other.entry)
        self.entry = min(entries, key=lambda each: each["when"] or 0.0, default=None)

    @property
    def bystanders(self) -> bool:
        """Whether they were only on a worker that another task killed."""
        return self.alike[:2] == ("KilledWorker", "bystander")

    def rank(self) -> tuple[Any, ...]:
        """Those of whoever asks first, then the newest, then the most frequent.

        Those that only were there as another task killed the worker come last.
        """
        place = -(self.last or 0.0), -self.count, self.alike[:2]
        return self.bystanders, not self.own, *place

    def to_wire(self, example: Fact, traceback: int) -> GroupForm:
        """The group; its example's traceback is cut to so many characters."""
        kind, _, place = self.alike
        workers = sorted(self.workers)
        keys = sample_of(key for *_, key in self.keys)
        text, frames = example["exception_text"], example["traceback_text"]
        most = min(TRACEBACK, traceback)
        return {
            "exception_type": kind,
            "message": cut(self.messages.pattern, MESSAGE),
            "messages": [cut(each, MESSAGE) for each in self.messages.sample],
            "different": len(self.messages.seen),
            "place": place,
            "count": self.count,
            "cascaded": self.cascaded,
            "forgotten": self.forgotten,
            "again": self.again,
            "workers": workers[:MOST_WORKERS],
            "omitted_workers": max(0, len(workers) - MOST_WORKERS),
            "first": self.first,
            "last": self.last,
            "keys": keys,
            "omitted_keys": self.count - len(keys),
            "example": {
                **example,
                "exception_text": cut(text, MESSAGE),
                "traceback_text": cut(frames, most),
                "cause_text": cut(example["cause_text"], MESSAGE),
                "cause_frames": cut(example["cause_frames"], most),
            },
            "example_forgotten": self.present is None,
        }


T = TypeVar("T")


def _known(*values: T | None) -> list[T]:
    return [each for each in values if each is not None]


Groups = dict[Signature, Group]


def group_of(groups: Groups, alike: Signature) -> Group:
    """The group of what is alike, a new one where there is none."""
    group = groups.get(alike)
    if group is None:
        group = groups[alike] = Group(alike)
    return group


def cut(text: str, limit: int) -> str:
    """A text without its middle, if it is too long; what is left out is counted."""
    if len(text) <= limit:
        return text
    head = limit // 3
    tail = limit - head
    lost = len(text) - limit
    return f"{text[:head]}\n  … {lost:,} characters left out …\n{text[-tail:]}"


def sample_of(keys: Iterable[Any]) -> list[Any]:
    """The first keys, as far as they are short enough to be sent and shown."""
    sample: list[Any] = []
    size = 0
    for key in keys:
        if len(sample) == SAMPLE or size > SAMPLE_TEXT:
            break
        sample.append(key)
        size += len(str(key))
    return sample
