"""Facts about one task that makes no progress: what it needs, and who is nearest."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..common.frame_codes import codes_for
from .live_stops import stop_of
from .p2p import as_text, cause_in_shuffle, phase_in, went_in, where_in_shuffle
from .roots import Roots
from .why_order import executed_by
from .why_places import (
    SAMPLE,
    lacks,
    may_be_placed,
    paused_facts,
    resources_unmet,
    restrictions_unmet,
    wanted_by,
)
from .why_starting import is_joining, joining_facts, starting_nannies

if TYPE_CHECKING:
    from ..common.wire_why import (
        EndFacts,
        Executed,
        FailedFacts,
        Forgotten,
        Killers,
        Unwanted,
        Wanted,
    )

_ANYWHERE: Wanted = {"only_workers": [], "only_hosts": [], "resources": {}}
_DONE = ("memory", "released", "forgotten")
TEXT_LIMIT = 5_000  # characters of an exception's or traceback's text
MOST_ERRED = 200  # failed tasks among which those that killed workers are looked for
# How a client no longer needs a task, by the beginning of the stimulus: of
# ``Scheduler.remove_client``, ``.client_releases_keys``, ``.stimulus_cancel``, and
# ``Client.restart``.
_UNWANTED: dict[str, Unwanted] = {
    "remove-client-": "left",
    "client-releases-keys-": "released",
    "cancel-key-": "cancelled",
    "client-restart-": "restarted",
}


def facts_of(state: Any, ts: Any, now: float, averages: Averages) -> EndFacts:
    """What is known about a task, by its state; ``code`` is the cause.

    A task that is being processed has the code ``"processing"``: only its worker can
    say more. For one that has failed see `failed_facts`.
    """
    if ts.state == "memory":
        return _memory(ts)
    if ts.state == "no-worker":
        return _no_worker(state, ts, now)
    if ts.state == "queued":
        return _queued(state, ts, now, averages)
    if ts.state == "processing":
        return _processing(state, ts, now, averages)
    if ts.has_lost_dependencies:
        return {"code": "lost-dependencies", "dependency": None, "when": None}
    if ts.state == "waiting":
        return _unexplained(
            "it waits for no other task",
            "none of its inputs is lost",
            "it is in no queue",
        )
    return {"code": "released"}


def failed_facts(ts: Any, roots: Roots) -> FailedFacts:
    """What made a task fail: it raised by itself, or a dependency did."""
    root = roots.cause_of(ts)
    retries = (root.annotations or {}).get("retries")
    text = root.exception_text or ""
    frames = root.traceback_text or ""
    phase = phase_in(text, frames)
    count = went_in(root, text, frames)
    cause = cause_in_shuffle(text, root.exception)
    if cause is not None:
        text, frames = cause.text, as_text(cause)
    return {
        "code": "failed" if root is ts else "cascaded",
        "blame": root.key,
        "exception_text": text[:TEXT_LIMIT],
        "traceback_text": frames[-TEXT_LIMIT:],
        "codes": codes_for(root.run_spec, frames),
        "shuffle": phase,
        "in_shuffle": where_in_shuffle(phase, text, frames, count) if phase else "",
        "erred_on": sorted(root.erred_on or ())[:SAMPLE],
        "when": roots.when.get(root.key),
        # A task that killed its workers comes without any text.
        "killed": root.suspicious if not text else 0,
        # ``retries`` are not spent on what cost workers (``Scheduler.remove_worker``).
        "tried": retries + 1
        if text and isinstance(retries, int) and retries > 0
        else 1,
        "others": [other.key for other in roots.others[:SAMPLE]],
        "others_count": len(roots.others),
    }


def forgotten_facts(log: list[Any], key: Any) -> Forgotten:
    """What the transition log still has about a task that is not known.

    An entry is ``(key, start, finish, recommendations, stimulus_id, timestamp)``. As a
    task is forgotten, the scheduler recommends the same for those that need it and for
    its inputs that nobody else needs (``_propagate_forgotten``,
    distributed/scheduler.py). The former have lost an input; the latter are just no
    longer needed, as are tasks that a client has released.
    """
    found: Forgotten = {
        "key": key,
        "was": None,
        "when": None,
        "dependency": None,
        "unwanted": "",
    }
    stimulus = None
    for entry in reversed(log):
        if stimulus is not None and entry[4] != stimulus:
            break
        if entry[0] == key:
            found["was"] = entry[1]
            if stimulus is None:
                if entry[2] != "forgotten":
                    break
                stimulus, found["when"] = entry[4], entry[5]
    if stimulus is None:
        return found
    for name, how in _UNWANTED.items():
        if stimulus.startswith(name):
            found["unwanted"] = how
    if found["unwanted"] or found["was"] in ("memory", "erred"):
        return found
    same = [entry for entry in log if entry[4] == stimulus]
    held = {entry[0] for entry in same if entry[1] == "memory"}
    for entry in same:
        advised = entry[3] if entry[2] == "forgotten" else {}
        # A dump has the text of the key there.
        if advised.get(key, advised.get(str(key))) == "forgotten" and entry[0] in held:
            found["dependency"] = entry[0]
            break
    return found


def killers(erred: Iterable[Any], reported: Any) -> Killers:
    """Tasks that killed their workers besides the one that is reported.

    Such a task has no text (``KilledWorker``); only some are examined.
    """
    found = {
        ts.key: None
        for ts in islice(erred, MOST_ERRED)
        if ts is not reported and ts.suspicious and not ts.exception_text
    }
    return {"keys": list(islice(found, SAMPLE)), "count": len(found)}


def _memory(ts: Any) -> EndFacts:
    return {
        "code": "finished",
        "workers": sorted(ws.address for ws in ts.who_has or ())[:SAMPLE],
        "nbytes": ts.nbytes,
    }


def _unexplained(*ruled_out: str) -> EndFacts:
    return {"code": "unexplained", "ruled_out": list(ruled_out)}


def _queued(state: Any, ts: Any, now: float, averages: Averages) -> EndFacts:
    workers = list(state.workers.values())
    running = [ws for ws in workers if ws.status.name == "running"]
    if not workers:
        return _no_workers(state, ts)
    if not running:
        return _paused(state, workers, now)
    free = [ws for ws in running if len(ws.processing) < ws.nthreads]
    if free:
        return _unexplained(
            f"{len(running)} workers are running",
            f"{free[0].address} has {free[0].nthreads} threads and only "
            f"{len(free[0].processing)} tasks",
        )
    return {
        "code": "queued",
        "queued": len(state.queued),
        "threads": sum(ws.nthreads for ws in running),
        "workers": len(running),
        "processing": sum(len(ws.processing) for ws in running),
        "places": [
            {
                "worker": ws.address,
                "nthreads": ws.nthreads,
                "processing": len(ws.processing),
                "executing": executed_on(ws, averages),
            }
            for ws in running[:SAMPLE]
        ],
    }


def _no_workers(state: Any, ts: Any) -> EndFacts:
    return {
        "code": "no-workers",
        "starting": len(starting_nannies(state)),
        **wanted_by(ts),
    }


def _no_worker(state: Any, ts: Any, now: float) -> EndFacts:
    workers = list(state.workers.values())
    if not workers:
        return _no_workers(state, ts)
    strict = not ts.loose_restrictions
    placed = workers
    if strict and (ts.worker_restrictions or ts.host_restrictions):
        placed = [ws for ws in workers if may_be_placed(ws, ts)]
    if not placed:
        return restrictions_unmet(state, workers, ts)
    needed = (strict and ts.resource_restrictions) or {}
    fit = [ws for ws in placed if not lacks(ws, needed)]
    if not fit:
        return resources_unmet(workers, placed, ts)
    if not any(ws.status.name == "running" for ws in fit):
        return _paused(state, fit, now)
    return _unexplained(
        f"{len(workers)} workers are connected",
        f"{len(fit)} of them meet all restrictions and have all resources",
        "at least one of these is running, not paused",
    )


def _paused(state: Any, fit: list[Any], now: float) -> EndFacts:
    found = paused_facts(fit)
    if not found:  # they have joined, and are still setting themselves up
        fit = sorted(fit, key=lambda ws: ws.address)[:SAMPLE]
        joining = [joining_facts(state, ws, now) for ws in fit]
        return {"code": "workers-starting", "joining": joining}
    return {
        "code": "workers-paused",
        "paused": found[:SAMPLE],
        "paused_count": len(found),
        "running": len(state.running),
    }


def _processing(state: Any, ts: Any, now: float, averages: Averages) -> EndFacts:
    ws = ts.processing_on
    if ws is None:
        return _unexplained("no worker")
    retries = (ts.annotations or {}).get("retries")
    missing = [dts for dts in ts.dependencies if ws not in (dts.who_has or ())]
    return {
        "code": "processing",
        "worker": ws.address,
        "status": ws.status.name,
        "paused": paused_facts([ws]),
        "running": len(state.running),
        "joining": joining_facts(state, ws, now) if is_joining(state, ws) else None,
        "age": max(0.0, now - ws.last_seen),
        "nthreads": ws.nthreads,
        "processing": len(ws.processing),
        "executing": executed_on(ws, averages),
        "queued": len(state.queued),
        "duration": executed_by(ws).get(ts),
        "long_running": ts in ws.long_running,
        "average": averages.of(ts),
        "prefix": ts.prefix.name,
        "retries_left": ts.retries,
        "tried": retries - ts.retries if isinstance(retries, int) else 0,
        "suspicious": ts.suspicious,
        "breakpoint": stop_of(state, ts.key),
        "missing": [
            {
                "key": dts.key,
                "type": str(dts.type or ""),
                "holders": sorted(holder.address for holder in dts.who_has or ()),
            }
            for dts in missing[:SAMPLE]
        ],
        "missing_count": len(missing),
        **(_ANYWHERE if ts.loose_restrictions else wanted_by(ts)),
    }


def executed_on(ws: Any, averages: Averages) -> list[Executed]:
    """What a worker executes, the longest first, and how long its like took."""
    longest = sorted(executed_by(ws).items(), key=lambda each: -each[1])
    return [
        {"key": ts.key, "duration": took, "average": averages.of(ts)}
        for ts, took in longest[:SAMPLE]
    ]


class Averages:
    """Mean seconds of computing that finished tasks of some prefixes took."""

    def __init__(self) -> None:
        self._found: dict[Any, float | None] = {}

    def of(self, ts: Any) -> float | None:
        """That of a task's prefix; None if none of these has finished."""
        prefix = ts.prefix
        if prefix.name not in self._found:
            self._found[prefix.name] = _average(prefix)
        return self._found[prefix.name]


def _average(prefix: Any) -> float | None:
    """``TaskPrefix`` (distributed/scheduler.py) remembers what has been forgotten.

    Its ``duration_average`` is no mean, and is reset by a task that takes long. A dump
    has only the groups that are left.
    """
    groups = list(prefix.groups)[:100]
    seconds = sum(group.all_durations.get("compute", 0.0) for group in groups)
    done = sum(group.states.get(name, 0) for group in groups for name in _DONE)
    counts = getattr(prefix, "state_counts", None)
    if counts is not None:
        seconds, done = (
            prefix.all_durations.get("compute", 0.0),
            counts.get("memory", 0),
        )
    return seconds / done if seconds and done else None
