"""Which task of a graph raised an exception whose futures are gone.

The graph comes from the traceback, what failed from the scheduler's history of failures
(``erred_tasks``): an entry matches if its key is in the graph and its text is that of
the exception. It is never simply the newest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from dbgkit.cluster.clients import is_open
from dbgkit.cluster.link import Link
from dbgkit.errors import NoFailure
from dbgkit.model import Evidence, Failure
from dbgkit.remote.common.exceptions import members_of, raised_from
from dbgkit.remote.scheduler.failed import forgotten_fact
from dbgkit.remote.scheduler.followers import is_follower
from dbgkit.remote.scheduler.leaders import led_in_history
from dbgkit.targets.failure import failure_from_exception, failure_from_fact
from dbgkit.targets.graphs import is_alias, materialise, output_keys
from dbgkit.targets.history_entry import alike, entry_for
from dbgkit.targets.led import raised_in, submitted_entry
from dbgkit.targets.optimizing import expression_here
from dbgkit.targets.past import logged_failures
from dbgkit.targets.scheduler_texts import beginnings, is_no_tasks, pickled_in, texts_of
from dbgkit.targets.tracebacks import Trace

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_failures import Fact, HistoryEntry


def locate_in_graph(
    found: Trace,
    *,
    client: Any,
    timeout: float,
    limits: Mapping[str, Any],
    from_answer: Callable[..., list[Failure]],
) -> list[Failure]:
    """Failures of a computation of which only the graph and the exception remain.

    Costs materialising the graph, once, and one or two visits to the scheduler.
    """
    expression = found.expression
    if expression is None:
        expression = expression_here(found.collections)
    graph = materialise(expression)
    if client is not None and not _is_clients(found, client):
        client = None
    there = client is not None and is_open(client)
    link = Link(client, timeout) if there else None
    past = _look_back(found.exception, graph, client, timeout)
    if not past.matching and link is not None:
        above = _failed_outside(found.exception, graph, link)
        if above:
            texts = beginnings([found.exception])
            answer = link.visit(keys=above, texts=texts, **limits)
            return from_answer(answer, client, past.own, past.notes)
    if not past.matching:
        outputs = output_keys(expression)
        return [_unmatched(found, graph, outputs, client, past.notes)]
    facts = _led(past.matching, past.entries, client, timeout)
    facts.sort(key=lambda fact: fact["when"] or 0.0)
    # A computation that is run again has the same keys: the newest entry counts.
    entry_of = {fact["key"]: fact for fact in facts}
    keys = sorted(entry_of, key=lambda key: entry_of[key]["when"] or 0.0)
    if len(keys) > 1 and not isinstance(found.exception, NoFailure):
        more = (
            f"{len(keys)} tasks of this graph failed with it, or in a similar way; "
            "this is the earliest"
        )
        past = replace(past, notes=(*past.notes, more))
    if link is not None:
        answer = link.visit(keys=keys, chain=raised_in(past.own), **limits)
        for fact in answer["failures"]:
            # If its followers led to it, the answer does not say so.
            entry = entry_of.get(fact["key"])
            if entry is not None and entry.get("followers"):
                fact["asked"], fact["followers"] = entry["asked"], entry["followers"]
        if answer["failures"]:
            alive = from_answer(answer, client, past.own, past.notes)
            if len(alive) == len(keys):
                return alive
    return _as_remembered(entry_of, keys, past, graph, client)


@dataclass(frozen=True)
class _Past:
    """What a history of failures has on an exception.

    ``matching`` are its entries, out of all ``entries`` that were considered; ``own``
    is the exception, if it is exactly what a task raised.
    """

    matching: list[HistoryEntry]
    entries: list[HistoryEntry]
    notes: tuple[str, ...]
    own: BaseException | None


def _look_back(
    exception: BaseException, graph: Mapping[Any, Any], client: Any, timeout: float
) -> _Past:
    """Look for an exception by its text, then by similarity, then in the logs."""
    own = None if is_no_tasks(exception) else exception
    entries, notes = _history(exception, client, timeout)
    matching = _match(exception, entries, graph)
    if not matching and texts_of(exception):
        entries, notes = _history(exception, client, timeout, every=True)
        matching = alike(exception, _inside(entries, graph))
        if members_of(exception):
            # `except*` makes a group of its own, of some members of the one raised.
            own = None
    if not matching and client is not None and is_open(client):
        matching = _match(
            exception, logged_failures(Link(client, timeout), graph), graph
        )
    return _Past(matching, entries, notes, own)


def _as_remembered(
    entry_of: Mapping[Any, Fact],
    keys: list[Any],
    past: _Past,
    graph: Mapping[Any, Any],
    client: Any,
) -> list[Failure]:
    """Failures that the scheduler has forgotten, as the history has them."""
    led = {key for key in keys if entry_of[key].get("followers")}
    sizes = _group_sizes(graph, keys)
    return [
        failure_from_fact(
            {
                **entry_of[key],
                "group_size": sizes.get(key),
                "submitted": submitted_entry(entry_of[key], past.entries, past.own),
            },
            evidence=Evidence(
                client=client,
                graph=graph if key in graph else None,
                scheduler="distributed",
            ),
            exception=past.own if index == 0 and key not in led else None,
            others=tuple(other for other in keys if other != key),
            notes=past.notes,
            found_in="graph",
        )
        for index, key in enumerate(keys)
    ]


def _led(
    matching: list[HistoryEntry],
    entries: list[HistoryEntry],
    client: Any,
    timeout: float,
) -> list[Fact]:
    """Entries; for a follower in a collective, the one that it followed.

    By `remote.scheduler.followers`, as the scheduler does for tasks that it still has.
    """
    followers = [each for each in matching if is_follower(each["exception_text"])]
    if not followers or client is None:
        return list(map(_as_fact, matching))
    if is_open(client):
        keys = [each["key"] for each in followers]
        facts = Link(client, timeout).visit(keys=keys)["failures"]
    else:
        log = getattr(_closed_scheduler(client), "transition_log", ())
        facts = led_in_history(followers, entries, list(log))
    leader_of = {
        key: fact
        for fact in facts
        if (led := fact.get("followers"))
        for key in led["keys"]
    }
    return [leader_of.get(each["key"]) or _as_fact(each) for each in matching]


def _as_fact(entry: HistoryEntry) -> Fact:
    return cast("Fact", entry) if "asked" in entry else forgotten_fact(entry)


def _is_clients(found: Trace, client: Any) -> bool:
    """Whether the computation ran on the client's cluster, not in this process."""
    schedule = found.schedule
    return schedule is None or getattr(schedule, "__self__", None) is client


def _history(
    exception: BaseException, client: Any, timeout: float, *, every: bool = False
) -> tuple[list[HistoryEntry], tuple[str, ...]]:
    """What the scheduler remembers of failures, and notes on that.

    Only failures with the exception's text, unless ``every`` is set.
    """
    if client is None:
        return [], ()
    if is_open(client):
        texts = set() if every else texts_of(exception)
        # Its causes may be sent too (see `submitted_entry`).
        one = len(texts) == 1 and raised_from(exception) is None
        answer = Link(client, timeout).visit(
            exception_text=next(iter(texts)) if one else "",
        )
        return answer["erred"], ()
    scheduler = _closed_scheduler(client)
    if scheduler is None or not hasattr(scheduler, "erred_tasks"):
        return [], ("the client is closed, so the scheduler's history cannot be read",)
    return [
        entry_for(
            entry.key,
            entry.timestamp,
            list(entry.erred_on),
            entry.exception_text,
            entry.traceback_text,
        )
        for entry in scheduler.erred_tasks
    ], ("the cluster is closed: a replay computes what it held again here",)


def _closed_scheduler(client: Any) -> Any:
    """A LocalCluster's scheduler object stays readable after it was closed."""
    return getattr(getattr(client, "cluster", None), "scheduler", None)


def _match(
    exception: BaseException,
    entries: Sequence[HistoryEntry],
    graph: Mapping[Any, Any],
) -> list[HistoryEntry]:
    """Entries whose key is in the graph and whose text is the exception's."""
    texts = texts_of(exception)
    task = None if texts else getattr(exception, "task", None)
    if task is not None and task in graph:
        named = [entry for entry in entries if entry["key"] == task]
        killed: Fact = {**forgotten_fact(entry_for(task)), "killed": True}
        return named[:1] or [killed]
    inside = _inside(entries, graph)
    if texts:
        return [entry for entry in inside if entry["exception_text"] in texts]
    # What failed because of another has no text of its own.
    inside = [entry for entry in inside if entry["exception_text"]]
    data = pickled_in(exception)
    if data:
        return [
            entry
            for entry in inside
            if entry["exception_text"].split("(")[0].encode() in data
        ]
    return inside


def _inside(
    entries: Sequence[HistoryEntry], graph: Mapping[Any, Any]
) -> list[HistoryEntry]:
    """Entries of a graph's own tasks.

    An alias never fails: an entry with its key is from another graph, optimised
    differently.
    """
    return [
        entry
        for entry in entries
        if entry["key"] in graph and not is_alias(graph[entry["key"]])
    ]


def _failed_outside(
    exception: BaseException, graph: Mapping[Any, Any], link: Link
) -> list[Any]:
    """Keys that a graph takes from futures, and that failed with this exception.

    A collection on top of a persisted one has no nodes for what was persisted.
    """
    outside = {key for node in graph.values() for key in node.dependencies}
    outside -= graph.keys()
    if not outside:
        return []
    facts = link.visit(keys=list(outside), leaders=False)["failures"]
    matching = _match(exception, facts, {fact["key"]: None for fact in facts})
    keys = {entry["key"] for entry in matching}
    return [fact["asked"] for fact in facts if fact["key"] in keys]


def _unmatched(
    found: Trace,
    graph: dict[Any, Any],
    outputs: list[Any],
    client: Any,
    notes: tuple[str, ...],
) -> Failure:
    """A failure whose graph is known, but not its key."""
    if isinstance(found.exception, NoFailure):
        raise NoFailure(
            "the scheduler knows of no failed task of this collection",
            "compute it, and pass the exception",
        )
    why = (
        "the scheduler no longer reports which task it was"
        if client is not None
        else "this scheduler does not report which task it was"
    )
    return failure_from_exception(
        found.exception,
        found_in="graph" if client is not None else "local",
        evidence=Evidence(
            client=client if client is not None and is_open(client) else None,
            graph=graph,
            outputs=tuple(outputs),
            scheduler="distributed" if client is not None else "local",
        ),
        notes=(
            *notes,
            f"{why}: a replay runs the graph's {len(graph)} tasks here, up to the "
            "first that fails",
        ),
    )


def _group_sizes(graph: Mapping[Any, Any], keys: list[Any]) -> dict[Any, int]:
    """How many tasks of a graph share the name of each key."""
    names = Counter(key[0] for key in graph if isinstance(key, tuple))
    return {key: names[key[0]] for key in keys if isinstance(key, tuple)}
