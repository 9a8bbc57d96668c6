"""What `live` has stopped, as other questions to a scheduler need it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..common.wire_live import StopForm

NAMES = "dbgkit-live-"  # how the names of its parts begin, of any version


def stop_of(state: Any, key: Any) -> StopForm | None:
    """The stop of a task that waits at a ``breakpoint()``; None if it does not.

    A dump has none: it has no plugins.
    """
    for name, plugin in getattr(state, "plugins", {}).items():
        if str(name).startswith(NAMES):
            for stop in list(getattr(plugin, "stops", {}).values()):
                waits = stop["state"] == "waiting" and not stop["cancelled"]
                if waits and stop["key"] == key:
                    found: StopForm = stop
                    return found
    return None
