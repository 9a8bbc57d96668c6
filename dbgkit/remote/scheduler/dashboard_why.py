"""What blocks, and what runs, as far as the scheduler alone can tell, in words.

They are those of ``dbgkit.diagnose.why``, which asks the workers too: a test compares
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..common.sentences import MOST_NAMED, counted, seconds, several, size

if TYPE_CHECKING:
    from ..common.wire_why import Overview, Waiter, Why

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
        self._ends: dict[str, list[Any]] = {}
        for end in why["ends"]:
            self._ends.setdefault(end["code"], []).append(end)
        self._assigned = self._ends.get("processing", [])
        answers = why["answering"].items()
        self._silent = {address for address, there in answers if not there}

    def blocks(self) -> Iterator[Line]:
        """What does not go on by itself; first what most tasks wait for."""
        ends = [end for code in _LINES for end in self._ends.get(code, ())]
        ends.sort(key=lambda end: -end["count"] - end.get("waiting", 0))
        for end in ends:
            if not end.get("starting"):
                yield _LINES[end["code"]](self, end)
        yield from map(self._loop, self._why["loops"])
        yield from self._not_answering()
        yield from self._paused()
        yield from map(self._waits, self._why["waiters"] or ())
        late = self._why["late"]
        if late is not None and late > LATE:
            evidence = (f"its event loop is {late * 1000:.0f} ms late",)
            yield Line("the scheduler is overloaded", evidence)

    def runs(self) -> Iterator[Line]:
        """What goes on by itself, unless a worker knows better."""
        for code in ("no-workers", "workers-starting"):
            for end in self._ends.get(code, ()):
                if end.get("starting", True):
                    yield self._starting(end)
        running = [
            end
            for end in self._assigned
            if end["duration"] is not None and end["worker"] not in self._silent
        ]
        running.sort(key=lambda end: -end["duration"])
        for end in running[:MOST_NAMED]:
            usual = end["average"]
            evidence = (f"others took {seconds(usual)}",) if usual else ()
            lasted = seconds(end["duration"])
            on = f"runs on {end['worker']}, for {lasted}"
            yield Line(f"{self._show(end['key'])} {on}", evidence)
        for end in self._ends.get("queued", ()):
            yield Line(f"{self._tasks(end)}: queued until a thread is free")

    # -- what is said of tasks -----------------------------------------------------

    def _tasks(self, end: Mapping[str, Any]) -> str:
        if end["count"] == 1:
            return self._show(end["key"])
        keys = several(map(self._show, end["keys"]), end["count"])
        return f"{end['count']} tasks ({keys})"

    def _they(self, end: Mapping[str, Any], one: str, many: str) -> str:
        return f"{self._tasks(end)} {one if end['count'] == 1 else many}"

    def _starting(self, end: Mapping[str, Any]) -> Line:
        waits = self._they(end, "waits", "wait")
        coming = [
            f"{each['address']} is being set up" for each in end.get("joining", ())
        ]
        if end.get("starting"):
            coming.append(f"{end['starting']} nannies are starting a worker")
        return Line(f"workers are being started; {waits} for the first", tuple(coming))

    def lost(self, end: Mapping[str, Any]) -> Line:
        was = self._they(end, "was", "were")
        lost = end["dependency"]
        which = "" if lost is None else f": {self._show(lost)}"
        return Line(f"{was} dropped by the scheduler: an input is lost{which}")

    def no_workers(self, end: Mapping[str, Any]) -> Line:
        wanted = _wanted(end)
        evidence = (f"it asks for {wanted}",) if wanted else ()
        return Line(f"no worker is connected; {self._tasks(end)} cannot run", evidence)

    def restrictions_unmet(self, end: Mapping[str, Any]) -> Line:
        nearest = end["nearest"]
        where = "on the same host" if nearest["same_host"] else "on another host"
        return Line(
            f"{self._tasks(end)} may run only on {_wanted(end)}, and no such worker "
            "is connected",
            (f"the nearest is {nearest['address']}, {where}",),
        )

    def resources_unmet(self, end: Mapping[str, Any]) -> Line:
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
            (*(evidence or ["no worker has all of it"]), *_behind(end)),
        )

    def workers_paused(self, end: Mapping[str, Any]) -> Line:
        count = end["paused_count"]
        workers = "1 worker is" if count == 1 else f"{count} workers are"
        return Line(
            f"{workers} paused; {several(map(self._show, end['keys']))} cannot run",
            tuple(map(_paused, end["paused"])),
        )

    def unexplained(self, end: Mapping[str, Any]) -> Line:
        are = self._they(end, "is", "are")
        return Line(
            f"{are} {end['state'] or 'unfinished'}, and no known cause explains why",
            tuple(f"ruled out: {reason}" for reason in end["ruled_out"]),
        )

    # -- what is said of workers, and of what is waited for --------------------------

    def _loop(self, loop: Mapping[str, Any]) -> Line:
        tries = max(loop["failed"], loop["rescheduled"], loop["died"])
        least = "" if loop["exact"] else "at least "
        return Line(
            f"{self._show(loop['key'])} is run again and again",
            (f"{least}{counted(tries, 'attempt')} came to nothing", *_behind(loop)),
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

    def _paused(self) -> Iterator[Line]:
        cluster = self._why["cluster"]
        if cluster and cluster["paused_count"] and "workers-paused" not in self._ends:
            count = cluster["paused_count"]
            workers = "1 worker is" if count == 1 else f"{count} workers are"
            evidence = tuple(map(_paused, cluster["paused"][:MOST_NAMED]))
            yield Line(f"{workers} paused", evidence)

    def _waits(self, waiter: Waiter) -> Line:
        text = f"{waiter['waiting']} wait for {waiter['kind']} {waiter['name']!r}"
        if waiter.get("held"):
            text += f", {waiter['held']} hold it"
        if waiter.get("queue"):
            text += f", which is {waiter['queue']}"
        return Line(text)


# By the scheduler's codes.
_LINES: dict[str, Callable[[_Words, Any], Line]] = {
    "lost-dependencies": _Words.lost,
    "no-workers": _Words.no_workers,
    "workers-paused": _Words.workers_paused,
    "resources-unmet": _Words.resources_unmet,
    "restrictions-unmet": _Words.restrictions_unmet,
    "unexplained": _Words.unexplained,
}


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


def _behind(end: Mapping[str, Any]) -> list[str]:
    """What needs the tasks of an end."""
    behind = end.get("waiting", 0)
    least = "at least " if end.get("waiting_cut") else ""
    return [f"{least}{counted(behind, 'task')} need it"] if behind > 1 else []


def _paused(worker: Mapping[str, Any]) -> str:
    memory = ""
    if worker["memory"] and worker["limit"]:
        memory = f", {size(worker['memory'])} of {size(worker['limit'])} in use"
    return f"{worker['address']}: {worker['status']}{memory}"


def _wanted(end: Mapping[str, Any]) -> str:
    hosts: Iterable[str] = (f"host {host}" for host in end["only_hosts"])
    parts = [*end["only_workers"], *hosts]
    if end["resources"]:
        parts.append(_amounts(end["resources"]))
    return several(parts)


def _amounts(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in sorted(resources.items()))
