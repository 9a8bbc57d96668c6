"""Why there is no failure: the errors, each with what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dbgkit import advice
from dbgkit.cluster.clients import future_client, held_future_states, is_open
from dbgkit.cluster.connection import RESUBMIT
from dbgkit.errors import Cancelled, NoTask, NotFailed, SchedulerGone, UnknownKey
from dbgkit.model import Failure
from dbgkit.remote.common.frames import walk
from dbgkit.remote.recording.handed import future_error
from dbgkit.targets.tracebacks import Trace, chain

PASS_EXCEPTION = (
    "the scheduler forgets a task once nobody holds its future: pass the exception "
    "instead"
)
_UNREAD = "Error during deserialization of the task graph"


def ask_why(key: Any) -> str:
    """The call that shows why a task has not ended."""
    return f"{advice.call('why', key)} says what it waits for"


def interrupted(exception: BaseException) -> bool:
    """Whether only the wait ended, so that any failure may be meant."""
    return isinstance(exception, (KeyboardInterrupt, TimeoutError)) or type(
        exception
    ).__name__ in ("TimeoutError", "CancelledError", "FutureCancelledError")


def found_by_text(count: int) -> str:
    """The note on an exception that was found by its text alone."""
    found = "a task" if count == 1 else f"the earliest of {count} tasks"
    return f"{found} that failed with this text: the exception itself says no more"


def not_failed(
    key: Any, state: str, status: str, client: Any, past: str = ""
) -> Cancelled | NotFailed | UnknownKey:
    """The error that says that the requested task has not failed.

    ``state`` is the scheduler's, ``status`` that of the future, if there is one.
    ``past``: that it has failed before, if so.
    """
    if status == "cancelled" or (state == "unknown" and status == "lost"):
        return _cancelled(key)
    if state == "unknown":
        return _unknown(key, client, status)
    before = f"; {past}" if past else ""
    if state == "memory":
        return NotFailed(
            f"{key!r} has not failed: it is finished{before}",
            f"{advice.call('replay', key)} runs it again anyway",
            key=key,
            state="finished",
        )
    return NotFailed(
        f"{key!r} has not failed: it is in state {state!r}{before}",
        ask_why(key),
        key=key,
        state=state,
    )


def lost_with_scheduler(
    exceptions: Iterable[BaseException],
) -> Cancelled | SchedulerGone | None:
    """The error that says that a wait ended because the scheduler went away, if so.

    ``Client._reconnect`` and ``_handle_restart`` (distributed/client.py) cancel all
    futures with a reason. Nothing is asked of a scheduler that is gone.
    """
    for error in exceptions:
        reason, key = getattr(error, "reason", None), getattr(error, "key", None)
        if reason == "scheduler-connection-lost":
            return SchedulerGone(
                f"the connection to the scheduler was lost while waiting for {key!r}, "
                "and its tasks are lost with it",
                "see the scheduler's log for why it stopped; connect a new Client "
                "once it runs again, and submit the work again",
                key=key,
            )
        if reason == "scheduler-restart":
            return Cancelled(
                f"{key!r} was cancelled, because the cluster was restarted "
                "(client.restart(), or another client's)",
                "submit it again: a restart leaves no task to debug",
                key=key,
            )
    return None


def lost_future(futures: Iterable[Any]) -> SchedulerGone | None:
    """The error that says that one of some futures was lost with its scheduler, if so.

    It is cancelled even if it had failed, or finished, long before.
    """
    for future in futures:
        reason = getattr(future_error(future), "reason", None)
        if reason == "scheduler-connection-lost":
            return SchedulerGone(
                f"{future.key!r} was lost when the client lost its scheduler and had "
                "to connect again",
                RESUBMIT,
                key=future.key,
            )
    return None


def to_debug_in_time() -> str:
    """What to do about a script whose cluster closes when it fails."""
    return (
        f"run the script with `dbgkit run`, or put {advice.call('debugging')} around "
        "the client's with block; or keep client and cluster open"
    )


def unanswered(key: Any, status: str) -> SchedulerGone:
    """The error that says that the client of a failed task can no longer be asked."""
    if status == "closed":
        return SchedulerGone(
            f"the client of {key!r} closed before its failure was debugged, as it "
            "does when a script ends",
            to_debug_in_time(),
            key=key,
        )
    return SchedulerGone(
        f"{key!r} cannot be asked about: the client is {status}",
        "check whether the scheduler still runs, and connect a new Client",
        key=key,
    )


def after_close(
    exception: BaseException, futures: Iterable[Any]
) -> SchedulerGone | None:
    """The error for what a closed client raised: of no task, and nothing to look for.

    ``futures`` are those of its traceback.
    """
    if all(map(_is_of_closed_client, chain(exception))):
        return SchedulerGone(
            "the client had been closed before this call: nothing was sent to the "
            "cluster, and no task raised it",
            "connect a new Client, or move the call to before the client is closed",
        )
    kinds = ("FutureCancelledError", "CancelledError")  # the first since 2024
    cancelled = type(exception).__name__ in kinds
    # distributed/utils.py, sync
    late = type(exception) is RuntimeError and str(exception) == "IOLoop is closed"
    for future in futures if cancelled or late else ():
        client = future_client(future)
        if client is not None and not is_open(client):
            what = "was cancelled" if cancelled else "was asked for too late"
            return SchedulerGone(
                f"{future.key!r} {what}, and its client is {client.status}: what its "
                "task returned or raised is not known here any more",
                "ask for results while the client is open",
                key=future.key,
            )
    return None


def _is_of_closed_client(error: BaseException) -> bool:
    """Whether a client raised this because it is closed.

    ``Client._send_to_scheduler`` says so. Other methods find that the client has no
    scheduler any more (``Client._close``; distributed/client.py).
    """
    kind = type(error)
    if (kind.__module__, kind.__name__) == ("distributed.client", "ClosedClientError"):
        return True
    if kind is not AttributeError:
        return False
    *_, (frame, _) = (None, None), *walk(error.__traceback__)
    client = frame.f_locals.get("self") if frame is not None else None
    return (
        frame is not None
        and frame.f_globals.get("__name__") == "distributed.client"
        and getattr(client, "status", "") == "closed"
        and getattr(client, "scheduler", "") is None
    )


def unread_graph(exception: BaseException | None) -> NoTask | None:
    """The error that says that the scheduler could not read a graph, if so.

    ``Scheduler.update_graph`` (distributed/scheduler.py) raises it with these words.
    """
    if type(exception) is not RuntimeError or not str(exception).startswith(_UNREAD):
        return None
    cause = exception.__cause__ or exception.__context__
    why = f": {type(cause).__name__}: {cause}" if cause is not None else ""
    return NoTask(
        f"no task has run, because the scheduler could not read the graph{why}",
        _what_to_send(cause),
    )


def _what_to_send(cause: BaseException | None) -> str:
    """What to do about a graph that cannot be read: usually a module is missing.

    Registering it by value does not help if it is missing on the scheduler: other parts
    of the graph, which is pickled as one, still name it.
    """
    missing = getattr(cause, "name", None) if isinstance(cause, ImportError) else None
    if missing:
        package = missing.split(".")[0]
        return (
            f"client.upload_file({package + '.py'!r}) brings it to the scheduler and "
            f"the workers (a package as .zip), or install {package!r} there"
        )
    return (
        "the modules that the graph needs must be there as well: "
        "client.upload_file(path) "
        "brings a module of yours to the scheduler and the workers"
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
        "submit it again, and hold its future while you debug it",
        key=key,
    )


def not_again(failure: Failure) -> UnknownKey:
    """The error that says why a failure that was forgotten cannot be run again."""
    recording = failure.evidence.recording
    what_to_do = (
        "pass the exception that it raised, or submit it again and hold its future; "
        f"after {advice.call('record')}, what the worker saw is kept as well"
    )
    if recording is not None and recording.frames:
        call = advice.call("debug", failure.key, using="recording")
        what_to_do = f"{call} shows what was recorded of it, or submit it again"
    return UnknownKey(
        f"{failure.key!r} cannot be run again: the scheduler has forgotten the task, "
        "and with it its function and inputs",
        what_to_do,
        key=failure.key,
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
            "submit it again, or pass the exception that it raised",
            key=key,
        )
    hint = f"did you mean {close[0]!r}?" if close else (PASS_EXCEPTION)
    return UnknownKey(f"the scheduler knows no key {key!r}", hint, key=key)
