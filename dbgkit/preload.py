"""The recorder on a cluster that always wants it.

``dask scheduler --preload dbgkit.preload``, or in Dask's configuration
``distributed.scheduler.preload: [dbgkit.preload]``, turns the recorder on as the
scheduler starts; it passes it on to the workers, which need nothing installed.
Settings are those of ``dbgkit.record`` in Dask's configuration. With
``keep-frames`` among them, failures are held as well. With
``dbgkit.live.always: true`` there, builtin ``breakpoint()`` stops in everyone's tasks
as well.
"""

from __future__ import annotations

from typing import Any

from dbgkit.api import live_settings
from dbgkit.api.record_settings import configured, holding
from dbgkit.cluster import live
from dbgkit.cluster.recordings import preload


async def dask_setup(server: Any) -> None:
    """Called by Dask as the server starts; does nothing on workers and nannies."""
    if hasattr(server, "register_scheduler_plugin"):
        await preload(server, configured())
        if (held := holding()) is not None:
            await live.preload(server, *held, holds=True)
        if live_settings.is_always_on():
            await live.preload(server, **live_settings.configured())
