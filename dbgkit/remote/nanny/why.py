"""What the process of a worker does that does not answer, as its nanny sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..common.processes import snapshot, usage

if TYPE_CHECKING:
    from ..common.wire_why_late import Usage

WINDOW = 0.5  # seconds


async def look_at_process(dask_worker: Any = None) -> Usage | None:
    """What the worker of this nanny does; None if it has no process to look at.

    Dask calls the argument so on nannies too. A nanny's worker has its event loop in
    its main thread (``WorkerProcess._run``, distributed/nanny.py), whose id is that of
    the process.
    """
    pid = getattr(dask_worker, "pid", None)
    before = snapshot(pid) if pid else None
    if pid is None or before is None:
        return None
    await asyncio.sleep(WINDOW)
    after = snapshot(pid)
    return None if after is None else usage(before, after, pid)
