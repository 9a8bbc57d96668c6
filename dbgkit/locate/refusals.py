"""Why there is no failure to be had: the errors, each with what to do next."""

from __future__ import annotations

from typing import Any

from dbgkit.cluster.clients import held_future_states
from dbgkit.errors import Cancelled, NoTask, NotFailed, UnknownKey
from dbgkit.locate.traces import Trace

_UNREAD = "Error during deserialization of the task graph"
ASK_WHY = "dbgkit.why(key) tells what it waits for"


def interrupted(exception: BaseException) -> bool:
    """Whether it was the wait that ended, so that any failure may be meant."""
    return isinstance(exception, (KeyboardInterrupt, TimeoutError)) or type(
        exception
    ).__name__ in ("TimeoutError", "CancelledError", "FutureCancelledError")


def not_failed(
    key: Any, state: str, status: str, client: Any
) -> Cancelled | NotFailed | UnknownKey:
    """What says that a task that was asked for has not failed.

    ``state`` is the scheduler's, ``status`` that of the future, if there is one.
    """
    if status == "cancelled" or (state == "unknown" and status == "lost"):
        return _cancelled(key)
    if state == "unknown":
        return _unknown(key, client, status)
    if state == "memory":
        return NotFailed(
            f"{key!r} has not failed: it is finished",
            "dbgkit.replay(key) runs it again all the same",
            key=key,
            state="finished",
        )
    return NotFailed(
        f"{key!r} has not failed: it is in state {state!r}",
        ASK_WHY,
        key=key,
        state=state,
    )


def unread_graph(exception: BaseException | None) -> NoTask | None:
    """What says that the scheduler could not read a graph, if it says that.

    ``Scheduler.update_graph`` (distributed/scheduler.py) raises it by these words.
    """
    if type(exception) is not RuntimeError or not str(exception).startswith(_UNREAD):
        return None
    cause = exception.__cause__ or exception.__context__
    why = f": {type(cause).__name__}: {cause}" if cause is not None else ""
    return NoTask(
        f"no task has run, as the scheduler could not read the graph{why}",
        "what the graph is made of must be there as well: install it for the "
        "scheduler and the workers, or have the client send it, by "
        "cloudpickle.register_pickle_by_value(module)",
    )


def _cancelled(key: Any) -> Cancelled:
    return Cancelled(
        f"{key!r} was cancelled",
        "submit it again: a cancelled task leaves nothing to debug",
        key=key,
    )


def gone(key: Any, found: Trace) -> UnknownKey | Cancelled:
    """A task of an exception's futures that the scheduler has forgotten."""
    status = {future.key: future.status for future in found.futures}
    if status.get(key) == "cancelled" and interrupted(found.exception):
        return _cancelled(key)
    return UnknownKey(
        f"the scheduler has forgotten {key!r}, which raised this exception",
        "submit it again, and hold its future until it has been looked at",
        key=key,
    )


def _unknown(key: Any, client: Any, status: str) -> UnknownKey:
    import difflib

    held = held_future_states(client)
    if not status and key in held:
        status = held[key].status
    known = [str(k) for k in held if k != key]
    close = difflib.get_close_matches(str(key), known, n=1)
    if status:
        return UnknownKey(
            f"the scheduler has forgotten {key!r} (the future is {status})",
            "submit it again, or hand in the exception that it raised",
            key=key,
        )
    hint = (
        f"did you mean {close[0]!r}?"
        if close
        else (
            "the scheduler forgets a task once nobody holds its future: hand in the "
            "exception instead"
        )
    )
    return UnknownKey(f"the scheduler knows no key {key!r}", hint, key=key)
