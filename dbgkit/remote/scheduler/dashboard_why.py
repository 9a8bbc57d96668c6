"""What blocks, and what runs, as far as the scheduler alone can tell, in words.

They are those of ``dbgkit.diagnose.why``, which asks the workers too: a test compares
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from ..common.sentences import MOST_NAMED, counted, seconds, several
from ..common.why_words import (
    LATE,
    LONG,
    all_long,
    amounts,
    being_set_up,
    in_use,
    lacking_of,
    nannies_start,
    nearest_of,
    never_joined,
    not_started,
    placed,
    waiter_of,
    wanted_of,
    workers_are,
)

if TYPE_CHECKING:
    from ..common.wire_why import (
        AnyEnd,
        End,
        LostEnd,
        NoWorkersEnd,
        Overview,
        Paused,
        PausedEnd,
        ResourcesEnd,
        RestrictionsEnd,
        StartingEnd,
        UnexplainedEnd,
        Why,
    )
    from ..common.wire_why_loops import Loop
    from ..common.wire_why_workers import Joining


class Line(NamedTuple):
    """One thing that is said, and what it rests on."""

    text: str
    evidence: tuple[str, ...] = ()


class Stand(NamedTuple):
    """What blocks, what goes on, and what was left out."""

    blocks: list[Line]
    runs: list[Line]
    notes: list[str]


def stand_of(why: Why, show: Callable[[Any], str]) -> Stand:
    """What an answer about the whole cluster says; ``show`` writes a key."""
    words = _Words(why, show)
    notes = []
    if why["omitted_ends"]:
        notes.append(f"{counted(why['omitted_ends'], 'more task')}, not examined")
    return Stand([*words.blocks()], [*words.runs()], notes)


class _Words:
    """One answer, in words."""

    def __init__(self, why: Why, show: Callable[[Any], str]) -> None:
        self._why = why
        self._show = show
        self._ends = sorted(why["ends"], key=_rank)
        self._assigned = [e for e in why["ends"] if e["code"] == "processing"]
        answers = why["answering"].items()
        self._silent = {address for address, there in answers if not there}

    def blocks(self) -> Iterator[Line]:
        """What does not go on by itself; first what most tasks wait for."""
        for end in self._ends:
            line = self._block(end)
            if line is not None:
                yield line
        yield from map(self._loop, self._why["loops"])
        yield from self._not_answering()
        yield from self._others_starting()
        yield from self._others_paused()
        yield from map(Line, map(waiter_of, self._why["waiters"] or ()))
        late = self._why["late"]
        if late is not None and late > LATE:
            evidence = (f"its event loop is {late * 1000:.0f} ms late",)
            yield Line("the scheduler is overloaded", evidence)

    def _block(self, end: End) -> Line | None:
        """What keeps a task from running; None: that goes on by itself."""
        if end["code"] == "lost-dependencies":
            return self._lost(end)
        if end["code"] == "no-workers":
            return None if end["starting"] else self._no_workers(end)
        if end["code"] == "workers-paused":
            return self._paused(end)
        if end["code"] == "resources-unmet":
            return self._resources_unmet(end)
        if end["code"] == "restrictions-unmet":
            return self._restrictions_unmet(end)
        if end["code"] == "workers-starting" and all_long(end["joining"]):
            return self._start_stuck(end["joining"], end)
        if end["code"] == "unexplained":
            return self._unexplained(end)
        return None

    def runs(self) -> Iterator[Line]:
        """What goes on by itself, unless a worker knows better."""
        for end in self._ends:
            if end["code"] == "no-workers" and end["starting"]:
                yield self._starting(end, [nannies_start(end["starting"])])
            elif end["code"] == "workers-starting" and not all_long(end["joining"]):
                yield self._starting(end, being_set_up(end["joining"]))
        there = [end for end in self._assigned if end["worker"] not in self._silent]
        running = [
            (end["duration"], end) for end in there if end["duration"] is not None
        ]
        running.sort(key=lambda found: -found[0])
        for duration, end in running[:MOST_NAMED]:
            usual = end["average"]
            evidence = (f"others took {seconds(usual)}",) if usual else ()
            on = f"runs on {end['worker']}, for {seconds(duration)}"
            yield Line(f"{self._show(end['key'])} {on}", evidence)
        for end in self._ends:
            if end["code"] == "queued":
                yield Line(f"{self._tasks(end)}: queued until a thread is free")

    # -- what is said of tasks -----------------------------------------------------

    def _tasks(self, end: AnyEnd) -> str:
        if end["count"] == 1:
            return self._show(end["key"])
        keys = several(map(self._show, end.get("keys", [end["key"]])), end["count"])
        return f"{end['count']:,} tasks ({keys})"

    def _they(self, end: AnyEnd, one: str, many: str) -> str:
        return f"{self._tasks(end)} {one if end['count'] == 1 else many}"

    def _starting(self, end: NoWorkersEnd | StartingEnd, coming: list[str]) -> Line:
        waits = self._they(end, "waits", "wait")
        return Line(f"workers are being started; {waits} for the first", tuple(coming))

    def _start_stuck(self, joining: list[Joining], end: AnyEnd | None) -> Line:
        waits = "" if end is None else self._they(end, "waits", "wait")
        evidence = map(never_joined, joining[:MOST_NAMED])
        return Line(not_started(len(joining), waits), tuple(evidence))

    def _lost(self, end: LostEnd) -> Line:
        was = self._they(end, "was", "were")
        lost = end["dependency"]
        which = "" if lost is None else f": {self._show(lost)}"
        return Line(f"{was} dropped by the scheduler: an input is lost{which}")

    def _no_workers(self, end: NoWorkersEnd) -> Line:
        wanted = wanted_of(end)
        evidence = (f"it asks for {wanted}",) if wanted else ()
        return Line(f"no worker is connected; {self._tasks(end)} cannot run", evidence)

    def _restrictions_unmet(self, end: RestrictionsEnd) -> Line:
        return Line(
            f"{self._tasks(end)} may run only on {wanted_of(end)}, and no such worker "
            "is connected",
            (nearest_of(end),),
        )

    def _resources_unmet(self, end: ResourcesEnd) -> Line:
        needs = self._they(end, "needs", "need")
        such = "such " if placed(end) else ""
        return Line(
            f"{needs} {amounts(end['resources'])}, which no {such}worker has",
            tuple(lacking_of(end)),
        )

    def _paused(self, end: PausedEnd) -> Line:
        are = workers_are(end["paused_count"])
        how = _paused(end["paused"])
        text = f"{are} {how}; {self._tasks(end)} cannot run"
        return Line(text, _in_use(end["paused"]))

    def _unexplained(self, end: UnexplainedEnd) -> Line:
        are = self._they(end, "is", "are")
        return Line(
            f"{are} {end['state'] or 'unfinished'}, and no known cause explains why",
            tuple(f"ruled out: {reason}" for reason in end["ruled_out"]),
        )

    # -- what is said of workers, and of what is waited for --------------------------

    def _loop(self, loop: Loop) -> Line:
        tries = max(loop["failed"], loop["rescheduled"], loop["died"])
        least = "" if loop["exact"] else "at least "
        return Line(
            f"{self._show(loop['key'])} is run again and again",
            (f"{least}{counted(tries, 'attempt')} came to nothing",),
        )

    def _not_answering(self) -> Iterator[Line]:
        heard = {end["worker"]: end["age"] for end in self._assigned}
        cluster = self._why["cluster"]
        for quiet in cluster["quiet"] if cluster else ():
            heard.setdefault(quiet["address"], quiet["age"])
        found = sorted(self._silent)
        if found:
            does = "does" if len(found) == 1 else "do"
            evidence = tuple(
                f"{worker}: last heard from {seconds(heard[worker])} ago"
                for worker in found[:MOST_NAMED]
                if worker in heard
            )
            yield Line(f"{several(found)} {does} not answer", evidence)

    def _others_starting(self) -> Iterator[Line]:
        """Workers whose start does not end, where no task has said so."""
        cluster = self._why["cluster"]
        known = any(end["code"] == "workers-starting" for end in self._ends)
        long = [e for e in cluster["joining"] if e["age"] > LONG] if cluster else []
        if long and not known:
            yield self._start_stuck(long, None)

    def _others_paused(self) -> Iterator[Line]:
        """Workers that are paused, where no task has said so."""
        cluster = self._why["cluster"]
        known = any(end["code"] == "workers-paused" for end in self._ends)
        if cluster and cluster["paused_count"] and not known:
            are = workers_are(cluster["paused_count"])
            how = _paused(cluster["paused"])
            yield Line(f"{are} {how}", _in_use(cluster["paused"]))


_ORDER = (
    "lost-dependencies",
    "no-workers",
    "workers-starting",
    "workers-paused",
    "resources-unmet",
    "restrictions-unmet",
    "unexplained",
)


def _rank(end: End) -> tuple[int, int]:
    """First what most tasks wait for."""
    code = end["code"]
    place = _ORDER.index(code) if code in _ORDER else len(_ORDER)
    return -end["count"] - end.get("waiting", 0), place


def overview_line(cluster: Overview | None) -> str:
    """``2 workers, 4 threads · 12 tasks: 3 erred, 9 memory``"""
    if cluster is None:
        return ""
    workers = counted(cluster["workers"], "worker")
    text = f"{workers}, {counted(cluster['threads'], 'thread')}"
    states = sorted(cluster["states"].items())
    total = sum(count for _, count in states)
    each = ", ".join(f"{count:,} {state}" for state, count in states)
    return f"{text} · {counted(total, 'task')}" + (f": {each}" if each else "")


def _paused(workers: Iterable[Paused]) -> str:
    """What workers are that do not run: as ``diagnose.why.paused`` has it."""
    retired = all(each["status"] == "closing_gracefully" for each in workers)
    return "being retired" if retired else "paused"


def _in_use(paused: Iterable[Paused]) -> tuple[str, ...]:
    return tuple(in_use(each, each["memory"]) for each in islice(paused, MOST_NAMED))
