"""One visit reports everything that a scheduler knows about a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import compress
from time import time
from typing import TYPE_CHECKING, Any

from ..common.frame_codes import codes_for
from ..common.keys import find_task
from ..common.pacing import Pace
from ..common.pickles import small_pickle_of
from .failed import failure_fact, history_of
from .failures_index import ErredIndex
from .inner import Found, follow, found_of_forgotten
from .inner_identities import of_chain
from .killings import Killings, was_killed
from .leaders import (
    Led,
    facts_of_gone,
    find_led,
    followers_of,
    led_to_death,
    starts_of,
)
from .leftovers import is_private
from .newest import newest_failed
from .origins import MOST_FAILURES, CameFrom
from .roots import Roots, find_roots
from .rows import (
    add_spec,
    barriers_after,
    lost_dependencies,
    lost_row,
    task_row,
    worker_row,
)

if TYPE_CHECKING:
    from ..common.wire_failures import AskedFor, Fact, HistoryEntry
    from ..common.wire_failures import Visit as Visited

SLICE = 500  # tasks between two yields to the event loop
MOST_FORGOTTEN = 20  # forgotten tasks whose own tasks are looked for


@dataclass
class Wanted:
    """What a visit asks for.

    Attributes
    ----------
    keys : iterable of Key
        What is asked for; a text also finds the tuple key that it spells.
    exception_text : str, optional
        Entries of ``erred_tasks`` with this text are returned; ``""``: all.
    newest_of : str, optional
        Id of a client, whose newest failures are asked for (see ``newest``).
    texts : collection of str
        What the futures of the keys hold: of several failures because of which a
        task failed, the one with such a text is meant (see ``roots``).
    chain : collection of (str, list of (str, int, str), bool)
        Texts and frames of the exception that is meant and of what it was raised
        from: what a task had submitted is found by them, where the task itself was
        forgotten (see ``inner``).
    specs : bool
        Whether the first root cause comes with run specs: its own, and those
        of all released tasks that lead to it.
    states_only : bool
        Only state, size and place of the keys that are known.
    finished : bool
        Whether specs are wanted of the first key, although it has not failed.
    max_bytes : int
        Run specs above this in all are not sent, only sized.
    limit : int
        The most failures to return.
    leaders : bool
        Whether what failed because another task of its collective did is reported
        as that one (see ``leaders``); else all are reported as they are.
    patience : float
        Seconds to wait for that one, where only others of its collective have been
        reported so far.
    deaths : str
        Name of the recorder's part that has the ends of workers (see ``killings``).
    """

    keys: Iterable[Any] = ()
    exception_text: str | None = None
    newest_of: str | None = None
    texts: Collection[str] = ()
    chain: Collection[tuple[str, Any, bool]] = ()
    specs: bool = False
    states_only: bool = False
    finished: bool = False
    max_bytes: int = 2**30
    limit: int = 1000
    leaders: bool = True
    patience: float = 0.0
    deaths: str = ""


class Visit:
    """What one visit finds out."""

    def __init__(self, scheduler: Any, index: ErredIndex, wanted: Wanted) -> None:
        self._scheduler = scheduler
        self._index = index
        self._wanted = wanted
        self._history: list[HistoryEntry] = []
        self._answer: Visited = {
            "now": time(),
            "asked": [],
            "failures": [],
            "omitted": 0,
            "unfollowed": 0,
            "erred": [],
            "past": [],
            "tasks": [],
            "spec_bytes": 0,
            "workers": {},
            "of_any": False,
            "foreseen": [],
        }

    async def answer(self) -> Visited:
        """All of it, in builtin types."""
        if self._wanted.states_only:
            await self._add_states()
        else:
            self._history = history_of(self._scheduler)
            text = self._wanted.exception_text
            if text is not None:
                self._answer["erred"] = [
                    entry
                    for entry in self._history
                    if text in ("", entry["exception_text"])
                ]
            failed, unknown = await self._sorted()
            order = await self._add_failures(failed, unknown)
            self._tell_forgotten(failed)
            if not self._answer["failures"]:
                self._add_past()
            if self._wanted.specs:
                await self._add_specs(order)
        self._add_workers()
        return self._answer

    async def _add_states(self) -> None:
        for count, key in enumerate(self._wanted.keys):
            if count % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            ts = self._scheduler.tasks.get(key)
            if ts is not None:
                self._answer["tasks"].append(task_row(ts))

    async def _sorted(self) -> tuple[list[Any], list[Any]]:
        """Of what is asked for: tasks that have failed, and unknown keys."""
        scheduler, answer, keys = self._scheduler, self._answer, self._wanted.keys
        newest_of = self._wanted.newest_of
        if newest_of is not None:
            newest, answer["of_any"] = await newest_failed(scheduler, newest_of, Pace())
            keys = [*keys, *(ts.key for ts in newest)]
        failed, unknown = [], []
        for count, key in enumerate(keys, 1):
            if count % SLICE == 0:
                await asyncio.sleep(0)
            found = find_task(scheduler, key)
            answer["asked"].append(_asked(key, found))
            if found is None:
                unknown.append(key)
            elif found.exception_blame is not None:
                failed.append(found)
        return failed, unknown

    async def _add_failures(self, failed: list[Any], unknown: list[Any]) -> list[Found]:
        """What failed by itself, because of which the others did; those still there."""
        scheduler, wanted, answer = self._scheduler, self._wanted, self._answer
        gone = unknown[:MOST_FORGOTTEN]
        roots = await find_roots(scheduler, failed, Pace(), wanted.texts)
        pace = Pace()
        killed = [ts.key for ts in roots.order if was_killed(scheduler, ts)]
        killings = await Killings.of(scheduler, killed, wanted.deaths, pace)
        followers = followers_of(roots, gone, self._history) if wanted.leaders else []
        led = await find_led(scheduler, self._index, followers, pace, wanted.patience)
        if wanted.leaders and killed:
            led = led.joined(await led_to_death(roots, killings, pace))
        starts = killings.seen_first(starts_of(scheduler, roots, led))
        order = await self._followed(starts[: wanted.limit], gone)
        facts = await self._facts(order, roots, led, pace)
        for fact in facts:
            fact["shared"] = killings.blame(fact["key"]).shared(fact["key"])
        # What was forgotten meanwhile is left out, as it would be a moment later.
        there = [(each.root or each.ts).state != "forgotten" for each in order]
        answer["failures"] = list(compress(facts, there))
        answer["failures"] += await facts_of_gone(scheduler, self._index, led, pace)
        answer["omitted"] = max(0, len(starts) - wanted.limit)
        answer["unfollowed"] = roots.unfollowed
        return list(compress(order, there))

    def _tell_forgotten(self, failed: list[Any]) -> None:
        """What was asked for and forgotten meanwhile is unknown, as a moment later."""
        gone = {ts.key for ts in failed if ts.state == "forgotten"}
        if gone:
            self._answer["asked"] = [
                _asked(each["asked"], None) if each["key"] in gone else each
                for each in self._answer["asked"]
            ]

    async def _followed(
        self, starts: list[tuple[Any, float | None]], gone: list[Any]
    ) -> list[Found]:
        """Failures, each followed into what it had submitted."""
        scheduler, index, history = self._scheduler, self._index, self._history
        pace = Pace()
        order = await follow(scheduler, index, history, starts, pace)
        handed = of_chain(self._wanted.chain)
        known = {entry["key"] for entry in history}
        for key in gone:
            if key in known or handed:
                found = await found_of_forgotten(
                    scheduler, index, history, key, handed, pace
                )
                if found is not None and all(found.ts is not o.ts for o in order):
                    order.append(found)
        return order

    async def _facts(
        self, order: list[Found], roots: Roots, led: Led, pace: Pace
    ) -> list[Fact]:
        times = {entry["key"]: entry for entry in reversed(self._history)}
        facts = []
        for each in order:
            facts.append(self._fact(each, roots, times, led))
            await pace.checkpoint()
        values = CameFrom(self._scheduler, pace)
        for fact, each in zip(facts[:MOST_FAILURES], order, strict=False):
            fact["came_from"] = await values.of(each.ts)
        return facts

    def _fact(
        self, found: Found, roots: Roots, times: dict[Any, Any], led: Led
    ) -> Fact:
        root, key = found.root, found.ts.key
        asked = found.through[0] if root is None else roots.way(root)[0].key
        # What was asked for may have led to it by its followers alone.
        followers = None if root is None else led.followers_form(root.key)
        if followers and root not in roots.order:
            asked = led.asked(root.key)
        fact = failure_fact(self._scheduler, found.ts, asked, times.get(key))
        when = roots.when[key] if key in roots.when else self._index.when.get(key)
        return {
            **fact,
            "when": when if when is not None else fact["when"],
            "through": list(found.through),
            "alike": found.alike,
            "submitted": found.forgotten,
            "followers": followers,
            "codes": codes_for(found.ts.run_spec, fact["traceback_text"]),
        }

    def _add_past(self) -> None:
        """What the history alone has of what is asked for, of each key the newest.

        Of nothing in particular all that has been forgotten.
        """
        asked = self._answer["asked"][:MOST_FORGOTTEN]
        every = self._wanted.newest_of is not None and not asked
        keys = {each["asked"] if each["key"] is None else each["key"] for each in asked}
        texts = {key for key in keys if isinstance(key, str)}
        seen = set()
        for entry in self._history:
            key = entry["key"]
            ts = self._scheduler.tasks.get(key)
            wanted = key in keys or str(key) in texts or (every and ts is None)
            if not wanted or key in seen or is_private(key):
                continue
            seen.add(key)
            if ts is not None:
                entry = {**entry, "now": ts.state}
            self._answer["past"].append(self._index.with_cause(entry))

    async def _add_specs(self, order: list[Found]) -> None:
        """Run specs of the first failure; or of what is asked for and did not fail."""
        asked = self._answer["asked"]
        if order:
            # What it was raised from is in its pickle only, which clients read.
            pickled = small_pickle_of(order[0].ts.exception)
            self._answer["failures"][0]["pickled"] = pickled
            await self._add_closure(order[0].ts)
        elif self._wanted.finished and asked:
            ts = self._scheduler.tasks.get(asked[0]["key"])
            if ts is not None:
                await self._add_closure(ts)

    async def _add_closure(self, root: Any) -> None:
        """The failed task, and all that leads to it, up to what is in memory."""
        answer, limit = self._answer, self._wanted.max_bytes
        rows = answer["tasks"]
        barriers = barriers_after(root)
        for ts in barriers:
            rows.append(task_row(ts))
            add_spec(rows[-1], ts, answer, limit)
        seen = {ts.key for ts in (root, *barriers)}
        stack = [root]
        while stack:
            ts = stack.pop()
            row = task_row(ts)
            rows.append(row)
            if len(rows) % SLICE == 0:
                await asyncio.sleep(0)
            if ts.state == "memory" and ts is not root:
                continue
            add_spec(row, ts, answer, limit)
            for key in lost_dependencies(ts):
                row["dependencies"].append(key)
                if key not in seen:
                    seen.add(key)
                    rows.append(lost_row(key))
            for dependency in ts.dependencies:
                if dependency.key not in seen:
                    seen.add(dependency.key)
                    stack.append(dependency)

    def _add_workers(self) -> None:
        """The workers that are named in rows, as far as they are still there."""
        names = {name for task in self._answer["tasks"] for name in task["who_has"]}
        names.update(
            name for fact in self._answer["failures"] for name in fact["erred_on"]
        )
        there = self._scheduler.workers
        self._answer["workers"] = {
            name: worker_row(there[name]) for name in names if name in there
        }


def _asked(key: Any, ts: Any) -> AskedFor:
    if ts is None:
        return {"asked": key, "key": None, "state": "unknown"}
    return {"asked": key, "key": ts.key, "state": ts.state}
