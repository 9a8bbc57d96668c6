"""A plugin that was just set up asks the scheduler's part whether it is wanted.

A worker that joins while the plugin is being removed may still get it. The setup waits
for the answer, so that every worker that has joined has also asked.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .wire_recordings import RecorderSettings

LIMIT = 5.0  # seconds for the scheduler to answer


async def announce(
    server: Any, name: str, plugin: Any, **more: Any
) -> RecorderSettings | None:
    """The settings that a plugin is to have; None if they are not available.

    ``name`` is that of the plugin and of its part on the scheduler. A plugin that is
    not wanted becomes ``unwanted`` and is taken off again. ``more`` is what its part
    is to know.
    """
    asking = getattr(server.scheduler, f"{name}-here")(address=server.address, **more)
    try:
        answer = await asyncio.wait_for(asking, LIMIT)
    except (OSError, asyncio.TimeoutError):
        return None  # it is busy, or gone
    # An operation that is not there is answered with None.
    settings: RecorderSettings | None = (answer or {}).get("settings")
    if settings is None and server.plugins.get(name) is plugin:
        plugin.unwanted = True
        await server.plugin_remove(name=name)
    return settings
