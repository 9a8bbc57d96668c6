"""What runs inside the scheduler: one visit tells all that it knows of a failure.

This file is sent to the scheduler as source, so it imports the standard library,
dask and distributed only. All that it returns is builtin types, and all that it
looks at stays as it is. A pass over many tasks yields to the event loop.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Collection, Coroutine, Iterable
from time import time
from typing import Any

from dask._task_spec import Alias
from dask.sizeof import sizeof
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.protocol import pickle as wire

from .around import look_around
from .causes import explain_state
from .checks import examine
from .deaths_events import tell_deaths
from .facts import failure_fact, history_of
from .histories import tell_history
from .keys import find_task
from .pacing import Pace, count_with
from .recorder_asking import ask_recorder
from .roots import find_roots
from .survey import survey_counts, survey_tasks
from .survey_failures import survey_failures
from .survey_index import ErredIndex

SLICE = 500  # tasks between two yields to the event loop
VERBS = ("visit", "progress", "ask", "remove")

# Questions to a state, be it this scheduler or a dump (see cluster/view.py).
Question = Callable[[Any, dict[str, Any]], Coroutine[Any, Any, dict[str, Any]]]
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
            scheduler.handlers[f"{self.name}-{verb}"] = getattr(self, verb)

    async def remove(self) -> None:
        """Take the handlers off; unregistering a plugin does not tell the plugin."""
        for verb in VERBS:
            self.scheduler.handlers.pop(f"{self.name}-{verb}", None)

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
        elif start == "processing":
            if finish == "memory":
                if key in self.index.retried:
                    self.index.heal(key)
            elif stimulus_id.startswith("task-erred"):
                # Scheduler.stimulus_task_erred: a retry was left.
                self.index.retried[key] = None
        elif finish == "forgotten":
            self.index.forgotten += 1
            if self.index.retried:
                self.index.retried.pop(key, None)

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
        specs: bool = False,
        states_only: bool = False,
        finished: bool = False,
        max_bytes: int = 2**30,
        limit: int = 1000,
    ) -> dict[str, Any]:
        """All that is known of some keys, or of exceptions with one text.

        Parameters
        ----------
        keys : iterable of Key
            What is asked for; a text also finds the tuple key that it spells.
        exception_text : str, optional
            Entries of ``erred_tasks`` with this text are returned; ``""``: all.
        newest_of : str, optional
            Id of a client: its failed tasks are asked for. ``""``: any client's.
        texts : collection of str
            What the futures of the keys hold: of several failures because of which a
            task fell, the one with such a text is meant (see ``roots``).
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
        """
        scheduler = self.scheduler
        answer: dict[str, Any] = {
            "now": time(),
            "asked": [],
            "failures": [],
            "omitted": 0,
            "unfollowed": 0,
            "erred": [],
            "tasks": [],
            "spec_bytes": 0,
            "workers": {},
        }
        if states_only:
            answer["tasks"] = await self._states(keys)
            answer["workers"] = self._workers(answer["tasks"])
            return answer
        history = history_of(scheduler)
        if exception_text is not None:
            answer["erred"] = [
                entry
                for entry in history
                if exception_text in ("", entry["exception_text"])
            ]
        if newest_of is not None:
            keys = [*keys, *_newest_failed(scheduler, history, newest_of)]
        failed = []
        for count, key in enumerate(keys, 1):
            if count % SLICE == 0:
                await asyncio.sleep(0)
            found = find_task(scheduler, key)
            answer["asked"].append(_asked(key, found))
            if found is not None and found.exception_blame is not None:
                failed.append(found)
        roots = await find_roots(scheduler, failed, Pace(), texts)
        times = {entry["key"]: entry for entry in reversed(history)}
        for root in roots.order[:limit]:
            fact = failure_fact(
                scheduler, root, roots.way(root)[0].key, times.get(root.key)
            )
            answer["failures"].append({**fact, "when": roots.when[root.key]})
        answer["omitted"] = max(0, len(roots.order) - limit)
        answer["unfollowed"] = roots.unfollowed
        if specs and roots.order:
            await self._closure(roots.order[0], answer, max_bytes)
        elif specs and finished and answer["asked"]:
            asked = scheduler.tasks.get(answer["asked"][0]["key"])
            if asked is not None:
                await self._closure(asked, answer, max_bytes)
        answer["workers"] = self._workers(answer["tasks"], answer["failures"])
        return answer

    async def ask(self, verb: str, question: dict[str, Any]) -> dict[str, Any]:
        """One of `QUESTIONS`, about this scheduler."""
        if verb == "failures":
            return await survey_failures(self.scheduler, question, self.index)
        return await QUESTIONS[verb](self.scheduler, question)

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

    async def _states(self, keys: Iterable[Any]) -> list[dict[str, Any]]:
        rows = []
        for count, key in enumerate(keys):
            if count % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            ts = self.scheduler.tasks.get(key)
            if ts is not None:
                rows.append(_task(ts))
        return rows

    async def _closure(self, root: Any, answer: dict[str, Any], limit: int) -> None:
        """The failed task, and up to what is in memory all that leads to it."""
        rows = answer["tasks"]
        seen = {root.key}
        stack = [root]
        while stack:
            ts = stack.pop()
            row = _task(ts)
            rows.append(row)
            if len(rows) % SLICE == 0:
                await asyncio.sleep(0)
            if ts.state == "memory" and ts is not root:
                continue
            _add_spec(row, ts, answer, limit)
            for key in _lost_dependencies(ts):
                row["dependencies"].append(key)
                if key not in seen:
                    seen.add(key)
                    rows.append(_lost(key))
            for dependency in ts.dependencies:
                if dependency.key not in seen:
                    seen.add(dependency.key)
                    stack.append(dependency)

    def _workers(self, *groups: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """The workers that are named in rows, as far as they are still there."""
        names: set[str] = set()
        for rows in groups:
            for row in rows:
                names.update(row.get("who_has", ()))
                names.update(row.get("erred_on", ()))
        return {
            name: _worker(self.scheduler.workers[name])
            for name in names
            if name in self.scheduler.workers
        }


def _newest_failed(
    scheduler: Any, history: list[dict[str, Any]], client: str
) -> list[Any]:
    """Keys that a client wants (any client: ``""``) and that failed, newest first."""
    found = []
    for entry in history:
        ts = scheduler.tasks.get(entry["key"])
        if ts is None or ts.state != "erred":
            continue
        if not client or any(cs.client_key == client for cs in ts.who_wants or ()):
            found.append(entry["key"])
    if client and not found and client in scheduler.clients:
        wanted = scheduler.clients[client].wants_what
        found = [ts.key for ts in wanted if ts.state == "erred"]
    return found


def _asked(key: Any, ts: Any) -> dict[str, Any]:
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


def _task(ts: Any) -> dict[str, Any]:
    """State, place and size of a task."""
    return {
        "key": ts.key,
        "state": ts.state,
        "nbytes": ts.nbytes if ts.nbytes >= 0 else None,
        "type": ts.type or "",
        "who_has": [ws.address for ws in ts.who_has or ()],
        "dependencies": [dependency.key for dependency in ts.dependencies],
        "lost": ts.run_spec is None and ts.state != "memory",
        "actor": bool(ts.actor),
        "alias_of": ts.run_spec.target if isinstance(ts.run_spec, Alias) else None,
        "group_size": sum(ts.group.states.values()),
        "restrictions": {
            "workers": sorted(ts.worker_restrictions or ()),
            "hosts": sorted(ts.host_restrictions or ()),
            "resources": dict(ts.resource_restrictions or {}),
            "loose": bool(ts.loose_restrictions),
        },
        "spec": None,
        "spec_bytes": 0,
        "spec_error": "",
    }


def _lost_dependencies(ts: Any) -> list[Any]:
    """What a task takes that was forgotten with its only copy.

    ``Scheduler._propagate_forgotten`` takes it off ``TaskState.dependencies``.
    """
    if not ts.has_lost_dependencies or ts.run_spec is None:
        return []
    known = {dependency.key for dependency in ts.dependencies}
    return [key for key in ts.run_spec.dependencies if key not in known]


def _lost(key: Any) -> dict[str, Any]:
    """The row of a task that the scheduler has forgotten."""
    return {
        "key": key,
        "state": "unknown",
        "nbytes": None,
        "type": "",
        "who_has": [],
        "dependencies": [],
        "lost": True,
        "actor": False,
        "alias_of": None,
        "group_size": None,
        "restrictions": {},
        "spec": None,
        "spec_bytes": 0,
        "spec_error": "",
    }


def _add_spec(row: dict[str, Any], ts: Any, answer: dict[str, Any], limit: int) -> None:
    """Pickle a run spec into its row, as long as all of them are within a limit."""
    if ts.run_spec is None:
        return
    expected = sizeof(ts.run_spec)
    if answer["spec_bytes"] + expected <= limit:
        try:
            row["spec"] = wire.dumps(ts.run_spec)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            row["spec_error"] = repr(error)[:1000]
            return
        expected = len(row["spec"])
    row["spec_bytes"] = expected
    answer["spec_bytes"] += expected


def _worker(ws: Any) -> dict[str, Any]:
    return {
        "name": ws.name if isinstance(ws.name, (str, int)) else str(ws.name),
        "status": ws.status.name,
        "memory_limit": ws.memory_limit,
        "pid": ws.pid,
        "nanny": ws.nanny,
        "local_directory": ws.local_directory,
        "nthreads": ws.nthreads,
    }
