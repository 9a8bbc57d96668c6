"""One look at a cluster: what the scheduler says, then the workers and the client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from dbgkit.cluster.clients import held_future_states
from dbgkit.cluster.starting import Starts, starts_here
from dbgkit.cluster.view import LiveView, View
from dbgkit.cluster.why import (
    dumped_workers,
    foreseeing,
    probe_workers,
    processes_of,
)
from dbgkit.diagnose.deaths.explain import deaths_of, tell_deaths
from dbgkit.diagnose.why.board import Board
from dbgkit.diagnose.why.circles import Circle, Circles
from dbgkit.diagnose.why.here import FutureHere, futures_here, last_errors
from dbgkit.diagnose.why.lacks import not_unpickled
from dbgkit.diagnose.why.waiting import find_stuck
from dbgkit.model import Death
from dbgkit.remote.scheduler.foresight import MOST_KILLED, tasks_had, workers_to_ask
from dbgkit.targets.modules import Lack
from dbgkit.targets.scheduler_texts import held_beginnings
from dbgkit.targets.unreadable import Unreadable

if TYPE_CHECKING:
    from dbgkit.model import PeekedTask
    from dbgkit.remote.common.wire_why import (
        End,
        Forgotten,
        Placed,
        ProcessingEnd,
        QueuedEnd,
        Why,
        WhyQuestion,
    )
    from dbgkit.remote.common.wire_why_late import Usage
    from dbgkit.remote.common.wire_why_loops import Loop
    from dbgkit.remote.common.wire_why_workers import Probe, ProbedTask

PING = 3.0  # seconds for a worker to answer the scheduler
MOST_PENDING = 2_000  # futures of the client that the scheduler is asked about
JUST = 60.0  # seconds since a worker left that has just left
MOST_LEFT = 20
MOST_PEEKED = 2  # tasks, each in a few samples
_WENT_ON = ("failed", "cascaded", "processing")
_MAY_BE_STUCK = ("processing", "queued")
STUCK_TRANSFER = 30.0  # seconds that one transfer may take

# A worker that has tasks, and what it said itself.
Busy = tuple["Placed", "Probe | None"]


@dataclass(frozen=True)
class Assigned:
    """A task that a worker has; that worker knows more of it than the scheduler.

    Its ``stage`` there is ``"waiting"`` for inputs, or ``"stuck"`` if these will not
    arrive, or ``"cut off"`` if one cannot be transferred; ``"ready"``, or ``"held"`` if
    all threads run what the scheduler has released; ``"executing"``, ``"done"``. Or its
    worker is ``"paused"``, ``"silent"``, or does not know it (``"unheard"``).
    """

    end: ProcessingEnd
    probe: Probe | None
    row: ProbedTask  # what the worker said of it, if it was asked
    stage: str
    hindered: list[str]  # what shows that its inputs will not arrive
    deaths: Sequence[Death]  # of workers that had it
    live: bool
    # What it does now, in a few samples; None if that is not to be had.
    peek: Callable[[], PeekedTask | None]

    @property
    def died(self) -> tuple[int, int]:
        """How many workers died that may have run it, and how many certainly ran it.

        The scheduler counts all that it was assigned to (``TaskState.suspicious``).
        Those where the recorder knows that it was only queued are left out.
        """
        key = self.end["key"]
        ran = sum(key in death.keys for death in self.deaths)
        queued = sum(
            death.ran_known
            and not death.expected
            and key in death.queued
            # A heartbeat may have been sent before it started.
            and all(task.found_in == "worker" for task in death.ran)
            for death in self.deaths
        )
        return max(0, self.end["suspicious"] - queued), ran

    @property
    def retried(self) -> bool:
        return self.end["tried"] > 0 or self.died[0] > 0


class StillRun(NamedTuple):
    """A worker that runs a task which the scheduler has forgotten."""

    worker: str
    probe: Probe
    row: ProbedTask


@dataclass
class Look:
    """What was found in one look; ``whole`` if it is of the whole cluster."""

    view: View
    whole: bool
    answer: Why
    probes: Mapping[str, Probe]  # by the worker's address
    deaths: Mapping[Any, Sequence[Death]]  # of workers that had a task
    lacks: Mapping[Any, Lack]  # what workers lack for the task of an end
    unread: Mapping[Any, Unreadable]  # why they cannot unpickle it
    board: Board  # who waits for whom
    errors: Mapping[Any, str]  # of tasks that are run again and again, by key
    futures: Mapping[Any, FutureHere]  # of tasks that the scheduler does not know
    _peeked: dict[Any, PeekedTask | None] = field(default_factory=dict)

    def lack_of(self, end: End) -> Lack | None:
        """The lack of modules that explains an end.

        What executes was deserialized; what Dask stopped retrying stays failed.
        """
        return None if end["code"] in _WENT_ON else self.lacks.get(end["key"])

    def unread_of(self, end: End) -> Unreadable | None:
        """As `lack_of`: why workers cannot unpickle the task of an end."""
        return None if end["code"] in _WENT_ON else self.unread.get(end["key"])

    @cached_property
    def circles(self) -> dict[Any, Circle]:
        """The deadlocks that explain ends, by the end's key."""
        found: dict[Any, Circle] = {}
        circles = Circles(self.board)
        for end in self.answer["ends"] if self.board.stuck else ():
            worker = end["worker"] if end["code"] == "processing" else None
            if circle := circles.of(end["key"], worker):
                found[end["key"]] = circle
        return found

    @cached_property
    def ends(self) -> list[End]:
        """All that nothing else explains: unpickling, breakpoints, deadlocks, loops."""
        loops = {loop["key"] for loop in self.loops}
        return [
            end
            for end in self.answer["ends"]
            if self.lack_of(end) is None
            and self.unread_of(end) is None
            and not (end["code"] == "processing" and end["breakpoint"])
            and end["key"] not in self.circles
            and end.get("blame", end["key"]) not in loops
        ]

    @cached_property
    def loops(self) -> list[Loop]:
        """Tasks that are run again and again, for no other reason that is known."""
        unpickled = {
            end["key"]
            for end in self.answer["ends"]
            if self.lack_of(end) is None and self.unread_of(end) is None
        }
        ends = {end["key"] for end in self.answer["ends"]}
        return [
            each
            for each in self.answer["loops"]
            if each["key"] in unpickled or each["key"] not in ends
        ]

    @cached_property
    def assigned(self) -> list[Assigned]:
        return [self._assigned(e) for e in self.ends if e["code"] == "processing"]

    @cached_property
    def processes(self) -> Mapping[str, Usage]:
        """What the processes of workers do that do not answer, by their addresses."""
        silent = [each for each, there in self.answer["answering"].items() if not there]
        if not silent or not isinstance(self.view, LiveView):
            return {}
        return processes_of(self.view.link, silent)

    def places(self, end: QueuedEnd) -> list[Busy]:
        """The workers for whose threads something waits."""
        return [(place, self.probes.get(place["worker"])) for place in end["places"]]

    def is_silent(self, worker: str | None) -> bool:
        """Whether a worker was asked by the scheduler, and did not answer."""
        return worker is not None and self.answer["answering"].get(worker) is False

    @cached_property
    def starts(self) -> Starts:
        """What nannies of this process start, or failed to start."""
        client = self.view.client
        return Starts() if client is None else starts_here(client)

    def _assigned(self, end: ProcessingEnd) -> Assigned:
        probe = self.probes.get(end["worker"])
        row = row_of(probe, end["key"]) or _not_asked(end["key"])
        hindered = self._hindrances(end, probe, row)
        stage = _stage(end, probe, row["state"])
        if self.is_silent(end["worker"]):
            stage = "silent"
        elif stage == "waiting" and any(each["error"] for each in row["inputs"]):
            stage = "cut off"
        elif stage == "waiting" and set(hindered) - {"limit"}:
            stage = "stuck"
        elif stage == "ready" and held(probe):
            stage = "held"
        deaths = self.deaths.get(end["key"], ())
        live = self.answer["late"] is not None
        peek = partial(self.peek, end["worker"], end["key"])
        return Assigned(end, probe, row, stage, hindered, deaths, live, peek)

    def peek(self, worker: str, key: Any) -> PeekedTask | None:
        """What a task does now, in a few samples; not of more than a few tasks."""
        if key not in self._peeked and len(self._peeked) < MOST_PEEKED:
            from dbgkit.diagnose.peek import peek_one  # few causes need it

            live = self.view if isinstance(self.view, LiveView) else None
            self._peeked[key] = peek_one(live.link, worker, key) if live else None
        return self._peeked.get(key)

    def _hindrances(
        self, end: ProcessingEnd, probe: Probe | None, row: ProbedTask
    ) -> list[str]:
        found = []
        for entry in row["inputs"]:
            if self.is_silent(entry["from"]):
                found.append("sender")
            elif entry["state"] == "missing":
                found.append("missing")
            elif (lasted(entry["since"], probe) or 0.0) > STUCK_TRANSFER:
                found.append("slow")
        for missing in end["missing"] if not row["inputs"] else ():
            if any(map(self.is_silent, missing["holders"])):
                found.append("sender")
        limit = probe["transfer_limit"] if probe else None
        if limit and probe and len(probe["in_flight"]) >= limit:
            found.append("limit")
        return found

    def unknown(self, *, lost: bool) -> Iterator[tuple[Forgotten, int]]:
        """Tasks that the scheduler does not know, and how many each stands for.

        With ``lost``, those of which an input is lost; else the others.
        """
        entries = self.answer["unknown"]
        more = max(0, self.answer.get("unknown_count", 0) - len(entries))
        for entry in entries:
            if (entry["dependency"] is not None) == lost:
                yield entry, 1 + (more if entry is entries[-1] else 0)

    def still_run(self, key: Any) -> list[StillRun]:
        """Workers that run a task that the scheduler has forgotten."""
        found = []
        for address, probe in sorted(self.probes.items()):
            row = row_of(probe, key)
            busy = (entry["key"] for entry in probe["executing"])
            if row is not None and (row["stack"] is not None or key in busy):
                found.append(StillRun(address, probe, row))
        return found

    @cached_property
    def left(self) -> list[tuple[float, Death]]:
        """Workers that have just left, and how long ago; dumps lack them."""
        if not self.view.live:
            return []
        deaths = tell_deaths(self.view, limit=MOST_LEFT)
        ages = [(self.answer["end"] - each.when.timestamp(), each) for each in deaths]
        return [(age, death) for age, death in ages if age < JUST]


def _not_asked(key: Any) -> ProbedTask:
    return {
        "key": key,
        "state": None,
        "since": None,
        "inputs": [],
        "stack": None,
        "waits": None,
    }


def _stage(end: ProcessingEnd, probe: Probe | None, state: str | None) -> str:
    if state is None and probe is not None:
        return "unheard"
    if state is None:  # by the last heartbeat, as the worker itself was not asked
        state = "waiting" if end["missing_count"] else "ready"
        if end["duration"] is not None or end["long_running"]:
            state = "executing"
    if state in ("executing", "long-running", "resumed"):
        return "executing"
    if (probe["status"] if probe else end["status"]) != "running":
        return "paused"
    if state == "waiting":
        return "waiting"
    return "ready" if state in ("ready", "constrained") else "done"


def held(probe: Probe | None) -> bool:
    """Whether a worker runs only tasks that the scheduler has released."""
    busy = probe["executing"] if probe else ()
    return bool(busy) and all(entry.get("state") == "cancelled" for entry in busy)


def row_of(probe: Probe | None, key: Any) -> ProbedTask | None:
    """What a worker said of one task."""
    rows = probe["tasks"] if probe else ()
    return next((row for row in rows if row["key"] == key), None)


def lasted(since: float | None, probe: Probe | None) -> float | None:
    """For how long something has gone on; clocks differ, and a dump's is not exact."""
    return max(0.0, probe["now"] - since) if since and probe else None


def look_at(
    view: View, keys: list[Any] | None, futures: Mapping[Any, Any] | None = None
) -> Look:
    """One look: asks the scheduler, then the workers of the tasks it assigned.

    ``keys``: None for the whole cluster; ``futures`` of some of them.
    """
    whole = keys is None
    pending = _pending(view, keys)
    question: WhyQuestion = {"keys": keys, "pending": pending, "ping": PING}
    if view.client is not None:
        question["client"] = view.client.id
        if keys:
            question["texts"] = held_beginnings(view.client, keys)
    if isinstance(view, LiveView):
        answer = view.ask("why", question, foreseeing(view.link, 0))
        probes = probe_workers(view.link, workers_to_ask(answer, True))
        keys = [e["key"] for e in answer["ends"] if e["code"] in _MAY_BE_STUCK]
        board = find_stuck(view, probes, keys)
    else:
        board = Board()
        answer = view.ask("why", question)
        probes = dumped_workers(view.state, workers_to_ask(answer, False))
    had = [key for _, key in tasks_had(answer["ends"])]
    had += [loop["key"] for loop in answer["loops"] if loop["died"]]
    deaths = deaths_of(view, had[:MOST_KILLED])
    lacks, unread = not_unpickled(view, answer["ends"], deaths)
    errors = last_errors(view, answer)
    here = futures_here(view, answer, futures or {})
    return Look(view, whole, answer, probes, deaths, lacks, unread, board, errors, here)


def _pending(view: View, keys: list[Any] | None) -> list[Any]:
    """Keys of this client's futures that are pending."""
    if view.client is None:
        return []
    states = held_future_states(view.client)
    wanted = list(states) if keys is None else keys
    pending = [k for k in wanted if k in states and states[k].status == "pending"]
    return pending[:MOST_PENDING]
