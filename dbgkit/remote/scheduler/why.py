"""Why tasks make no progress: follows what they wait for to its ends.

It gives facts, which ``dbgkit.diagnose`` puts into words. Its cost grows with the chain
that it follows, or, for the whole cluster, with the tasks that are not finished.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..common.keys import find_task
from ..common.modules import needs_of
from ..common.pacing import Pace, is_dump, now_of, slices
from .failed import history_of
from .failures_index import ErredIndex
from .inner import Found, follow
from .newest import erred_tasks
from .p2p import is_barrier
from .roots import Roots, find_roots
from .why_cluster import MOST_PINGED, answering, lateness, overview, waiters
from .why_ends import (
    Averages,
    facts_of,
    failed_facts,
    forgotten_facts,
    killers,
)
from .why_late import look_at_loop
from .why_loops import Loops, find_loops, with_errors
from .why_order import Group, chosen, count_waiting, signature
from .why_places import SAMPLE
from .why_reach import reach_of
from .why_whole import count_in, still_there, whole_cluster

if TYPE_CHECKING:
    from ..common.wire_why import AnyEnd, End, KeyState, Why, WhyQuestion

MOST_CHAIN = 100  # keys of a chain that are sent
MOST_ORDERED = 100  # inputs of one task
MOST_ASKED = 64  # workers that are asked whether they run what is no longer known
_MAY_RUN = (None, "processing", "released")  # states of tasks that were forgotten


async def explain_state(
    state: Any, question: WhyQuestion, index: ErredIndex | None = None
) -> Why:
    """Facts about what some tasks, or all, wait for.

    ``keys``: list of keys, or None for the whole cluster. ``pending``: keys that the
    client believes pending. ``texts``: what the futures of the keys hold (see
    ``roots``). ``client``: id of the client whose failures come first. ``ping``:
    seconds for a worker to answer. The index is the extension's, if there is one.
    """
    start = now_of(state)
    pace = Pace()
    keys = question.get("keys")
    answer: Why = {
        "start": start,
        "end": start,
        "started": state.time_started,
        "unfollowed": 0,
        "asked": [],
        "ends": [],
        "omitted_ends": 0,
        "loops": [],
        "barrier": None,
        "unknown": [],
        "may_run_it": [],
        "not_asked": 0,
        "given_up": {"keys": [], "count": 0},
        # A look at one task costs nothing that grows with the cluster.
        "cluster": overview(state, start) if keys is None else None,
        "out_of_step": await _out_of_step(state, question.get("pending") or (), pace),
        "late": None,
        "loop": None,
        "waiters": None,
        "answering": {},
        "reach": {},
    }
    loops = await find_loops(state, start, pace)
    if keys is None:
        ends = await _ends_of_cluster(state, question, index, answer, pace)
    else:
        ends = await _ends_of_keys(state, keys, question, answer, pace)
    # Nothing has changed since then, until all is described.
    if keys is not None:
        walked = {*ends.parents, *ends.roots.order}
        loops = [loop for loop in loops if loop[0] in walked]
    _describe(state, ends, with_errors(state, loops), answer, start)
    if is_dump(state):
        answer["answering"] = dict.fromkeys(state.silent_workers, False)
    else:
        answer["late"] = late = await lateness(state)
        answer["loop"] = await look_at_loop(state, late)
        answer["waiters"] = waiters(state)
        limit = question.get("ping") or 2.0
        asked = await answering(state, _places(state, answer), limit)
        answer["answering"] = asked
        answer["reach"] = await reach_of(state, asked, limit)
    answer["end"] = now_of(state)
    return answer


class Ends(NamedTuple):
    """What tasks wait for in the end.

    ``parents`` lead from each task back to what was asked for; ``through`` are the
    tasks of which each submitted the next, the last of them the one that failed.
    """

    groups: dict[Any, Group]
    parents: dict[Any, Any]
    roots: Roots
    through: tuple[Any, ...]


async def _ends_of_keys(
    state: Any, keys: list[Any], question: WhyQuestion, answer: Why, pace: Pace
) -> Ends:
    starts = await _asked(state, keys, answer, pace)
    groups, failed, parents = await _walk(starts, answer, pace)
    roots = await find_roots(state, failed, pace, question.get("texts") or ())
    answer["unfollowed"] = roots.unfollowed
    for ts in failed:
        _failed_group(groups, ts, roots).add(ts)
    return Ends(groups, parents, roots, ())


async def _ends_of_cluster(
    state: Any,
    question: WhyQuestion,
    index: ErredIndex | None,
    answer: Why,
    pace: Pace,
) -> Ends:
    groups, failed = await whole_cluster(state, question.get("client") or "", pace)
    roots = await find_roots(state, failed, pace, question.get("texts") or ())
    answer["unfollowed"] = roots.unfollowed
    through: tuple[Any, ...] = ()
    if failed:
        found = await _located(state, failed[0], roots, index, pace)
        failed, through = [found.ts], found.through
        roots = await find_roots(state, failed, pace)
        answer["given_up"] = killers(erred_tasks(state), found.ts)
    groups = still_there(groups)
    for ts in failed:
        if ts.state == "erred":
            group = _failed_group(groups, ts, roots)
            group.add(ts)
            group.count = count_in(state, "erred")  # one stands for all
    return Ends(groups, {}, roots, through)


def _failed_group(groups: dict[Any, Group], ts: Any, roots: Roots) -> Group:
    return groups.setdefault(("erred", roots.cause_of(ts).key), Group())


async def _located(
    state: Any, failed: Any, roots: Roots, index: ErredIndex | None, pace: Pace
) -> Found:
    """Of the failures of the whole cluster the one that is located: the earliest."""
    root = roots.order[0]
    if state.tasks.get(root.key) is not root:  # others are still blamed on it
        return Found(failed, failed, (), 1, None)
    starts = [(root, roots.when[root.key])]
    history = history_of(state)
    followed = await follow(state, index or ErredIndex(), history, starts, pace)
    return followed[0]


async def _out_of_step(
    state: Any, pending: Iterable[Any], pace: Pace
) -> list[KeyState]:
    """Tasks that a client believes pending, but that are done or gone."""
    found: list[KeyState] = []
    async for part in slices(list(pending), pace):
        for key in part:
            ts = find_task(state, key)
            name = "unknown" if ts is None else ts.state
            if name in ("memory", "erred", "unknown"):
                found.append({"key": key, "state": name})
    return found


async def _asked(state: Any, keys: Iterable[Any], answer: Why, pace: Pace) -> list[Any]:
    """The tasks of the keys; what is not known goes into the answer."""
    starts, unknown = [], []
    states: dict[str, int] = {}
    async for part in slices(list(keys), pace):
        for key in part:
            ts = find_task(state, key)
            name = "unknown" if ts is None else ts.state
            states[name] = states.get(name, 0) + 1
            if ts is None:
                unknown.append(key)
            else:
                starts.append(ts)
    answer["asked_states"] = states
    answer["asked"] = [ts.key for ts in starts[:SAMPLE]]
    answer["unknown_count"] = len(unknown)
    if unknown:
        log = list(state.transition_log)
        answer["unknown"] = [forgotten_facts(log, key) for key in unknown[:SAMPLE]]
        if any(entry["was"] in _MAY_RUN for entry in answer["unknown"]):
            answer["may_run_it"] = list(islice(state.workers, MOST_ASKED))
            answer["not_asked"] = max(0, len(state.workers) - MOST_ASKED)
    return starts


async def _walk(
    starts: list[Any], answer: Why, pace: Pace
) -> tuple[dict[Any, Group], list[Any], dict[Any, Any]]:
    """What some tasks wait for, breadth first: groups of ends, those that failed.

    And from which task each was found.
    """
    failed: list[Any] = []
    parents: dict[Any, Any] = dict.fromkeys(starts)
    order = list(parents)
    groups: dict[Any, Group] = {}
    for at, ts in enumerate(order, 1):  # which grows meanwhile
        if at % 100 == 0:
            await pace.checkpoint()
        if is_barrier(ts.key) and answer["barrier"] is None:
            answer["barrier"] = {
                "key": ts.key,
                "state": ts.state,
                "inputs": len(ts.dependencies),
                "missing": len(ts.waiting_on or ()),
                "outputs": len(ts.dependents),
                "chain": _chain(ts, parents)[0],
            }
        if ts.state == "erred":
            failed.append(ts)
            continue
        if ts.state != "waiting" or not ts.waiting_on:
            groups.setdefault(signature(ts), Group()).add(ts)
            continue
        for dts in _inputs(ts):
            if dts not in parents:
                parents[dts] = ts
                order.append(dts)
    return groups, failed, parents


def _inputs(ts: Any) -> list[Any]:
    """What a task waits for; few are put in order, as a set has none.

    A dump of the same moment is then described in the same words.
    """
    found = list(ts.waiting_on)
    if 1 < len(found) <= MOST_ORDERED:
        found.sort(key=lambda dts: str(dts.key))
    return found


def _describe(state: Any, ends: Ends, loops: Loops, answer: Why, now: float) -> None:
    """Facts of each group's tasks; groups past the limit are counted."""
    groups, omitted = chosen(ends.groups.values())
    answer["omitted_ends"] = sum(group.count for group in omitted)
    found = []
    for group in groups:
        processing = group.tasks[0].state == "processing"
        some = group.tasks if processing else group.tasks[:1]
        found += [(group, ts) for ts in some]
    # A look at one task costs nothing that grows with the cluster.
    averages = Averages()
    whole = answer["cluster"] is not None
    looping = [(Group(1, [ts]), ts) for ts, _ in loops]
    waiting = count_waiting([*looping, *found]) if whole else {}
    for ts, loop in loops:
        if ts in waiting:
            loop["waiting"], loop["waiting_cut"] = waiting[ts]
        if ts in ends.parents:
            loop["chain"], loop["length"] = _chain(ts, ends.parents)
        answer["loops"].append(loop)
    for group, ts in found:
        chain, length = _chain(ts, ends.parents)
        end: AnyEnd = {
            "key": ts.key,
            "state": ts.state,
            "count": group.count,
            "keys": [other.key for other in group.tasks],
            "chain": chain,
            "length": length,
        }
        if ts in waiting:
            end["waiting"], end["waiting_cut"] = waiting[ts]
        facts = _facts_of_end(state, ts, ends, now, averages)
        answer["ends"].append(cast("End", {**end, **facts}))


def _facts_of_end(
    state: Any, ts: Any, ends: Ends, now: float, averages: Averages
) -> Any:
    erred = ts.state == "erred"
    had = ends.roots.cause_of(ts) if erred else ts
    facts: Any
    if erred:
        facts = {**failed_facts(ts, ends.roots), "through": list(ends.through)}
    else:
        facts = facts_of(state, ts, now, averages)
    # Only what was on workers that went away may have been the reason.
    if facts["killed"] if erred else ts.suspicious:
        spec = None if is_dump(state) else had.run_spec
        facts["needs"] = needs_of(state, had.key, spec)
        facts["suspicious"] = had.suspicious
    return facts


def _chain(end: Any, parents: dict[Any, Any]) -> tuple[list[Any], int]:
    """Keys from the task asked for to an end, the middle left out; how many in all."""
    chain = [end]
    while (parent := parents.get(chain[-1])) is not None:
        chain.append(parent)
    keys = [ts.key for ts in reversed(chain)]
    if len(keys) <= MOST_CHAIN:
        return keys, len(keys)
    half = MOST_CHAIN // 2
    return keys[:half] + keys[-half:], len(keys)


def _places(state: Any, answer: Why) -> list[str]:
    """Workers that should be asked whether they answer."""
    found: list[str] = []
    for end in answer["ends"]:
        if end["code"] == "processing":
            found.append(end["worker"])
            for missing in end["missing"]:
                found += missing["holders"][:1]
        elif end["code"] == "queued":
            found += [place["worker"] for place in end["places"]]
        elif end["code"] == "workers-paused":
            found += [worker["address"] for worker in end["paused"]]
    if answer["cluster"]:
        found += [worker["address"] for worker in answer["cluster"]["paused"]]
        found += [worker["address"] for worker in answer["cluster"]["quiet"]]
    there = [address for address in dict.fromkeys(found) if address in state.workers]
    return there[:MOST_PINGED]
