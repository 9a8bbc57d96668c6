"""Facts on whether a cluster is fit for debugging, as its scheduler knows them.

What a dump does not contain is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask

from ..common.pacing import Pace, is_dump, now_of
from ..common.preloads import preloads_of
from ..common.settings import SETTINGS, read_settings
from .dashboard_place import page_of
from .doctor_logs import (
    NANNIES_LIMIT,
    early_leavers,
    failed_in_dump,
    hides_plugins,
    nannies_said,
    raising_plugins,
)

if TYPE_CHECKING:
    from ..common.wire_tasks import (
        ClientForm,
        DoctorQuestion,
        Examined,
        ExaminedWorker,
        Log,
        TransitionLog,
    )

MOST_WORKERS = 500  # workers that are listed one by one; what is wrong comes first


async def examine(state: Any, question: DoctorQuestion) -> Examined:
    """Facts for the checks of ``diagnose.doctor``, asked by a ``client`` of some id."""
    pace = Pace()
    now = now_of(state)
    dump = is_dump(state)
    versions = state.versions if dump else {"scheduler": state.versions()}
    reported = versions.get("workers") or {}
    workers = []
    for ws in list(state.workers.values()):
        there = reported.get(ws.address) if dump else ws.versions
        workers.append(_worker(ws, now, there))
        await pace.checkpoint()
    workers.sort(key=_troubled)
    limit = question.get("limit", NANNIES_LIMIT)
    return {
        "now": now,
        "address": str(getattr(state, "address", "")),
        "scheduler": _packages(versions.get("scheduler")),
        "clients": _clients(state, question.get("client")),
        "workers": workers[:MOST_WORKERS],
        "workers_left_out": max(0, len(workers) - MOST_WORKERS),
        "transitions": _log(state),
        "failures": _failures(state),
        "allowed_failures": getattr(state, "allowed_failures", None),
        "settings": {} if dump else read_settings(dask.config.config),
        # Live, the workers are asked for theirs.
        "worker_settings": {n: state.setting(n) for n in SETTINGS} if dump else {},
        "not_dumped": list(state.silent_workers) if dump else [],
        "lost_tracebacks": [] if dump else _lost_tracebacks(state),
        "tasks": len(state.tasks),
        "page": page_of(state),
        "failed_plugins": failed_in_dump(state) if dump else [],
        "raising": [] if dump else await raising_plugins(state, pace),
        "hides_raising": None if dump else hides_plugins(state),
        "leavers": [] if dump else await early_leavers(state, now, pace),
        "nannies": None if dump else await nannies_said(state, limit),
        "preloads": [] if dump else preloads_of(state),
    }


def _worker(ws: Any, now: float, versions: Any) -> ExaminedWorker:
    return {
        "address": ws.address,
        "name": str(ws.name),
        "status": ws.status.name,
        "nanny": ws.nanny,
        "silent": max(0.0, now - ws.last_seen) if ws.last_seen else None,
        "memory": (ws.metrics or {}).get("memory"),
        "memory_limit": ws.memory_limit,
        "packages": _packages(versions),
    }


def _troubled(worker: ExaminedWorker) -> tuple[bool, float]:
    return worker["status"] == "running", -(worker["silent"] or 0.0)


def _packages(versions: Any) -> dict[str, str] | None:
    """Package -> version; None where they are not known."""
    packages = (versions or {}).get("packages")
    if not packages:
        return None
    return {str(name): str(found) for name, found in dict(packages).items() if found}


def _clients(state: Any, asking: str | None) -> list[ClientForm]:
    """Other clients than the one that asks, whose versions are known."""
    found: list[ClientForm] = [
        {"id": cs.client_key, "packages": packages}
        for cs in list(state.clients.values())
        if cs.client_key != asking
        and (packages := _packages(getattr(cs, "versions", None)))
    ]
    return found[:20]


def _log(state: Any) -> TransitionLog:
    log = state.transition_log
    first = next(iter(log), None)
    return {
        "length": len(log),
        "most": getattr(log, "maxlen", None),
        "since": float(tuple(first)[5]) if first is not None else None,
        "made": getattr(state, "transition_counter", None),
    }


def _failures(state: Any) -> Log | None:
    """How full the history of failures is; None in a dump, which does not have it."""
    history = state.erred_tasks
    if is_dump(state):
        return None
    return {
        "length": len(history),
        "most": history.maxlen,
        "since": float(history[-1].timestamp) if history else None,
    }


def _lost_tracebacks(state: Any) -> list[Any]:
    """Keys of failures that arrived without their traceback.

    ``error_message`` (distributed/core.py) leaves out one that is too long, but sends
    its text; a task without any frame of its own has neither.
    """
    return [
        entry.key
        for entry in state.erred_tasks
        if entry.traceback_text
        and (ts := state.tasks.get(entry.key)) is not None
        and ts.exception is not None
        and ts.traceback is None
    ][:20]
