"""What a dump has of a paused worker's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbgkit.remote.worker.why_memory import share

if TYPE_CHECKING:
    from dbgkit.cluster.dumps import DumpState
    from dbgkit.remote.common.wire_why_workers import Memory


def dumped_memory(state: DumpState, address: str) -> Memory | None:
    """As ``worker.why_memory.memory_of``; a dump does not have how spilling goes.

    Figures are those of the last heartbeat: ``Worker.get_metrics``.
    """
    ws, own = state.workers.get(address), state.worker_dumps.get(address)
    if ws is None or own is None:
        return None
    metrics = ws.metrics
    spilled = metrics.get("spilled_bytes")
    spilled = spilled if isinstance(spilled, dict) else {}
    held = _size(metrics.get("managed_bytes")) or 0
    limit = ws.memory_limit or None
    return {
        "used": _size(metrics.get("memory")),
        "limit": limit,
        "pause": share(limit, own.get("memory_pause_fraction")),
        "spill": share(limit, own.get("memory_spill_fraction")),
        "held": max(0, held - (_size(spilled.get("memory")) or 0)),
        "spilled": _size(spilled.get("disk")) or 0,
        "spilling": None,
    }


def _size(value: Any) -> int | None:
    """A number of bytes; None for anything else."""
    return int(value) if type(value) in (int, float) and 0 <= value < 2**63 else None
