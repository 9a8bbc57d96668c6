"""The part of the graph around a task: what it needs, and what needs it.

The cost grows with what is shown: of a hundred thousand dependencies a few are
examined, and the others are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

from ..common.keys import find_task
from ..common.pacing import Pace
from .roots import find_roots, raised

if TYPE_CHECKING:
    from ..common.wire_tasks import Around, AroundQuestion, AroundTask, GraphForm

MOST_TASKS = 20  # pictures that one question asks for
MOST_NODES = 200
MOST_CHAIN = 12  # tasks of a chain; the middle of a longer one is left out
DEEPEST = 4  # links between the culprit and the farthest that is shown
SAMPLED = 50  # neighbours of a task that are examined

# What is shown first of many: the least at rest.
_RANKS = {
    state: rank
    for rank, state in enumerate(
        ("erred", "no-worker", "processing", "queued", "waiting", "released", "memory")
    )
}
# Neighbours of a task by the name of an attribute.
_Links = Callable[[Any, str], Collection[Any]]
_UP = ("waiting_on", "dependencies")
_DOWN = ("waiters", "dependents")


async def look_around(state: Any, question: AroundQuestion) -> Around:
    """The neighbourhoods of some tasks.

    Each of ``tasks`` has a ``key``, and of what waits for that the ``chain`` (keys, the
    one asked for first) and its whole ``length``, if it was cut. ``limit``: the most
    tasks of one neighbourhood.
    """
    pace = Pace()
    limit = max(1, min(int(question["limit"]), MOST_NODES))
    graphs = []
    for wanted in question["tasks"][:MOST_TASKS]:
        graphs.append(await _graph(state, wanted, limit, pace))
        await pace.checkpoint()
    return {"graphs": graphs}


async def _graph(
    state: Any, wanted: AroundTask, limit: int, pace: Pace
) -> GraphForm | None:
    """One neighbourhood in wire form, where edges name nodes by their position."""

    @cache  # a dump makes new ones at each access
    def links(ts: Any, name: str) -> Collection[Any]:
        return getattr(ts, name) or ()

    most = max(2, min(MOST_CHAIN, limit))
    chain, hidden = await _chain(state, wanted, most, pace)
    if not chain:
        return None
    culprit = chain[-1]
    shown: dict[Any, int] = {}
    for ts in [culprit, *reversed(chain[:-1])][:limit]:
        shown.setdefault(ts, len(shown))
    for ts in _nearest(culprit, chain, links):
        if len(shown) >= limit:
            break
        shown.setdefault(ts, len(shown))
    edges: list[tuple[int, int]] = []
    nodes: list[Any] = []
    for ts, at in shown.items():
        above = _both(shown, links(ts, "dependencies"))
        below = _both(shown, links(ts, "dependents"))
        edges += sorted((shown[dependency], at) for dependency in above)
        more = (
            len(links(ts, "dependencies")) - len(above),
            len(links(ts, "dependents")) - len(below),
        )
        nodes.append([ts.key, ts.state, ts.prefix.name, *more])
    gaps: list[tuple[int, int, int]] = []
    for ts, dependency in pairwise(chain):
        drawn = {ts, dependency} <= shown.keys()
        if drawn and dependency not in links(ts, "dependencies"):
            gap = (shown[dependency], shown[ts], hidden.get(ts, 0))
            gaps.append(gap)
            if gap[2]:  # its ends are neighbours, and are counted with the gap
                nodes[gap[0]][4] -= 1
                nodes[gap[1]][3] -= 1
    return {"nodes": nodes, "edges": edges, "gaps": gaps, "asked": shown.get(chain[0])}


def _both(shown: dict[Any, int], neighbours: Collection[Any]) -> list[Any]:
    """Neighbours that are shown; goes through the smaller of both."""
    if len(neighbours) < len(shown):
        return [ts for ts in neighbours if ts in shown]
    return [ts for ts in shown if ts in neighbours]


# -- the chain ---------------------------------------------------------------


async def _chain(
    state: Any, wanted: AroundTask, most: int, pace: Pace
) -> tuple[list[Any], dict[Any, int]]:
    """Tasks from the one asked for to the culprit, and after which some are left out.

    A task that failed because of another is followed to that one.
    """
    keys = [*(wanted.get("chain") or ()), wanted["key"]]
    found = (find_task(state, key) for key in keys)
    chain = list(dict.fromkeys(ts for ts in found if ts is not None))
    length = wanted.get("length") or 0
    if chain and chain[-1] is not find_task(state, wanted["key"]):
        return [], {}  # it is forgotten
    cascaded = next((ts for ts in chain if _is_cascaded(ts)), None)
    if cascaded is not None:
        roots = await find_roots(state, [cascaded], pace)
        culprit = chain[-1]
        root = culprit if culprit in roots.order else roots.cause_of(cascaded)
        chain[chain.index(cascaded) :] = roots.way(root)
    if len(chain) <= most:
        return chain, {}
    # Where it was cut before, it was cut in its middle as well.
    first, last = chain[: most - most // 2], chain[-(most // 2) :]
    return first + last, {first[-1]: max(length, len(chain)) - most}


def _is_cascaded(ts: Any) -> bool:
    """Whether a task failed because of another."""
    return ts.exception_blame is not None and not raised(ts)


# -- breadth first -----------------------------------------------------------


def _nearest(culprit: Any, chain: list[Any], links: _Links) -> Iterator[Any]:
    """What the culprit needs, and what needs it, the nearest first.

    Other tasks with the same dependencies are not part of it: they are counted.
    """
    before = {dependency: ts for ts, dependency in pairwise(chain)}
    rings = {_UP: [culprit], _DOWN: [culprit]}
    seen = {culprit}
    for distance in range(1, DEEPEST + 1):
        for names, ring in rings.items():
            following = []
            for ts in ring:
                for other in _few(links, ts, names, distance):
                    if other not in seen:
                        seen.add(other)
                        following.append(other)
                        yield other
                after = before.get(ts)
                if names is _DOWN and after is not None and after not in seen:
                    seen.add(after)
                    following.append(after)
            rings[names] = following


def _few(
    links: _Links, ts: Any, names: tuple[str, str], distance: int
) -> Iterable[Any]:
    """All neighbours on one side; of many, the most informative."""
    unfinished, everyone = (links(ts, name) for name in names)
    sample = dict.fromkeys(islice(unfinished, SAMPLED))
    sample.update(dict.fromkeys(islice(everyone, SAMPLED)))
    most, few = (12, 6) if distance == 1 else (6, 3)
    ranked = sorted(sample, key=lambda ts: (_RANKS.get(ts.state, 9), str(ts.key)))
    return ranked if len(everyone) <= most else ranked[:few]
