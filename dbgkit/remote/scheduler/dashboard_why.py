"""What blocks, and what runs, as far as the scheduler alone can tell, in words.

They are those of ``dbgkit.diagnose.why``, which asks the workers too: a test compares
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..common.sentences import MOST_NAMED, counted, seconds, several, size

if TYPE_CHECKING:
    from ..common.wire_why import (
        AnyEnd,
        End,
        Loop,
        LostEnd,
        NoWorkersEnd,
        Overview,
        Paused,
        PausedEnd,
        ResourcesEnd,
        RestrictionsEnd,
        StartingEnd,
        UnexplainedEnd,
        Waiter,
        Wanted,
        Why,
    )
    from ..common.wire_why_workers import Joining

LONG = 60.0  # seconds after which a start is hardly just slow
LATE = 0.25  # seconds of the scheduler's event loop


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
        yield from map(self._waits, self._why["waiters"] or ())
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
        if end["code"] == "workers-starting" and _all_long(end["joining"]):
            return self._start_stuck(end["joining"], end)
        if end["code"] == "unexplained":
            return self._unexplained(end)
        return None

    def runs(self) -> Iterator[Line]:
        """What goes on by itself, unless a worker knows better."""
        for end in self._ends:
            if end["code"] == "no-workers" and end["starting"]:
                nannies = f"{end['starting']} nannies are starting a worker"
                yield self._starting(end, [nannies])
            elif end["code"] == "workers-starting" and not _all_long(end["joining"]):
                joining = [
                    f"{each['address']} is being set up" for each in end["joining"]
                ]
                yield self._starting(end, joining)
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
        return f"{end['count']} tasks ({keys})"

    def _they(self, end: AnyEnd, one: str, many: str) -> str:
        return f"{self._tasks(end)} {one if end['count'] == 1 else many}"

    def _starting(self, end: NoWorkersEnd | StartingEnd, coming: list[str]) -> Line:
        waits = self._they(end, "waits", "wait")
        return Line(f"workers are being started; {waits} for the first", tuple(coming))

    def _start_stuck(self, joining: list[Joining], end: AnyEnd | None) -> Line:
        count = len(joining)
        does, them = ("does", "it") if count == 1 else ("do", "them")
        text = f"{counted(count, 'worker')} {does} not finish starting"
        if end is not None:
            text += f"; {self._they(end, 'waits', 'wait')} for {them}"
        evidence = (
            f"{each['address']}: registered {seconds(each['age'])} ago, and is still "
            "being set up"
            for each in joining[:MOST_NAMED]
        )
        return Line(text, tuple(evidence))

    def _lost(self, end: LostEnd) -> Line:
        was = self._they(end, "was", "were")
        lost = end["dependency"]
        which = "" if lost is None else f": {self._show(lost)}"
        return Line(f"{was} dropped by the scheduler: an input is lost{which}")

    def _no_workers(self, end: NoWorkersEnd) -> Line:
        wanted = _wanted(end)
        evidence = (f"it asks for {wanted}",) if wanted else ()
        return Line(f"no worker is connected; {self._tasks(end)} cannot run", evidence)

    def _restrictions_unmet(self, end: RestrictionsEnd) -> Line:
        nearest = end["nearest"]
        where = "on the same host" if nearest["same_host"] else "on another host"
        return Line(
            f"{self._tasks(end)} may run only on {_wanted(end)}, and no such worker "
            "is connected",
            (f"the nearest is {nearest['address']}, {where}",),
        )

    def _resources_unmet(self, end: ResourcesEnd) -> Line:
        needs = self._they(end, "needs", "need")
        evidence = [
            f"{each['resource']}: {each['wanted']:g} wanted, the nearest worker "
            f"{each['address']} has {each['has']:g}"
            if each["has"]
            else f"{each['resource']}: no worker has any"
            for each in end["lacking"]
        ]
        return Line(
            f"{needs} {_amounts(end['resources'])}, which no worker has",
            tuple(evidence or ["no worker has all of it"]),
        )

    def _paused(self, end: PausedEnd) -> Line:
        workers = _are(end["paused_count"])
        return Line(
            f"{workers} paused; {self._tasks(end)} cannot run",
            tuple(map(_in_use, end["paused"])),
        )

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
            evidence = tuple(map(_in_use, cluster["paused"][:MOST_NAMED]))
            yield Line(f"{_are(cluster['paused_count'])} paused", evidence)

    def _waits(self, waiter: Waiter) -> Line:
        text = f"{waiter['waiting']} wait for {waiter['kind']} {waiter['name']!r}"
        if waiter.get("held"):
            text += f", {waiter['held']} hold it"
        if waiter.get("queue"):
            text += f", which is {waiter['queue']}"
        return Line(text)


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


def _all_long(joining: Sequence[Joining]) -> bool:
    """Whether it is unlikely that any of these workers still joins by itself."""
    return bool(joining) and all(each["age"] > LONG for each in joining)


def _are(count: int) -> str:
    return f"{counted(count, 'worker')} {'is' if count == 1 else 'are'}"


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


def _in_use(worker: Paused) -> str:
    memory = ""
    if worker["memory"] and worker["limit"]:
        memory = f", {size(worker['memory'])} of {size(worker['limit'])} in use"
    return f"{worker['address']}: {worker['status']}{memory}"


def _wanted(end: Wanted) -> str:
    hosts: Iterable[str] = (f"host {host}" for host in end["only_hosts"])
    parts = [*end["only_workers"], *hosts]
    if end["resources"]:
        parts.append(_amounts(end["resources"]))
    return several(parts)


def _amounts(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in sorted(resources.items()))
