"""What workers have to do, and how full they are."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

from ..common.pacing import Pace, is_dump, now_of, slices
from .dashboard_place import has_dashboard

if TYPE_CHECKING:
    from ..common.wire import AnyQuestion
    from ..common.wire_tasks import WorkerLoadForm, Workers


async def survey_workers(state: Any, question: AnyQuestion) -> Workers:
    """Workers in rows, those first that are not running, then the fullest.

    ``limit``: the most rows.
    """
    start = now_of(state)
    limit = int(question.get("limit", 50))
    best: list[WorkerLoadForm] = []
    workers = list(state.workers.values())
    async for part in slices(workers, Pace()):
        best = heapq.nsmallest(limit, [*best, *map(_load, part)], key=_order)
    return {
        "rows": best,
        "omitted": len(workers) - len(best),
        "dashboard_port": _dashboard_port(state),
        "start": start,
        "end": now_of(state),
    }


def _dashboard_port(state: Any) -> int | None:
    """Of Dask's own dashboard, if the scheduler has one.

    ``Server.services`` has its server in any case (distributed/node.py).
    """
    served = getattr(state, "services", {}).get("dashboard")
    if is_dump(state) or not has_dashboard(state):
        return None
    port = getattr(served, "port", None)
    return port if isinstance(port, int) else None


def _load(ws: Any) -> WorkerLoadForm:
    memory = (ws.metrics or {}).get("memory")  # a dump may have anything there
    return {
        "address": str(ws.address),
        "name": str(ws.name),
        "status": ws.status.name,
        "threads": ws.nthreads,
        "tasks": len(ws.processing),
        "memory": memory if isinstance(memory, int) else None,
        "memory_limit": ws.memory_limit or None,
    }


def _order(load: WorkerLoadForm) -> tuple[bool, float, str]:
    return load["status"] == "running", -(filled(load) or 0.0), load["address"]


def filled(load: WorkerLoadForm) -> float | None:
    """How much of its memory a worker uses, of 1; None if that is not known."""
    used, limit = load["memory"], load["memory_limit"]
    return used / limit if used is not None and limit else None
