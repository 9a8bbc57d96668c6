"""Which workers could run a task that asks for some, and what the nearest ones lack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import nsmallest
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..common.pacing import is_dump
from .rows import name_of

if TYPE_CHECKING:
    from ..common.wire_why import (
        Gone,
        Lacking,
        Named,
        NearestResources,
        Paused,
        ResourcesFacts,
        RestrictionsFacts,
        Wanted,
    )

SAMPLE = 5  # names that are given where there may be many
NEAREST = 3  # workers that are named
TEXT_LIMIT = 100  # characters of the name of a resource


def wanted_by(ts: Any) -> Wanted:
    """What a task asks of a worker."""
    return {
        "only_workers": sorted(ts.worker_restrictions or ())[:SAMPLE],
        "only_hosts": sorted(ts.host_restrictions or ())[:SAMPLE],
        "resources": dict(ts.resource_restrictions or {}),
    }


def may_be_placed(ws: Any, ts: Any) -> bool:
    """As ``SchedulerState.valid_workers``: one of the workers, or on one of the hosts.

    Hosts are compared as they are written and by address.
    """
    if ws.address in (ts.worker_restrictions or ()):
        return True
    return any(host in (ws.host, ws.name) for host in ts.host_restrictions or ())


def lacks(ws: Any, needed: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Resource -> needed, supplied; of those that a worker has too little of."""
    return {
        name: (amount, ws.resources.get(name, 0))
        for name, amount in needed.items()
        if ws.resources.get(name, 0) < amount
    }


def resources_unmet(workers: list[Any], placed: list[Any], ts: Any) -> ResourcesFacts:
    """What no worker has, of those that are not ruled out otherwise (``placed``)."""
    needed = ts.resource_restrictions or {}

    def missing(ws: Any) -> tuple[float, str]:
        missed = lacks(ws, needed).values()
        share = sum(1 - has / wanted for wanted, has in missed if wanted)
        return (share, ws.address)

    nearest: list[NearestResources] = [
        {**named(ws), "lacks": lacks(ws, needed)}
        for ws in nsmallest(NEAREST, placed, key=missing)
    ]
    eligible = set(placed)
    elsewhere = (ws for ws in workers if ws not in eligible and not lacks(ws, needed))
    offered = {str(name)[:TEXT_LIMIT] for ws in placed for name in ws.resources}
    return {
        "code": "resources-unmet",
        "present": len(placed),
        "nearest": nearest,
        "lacking": list(_lacking(placed, needed)),
        "offered": sorted(offered)[:SAMPLE],
        "elsewhere": [named(ws) for ws in islice(elsewhere, NEAREST)],
        **wanted_by(ts),
    }


def _lacking(placed: list[Any], needed: Mapping[str, float]) -> Iterator[Lacking]:
    """Resources of which no worker has enough, and who has the most."""
    for name, wanted in sorted(needed.items()):
        best = min(placed, key=lambda ws: (-ws.resources.get(name, 0), ws.address))
        has = best.resources.get(name, 0)
        if has < wanted:
            yield {"resource": name, "wanted": wanted, "has": has, **named(best)}


def restrictions_unmet(state: Any, workers: list[Any], ts: Any) -> RestrictionsFacts:
    """That no worker is one of those asked for, and which of these have left."""
    hosts = {_host(address) for address in ts.worker_restrictions or ()}
    needed = ts.resource_restrictions or {}
    nearest = min(
        workers,
        key=lambda ws: (ws.host not in hosts, bool(lacks(ws, needed)), ws.address),
    )
    return {
        "code": "restrictions-unmet",
        "present": len(workers),
        "nearest": {**named(nearest), "same_host": nearest.host in hosts},
        "gone": [] if is_dump(state) else _gone(state, ts),
        **wanted_by(ts),
    }


def _gone(state: Any, ts: Any) -> list[Gone]:
    """Workers that were asked for and have left, the last one first.

    ``Scheduler.remove_worker`` writes an event of the topic ``all`` for each.
    """
    found: dict[str, Gone] = {}
    for when, message in reversed(state.get_events("all")):
        if isinstance(message, dict) and message.get("action") == "remove-worker":
            address = str(message.get("worker", ""))
            wanted = address in (ts.worker_restrictions or ())
            if wanted or _host(address) in (ts.host_restrictions or ()):
                gone: Gone = {
                    "address": address,
                    "when": float(when),
                    "expected": bool(message.get("expected")),
                }
                found.setdefault(address, gone)
    return list(found.values())[:SAMPLE]


def _host(address: str) -> str:
    return address.rpartition("://")[2].rpartition(":")[0]


def named(ws: Any) -> Named:
    """A worker's address and name."""
    return {"address": ws.address, "name": name_of(ws)}


def paused_facts(workers: Iterable[Any]) -> list[Paused]:
    """Workers that are up but do not run, with the memory of their last heartbeat."""
    return [
        {
            **named(ws),
            "status": ws.status.name,
            "memory": (ws.metrics or {}).get("memory"),
            "limit": ws.memory_limit,
        }
        for ws in workers
        if ws.status.name not in ("running", "init")
    ]
