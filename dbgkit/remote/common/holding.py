"""How the recorder offers failures to a part of the same worker that holds them."""

from __future__ import annotations

from typing import Any

# A plugin that holds failures has a method of this name; its arguments: `offer`.
HOLD = "dbgkit_hold"


def offer(
    worker: Any, key: Any, exception: BaseException, message: str, *, carried: bool
) -> None:
    """Offer a failure with its live frames, in the thread that the task ran in.

    ``message`` is the exception's class and message, secrets hidden; ``carried``: it is
    in the task's result, so that for Dask the task does not fail.
    """
    for plugin in list(worker.plugins.values()):
        hold = getattr(plugin, HOLD, None)
        if hold is not None:
            hold(key, exception, message, carried=carried)
