"""What a death is put together from: a worker's state, its nanny's report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..common.endings import box_of
from .deaths import removal_fact, unpack_keys
from .rows import name_of

if TYPE_CHECKING:
    from ..common.wire_deaths import DeathForm, NannyReport

Process = tuple[str, int | None]  # of a worker: its address and process id


def tasks_of(death: DeathForm) -> list[Any]:
    """Keys of the tasks that a worker had when it went away."""
    box = box_of(death)
    ran = [*death["heartbeat_tasks"], *(box["tasks"] if box else ())]
    return [*(task["key"] for task in ran), *death["processing"]]


def add_worker(death: DeathForm, ws: Any, now: float) -> None:
    metrics = ws.metrics or {}
    death.update(
        {
            "name": name_of(ws),
            "host": ws.host,
            "pid": ws.pid,
            "nanny": ws.nanny or "",
            "memory": metrics.get("memory"),
            "memory_at": ws.last_seen,
            "memory_limit": ws.memory_limit or None,
            "unseen": now - ws.last_seen,
        }
    )


def without_removal(report: NannyReport) -> DeathForm:
    msg = {"worker": report["worker"], "expected": None, "stimulus_id": ""}
    death = removal_fact(report["when"], msg, "")
    box = report["box"]
    if box:  # a copy, as its worker may still be removed
        tasks = [task.copy() for task in box["tasks"]]
        box = {**box, "tasks": tasks, "ended": []}
        report = {**report, "box": box}
        unpack_keys(box, ())
    death["name"], death["pid"] = report["name"], report["pid"]
    death["nanny"], death["report"] = report["nanny"], report
    return death


def is_of(process: Process, death: DeathForm) -> bool:
    """Whether a nanny's report about a process belongs to a death.

    A nanny has the address of the worker before while the next one is starting, but
    it has the right process id.
    """
    address, pid = process
    if pid is None or death["pid"] is None:
        return bool(address == death["worker"])
    same_host = address.rpartition(":")[0] == death["worker"].rpartition(":")[0]
    return bool(pid == death["pid"] and same_host)
