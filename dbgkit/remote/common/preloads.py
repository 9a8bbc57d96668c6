"""What a scheduler or worker was told to load as it started."""

from __future__ import annotations

from typing import Any

MOST_NAMED = 20


def preloads_of(server: Any) -> list[str]:
    """Names of preloads: ``Server.preloads`` (distributed/preloading.py).

    Whether one of them failed, only the process' own output has: see
    ``PreloadManager.start``.
    """
    found = [str(preload.name)[:200] for preload in server.preloads]
    return found[:MOST_NAMED]
