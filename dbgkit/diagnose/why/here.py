"""What futures of this process and the logs of workers say besides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from dbgkit.cluster.clients import (
    cancel_reason,
    held_future_states,
    state_of_future,
)
from dbgkit.cluster.view import LiveView, View
from dbgkit.cluster.why import dumped_errors, logged_errors
from dbgkit.cluster.workers import addresses_of
from dbgkit.remote.common.texts import safe_repr

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import Why

MOST_LOGS = 32  # workers whose logs are searched for an error


class FutureHere(NamedTuple):
    """Status of a future here; why it is cancelled, or what its error is."""

    status: str
    reason: str


def futures_here(
    view: View, answer: Why, futures: Mapping[Any, Any]
) -> dict[Any, FutureHere]:
    """Futures of tasks that the scheduler does not know.

    A client that has lost its scheduler has none on its list any more.
    """
    held = held_future_states(view.client) if view.client is not None else {}
    found = {}
    for entry in answer["unknown"]:
        key = entry["key"]
        state = state_of_future(futures[key]) if key in futures else held.get(key)
        if state is not None:
            reason = cancel_reason(state)
            if state.status == "error":
                reason = safe_repr(state.exception)
            found[key] = FutureHere(state.status, reason)
    return found


def last_errors(view: View, answer: Why) -> dict[Any, str]:
    """The last error of each task that is run again and again, if it can be found."""
    found = {each["key"]: each["error"] for each in answer["loops"] if each["error"]}
    unknown = [
        loop["key"]
        for loop in answer["loops"]
        if loop["failed"] and loop["key"] not in found
    ]
    if not unknown:
        return found
    if isinstance(view, LiveView):
        workers = list(addresses_of(view.link))[:MOST_LOGS]
        logged = logged_errors(view.link, workers, unknown)
    else:
        logged = dumped_errors(view.state, unknown)
    for each in logged:
        found.setdefault(each["key"], each["error"])
    return found
