"""What a scheduler or worker was told to load as it started."""

from __future__ import annotations

from typing import Any

MOST_NAMED = 20
_OURS = "dbgkit.preload"  # that the recorder is on shows that it did not fail


def preloads_of(server: Any) -> list[str]:
    """Names of preloads: ``Server.preloads`` (distributed/preloading.py).

    Without the recorder's own. Whether one of them failed, only the output of the
    process has: see ``PreloadManager.start``.
    """
    found = [str(preload.name)[:200] for preload in server.preloads]
    return [name for name in found if name != _OURS][:MOST_NAMED]
