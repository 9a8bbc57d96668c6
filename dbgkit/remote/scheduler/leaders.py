"""The failure of its collective that a follower failed because of.

`Leaders` decides it, for locating as for counting. The cost is a pass over all
failures, in slices, and only if a follower was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from dask.utils import key_split

from ..common.pacing import Pace, slices
from .failed import failure_fact, forgotten_fact, history_of
from .failures_index import ErredIndex
from .followers import Leaders, Runs, is_follower
from .killings import Killings
from .leftovers import is_private
from .roots import Roots

if TYPE_CHECKING:
    from ..common.wire_failures import Fact, FollowersForm, HistoryEntry

PAUSE = 0.05  # seconds between two checks for a failure not yet reported
MOST_RUNNING = 1_000  # tasks of one worker that are looked through
TEXT = 200  # characters of what a follower raised


class Leader(NamedTuple):
    """The failure of a collective."""

    key: Any
    when: float
    entry: HistoryEntry | None  # the history's, where that is all that is left of it


class Follower(NamedTuple):
    """A failure because of another one of its collective."""

    key: Any
    when: float | None
    text: str
    asked: Any  # what was asked for, and led to it
    ts: Any  # None where the task is forgotten


class Led:
    """The followers among what was asked for, and what they failed because of."""

    def __init__(self, leaders: Mapping[Any, Leader], found: Iterable[Follower]):
        self._leaders = leaders
        self._followers: dict[Any, list[Follower]] = {}
        for each in found:
            if leader := self.leader_of(each.key):
                self._followers.setdefault(leader.key, []).append(each)

    def joined(self, other: Led) -> Led:
        """These, and those that failed because of something else."""
        found = (
            each
            for led in (self, other)
            for some in led._followers.values()
            for each in some
        )
        return Led({**self._leaders, **other._leaders}, found)

    def leader_of(self, key: Any) -> Leader | None:
        """What a task failed because of; None if it is no follower of anything."""
        return self._leaders.get(key)

    def asked(self, key: Any) -> Any:
        """What was asked for and led to a failure by way of its followers."""
        return self._followers[key][0].asked

    def followers_form(self, key: Any) -> FollowersForm | None:
        """Who followed a failure, of those that were asked for or are above these."""
        followers = self._followers.get(key)
        if not followers:
            return None
        return {
            "keys": [each.key for each in followers],
            "text": followers[0].text[:TEXT],
        }

    def __iter__(self) -> Iterator[tuple[Leader, Follower]]:
        """Each failure with the first that followed it."""
        for followers in self._followers.values():
            yield self._leaders[followers[0].key], followers[0]


async def find_led(
    state: Any,
    index: ErredIndex,
    followers: Collection[Follower],
    pace: Pace,
    patience: float = 0.0,
) -> Led:
    """What some followers failed because of.

    The exception of the task that failed first may still be on its way: recording takes
    a moment, while others notice closed connections. It is awaited as long as others of
    the collective run, for at most ``patience`` seconds.
    """
    if not followers:
        return Led({}, ())
    end = perf_counter() + patience
    while True:
        leaders = await _leaders_of(state, index, followers, pace)
        alone = [each.ts for each in followers if each.key not in leaders]
        if perf_counter() > end or not any(_others_run(state, ts) for ts in alone):
            return Led(leaders, followers)
        await asyncio.sleep(PAUSE)


async def led_to_death(roots: Roots, killings: Killings, pace: Pace) -> Led:
    """Tasks that were only on a worker that another one killed, each with that one."""
    leaders: dict[Any, Leader] = {}
    found = []
    async for part in slices(roots.order, pace):
        for ts in part:
            blame = killings.blame(ts.key)
            culprits = list(filter(killings.has_failed, blame.suspects.keys))
            if blame.role == "bystander" and culprits:
                when = roots.when[ts.key]
                leaders[ts.key] = Leader(culprits[0], when or 0.0, None)
                asked = roots.way(ts)[0].key
                found.append(Follower(ts.key, when, "", asked, ts))
    return Led(leaders, found)


async def _leaders_of(
    state: Any, index: ErredIndex, followers: Collection[Follower], pace: Pace
) -> dict[Any, Leader]:
    """What each follower failed because of, by its key."""
    await index.fill(state, pace)
    history = history_of(state)
    await index.find_times(state, history, pace)
    prefixes = {key_split(each.key) for each in followers}
    leaders: Leaders[Leader] = Leaders()
    async for part in slices(list(index.members), pace):
        for root in part:
            when = index.when.get(root)
            if when is None or key_split(root) not in prefixes or is_private(root):
                continue
            ts = await index.task_of(state, root, pace)
            if ts is not None and not is_follower(ts.exception_text):
                leaders.note(root, when, Leader(root, when, None))
    forgotten = [entry for entry in history if entry["key"] not in index.members]
    _note_forgotten(leaders, state.tasks, forgotten)
    runs = await Runs.of(state, prefixes, pace)
    found = {}
    async for some in slices(list(followers), pace):
        for each in some:
            when = index.when.get(each.key, each.when)
            if when is not None and (leader := leaders.of(each.key, when, runs)):
                found[each.key] = leader
    return found


def _note_forgotten(
    leaders: Leaders[Leader],
    tasks: Mapping[Any, Any],
    entries: Iterable[HistoryEntry],
) -> None:
    """Note what the history alone has, newest first; of one key the newest."""
    for entry in {entry["key"]: entry for entry in reversed([*entries])}.values():
        key, when = entry["key"], entry["when"] or 0.0
        ts = tasks.get(key)
        healed = ts is not None and ts.state == "memory"
        if not (healed or is_private(key) or is_follower(entry["exception_text"])):
            leaders.note(key, when, Leader(key, when, entry))


def led_in_history(
    followers: Collection[HistoryEntry],
    entries: Iterable[HistoryEntry],
    log: Iterable[Any],
) -> list[Fact]:
    """As `find_led`, of a scheduler that is gone: by its history and transition log.

    Entries of the history come newest first.
    """
    runs = Runs({})
    runs.read(log, {key_split(entry["key"]) for entry in followers})
    leaders: Leaders[Leader] = Leaders()
    _note_forgotten(leaders, {}, entries)
    leader_of = {}
    for entry in followers:
        key, when = entry["key"], entry["when"]
        if when is not None and (leader := leaders.of(key, when, runs)):
            leader_of[key] = leader
    led = Led(leader_of, map(_forgotten_follower, followers))
    return [
        {
            **forgotten_fact(leader.entry),
            "asked": follower.asked,
            "followers": led.followers_form(leader.key),
        }
        for leader, follower in led
        if leader.entry is not None
    ]


def _forgotten_follower(entry: HistoryEntry) -> Follower:
    key = entry["key"]
    return Follower(key, entry["when"], entry["exception_text"], key, None)


def _others_run(state: Any, ts: Any) -> bool:
    """Whether others of a follower's collective seem to run still.

    They have its prefix, and the same is wanted of them: by a task, or a client.
    """
    if ts is None:
        return False
    clients = set(ts.who_wants or ())
    return any(
        other.prefix is ts.prefix
        and (
            not clients.isdisjoint(other.who_wants or ())
            or not ts.dependents.isdisjoint(other.dependents)
        )
        for ws in state.workers.values()
        for other in islice(ws.processing, MOST_RUNNING)
    )


def followers_of(
    roots: Roots, unknown: Collection[Any], history: Iterable[HistoryEntry]
) -> list[Follower]:
    """Followers among what was found, and among what the scheduler has forgotten."""
    found = [
        Follower(each.key, roots.when[each.key], text, roots.way(each)[0].key, each)
        for each in roots.order
        if is_follower(text := each.exception_text)
    ]
    gone = set(unknown)
    for entry in history if gone else ():
        if entry["key"] in gone:
            gone.discard(entry["key"])  # the newest of each counts
            if is_follower(entry["exception_text"]):
                found.append(_forgotten_follower(entry))
    return found


def starts_of(state: Any, roots: Roots, led: Led) -> list[tuple[Any, float | None]]:
    """What failed and when, in the order of `Roots`; for followers their leaders.

    Leaders that are forgotten are not among them: see `facts_of_gone`.
    """
    places: dict[Any, tuple[bool, bool, float]] = {}
    whens: dict[Any, float | None] = {}
    for ts in roots.order:
        place, when = roots.places[ts], roots.when[ts.key]
        if leader := led.leader_of(ts.key):
            ts, when = _there(state, leader.key), leader.when
            place = (False, place[1], leader.when)
        if ts is not None:
            whens.setdefault(ts, when)
            places[ts] = min(places.get(ts, place), place)
    for leader, _ in led:
        ts = _there(state, leader.key)
        if ts is not None:  # it may be that of what is forgotten
            whens.setdefault(ts, leader.when)
            places.setdefault(ts, (False, False, leader.when))
    return [(ts, whens[ts]) for ts in sorted(places, key=places.__getitem__)]


def _there(state: Any, key: Any) -> Any:
    """A task that has failed, if it is still there."""
    ts = state.tasks.get(key)
    return ts if ts is not None and ts.state == "erred" else None


async def facts_of_gone(
    state: Any, index: ErredIndex, led: Led, pace: Pace
) -> list[Fact]:
    """Facts of failures of which only what followed them is left."""
    found = []
    for leader, follower in led:
        if _there(state, leader.key) is not None:
            continue
        fact = await _fact_of_gone(state, index, leader, pace)
        if fact is not None:
            fact["asked"] = follower.asked
            fact["followers"] = led.followers_form(leader.key)
            fact["gone"] = True
            found.append(fact)
    return found


async def _fact_of_gone(
    state: Any, index: ErredIndex, leader: Leader, pace: Pace
) -> Fact | None:
    """All that is left of a failure whose task is forgotten; None: nothing."""
    if leader.entry is not None:
        codes = index.codes.of(leader.key)
        return {**forgotten_fact(leader.entry), "codes": codes}
    ts = await index.task_of(state, leader.key, pace)
    if ts is None:
        return None
    return {**failure_fact(state, ts, leader.key, None), "when": leader.when}
