"""Failures in groups of one root cause, as a scheduler or a dump has them.

Nothing is unpickled, and texts are cut to what is shown.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from dask.utils import key_split

from ..common.frame_codes import FrameCode, codes_for, mark_at, own_place
from ..common.pacing import Pace, is_dump, now_of, slices
from ..common.texts import Signature, likeness, signature, type_and_message
from .dashboard_place import page_of
from .failed import carried_history, failure_fact, forgotten_fact, history_of
from .failures_followers import Follower, Followers
from .failures_groups import TRACEBACKS, Group, Row, group_of, sample_of
from .failures_index import ErredIndex
from .failures_inner import InnerCounts, Waiting
from .failures_joined import join_moved
from .failures_killed import Killed, KilledCounts
from .followers import is_follower
from .inner_identities import identities
from .killings import was_killed
from .leftovers import is_private
from .origins import CameFrom
from .p2p import as_text, cause_in_shuffle

if TYPE_CHECKING:
    from ..common.wire_failures import (
        Fact,
        Failures,
        FailuresQuestion,
        HistoryEntry,
        Missing,
    )

MOST_WANTED = 20_000  # tasks of one client that are looked at
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
        ``first``: id of the client whose failures come first. ``deaths``: name of the
        recorder's part that has the ends of workers, ``recorder`` of that which has
        recordings.
    index : ErredIndex, optional
        As kept by the extension; a new one is filled by a pass over all tasks.
    """
    pace = Pace()
    start = now_of(state)
    index = index or ErredIndex()
    passed = await index.fill(state, pace)
    history = [entry for entry in history_of(state) if not is_private(entry["key"])]
    await index.find_times(state, history, pace)
    history += await carried_history(state, question.get("recorder") or "")
    recorder = question.get("deaths") or ""
    survey = _Survey(state, index, pace, question.get("since"), recorder)
    await survey.choose(question.get("client"), question.get("span"))
    survey.find_own(question.get("first"))
    await survey.count_all(history)
    return await survey.answer(question.get("limit"), passed, start)


class _Survey:
    """One question, while failures are being counted for it.

    The index is complete, and has times; what failed before ``since`` is not counted.
    """

    def __init__(
        self,
        state: Any,
        index: ErredIndex,
        pace: Pace,
        since: float | None,
        recorder: str,
    ) -> None:
        self._state = state
        self._index = index
        self._pace = pace
        self._since = since
        self._wanted: set[Any] | None = None  # root causes; None: all
        self._groups: dict[Signature, Group] = {}
        self._waiting: list[Waiting] = []
        self._followers = Followers()
        self._recorder = recorder
        self._killed = KilledCounts()
        self._own: set[Any] = set()
        self._missing: Missing = {
            "undated": 0,
            "unasked": 0,
            "span_unknown": False,
            "client_unknown": False,
        }

    async def choose(self, client: str | None, span: str | None) -> None:
        """Count only what concerns a client or a span, if one is asked for."""
        if client is None and span is None:
            return
        if client is not None:
            self._missing["client_unknown"] = client not in self._state.clients
        spans: set[str] = set()
        if span is not None:
            spans, known = _span_ids(self._state, span)
            self._missing["span_unknown"] = not known
        self._wanted = set()
        async for part in slices(list(self._index.blame.items()), self._pace):
            for key, root in part:
                ts = self._state.tasks.get(key)
                if (
                    ts is not None
                    and (client is None or _is_wanted(ts, client))
                    and (span is None or ts.group.span_id in spans)
                ):
                    self._wanted.add(root)

    def find_own(self, client: str | None) -> None:
        """Root causes that a client lost something by, as far as that is quickly seen.

        Only of what it wants itself, and of that not more than `MOST_WANTED`.
        """
        known = None if client is None else self._state.clients.get(client)
        for ts in islice(known.wants_what if known is not None else (), MOST_WANTED):
            if ts.state == "erred":
                self._own.add(self._index.blame.get(ts.key))

    async def count_all(self, history: list[HistoryEntry]) -> None:
        """Count failures that are there, those of the history alone, and followers."""
        known = await self._count_present()
        await self._killed.fill(
            self._state, self._recorder, self._own, self._count, self._pace
        )
        history = [
            self._index.with_cause(entry)
            for entry in history
            if entry["key"] not in known
        ]
        inner = InnerCounts(
            self._state,
            self._index,
            self._groups,
            self._is_counted,
            self._read,
            self._note,
        )
        await inner.fill(self._waiting, history, self._pace)
        self._count_history(history, inner)
        async for left in self._followers.placed(self._state, self._pace):
            if isinstance(left.known, Row):
                self._count(left.key, left.known, left.when, left.members)
            else:
                self._count_forgotten(left.known, _alike_of_entry(left.known))
        await inner.empty(self._pace)
        await join_moved(self._groups, self._mark)

    async def answer(self, limit: int | None, passed: bool, start: float) -> Failures:
        """The groups, and what was counted and left out."""
        index = self._index
        found = sorted(self._groups.values(), key=Group.rank)
        shown = found if limit is None else found[:limit]
        wire = []
        values = CameFrom(self._state, self._pace)
        for group in shown:
            example = await self._example(group, values)
            wire.append(group.to_wire(example, TRACEBACKS // len(shown)))
            await self._pace.checkpoint()
        return {
            "groups": wire,
            "omitted": len(found) - len(shown),
            "total": sum(group.count for group in found if not group.bystanders),
            "bystanders": sum(group.count for group in found if group.bystanders),
            "cascaded": sum(group.cascaded for group in found),
            "healed": len(index.healed) + index.healed_more,
            "healed_keys": sample_of(index.healed),
            "passed": passed,
            "start": start,
            "end": now_of(self._state),
            "undated": self._missing["undated"],
            "unasked": self._missing["unasked"],
            "span_unknown": self._missing["span_unknown"],
            "page": page_of(self._state),
            "client_unknown": self._missing["client_unknown"],
        }

    # -- what is there ------------------------------------------------------

    async def _count_present(self) -> dict[Any, int]:
        """Count root causes that are there; returns all that were, with members."""
        index, wanted, since = self._index, self._wanted, self._since
        # As it is now: what is forgotten meanwhile is not counted again by the history.
        known = dict(index.members)
        async for part in slices(list(known.items()), self._pace):
            for root, members in part:
                if wanted is not None and root not in wanted:
                    continue
                when = index.when.get(root)
                if since is not None and (when is None or when < since):
                    self._missing["undated"] += when is None
                    continue
                row = index.rows.get(root) or await self._read(root)
                if row is None:
                    known.pop(root)
                elif when is not None and row.follows:
                    self._followers.found.append(Follower(root, when, members, row))
                elif row.killed:
                    self._killed.found.append(Killed(root, row, when, members))
                elif row.handed:
                    self._waiting.append(Waiting(root, row, when, members))
                else:
                    self._count(root, row, when, members)
        return known

    def _is_counted(self, root: Any) -> bool:
        """Whether a root cause is counted by itself."""
        if self._wanted is not None and root not in self._wanted:
            return False
        when = self._index.when.get(root)
        return self._since is None or (when is not None and when >= self._since)

    def _count(self, root: Any, row: Row, when: float | None, members: int) -> None:
        group = group_of(self._groups, row.alike)
        group.add(root, row, when, members - (self._index.blame.get(root) == root))
        self._note(root, when, group)

    def _note(self, root: Any, when: float | None, group: Group) -> None:
        """Note of a failure that it is counted in a group."""
        group.own = group.own or root in self._own
        self._followers.note(root, when, group)

    async def _read(self, root: Any) -> Row | None:
        """What is shown of a root cause, kept for the next time."""
        state, index = self._state, self._index
        if (kept := index.rows.get(root)) is not None:
            return kept
        if is_private(root):
            return None
        ts = await index.task_of(state, root, self._pace)
        if ts is None:
            return None
        text, frames = ts.exception_text, ts.traceback_text or ""
        cause = cause_in_shuffle(text, ts.exception)
        if cause is not None:
            text, frames = cause.text, as_text(cause)
        codes = codes_for(ts.run_spec, frames, every=False)
        alike = _signature(root, text, frames, codes)
        handed = identities(ts.exception_text, ts.traceback_text, ts.exception)
        parts = _parts(text)
        workers = tuple(ts.erred_on or ())
        killed = was_killed(state, ts)
        row = Row(alike, parts, str(root), workers, handed, is_follower(text), killed)
        index.note_row(root, row)
        return row

    async def _mark(self, group: Group) -> str:
        """Fingerprint of the code that a group's example failed in; empty: unknown."""
        place = group.alike[2]
        if group.present is None or place is None:
            return ""
        key = group.present[-1]
        ts = await self._index.task_of(self._state, key, self._pace)
        return "" if ts is None else mark_at(ts.run_spec, *place[1:])

    async def _example(self, group: Group, values: CameFrom) -> Fact:
        """One failure of a group; perhaps only the history's entry is left of it."""
        if group.present is not None:
            key = self._killed.first_of(group.present[-1])
            ts = await self._index.task_of(self._state, key, self._pace)
            if ts is not None:
                return {
                    **failure_fact(self._state, ts, key, None),
                    "came_from": await values.of(ts),
                    "when": self._index.when.get(key),
                    "codes": codes_for(ts.run_spec, ts.traceback_text or ""),
                    "submitted": group.submitted.get(key),
                    "shared": self._killed.shared(key),
                }
        return forgotten_fact(group.entry or _NOTHING_LEFT)

    # -- what the history alone has -----------------------------------------

    def _count_history(self, history: list[HistoryEntry], inner: InnerCounts) -> None:
        """Count failures that are left in the scheduler's history only."""
        seen = set()
        for entry in history:
            key = entry["key"]
            if key in seen or key in self._index.members:
                continue
            seen.add(key)
            if self._since is not None and (entry["when"] or 0.0) < self._since:
                continue
            ts = self._state.tasks.get(key)
            if ts is not None and ts.state == "memory" and "carried" not in entry:
                self._index.heal(key)
            elif inner.counts_elsewhere(entry, _alike_of_entry):
                continue
            elif self._wanted is not None:
                self._missing["unasked"] += 1  # the history has no clients or spans
            else:
                if ts is not None and "carried" not in entry:
                    entry = {**entry, "now": ts.state}
                alike = _alike_of_entry(entry)
                if is_follower(entry["cause_text"] or entry["exception_text"]):
                    follower = Follower(key, entry["when"] or 0.0, 1, entry)
                    self._followers.found.append(follower)
                else:
                    self._count_forgotten(entry, alike)

    def _count_forgotten(self, entry: HistoryEntry, alike: Signature) -> None:
        group = group_of(self._groups, alike)
        group.add_forgotten(
            entry, _parts(entry["cause_text"] or entry["exception_text"])
        )
        self._note(entry["key"], entry["when"], group)


_NOTHING_LEFT: HistoryEntry = {
    "key": None,
    "when": None,
    "erred_on": [],
    "exception_text": "",
    "traceback_text": "",
}


def _signature(
    key: Any, text: str | None, frames: str | None, codes: tuple[FrameCode, ...]
) -> Signature:
    """What makes failures alike; without any text, that they ran the same function."""
    if not text:
        return "", "", ("", key_split(key), 0)
    kind, message = type_and_message(text[:COMPARED])
    return signature(kind, message, own_place((frames or "")[-COMPARED:], codes))


def _parts(text: str | None) -> tuple[str, ...]:
    """What varies in a message."""
    return likeness(type_and_message(text[:COMPARED])[1]).parts if text else ()


def _alike_of_entry(entry: HistoryEntry) -> Signature:
    text = entry["cause_text"] or entry["exception_text"]
    frames = entry["cause_frames"] or entry["traceback_text"]
    codes = cast("tuple[FrameCode, ...]", entry["codes"])
    return _signature(entry["key"], text, frames, codes)


def _is_wanted(ts: Any, client: str) -> bool:
    return any(cs.client_key == client for cs in ts.who_wants or ())


def _span_ids(state: Any, span: str) -> tuple[set[str], bool]:
    """Ids of the spans of a name or an id, those within them too; whether any is known.

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
