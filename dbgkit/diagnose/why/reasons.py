"""Causes from facts: which of them explains why a task makes no progress."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dbgkit.targets.modules import lacking

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import Why
    from dbgkit.remote.common.wire_why_workers import Probe, ProbedTask

STUCK_TRANSFER = 30.0  # seconds that one transfer may take
LATE = 0.25  # seconds of the scheduler's event loop

# What is known about one end, or the cluster: what the scheduler reports, and all that
# was found in addition.
Facts = dict[str, Any]

# The most likely to stop everything come first.
RANKS = (
    "client-out-of-step",
    "lost-dependencies",
    "module-missing",
    "no-workers",
    "workers-starting",
    "worker-not-answering",
    "transfer-stuck",
    "workers-paused",
    "resources-unmet",
    "restrictions-unmet",
    "lock-wait",
    "threads-held",
    "p2p-barrier",
    "scheduler-overloaded",
    "unexplained",
    "failed",
    "cascaded",
    "transferring",
    "worker-saturated",
    "queued",
    "retrying",
    "running",
    "unknown-key",
    "released",
    "finished",
)


@dataclass
class Cause:
    """One cause, and the tasks that it explains.

    ``parts`` are the facts of each task that was looked at. ``whole`` is whether it
    stands for the whole cluster.
    """

    code: str
    key: Any = None
    chain: tuple[Any, ...] = ()
    length: int = 1
    parts: list[Facts] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)
    count: int = 1
    whole: bool = False

    @property
    def facts(self) -> Facts:
        """Of the first task."""
        return self.parts[0]


def causes_of(answer: Why, probes: Mapping[str, Probe], whole: bool) -> list[Cause]:
    """All causes, merged and ranked, from what the scheduler and workers said."""
    found: list[Cause] = []
    for end in answer["ends"]:
        code: str = end["code"]
        facts: Facts = dict(end)
        several = [(code, facts)]
        if code == "processing":
            several = _processing(facts, probes.get(facts["worker"]), answer)
        elif code == "queued":
            several = [(_queued(facts, probes), facts)]
        elif code == "failed" and whole:
            facts["given_up"] = answer["given_up"]
        lack = lacking(facts)
        if lack is not None:
            facts["lack"] = lack
            # What executes was deserialized; what Dask stopped retrying stays failed.
            if code not in ("failed", "cascaded", "processing"):
                several = [("module-missing", facts)]
        for code, facts in several:
            found.append(
                Cause(
                    code,
                    facts.get("blame", end["key"]),
                    tuple(end["chain"]),
                    end["length"],
                    [facts],
                    [end["key"]],
                    1 if end["state"] == "processing" else end["count"],
                )
            )
    found += _unknown(answer, probes)
    found += _of_cluster(answer, found, whole)
    return ranked(merged(found))


def ranked(causes: Iterable[Cause]) -> list[Cause]:
    """The likelier first; within a rank, deeper in the chain, then more tasks."""
    return sorted(causes, key=lambda c: (RANKS.index(c.code), -c.length, -c.count))


def merged(causes: Iterable[Cause]) -> list[Cause]:
    """Merge causes that read alike."""
    first: dict[Any, Cause] = {}
    for cause in causes:
        same = first.setdefault(_likeness(cause), cause)
        if same is not cause:
            same.parts += cause.parts
            same.keys += cause.keys
            same.count += cause.count
    return list(first.values())


def _likeness(cause: Cause) -> Any:
    facts = cause.facts
    if cause.code in ("resources-unmet", "restrictions-unmet"):
        wanted = (facts["only_workers"], facts["only_hosts"], facts["resources"])
        return (cause.code, repr(wanted))
    if cause.code == "lock-wait":
        return (cause.code, facts["waits"]["kind"], facts["waits"]["name"])
    if cause.code == "module-missing":
        return (cause.code, facts["lack"].modules, facts["lack"].certain)
    if cause.code in ("failed", "cascaded"):
        return (cause.code, cause.key)
    if cause.code == "unknown-key":
        return (cause.code, bool(facts["unwanted"]), bool(facts["workers"]))
    return cause.code


def _processing(
    facts: Facts, probe: Probe | None, answer: Why
) -> list[tuple[str, Facts]]:
    """Causes of a task that a worker has: the worker knows more than the scheduler."""
    if answer["answering"].get(facts["worker"]) is False:
        return [("worker-not-answering", facts)]
    row = _row(probe, facts["key"])
    facts["row"], facts["probe"] = row, probe
    facts["live"] = answer["late"] is not None
    state = row["state"] if row else None
    if state is None and probe is not None:
        return [("unexplained", {**facts, "ruled_out": _unheard(facts)})]
    if state is None:
        state = _guess(facts)
    if state in ("executing", "long-running", "resumed"):
        return _executing(facts, row)
    paused = (probe["status"] if probe else facts["status"]) != "running"
    if paused:
        return [("workers-paused", {**facts, "count": len(facts["paused"])})]
    if state == "waiting":
        return [_transfer(facts, probe, answer)]
    if state in ("ready", "constrained"):
        held = _held(probe)
        return [("threads-held" if held else "worker-saturated", facts)]
    return [("running", facts)]  # done there; the scheduler is about to hear of it


def _queued(facts: Facts, probes: Mapping[str, Probe]) -> str:
    """The cause of a queued task; adds what the workers' threads run."""
    places = facts["places"]
    for place in places:
        place["probe"] = probes.get(place["worker"])
    return "threads-held" if all(_held(p["probe"]) for p in places) else "queued"


def _held(probe: Probe | None) -> bool:
    """Whether a worker runs only tasks that the scheduler has released."""
    busy = probe["executing"] if probe else ()
    return bool(busy) and all(entry.get("state") == "cancelled" for entry in busy)


def _guess(facts: Facts) -> str:
    """The state by the last heartbeat, if the worker itself was not asked."""
    if facts["duration"] is not None or facts["long_running"]:
        return "executing"
    return "waiting" if facts["missing_count"] else "ready"


def _row(probe: Probe | None, key: Any) -> ProbedTask | None:
    rows = probe["tasks"] if probe else ()
    return next((row for row in rows if row["key"] == key), None)


def _unheard(facts: Facts) -> list[str]:
    return [
        f"worker {facts['worker']} is running and answers",
        "but it does not know of the task",
    ]


def _executing(facts: Facts, row: ProbedTask | None) -> list[tuple[str, Facts]]:
    waits = row["waits"] if row else None
    found = []
    if facts["tried"] > 0 or died_with(facts)[0] > 0:
        found.append(("retrying", facts))
    if waits is not None and waits["kind"] != "future":
        found.append(("lock-wait", {**facts, "waits": waits}))
    elif not found:
        found.append(("running", facts))
    return found


def died_with(facts: Facts) -> tuple[int, int]:
    """How many workers died that may have run a task, and how many certainly ran it.

    The scheduler counts all that it was assigned to (``TaskState.suspicious``). Those
    where the recorder knows that it was only queued are left out.
    """
    key, deaths = facts["key"], facts.get("deaths", ())
    ran = sum(key in death.keys for death in deaths)
    queued = sum(
        death.ran_known
        and not death.expected
        and key in death.queued
        # A heartbeat may have been sent before it started.
        and all(task.found_in == "worker" for task in death.ran)
        for death in deaths
    )
    return max(0, facts["suspicious"] - queued), ran


def _transfer(facts: Facts, probe: Probe | None, answer: Why) -> tuple[str, Facts]:
    """Inputs being transferred; they are stuck if no worker sends them."""
    row = facts["row"]
    inputs = row["inputs"] if row else []
    now = probe["now"] if probe else answer["start"]
    reasons = []
    for entry in inputs:
        # Clocks differ, and a dump's time is about right only.
        entry["for"] = max(0.0, now - entry["since"]) if entry["since"] else None
        if answer["answering"].get(entry["from"]) is False:
            reasons.append("sender")
        elif entry["state"] == "missing":
            reasons.append("missing")
        elif (entry["for"] or 0.0) > STUCK_TRANSFER:
            reasons.append("slow")
    if not inputs:
        for missing in facts["missing"]:
            if any(answer["answering"].get(h) is False for h in missing["holders"]):
                reasons.append("sender")
    limit = probe["transfer_limit"] if probe else None
    if limit and probe and len(probe["in_flight"]) >= limit:
        reasons.append("limit")
    facts["reasons"] = reasons
    return ("transfer-stuck" if reasons else "transferring"), facts


def _unknown(answer: Why, probes: Mapping[str, Probe]) -> list[Cause]:
    found = []
    for entry in answer["unknown"]:
        lost = entry["dependency"] is not None
        code = "lost-dependencies" if lost else "unknown-key"
        facts = {**entry, "workers": _still_run(entry["key"], probes)}
        found.append(Cause(code, entry["key"], (entry["key"],), 1, [facts]))
        found[-1].keys.append(entry["key"])
    more = answer.get("unknown_count", 0) - len(found)
    if found and more > 0:
        found[-1].count += more
    return found


def _still_run(key: Any, probes: Mapping[str, Probe]) -> list[Facts]:
    """Workers that run a task that the scheduler has forgotten."""
    found = []
    for address, probe in sorted(probes.items()):
        row = _row(probe, key)
        busy = (entry["key"] for entry in probe["executing"])
        if row is not None and (row["stack"] is not None or key in busy):
            found.append({"worker": address, "probe": probe, "row": row})
    return found


def _of_cluster(answer: Why, found: list[Cause], whole: bool) -> list[Cause]:
    """Causes that concern no single task."""
    cluster = answer["cluster"]
    added = []
    codes = {cause.code for cause in found}
    done = codes <= {"finished", "failed", "cascaded", "unknown-key", "released"}
    late = answer["late"]
    if late is not None and late > LATE and (whole or not done):
        added.append(Cause("scheduler-overloaded", parts=[{"late": late}]))
    for entry in answer["out_of_step"]:
        key = entry["key"]
        added.append(
            Cause("client-out-of-step", key, (key,), 1, [dict(entry)], keys=[key])
        )
    if not whole or cluster is None:
        return added
    silent = {end["worker"] for end in answer["ends"] if end["code"] == "processing"}
    for worker in cluster["quiet"]:
        if worker["address"] in silent:
            continue
        if answer["answering"].get(worker["address"], False) is False:
            facts = {"worker": worker["address"], "age": worker["age"]}
            added.append(Cause("worker-not-answering", parts=[facts]))
    if cluster["paused_count"] and "workers-paused" not in codes:
        facts = {
            "paused": cluster["paused"],
            "count": cluster["paused_count"],
            "present": cluster["workers"],
        }
        added.append(Cause("workers-paused", parts=[facts]))
    named = {c.facts["waits"]["name"] for c in found if c.code == "lock-wait"}
    for waiter in answer["waiters"] or ():
        if waiter["name"] not in named:
            facts = {"waits": dict(waiter), "waiter": dict(waiter)}
            added.append(Cause("lock-wait", parts=[facts], count=waiter["waiting"]))
    return added
