"""Settings of Dask that matter to debugging, on whichever side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .wire_tasks import Settings

SETTINGS = (
    "distributed.admin.log-length",
    "distributed.admin.low-level-log-length",
    "distributed.admin.max-error-length",
    "distributed.diagnostics.erred-tasks.max-history",
    "distributed.scheduler.allowed-failures",
    "distributed.scheduler.worker-ttl",
)


def read_settings(config: Any) -> Settings:
    """The settings that matter here out of a configuration, and no others."""
    found: Settings = {}
    for name in SETTINGS:
        value = config
        for part in name.split("."):
            value = _child(value, part)
        if isinstance(value, (int, float, str, type(None))):
            found[name] = value
    return found


def _child(config: Any, part: str) -> Any:
    """One step down; ``-`` and ``_`` are one (dask.config.canonical_name)."""
    if not isinstance(config, dict):
        return None
    other = part.replace("-", "_")
    return config.get(part, config.get(other))
