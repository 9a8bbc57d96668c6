"""Tasks in rows, from a scheduler or a dump: filtered first, then cut."""

from __future__ import annotations

import difflib
import fnmatch
import heapq
import re
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..common.keys import find_task
from ..common.pacing import Pace, all_tasks, now_of, slices
from .roots import Roots, find_roots, raised
from .workers import survey_workers

if TYPE_CHECKING:
    from ..common.wire import AnyQuestion
    from ..common.wire_tasks import Counts, NotFound, RowForm, Tasks, TasksQuestion

MOST_ROWS = 10_000  # of one answer, also where no limit was asked for
MOST_WORKERS = 100  # that are listed one by one
MOST_PLACES = 10  # workers of one row
EXCEPTION = 300  # characters of an exception's text in a row
RESTRICTIONS = 300

Test = Callable[[Any], bool]
Sieve = Callable[[Any], list[Any]]
_Value = Callable[[Any], Any]
_Times = dict[Any, tuple[str, float]]  # key -> state, and when it was entered


async def survey_tasks(state: Any, question: TasksQuestion) -> Tasks:
    """Tasks that match, in rows, and a summary of all.

    ``keys``: a list of keys, or a text: a key or a glob pattern. ``worker``: an address
    or a name. ``failed``: True for what failed by itself, False for the rest. ``sort``:
    a column. ``limit``: the most rows.
    """
    pace = Pace()
    start = now_of(state)
    answer: NotFound = {"unknown_keys": [], "near": {}}
    found, asked = _asked_for(state, question.get("keys"), answer)
    sieves = _sieves(state, question, asked, answer)
    limit = question.get("limit")
    limit = MOST_ROWS if limit is None else min(limit, MOST_ROWS)
    times: _Times = {}
    if question.get("sort") == "since":
        times = await _times_in_state(state, pace)
    pick, order = _order(question, times)
    everything = found is None and _may_match(state, question)
    matched = 0
    best: list[Any] = []
    parts: AsyncIterator[Any]
    parts = all_tasks(state, pace) if everything else slices(found or [], pace)
    async for part in parts:
        for sieve in sieves:
            part = sieve(part)
        matched += len(part)
        if order is not None:
            best = pick(limit, chain(best, part), key=order)
        elif len(best) < limit:
            best += part[: limit - len(best)]
    if best and question.get("sort") != "since":
        times = await _times_in_state(state, pace)
    cascaded = [ts for ts in best if ts.state == "erred" and not _failed(ts)]
    roots = await find_roots(state, cascaded, pace)
    rows = []
    async for part in slices(best, pace):
        rows += [_row(ts, now_of(state), times, roots) for ts in part]
    return {
        **answer,
        "rows": rows,
        "matched": matched,
        "summary": await _summary(state, pace),
        "start": start,
        "end": now_of(state),
    }


async def survey_counts(state: Any, question: AnyQuestion) -> Counts:
    """How many tasks are in which state, and workers of which status."""
    start = now_of(state)
    workers: dict[str, int] = {}
    async for part in slices(list(state.workers.values()), Pace()):
        for ws in part:
            workers[ws.status.name] = workers.get(ws.status.name, 0) + 1
    return {
        "summary": await _summary(state, Pace()),
        "workers": workers,
        "threads": state.total_nthreads,
        "address": str(state.address),
        "loads": (await survey_workers(state, {"limit": MOST_WORKERS}))["rows"],
        "start": start,
        "end": now_of(state),
    }


# -- filters -----------------------------------------------------------------


def _asked_for(
    state: Any, keys: Any, answer: NotFound
) -> tuple[list[Any] | None, Test | None]:
    """Tasks that are named (None: any), or a test that a pattern makes."""
    if keys is None:
        return None, None
    if isinstance(keys, str):
        ts = find_task(state, keys)
        if ts is None and re.search(r"[*?\[]", keys):
            matches = re.compile(fnmatch.translate(keys)).match
            return None, lambda ts: matches(str(ts.key)) is not None
        keys = [keys]
    found: dict[Any, None] = {}
    for key in keys:
        ts = find_task(state, key)
        if ts is None:
            answer["unknown_keys"].append(key)
        else:
            found[ts] = None
    return list(found), None


def _sieves(
    state: Any, question: TasksQuestion, asked: Test | None, answer: NotFound
) -> list[Sieve]:
    """What tasks have to pass, the cheapest first."""
    sieves: list[Sieve] = []
    states = question.get("states")
    if states:
        names = frozenset(states)
        sieves.append(lambda part: [ts for ts in part if ts.state in names])
    failed = question.get("failed")
    if failed is not None:
        sieves.append(lambda part: [ts for ts in part if _failed(ts) is failed])
    prefixes = question.get("prefixes")
    if prefixes:
        wanted = frozenset(prefixes)
        sieves.append(lambda part: [ts for ts in part if ts.prefix.name in wanted])
        _look_near(answer, "prefix", wanted, state.task_prefixes)
    worker = question.get("worker")
    if worker is not None:
        address = _address(state, worker)
        sieves.append(lambda part: [ts for ts in part if address in _places(ts)])
        names_too = [str(ws.name) for ws in state.workers.values()]
        _look_near(answer, "worker", {address}, [*state.workers, *names_too])
    if asked is not None:
        sieves.append(lambda part: list(filter(asked, part)))
    return sieves


def _look_near(
    answer: NotFound, what: str, wanted: Iterable[str], known: Iterable[str]
) -> None:
    """Note for each unknown name the nearest one, or an empty text."""
    names = set(known)
    for name in wanted:
        if name not in names:
            close = difflib.get_close_matches(name, list(names)[:1000], n=1)
            answer["near"][f"{what} {name!r}"] = close[0] if close else ""


def _failed(ts: Any) -> bool:
    """Whether a task failed by itself."""
    return ts.state == "erred" and (raised(ts) or ts.exception_blame is None)


def _may_match(state: Any, question: TasksQuestion) -> bool:
    """Whether the counts of the prefixes leave anything to look for."""
    states = question.get("states") or (["erred"] if question.get("failed") else None)
    if not states:
        return True
    prefixes = question.get("prefixes")
    return any(
        prefix.states.get(name)
        for prefix in list(state.task_prefixes.values())
        if not prefixes or prefix.name in prefixes
        for name in states
    )


def _address(state: Any, worker: Any) -> str:
    """The address of a worker, by its address or its name."""
    if worker not in state.workers:
        for address, ws in list(state.workers.items()):
            if str(ws.name) == str(worker):
                return str(address)
    return str(worker)


def _places(ts: Any) -> list[str]:
    """Workers that run a task, or hold it, or that it failed on."""
    if ts.processing_on is not None:
        return [ts.processing_on.address]
    if ts.who_has:
        return sorted(ws.address for ws in ts.who_has)
    return sorted(ts.erred_on or ())


# -- order -------------------------------------------------------------------

# Numbers come largest first, texts from A.
_NUMBERS: dict[str, _Value] = {
    "nbytes": lambda ts: ts.nbytes if ts.nbytes >= 0 else None,
    "waiting_on": lambda ts: len(ts.waiting_on or ()),
    "dependents": lambda ts: len(ts.dependents),
    "retries": lambda ts: ts.retries,
    "suspicious": lambda ts: ts.suspicious,
}
_TEXTS: dict[str, _Value] = {
    "key": lambda ts: str(ts.key) or None,
    "state": lambda ts: str(ts.state),
    "prefix": lambda ts: str(ts.prefix.name) or None,
    "workers": lambda ts: " ".join(_places(ts)) or None,
    "restrictions": lambda ts: _restrictions(ts) or None,
    "exception": lambda ts: ts.exception_text or None,
}
COLUMNS = (*_NUMBERS, *_TEXTS, "since")


def _order(question: TasksQuestion, times: _Times) -> tuple[Any, _Value | None]:
    """How to pick the first of some, and by what; what has no value comes last."""
    column = question.get("sort")
    if not column:
        return None, None

    def since(ts: Any) -> float | None:
        entered = _entered(ts, times)
        return None if entered is None else -entered  # the longest first

    value_of = {**_NUMBERS, **_TEXTS, "since": since}[column]
    largest_first = (column in _TEXTS) == bool(question.get("reverse"))

    def order(ts: Any) -> tuple[bool, Any]:
        value = value_of(ts)
        return (value is None) != largest_first, 0 if value is None else value

    return heapq.nlargest if largest_first else heapq.nsmallest, order


# -- rows --------------------------------------------------------------------


def _row(ts: Any, now: float, times: _Times, roots: Roots) -> RowForm:
    places = _places(ts)
    entered = _entered(ts, times)
    blame = roots.cause_of(ts)
    return {
        "key": ts.key,
        "state": ts.state,
        "prefix": str(ts.prefix.name),
        "workers": places[:MOST_PLACES],
        "omitted_workers": max(0, len(places) - MOST_PLACES),
        "nbytes": ts.nbytes if ts.nbytes >= 0 else None,
        "waiting_on": len(ts.waiting_on or ()),
        "dependents": len(ts.dependents),
        "retries": ts.retries,
        "suspicious": ts.suspicious,
        "restrictions": _restrictions(ts),
        "since": None if entered is None else max(0.0, now - entered),
        "exception": (ts.exception_text or "")[:EXCEPTION],
        "blame": None if blame is ts else blame.key,
    }


def _restrictions(ts: Any) -> str:
    """In words: ``workers: a, b; resources: GPU 1 (preferred)``."""
    parts = []
    if ts.worker_restrictions:
        parts.append(f"workers: {', '.join(sorted(map(str, ts.worker_restrictions)))}")
    if ts.host_restrictions:
        parts.append(f"hosts: {', '.join(sorted(map(str, ts.host_restrictions)))}")
    if ts.resource_restrictions:
        amounts = [f"{k} {v:g}" for k, v in sorted(ts.resource_restrictions.items())]
        parts.append(f"resources: {', '.join(amounts)}")
    text = "; ".join(parts)
    if text and ts.loose_restrictions:
        text += " (preferred)"
    return text if len(text) <= RESTRICTIONS else f"{text[:RESTRICTIONS]}…"


async def _times_in_state(state: Any, pace: Pace) -> _Times:
    """The last state that each task has entered, and when, as far as the log goes."""
    times = {}
    async for part in slices(list(state.transition_log), pace):
        for entry in part:
            if entry[1] != entry[2]:  # a recommendation that was not followed
                times[entry[0]] = (entry[2], entry[5])
    return times


def _entered(ts: Any, times: _Times) -> float | None:
    state, when = times.get(ts.key, ("", 0.0))
    return when if state == ts.state else None


async def _summary(state: Any, pace: Pace) -> dict[str, dict[str, int]]:
    """Prefix -> state -> count, of all tasks."""
    summary: dict[str, dict[str, int]] = {}
    async for part in slices(list(state.task_prefixes.values()), pace):
        for prefix in part:
            counts = {
                name: count
                for name, count in prefix.states.items()
                if count and name != "forgotten"
            }
            if counts:
                summary[str(prefix.name)] = counts
    return summary
