"""Exceptions that a library returned as a task's result: joblib's Dask backend.

A batch that fails is finished for Dask: its result carries the exception. Usually the
backend's client still has the batch's future, and the scheduler knows the type of its
result.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dbgkit import advice
from dbgkit.cluster.clients import held_future_states, is_open
from dbgkit.cluster.link import Link
from dbgkit.cluster.pulls import pull_values
from dbgkit.model import Failure
from dbgkit.remote.common.carried import carried_by, is_carrier
from dbgkit.remote.common.texts import safe_repr, safe_str
from dbgkit.remote.common.unpickling import Reading
from dbgkit.targets.led import CARRIED
from dbgkit.targets.naming import lines_of_frames, name_of, step_of
from dbgkit.targets.tracebacks import live_places
from dbgkit.targets.without_task_kind import Kind

_MOST_FETCHED = 100  # batches that failed and are held
_BACKEND = "DaskDistributedBackend"


def backend_client(error: BaseException) -> Any:
    """The client of joblib's Dask backend that raised an exception; None if none did.

    ``Parallel`` and ``BatchCompletionCallBack`` (joblib/parallel.py) lead to it.
    """
    for place, frame in live_places(error):
        if place[:2] != ("joblib", "parallel.py"):
            continue
        owner = frame.f_locals.get("self")
        parallel = getattr(owner, "parallel", owner)
        candidates: list[Any] = [frame.f_locals.get("backend")]
        candidates.append(getattr(parallel, "_backend", None))
        for backend in candidates:
            if type(backend).__name__ == _BACKEND:
                return backend.client
    return None


def failed_batches(
    error: BaseException, client: Any, timeout: float
) -> list[tuple[Any, str]]:
    """Keys of the batches whose results carry an exception, and where they are held.

    The newest first. Costs one visit, and the transfer of the exceptions that are held.
    """
    if not is_open(client):
        return []
    link = Link(client, timeout)
    states = held_future_states(client)
    held = [key for key, state in states.items() if state.status == "finished"]
    if not held:
        return []
    rows = [
        row
        for row in link.visit(keys=held, states_only=True)["tasks"]
        if row["who_has"] and is_carrier(row["type"] or "")
    ][-_MOST_FETCHED:]
    where = {row["key"]: row["who_has"] for row in rows}
    # It must not change any class of this process.
    values = pull_values(link, where, 0, reader=Reading())
    # The newest first: one job is often run again.
    newest = sorted(rows, key=lambda row: held.index(row["key"]), reverse=True)
    return [
        (row["key"], row["who_has"][0])
        for row in newest
        if _is_same(values.get(row["key"]), error)
    ]


def _is_same(value: Any, error: BaseException) -> bool:
    """Whether a batch's result carries this exception.

    On its way it is re-created, with the worker's text as its cause.
    """
    found = carried_by(value) or value
    if found is error:
        return True
    return (
        type(found).__name__ == type(error).__name__
        and safe_repr(found) == safe_repr(error)
        and remote_text(found) == remote_text(error)
    )


def failure_of_batch(failure: Failure, error: BaseException, address: str) -> Failure:
    """The failure of a batch that is finished, with the exception that it carried."""
    frames = lines_of_frames(remote_text(error))
    return replace(
        failure,
        name=name_of(failure.key, step=step_of(frames)),
        exception_type=type(error).__name__,
        message=safe_str(error),
        traceback_text=frames,
        worker=address,
        exception=error,
        notes=(CARRIED,),
        kind="carried",
    )


def as_on_worker(failure: Failure, error: BaseException) -> Failure:
    """A failure whose batch is no longer held, with its frames on the worker.

    The exception itself has the frames of joblib alone.
    """
    frames = lines_of_frames(remote_text(error))
    if not frames:
        return failure
    name = name_of(None, step=step_of(frames))
    return replace(failure, name=name, traceback_text=frames)


def remote_text(error: BaseException) -> str:
    """The traceback, as text, that a carried exception has from its worker."""
    cause = error.__cause__
    return safe_str(cause, 100_000) if cause is not None else ""


def of_batch(error: BaseException) -> Kind | None:
    """A batch of joblib's that is no longer held."""
    client = backend_client(error)
    if client is None:
        return None
    return Kind(
        "carried",
        error,
        "a batch of joblib's raised this, and joblib has released it: for Dask it was "
        "finished, so there is nothing to replay",
        f"{advice.call('record')} before the job keeps what the worker saw: "
        f"{advice.call('recordings')} then has it",
    )
