"""Failures in groups of one root cause, as a scheduler or a dump has them.

This file is sent to the scheduler as source: standard library and dask only.
Nothing is unpickled, and texts are cut to what is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from dask.utils import key_split

from ..common.frame_codes import FrameCode, codes_for, mark_at, own_place
from ..common.pacing import Pace, is_dump, now_of, slices
from ..common.texts import Signature, signature, type_and_message
from .failed import failure_fact, forgotten_fact, history_of
from .failures_followers import Follower, Followers, is_follower_alike
from .failures_groups import TRACEBACKS, Group, group_of, sample_of
from .failures_index import ErredIndex, Row
from .failures_inner import InnerCounts, Waiting
from .failures_joined import join_moved
from .inner import identities
from .leftovers import is_private
from .origins import CameFrom
from .p2p import P2P, as_text, cause_in_shuffle

if TYPE_CHECKING:
    from ..common.wire_failures import (
        Fact,
        Failures,
        FailuresQuestion,
        HistoryEntry,
        Missing,
    )

COMPARED = 10_000  # characters of a text that count for what is alike


async def survey_failures(
    state: Any, question: FailuresQuestion, index: ErredIndex | None = None
) -> Failures:
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
        ``groups`` (see `Group.to_wire`), ``total``, ``cascaded``, ``healed`` and a
        sample of its keys, ``omitted`` groups, the span of time, and what is missing.
    """
    pace = Pace()
    start = now_of(state)
    index = ErredIndex() if index is None else index
    passed = await index.fill(state, pace)
    history = [entry for entry in history_of(state) if not is_private(entry["key"])]
    await index.find_times(state, history, pace)
    missing: Missing = {"undated": 0, "unasked": 0, "span_unknown": False}
    wanted = await _chosen(state, question, index, missing, pace)
    groups: dict[Signature, Group] = {}
    waiting: list[Waiting] = []
    followers = Followers()
    since = question.get("since")

    def is_counted(root: Any) -> bool:
        if wanted is not None and root not in wanted:
            return False
        when = index.when.get(root)
        return since is None or (when is not None and when >= since)

    def count(root: Any, row: Row, when: float | None, members: int) -> None:
        group = group_of(groups, row.alike)
        group.add(root, row, when, members - (index.blame.get(root) == root))
        followers.note(root, when, group)

    def count_forgotten(entry: HistoryEntry, alike: Signature) -> None:
        group = group_of(groups, alike)
        group.add_forgotten(entry)
        followers.note(entry["key"], entry["when"], group)

    # As it is now: what is forgotten meanwhile is not counted by the history as well.
    known = dict(index.members)
    async for part in slices(list(known.items()), pace):
        for root, members in part:
            if wanted is not None and root not in wanted:
                continue
            when = index.when.get(root)
            if since is not None and (when is None or when < since):
                missing["undated"] += when is None
                continue
            row = index.rows.get(root) or await _read(state, index, root, pace)
            if row is None:
                known.pop(root)
                continue
            if when is not None and is_follower_alike(row.alike):
                followers.add(Follower(root, when, members, row))
            elif row.handed:
                waiting.append(Waiting(root, row, when, members))
            else:
                count(root, row, when, members)

    async def read(root: Any) -> Row | None:
        return index.rows.get(root) or await _read(state, index, root, pace)

    async def read_mark(group: Group) -> str:
        return await _mark(state, index, group, pace)

    history = [
        _with_cause(index, entry) for entry in history if entry["key"] not in known
    ]
    inner = InnerCounts(state, index, groups, is_counted, read, followers.note)
    await inner.fill(waiting, history, pace)
    left = _left_of_forgotten(state, index, history, wanted, since, missing, inner)
    for entry, alike in left:
        if is_follower_alike(alike):
            followers.add(Follower(entry["key"], entry["when"] or 0.0, 1, entry))
        else:
            count_forgotten(entry, alike)
    async for alone in followers.placed(state, pace):
        if isinstance(alone.told, Row):
            count(alone.key, alone.told, alone.when, alone.members)
        else:
            count_forgotten(alone.told, _alike_of_entry(alone.told))
    await inner.empty(pace)
    await join_moved(groups, read_mark)
    found = sorted(groups.values(), key=Group.rank)
    limit = question.get("limit")
    shown = found if limit is None else found[:limit]
    wire = []
    values = CameFrom(state, pace)
    for group in shown:
        example = await _example(state, index, group, pace, values)
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
        "undated": missing["undated"],
        "unasked": missing["unasked"],
        "span_unknown": missing["span_unknown"],
    }


async def _example(
    state: Any, index: ErredIndex, group: Group, pace: Pace, values: CameFrom
) -> Fact:
    """One failure of a group; all that is left of it may be the history's entry."""
    if group.present is not None:
        key = group.present[-1]
        ts = await index.task_of(state, key, pace)
        if ts is not None:
            return {
                **failure_fact(state, ts, key, None),
                "came_from": await values.told(ts),
                "when": index.when.get(key),
                "codes": codes_for(ts.run_spec, ts.traceback_text or ""),
                "submitted": group.submitted.get(key),
            }
    return forgotten_fact(group.entry or _NOTHING_LEFT)


_NOTHING_LEFT: HistoryEntry = {
    "key": None,
    "when": None,
    "erred_on": [],
    "exception_text": "",
    "traceback_text": "",
}


async def _read(state: Any, index: ErredIndex, root: Any, pace: Pace) -> Row | None:
    """What is shown of a root cause, kept for the next time."""
    if is_private(root):
        return None
    ts = await index.task_of(state, root, pace)
    if ts is None:
        return None
    text, frames = ts.exception_text, ts.traceback_text or ""
    cause = cause_in_shuffle(text, ts.exception)
    if cause is not None:
        text, frames = cause.text, as_text(cause)
    codes = codes_for(ts.run_spec, frames, every=False)
    alike = _signature(root, text, frames, codes)
    if not ts.exception_text and ts.suspicious > state.allowed_failures:
        alike = ("KilledWorker", alike[1], alike[2])
    handed = identities(ts.exception_text, ts.traceback_text, ts.exception)
    row = Row(alike, str(root), tuple(ts.erred_on or ()), handed)
    index.note_row(root, row)
    return row


async def _mark(state: Any, index: ErredIndex, group: Group, pace: Pace) -> str:
    """Fingerprint of the code that a group's example failed in; empty: not known."""
    place = group.alike[2]
    if group.present is None or place is None:
        return ""
    ts = await index.task_of(state, group.present[-1], pace)
    _, function, line = place
    return "" if ts is None else mark_at(ts.run_spec, function, line)


def _signature(
    key: Any, text: str | None, frames: str | None, codes: tuple[FrameCode, ...]
) -> Signature:
    """What makes failures alike; without any text, that they ran the same thing."""
    if not text:
        return "", "", ("", key_split(key), 0)
    kind, message = type_and_message(text[:COMPARED])
    return signature(kind, message, own_place((frames or "")[-COMPARED:], codes))


def _alike_of_entry(entry: HistoryEntry) -> Signature:
    text = entry["cause_text"] or entry["exception_text"]
    frames = entry["cause_frames"] or entry["traceback_text"]
    codes = cast("tuple[FrameCode, ...]", entry["codes"])
    return _signature(entry["key"], text, frames, codes)


def _with_cause(index: ErredIndex, entry: HistoryEntry) -> HistoryEntry:
    """An entry of the history, with what a task of a P2P shuffle was raised from.

    And with the code that its frames were in.
    """
    codes = index.codes.of(entry["key"])
    shuffled = entry["exception_text"].startswith(P2P)
    cause = index.cause_in_shuffle(entry["key"]) if shuffled else None
    if cause is None:
        return {**entry, "codes": codes, "cause_text": "", "cause_frames": ""}
    frames = as_text(cause)
    return {**entry, "codes": codes, "cause_text": cause.text, "cause_frames": frames}


async def _chosen(
    state: Any,
    question: FailuresQuestion,
    index: ErredIndex,
    missing: Missing,
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


def _left_of_forgotten(
    state: Any,
    index: ErredIndex,
    history: list[HistoryEntry],
    wanted: set[Any] | None,
    since: float | None,
    missing: Missing,
    inner: InnerCounts,
) -> list[tuple[HistoryEntry, Signature]]:
    """Failures that are left in the scheduler's history only, and are counted there."""
    left = []
    seen = set()
    for entry in history:
        key = entry["key"]
        if key in seen or key in index.members:
            continue
        seen.add(key)
        if since is not None and (entry["when"] or 0.0) < since:
            continue
        ts = state.tasks.get(key)
        if ts is not None and ts.state == "memory":
            index.heal(key)
        elif inner.counts_elsewhere(entry, _alike_of_entry):
            continue
        elif wanted is not None:
            missing["unasked"] += 1  # the history has neither clients nor spans
        else:
            left.append((entry, _alike_of_entry(entry)))
    return left
