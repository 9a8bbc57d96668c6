"""The handlers that answer questions, added to a scheduler as a plugin."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

from ..common.frame_codes import read_later
from ..common.handlers import Handler
from ..common.leases import tell_leases
from ..common.pacing import Pace, count_with, slices
from .deaths import tell_deaths
from .doctor import examine
from .failures import survey_failures
from .failures_index import ErredIndex
from .foresight import foresee as look_ahead
from .foresight import recordings_of, run_on_workers
from .graph import look_around
from .leftovers import OWN_CLIENT, PRIVATE_PREFIX, forget_group, forget_topic
from .peek import survey_running
from .recordings import ask_recorder
from .story import tell_story
from .tasks import survey_counts, survey_tasks
from .visit import Visit, Wanted
from .why import explain_state
from .why_waits import follow_waits
from .workers import survey_workers

if TYPE_CHECKING:
    from ..common.wire import AnyQuestion, Foresee
    from ..common.wire_failures import Visit as Visited
    from ..common.wire_replays import Called

VERBS = ("visit", "progress", "ask", "run", "remove")

# Questions to a state, be it this scheduler or a dump (see cluster/view.py).
QUESTIONS: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
    "failures": survey_failures,
    "tasks": survey_tasks,
    "counts": survey_counts,
    "workers": survey_workers,
    "running": survey_running,
    "why": explain_state,
    "waits": follow_waits,
    "around": look_around,
    "story": tell_story,
    "doctor": examine,
    "recorder": ask_recorder,
    "live": ask_recorder,  # which passes on to any part
    "deaths": tell_deaths,
    "leases": tell_leases,
}
INDEXED = ("failures", "why")  # these take the index of failures, where one is kept


class Extension(SchedulerPlugin):  # type: ignore[misc]
    """Adds the handlers of dbgkit to a scheduler, and takes them off again.

    The name is unique to one version of this code, so that two versions on one
    scheduler do not disturb each other.
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
        """Remove everything at once: a question in between would find half of it.

        Unregistering a plugin does not notify it.
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
        """Called once a client has gone and that has been logged."""
        if client.startswith(OWN_CLIENT):
            forget_topic(scheduler, client)

    def restart(self, scheduler: Any) -> None:
        self.index = ErredIndex()
        count_with(scheduler, self.index)

    async def before_close(self) -> None:
        await self.remove()

    async def visit(self, foresee: Foresee | None = None, **wanted: Any) -> Visited:
        """Everything known about some keys, or about exceptions with one text.

        With ``foresee`` the recordings of the first failure come along, or of its
        ``key``: see ``foresight``.
        """
        answer = await Visit(self.scheduler, self.index, Wanted(**wanted)).answer()
        if foresee is None:
            return answer
        keys = [fact["key"] for fact in answer["failures"][:1]]
        if foresee.get("key") is not None:
            keys = [foresee["key"]]
        if keys:
            answer["foreseen"] = await recordings_of(self.ask, keys, foresee)
        return answer

    async def ask(
        self,
        verb: str,
        question: AnyQuestion,
        foresee: Foresee | None = None,
    ) -> Any:
        """The answer to one of `QUESTIONS`, about this scheduler.

        With ``foresee`` what will be asked next is answered too, as ``foreseen``: see
        ``foresight``.
        """
        indexed = (self.index,) if verb in INDEXED else ()
        answer = await QUESTIONS[verb](self.scheduler, question, *indexed)
        if foresee is not None:
            answer["foreseen"] = await look_ahead(
                self.scheduler, self.ask, verb, answer, foresee
            )
        return answer

    async def run(
        self,
        function: bytes,
        arguments: dict[str, bytes],
        limit: float,
        nannies: bool = False,
    ) -> dict[str, Called]:
        """Run a function on workers: see ``foresight.run_on_workers``."""
        return await run_on_workers(self.scheduler, function, arguments, limit, nannies)

    async def progress(self, keys: Iterable[Any] = ()) -> dict[str, int]:
        """How many of these keys are in which state; ``"unknown"`` included."""
        counts: Counter[str] = Counter()
        async for part in slices(list(keys), Pace()):
            for key in part:
                ts = self.scheduler.tasks.get(key)
                counts["unknown" if ts is None else ts.state] += 1
        return dict(counts)
