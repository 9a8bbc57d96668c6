"""Failures in groups of one root cause, as a scheduler or a dump has them.

This file is sent to the scheduler as source: standard library and dask only.
Nothing is unpickled, and texts are cut to what is shown.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from dask.utils import key_split

from .facts import failure_fact, history_of
from .frames import own_line_of_text
from .pacing import Pace, is_dump, now_of, slices
from .survey_index import ErredIndex, Row
from .texts import Signature, signature, type_and_message

SAMPLE = 10  # keys of one group
SAMPLE_TEXT = 2_000  # characters of all of them
MOST_WORKERS = 20  # of one group
MESSAGE = 1_000  # characters of one message
TRACEBACKS = 100_000  # characters of all tracebacks
TRACEBACK = 8_000  # characters of one
COMPARED = 10_000  # characters of a text that count for what is alike
PRIVATE = "dbgkit-recompute-"  # keys of replays (replay/recompute.py)


# Failures of one kind have one traceback.
_own_line = lru_cache(maxsize=256)(own_line_of_text)


async def survey_failures(
    state: Any, question: dict[str, Any], index: ErredIndex | None = None
) -> dict[str, Any]:
    """All failures that are known, grouped by what makes them alike.

    Parameters
    ----------
    state : Scheduler or DumpState
    question : dict
        ``limit`` groups; only those since the time ``since``, that the client of
        id ``client`` wants or lost something by, of the span ``span`` (name or id).
    index : ErredIndex, optional
        As kept by the extension; a new one is filled by a pass over all tasks.

    Returns
    -------
    dict
        ``groups`` (see `_Group.to_wire`), ``total``, ``cascaded``, ``healed`` and a
        sample of its keys, ``omitted`` groups, the span of time, and what is missing.
    """
    pace = Pace()
    start = now_of(state)
    index = ErredIndex() if index is None else index
    passed = await index.fill(state, pace)
    history = [entry for entry in history_of(state) if not _is_private(entry["key"])]
    await _find_times(state, index, history, pace)
    missing = {"undated": 0, "unasked": 0, "span_unknown": False}
    wanted = await _chosen(state, question, index, missing, pace)
    groups: dict[Any, _Group] = {}
    since = question.get("since")
    async for part in slices(list(index.members.items()), pace):
        for root, members in part:
            if wanted is not None and root not in wanted:
                continue
            when = index.when.get(root)
            if since is not None and (when is None or when < since):
                missing["undated"] += when is None
                continue
            row = index.rows.get(root) or await _read(state, index, root, pace)
            if row is not None:
                fallen = members - (index.blame.get(root) == root)
                _group_of(groups, row.alike).add(root, row, when, fallen)
    _add_forgotten(state, index, history, groups, wanted, since, missing)
    found = sorted(groups.values(), key=_Group.rank)
    limit = question.get("limit")
    shown = found if limit is None else found[:limit]
    wire = []
    for group in shown:
        example = await _example(state, index, group, pace)
        wire.append(group.to_wire(example, TRACEBACKS // len(shown)))
        await pace.breathe()
    return {
        "groups": wire,
        "omitted": len(found) - len(shown),
        "total": sum(group.count for group in found),
        "cascaded": sum(group.cascaded for group in found),
        "healed": len(index.healed) + index.healed_more,
        "healed_keys": sample_of(index.healed),
        "passed": passed,
        "start": start,
        "end": now_of(state),
        **missing,
    }


class _Group:
    """Failures that are alike, while they are being counted."""

    def __init__(self, alike: Signature) -> None:
        self.alike = alike
        self.count = 0
        self.cascaded = 0
        self.forgotten = 0
        self.workers: dict[str, None] = {}
        self.first: float | None = None
        self.last: float | None = None
        # A sample of the earliest, so that a dump shows the same keys. What has no
        # time failed before all that has one.
        self.keys: list[tuple[float, str, int, Any]] = []
        # The earliest that the scheduler still has, and that it has forgotten.
        self.present: tuple[float, str, int, Any] | None = None
        self.entry: dict[str, Any] | None = None

    def add(self, key: Any, row: Row, when: float | None, cascaded: int) -> None:
        self.cascaded += cascaded
        place = (when or 0.0, row.name, self.count, key)
        if self.present is None or place < self.present:
            self.present = place
        self._count(place, when, row.workers)

    def add_forgotten(self, entry: dict[str, Any]) -> None:
        self.forgotten += 1
        when = entry["when"]
        if self.entry is None or when < self.entry["when"]:
            self.entry = entry
        place = (when, str(entry["key"]), self.count, entry["key"])
        self._count(place, when, entry["erred_on"])

    def _count(
        self,
        place: tuple[float, str, int, Any],
        when: float | None,
        workers: Iterable[str],
    ) -> None:
        self.count += 1
        for worker in workers:
            self.workers[worker] = None
        if when is not None:
            self.first = when if self.first is None or when < self.first else self.first
            self.last = when if self.last is None or when > self.last else self.last
        if len(self.keys) < SAMPLE or place < self.keys[-1]:
            bisect.insort(self.keys, place)
            del self.keys[SAMPLE:]

    def rank(self) -> tuple[Any, ...]:
        """The most frequent first, then the earliest."""
        return -self.count, self.first or 0.0, self.alike[:2]

    def to_wire(self, example: dict[str, Any], traceback: int) -> dict[str, Any]:
        """The group; its example's traceback is cut to so many characters."""
        kind, message, place = self.alike
        workers = sorted(self.workers)
        keys = sample_of(key for *_, key in self.keys)
        text, frames = example["exception_text"], example["traceback_text"]
        return {
            "exception_type": kind,
            "message": cut(message, MESSAGE),
            "place": place,
            "count": self.count,
            "cascaded": self.cascaded,
            "forgotten": self.forgotten,
            "workers": workers[:MOST_WORKERS],
            "omitted_workers": max(0, len(workers) - MOST_WORKERS),
            "first": self.first,
            "last": self.last,
            "keys": keys,
            "omitted_keys": self.count - len(keys),
            "example": {
                **example,
                "exception_text": cut(text, MESSAGE),
                "traceback_text": cut(frames, min(TRACEBACK, traceback)),
            },
            "example_forgotten": self.present is None,
        }


def cut(text: str, limit: int) -> str:
    """A text without its middle, if it is too long; what is left out is counted."""
    if len(text) <= limit:
        return text
    head = limit // 3
    tail = limit - head
    lost = len(text) - limit
    return f"{text[:head]}\n  … {lost:,} characters left out …\n{text[-tail:]}"


async def _example(
    state: Any, index: ErredIndex, group: _Group, pace: Pace
) -> dict[str, Any]:
    """One failure of a group; all that is left of it may be the history's entry."""
    if group.present is not None:
        key = group.present[-1]
        ts = await _task_of(state, index, key, pace)
        if ts is not None:
            return {
                **failure_fact(state, ts, key, None),
                "when": index.when.get(key),
            }
    entry = group.entry or {"key": None, "when": None, "erred_on": []}
    return {
        "exception_text": "",
        "traceback_text": "",
        **entry,
        "asked": entry["key"],
        "exception": None,
        "killed": False,
        "tried": 1,
        "group_size": None,
    }


async def _read(state: Any, index: ErredIndex, root: Any, pace: Pace) -> Row | None:
    """What is shown of a root cause, kept for the next time."""
    if _is_private(root):
        return None
    ts = await _task_of(state, index, root, pace)
    if ts is None:
        return None
    alike = _signature(root, ts.exception_text, ts.traceback_text)
    if not ts.exception_text and ts.suspicious > state.allowed_failures:
        alike = ("KilledWorker", alike[1], alike[2])
    row = Row(alike, str(root), tuple(ts.erred_on or ()))
    if root in index.members:
        index.rows[root] = row
    return row


def _signature(key: Any, text: str | None, frames: str | None) -> Signature:
    """What makes failures alike; without any text, that they ran the same thing."""
    if not text:
        return "", "", ("", key_split(key), 0)
    kind, message = type_and_message(text[:COMPARED])
    return signature(kind, message, _own_line((frames or "")[-COMPARED:]))


def _group_of(groups: dict[Any, _Group], alike: Signature) -> _Group:
    group = groups.get(alike)
    if group is None:
        group = groups[alike] = _Group(alike)
    return group


async def _task_of(state: Any, index: ErredIndex, root: Any, pace: Pace) -> Any:
    """The task of a root cause; it may be forgotten while others keep its blame."""
    ts = state.tasks.get(root)
    if ts is not None and ts.exception_text is not None:
        return ts
    if ts is not None and index.blame.get(root) == root:
        return ts
    async for part in slices(list(index.blame.items()), pace):
        for key, blamed in part:
            fallen = state.tasks.get(key) if blamed == root else None
            if fallen is not None and fallen.exception_blame is not None:
                return fallen.exception_blame
    return ts


async def _find_times(
    state: Any, index: ErredIndex, history: list[dict[str, Any]], pace: Pace
) -> None:
    """Times of what had failed before the index was kept, where something tells."""
    if index.dated:
        return
    times = {entry["key"]: entry["when"] for entry in reversed(history)}
    async for part in slices(list(state.transition_log), pace):
        for entry in part:
            if entry[2] == "erred":
                times[entry[0]] = max(entry[5], times.get(entry[0], 0.0))
    for root in index.members:
        index.when.setdefault(root, times.get(root))
    index.dated = True


async def _chosen(
    state: Any,
    question: dict[str, Any],
    index: ErredIndex,
    missing: dict[str, Any],
    pace: Pace,
) -> set[Any] | None:
    """Root causes that a client or a span is concerned by; None: no such filter."""
    client, span = question.get("client"), question.get("span")
    if client is None and span is None:
        return None
    spans: set[str] = set()
    if span is not None:
        spans, known = _span_ids(state, span)
        missing["span_unknown"] = not known
    chosen = set()
    async for part in slices(list(index.blame.items()), pace):
        for key, root in part:
            ts = state.tasks.get(key)
            if ts is None:
                continue
            if client is not None and not _is_wanted(ts, client):
                continue
            if span is not None and ts.group.span_id not in spans:
                continue
            chosen.add(root)
    return chosen


def _is_wanted(ts: Any, client: str) -> bool:
    return any(cs.client_key == client for cs in ts.who_wants or ())


def _span_ids(state: Any, span: str) -> tuple[set[str], bool]:
    """Ids of the spans of a name or an id, and whether there is any such span.

    distributed.spans.SpansSchedulerExtension; a dump has ids only.
    """
    if is_dump(state):
        return {span}, any(tg.span_id == span for tg in state.task_groups.values())
    spans = getattr(state.extensions.get("spans"), "spans", {})
    stack = [
        each
        for each in spans.values()
        if span == each.id or span in each.name or span == "/".join(each.name)
    ]
    found: set[str] = set()
    while stack:
        each = stack.pop()
        if each.id not in found:
            found.add(each.id)
            stack.extend(each.children)
    return found, bool(found)


def _add_forgotten(
    state: Any,
    index: ErredIndex,
    history: list[dict[str, Any]],
    groups: dict[Any, _Group],
    wanted: set[Any] | None,
    since: float | None,
    missing: dict[str, Any],
) -> None:
    """Failures that are left in the scheduler's history only."""
    seen = set()
    for entry in history:
        key = entry["key"]
        if key in seen or key in index.members:
            continue
        seen.add(key)
        if since is not None and entry["when"] < since:
            continue
        ts = state.tasks.get(key)
        if ts is not None and ts.state == "memory":
            index.heal(key)
        elif wanted is not None:
            missing["unasked"] += 1  # the history has neither clients nor spans
        else:
            alike = _signature(key, entry["exception_text"], entry["traceback_text"])
            _group_of(groups, alike).add_forgotten(entry)


def _is_private(key: Any) -> bool:
    name = key[0] if isinstance(key, tuple) and key else key
    return isinstance(name, str) and name.startswith(PRIVATE)


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
