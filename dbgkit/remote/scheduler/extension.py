"""What runs inside the scheduler: one visit tells all that it knows of a failure.

This file is sent to the scheduler as source, so it imports the standard library,
dask and distributed only. All that it returns is builtin types, and all that it
looks at stays as it is. A pass over many tasks yields to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable
from itertools import compress
from time import time
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

from ..common.frame_codes import codes_for, read_later
from ..common.handlers import Handler
from ..common.keys import find_task
from ..common.leases import tell_leases
from ..common.pacing import Pace, count_with
from ..common.pickles import small_pickle_of
from .deaths import tell_deaths
from .doctor import examine
from .failed import failure_fact, history_of
from .failures import survey_failures
from .failures_index import ErredIndex
from .foresight import foresee as look_ahead
from .foresight import recordings_of, run_on_workers
from .graph import look_around
from .inner import Found, follow, found_of_forgotten, of_chain
from .leaders import Led, facts_of_gone, find_led, followers_of, starts_of
from .leftovers import OWN_CLIENT, PRIVATE_PREFIX, forget_group, forget_topic
from .newest import newest_failed
from .origins import TOLD, CameFrom
from .recordings import ask_recorder
from .roots import Roots, find_roots
from .rows import (
    add_spec,
    barriers_after,
    lost_dependencies,
    lost_row,
    task_row,
    worker_row,
)
from .story import tell_history
from .tasks import survey_counts, survey_tasks
from .why import explain_state

if TYPE_CHECKING:
    from ..common.wire import AnyQuestion, Foresee
    from ..common.wire_failures import (
        AskedFor,
        Fact,
        HistoryEntry,
        TaskForm,
        Visit,
        WorkerForm,
    )
    from ..common.wire_replays import Called

SLICE = 500  # tasks between two yields to the event loop
MOST_FORGOTTEN = 20  # tasks whose own tasks are looked for although they are gone
VERBS = ("visit", "progress", "ask", "run", "remove")

# Questions to a state, be it this scheduler or a dump (see cluster/view.py).
Question = Callable[[Any, Any], Coroutine[Any, Any, Any]]
IndexedQuestion = Callable[[Any, Any, ErredIndex], Coroutine[Any, Any, Any]]
QUESTIONS: dict[str, Question] = {
    "failures": survey_failures,
    "tasks": survey_tasks,
    "counts": survey_counts,
    "why": explain_state,
    "around": look_around,
    "story": tell_history,
    "doctor": examine,
    "recorder": ask_recorder,
    "deaths": tell_deaths,
    "leases": tell_leases,
}
# Those of them that take the index of failures, where one is kept.
INDEXED: dict[str, IndexedQuestion] = {
    "failures": survey_failures,
    "why": explain_state,
}


class Extension(SchedulerPlugin):  # type: ignore[misc]
    """Adds the handlers of dbgkit to a scheduler, and takes them off again.

    Parameters
    ----------
    name : str
        Unique to one version of this file, so that two versions on one scheduler
        do not disturb each other.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.index = ErredIndex()

    async def start(self, scheduler: Any) -> None:
        self.scheduler = scheduler
        count_with(scheduler, self.index)
        for verb in VERBS:
            name = f"{self.name}-{verb}"
            scheduler.handlers[name] = Handler(name, self, verb)

    async def remove(self) -> None:
        """Take all off, at once: unregistering a plugin does not tell the plugin.

        Whoever looks in between would find half of it.
        """
        for verb in VERBS:
            self.scheduler.handlers.pop(f"{self.name}-{verb}", None)
        if self.scheduler.plugins.get(self.name) is self:
            del self.scheduler.plugins[self.name]

    def transition(
        self,
        key: Any,
        start: str,
        finish: str,
        *args: Any,
        stimulus_id: str = "",
        **kwargs: Any,
    ) -> None:
        """Keep the index of failures; called for each change of each task's state."""
        if finish == "erred":
            self.index.add(self.scheduler.tasks[key])
        elif start == "erred":
            self.index.drop(key)
            codes = self.index.codes
            if codes.leaves(key, self.scheduler.tasks.get(key)):
                # It takes longer than a transition may.
                call_soon = asyncio.get_running_loop().call_soon
                call_soon(read_later, codes, call_soon)
        elif start == "processing":
            if finish == "memory":
                if key in self.index.retried:
                    self.index.heal(key)
            elif stimulus_id.startswith("task-erred"):
                # Scheduler.stimulus_task_erred: a retry was left.
                self.index.retried[key] = None
        elif finish == "forgotten":
            self.index.forgotten += 1
            ts = self.scheduler.tasks[key]
            if ts.prefix.name == PRIVATE_PREFIX:
                call_soon = asyncio.get_running_loop().call_soon
                call_soon(forget_group, self.scheduler, ts.group)
            if self.index.retried:
                self.index.retried.pop(key, None)

    def remove_client(self, scheduler: Any, client: str) -> None:
        """Called as a client has gone, and has been told of as such."""
        if client.startswith(OWN_CLIENT):
            forget_topic(scheduler, client)

    def restart(self, scheduler: Any) -> None:
        self.index = ErredIndex()
        count_with(scheduler, self.index)

    async def before_close(self) -> None:
        await self.remove()

    async def visit(
        self,
        keys: Iterable[Any] = (),
        exception_text: str | None = None,
        newest_of: str | None = None,
        texts: Collection[str] = (),
        chain: Collection[tuple[str, Any, bool]] = (),
        specs: bool = False,
        states_only: bool = False,
        finished: bool = False,
        max_bytes: int = 2**30,
        limit: int = 1000,
        foresee: Foresee | None = None,
        leaders: bool = True,
        patience: float = 0.0,
    ) -> Visit:
        """All that is known of some keys, or of exceptions with one text.

        Parameters
        ----------
        keys : iterable of Key
            What is asked for; a text also finds the tuple key that it spells.
        exception_text : str, optional
            Entries of ``erred_tasks`` with this text are returned; ``""``: all.
        newest_of : str, optional
            Id of a client: what is asked for is told by ``newest``.
        texts : collection of str
            What the futures of the keys hold: of several failures because of which a
            task fell, the one with such a text is meant (see ``roots``).
        chain : collection of (str, list of (str, int, str), bool)
            Texts and frames of the exception that is meant and of what it was raised
            from: what a task had submitted is told by them, where the task itself was
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
        foresee : dict, optional
            Whether the recordings of the first failure come along, or of its ``key``:
            see ``foresight``.
        leaders : bool
            Whether what failed because another task of its collective did is told by
            that one (see ``leaders``); else all are told as they are.
        patience : float
            Seconds that a failure may be awaited of which only others of its
            collective are heard of so far.
        """
        scheduler = self.scheduler
        answer: Visit = {
            "now": time(),
            "asked": [],
            "failures": [],
            "omitted": 0,
            "unfollowed": 0,
            "erred": [],
            "tasks": [],
            "spec_bytes": 0,
            "workers": {},
            "of_any": False,
            "foreseen": [],
        }
        if states_only:
            answer["tasks"] = await self._states(keys)
            answer["workers"] = self._workers(answer["tasks"])
            await self._add_recordings(answer, foresee)
            return answer
        history = history_of(scheduler)
        if exception_text is not None:
            answer["erred"] = [
                entry
                for entry in history
                if exception_text in ("", entry["exception_text"])
            ]
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
        roots = await find_roots(scheduler, failed, Pace(), texts)
        pace = Pace()
        gone = list(unknown)[:MOST_FORGOTTEN]
        followers = followers_of(roots, gone, history) if leaders else []
        led = await find_led(scheduler, self.index, followers, pace, patience)
        starts = starts_of(scheduler, roots, led)
        order = await self._followed(starts[:limit], history, unknown, chain)
        times = {entry["key"]: entry for entry in reversed(history)}
        for each in order:
            answer["failures"].append(self._fact(each, roots, times, led))
            await pace.breathe()
        values = CameFrom(scheduler, pace)
        for fact, each in zip(answer["failures"][:TOLD], order, strict=False):
            fact["came_from"] = await values.told(each.ts)
        # What was forgotten while this looked is told as a moment later: not at all.
        there = [(each.root or each.ts).state != "forgotten" for each in order]
        answer["failures"] = list(compress(answer["failures"], there))
        order = list(compress(order, there))
        answer["failures"] += await facts_of_gone(scheduler, self.index, led, pace)
        answer["omitted"] = max(0, len(starts) - limit)
        answer["unfollowed"] = roots.unfollowed
        if specs and order:
            # What it was raised from is in its pickle alone, which only clients read.
            pickled = small_pickle_of(order[0].ts.exception)
            answer["failures"][0]["pickled"] = pickled
            await self._closure(order[0].ts, answer, max_bytes)
        elif specs and finished and answer["asked"]:
            asked = scheduler.tasks.get(answer["asked"][0]["key"])
            if asked is not None:
                await self._closure(asked, answer, max_bytes)
        answer["workers"] = self._workers(answer["tasks"], answer["failures"])
        await self._add_recordings(answer, foresee)
        return answer

    async def _followed(
        self,
        starts: list[tuple[Any, float | None]],
        history: list[HistoryEntry],
        unknown: Collection[Any],
        chain: Collection[tuple[str, Any, bool]],
    ) -> list[Found]:
        """Failures; each is followed into what it had submitted."""
        scheduler, index, pace = self.scheduler, self.index, Pace()
        order = await follow(scheduler, index, history, starts, pace)
        handed = of_chain(chain)
        known = {entry["key"] for entry in history}
        for key in list(unknown)[:MOST_FORGOTTEN]:
            if key in known or handed:
                found = await found_of_forgotten(
                    scheduler, index, history, key, handed, pace
                )
                if found is not None and all(found.ts is not o.ts for o in order):
                    order.append(found)
        return order

    def _fact(
        self, found: Found, roots: Roots, times: dict[Any, Any], led: Led
    ) -> Fact:
        root, key = found.root, found.ts.key
        asked = found.through[0] if root is None else roots.way(root)[0].key
        # What was asked for may have led to it by its followers alone.
        followers = None if root is None else led.told(root.key)
        if followers and root not in roots.order:
            asked = led.asked(root.key)
        fact = failure_fact(self.scheduler, found.ts, asked, times.get(key))
        when = roots.when[key] if key in roots.when else self.index.when.get(key)
        return {
            **fact,
            "when": when if when is not None else fact["when"],
            "through": list(found.through),
            "alike": found.alike,
            "submitted": found.forgotten,
            "followers": followers,
            "codes": codes_for(found.ts.run_spec, fact["traceback_text"]),
        }

    async def _add_recordings(self, answer: Visit, names: Foresee | None) -> None:
        """What a replay will ask the recorder for."""
        if names is None:
            return
        key = names.get("key")
        if key is None and answer["failures"]:
            key = answer["failures"][0]["key"]
        if key is not None:
            answer["foreseen"] = await recordings_of(self.ask, [key], names)

    async def ask(
        self,
        verb: str,
        question: AnyQuestion,
        foresee: Foresee | None = None,
    ) -> Any:
        """One of `QUESTIONS`, about this scheduler.

        Parameters
        ----------
        verb : str
        question : dict
        foresee : dict, optional
            Names by which to answer what is bound to be asked next: see ``foresight``.
            It comes along as ``foreseen``.
        """
        if verb in INDEXED:
            answer = await INDEXED[verb](self.scheduler, question, self.index)
        else:
            answer = await QUESTIONS[verb](self.scheduler, question)
        if foresee is not None:
            answer["foreseen"] = await look_ahead(
                self.scheduler, self.ask, verb, answer, foresee
            )
        return answer

    async def run(
        self, function: bytes, arguments: dict[str, bytes], limit: float
    ) -> dict[str, Called]:
        """Have workers run a function: see ``foresight.run_on_workers``."""
        return await run_on_workers(self.scheduler, function, arguments, limit)

    async def progress(self, keys: Iterable[Any] = ()) -> dict[str, int]:
        """How many of these keys are in which state; ``"unknown"`` included."""
        counts: dict[str, int] = {}
        for count, key in enumerate(keys):
            if count % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            ts = self.scheduler.tasks.get(key)
            state = "unknown" if ts is None else ts.state
            counts[state] = counts.get(state, 0) + 1
        return counts

    async def _states(self, keys: Iterable[Any]) -> list[TaskForm]:
        rows = []
        for count, key in enumerate(keys):
            if count % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            ts = self.scheduler.tasks.get(key)
            if ts is not None:
                rows.append(task_row(ts))
        return rows

    async def _closure(self, root: Any, answer: Visit, limit: int) -> None:
        """The failed task, and up to what is in memory all that leads to it."""
        rows = answer["tasks"]
        seen = {root.key}
        for ts in barriers_after(root):
            seen.add(ts.key)
            rows.append(task_row(ts))
            add_spec(rows[-1], ts, answer, limit)
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

    def _workers(
        self, tasks: Iterable[TaskForm], failures: Iterable[Fact] = ()
    ) -> dict[str, WorkerForm]:
        """The workers that hold tasks, or ran failures, as far as they are there."""
        names = {name for task in tasks for name in task["who_has"]}
        names.update(name for fact in failures for name in fact["erred_on"])
        return {
            name: worker_row(self.scheduler.workers[name])
            for name in names
            if name in self.scheduler.workers
        }


def _asked(key: Any, ts: Any) -> AskedFor:
    if ts is None:
        return {"asked": key, "key": None, "state": "unknown", "blame": None}
    return {
        "asked": key,
        "key": ts.key,
        "state": ts.state,
        "blame": ts.exception_blame.key if ts.exception_blame else None,
        "actor": bool(ts.actor),
        "has_spec": ts.run_spec is not None,
    }
