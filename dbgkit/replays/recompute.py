"""Released inputs are computed again on the cluster, under private keys.

Under their own keys, a recompute that fails would change states and blame; a copy under
other keys leaves all as it was. P2P shuffles know their tasks by key, so they run under
their own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from distributed.protocol.pickle import dumps

from dbgkit import advice
from dbgkit.cluster.clients import scheduler_is_here
from dbgkit.cluster.link import Link
from dbgkit.cluster.pulls import pull_values
from dbgkit.errors import (
    Cancelled,
    DbgkitError,
    InputMoved,
    InputsTooLarge,
    RecomputeFailed,
    SchedulerGone,
    WaitTimedOut,
)
from dbgkit.model import Plan, Progress
from dbgkit.remote.common.texts import safe_repr
from dbgkit.remote.common.unpickling import Reading
from dbgkit.remote.recording.handed import future_error
from dbgkit.replays.material import Material, Row
from dbgkit.replays.nodes import rename

if TYPE_CHECKING:
    from distributed import Client

_UNDONE = ("waiting", "queued", "no-worker", "processing")
_POLL = 0.2  # seconds between two checks of its progress


def recompute(
    material: Material,
    plan: Plan,
    max_bytes: int,
    timeout: float,
    notify: Callable[[Any], Any],
) -> dict[Any, Any]:
    """Values of the inputs that were released, computed again.

    Raises
    ------
    RecomputeFailed
        One of the tasks failed this time; states and blame are as they were.
    WaitTimedOut
        None of its tasks finished within the timeout.
    InputsTooLarge
        The results are over ``max_bytes``; they were not pulled.
    """
    link = material.link
    assert link is not None
    wanted = [info.key for info in plan.inputs if info.how == "recompute"]
    if not wanted:
        return {}
    names = _names(plan)
    own = {name: key for key, name in names.items()}
    with _submitted(link.client, material, plan, names, wanted) as futures:
        _wait(link, plan, own, futures, timeout, notify)
        answer = link.visit(keys=[names[key] for key in wanted], states_only=True)
        rows = {row["key"]: row for row in answer["tasks"]}
        lost = [key for key in wanted if names[key] not in rows]
        if lost:
            raise InputMoved(
                f"input {lost[0]!r} was forgotten as soon as it was computed again",
                "try again: the scheduler may compute it again",
                key=lost[0],
            )
        size = sum(row["nbytes"] or 0 for row in rows.values())
        if size + plan.pull_bytes > max_bytes:
            raise InputsTooLarge(
                f"inputs of {plan.key!r} are {size + plan.pull_bytes:,} bytes after "
                f"they were computed again, over the limit of {max_bytes:,}",
                f"raise {advice.option('max_bytes')} to pull them",
                key=plan.key,
            )
        who_has = {names[key]: rows[names[key]]["who_has"] for key in wanted}
        reader = material.reader
        data = pull_values(link, who_has, size, reader=reader, called=own)
    return {key: data[names[key]] for key in wanted}


def _names(plan: Plan) -> dict[Any, Any]:
    """The private key of each task; its own where it must be."""
    if plan.own_keys:
        return {key: key for key in plan.recompute}
    label = f"dbgkit-recompute-{uuid.uuid4().hex}"
    return {key: (label, index) for index, key in enumerate(plan.recompute)}


@contextmanager
def _submitted(
    client: Client,
    material: Material,
    plan: Plan,
    names: Mapping[Any, Any],
    wanted: list[Any],
) -> Iterator[list[Any]]:
    """Futures of the wanted inputs; they are released, whatever happens."""
    rows = [material.rows[key] for key in plan.recompute]
    # Whether the scheduler has them all, under these keys.
    known = bool(plan.own_keys) and all(row.state != "unknown" for row in rows)
    # A scheduler of this process would set its classes back: see common/unpickling.py.
    apart = scheduler_is_here(client)
    graph = {} if known else _graph(rows, names, bool(plan.own_keys), apart)
    futures = client.get(graph, [names[key] for key in wanted], sync=False)
    try:
        yield list(futures)
    finally:
        for future in futures:
            future.release()


def _graph(rows: list[Row], names: Mapping[Any, Any], own: bool, apart: bool) -> Any:
    """A graph of tasks under other keys, or their own.

    Of layers, as Dask hangs annotations on layers. A plain one Dask hashes, and pickles
    and unpickles its values for that (``LLGExpr`` in dask/_expr.py,
    ``_normalize_pickle`` in dask/tokenize.py).
    """
    from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

    groups: dict[str, tuple[dict[str, Any], dict[Any, Any]]] = {}
    for row in rows:
        found, node, name = _annotations(row), row.read(), names[row.key]
        layer = found, _ReadApart() if apart else {}
        nodes = groups.setdefault(repr(found), layer)[1]
        nodes[name] = node if own else rename(node, names, name)
    layers = {
        f"dbgkit-{index}": MaterializedLayer(nodes, annotations=found or None)
        for index, (found, nodes) in enumerate(groups.values())
    }
    return HighLevelGraph(layers, {name: set(layers) - {name} for name in layers})


def _annotations(row: Row) -> dict[str, Any]:
    """A task's restrictions as Dask's annotations."""
    found: dict[str, Any] = {}
    limits = row.restrictions
    if limits.get("workers") or limits.get("hosts"):
        found["workers"] = [*limits.get("workers", ()), *limits.get("hosts", ())]
        found["allow_other_workers"] = bool(limits.get("loose"))
    if limits.get("resources"):
        found["resources"] = dict(limits["resources"])
    return found


class _ReadApart(dict[Any, Any]):
    """A graph that changes no class of the process that unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _read_apart, (dumps(dict(self)),)


def _read_apart(data: bytes) -> dict[Any, Any]:
    graph: dict[Any, Any] = Reading().loads(data)
    return graph


def _wait(
    link: Link,
    plan: Plan,
    own: Mapping[Any, Any],
    futures: list[Any],
    timeout: float,
    notify: Callable[[Any], Any],
) -> None:
    """Wait until all are done; ``own`` has the user's own key for each."""
    keys = list(own)
    left, since = len(keys), time.monotonic()
    notify(Progress("recompute", 0, len(keys)))
    while not _all_done_soon(link, futures):
        counts = link.progress(keys)
        undone = sum(counts.get(state, 0) for state in _UNDONE)
        if undone < left:
            left, since = undone, time.monotonic()
            notify(Progress("recompute", len(keys) - undone, len(keys)))
        elif time.monotonic() - since > timeout:
            where = ", ".join(f"{n} {state}" for state, n in sorted(counts.items()))
            raise WaitTimedOut(
                f"inputs of {plan.key!r}: none of {len(keys)} tasks finished in "
                f"{timeout:g} s ({where})",
                f"raise {advice.option('timeout')}, or "
                f"{advice.option('scope', 'ancestors')} to run them here",
                key=plan.key,
            )
    for future in futures:
        if future.status == "cancelled":
            raise _cancelled(link, plan, future)
    notify(Progress("recompute", len(keys), len(keys)))
    for future in futures:
        if future.status != "finished":
            raise _failed(link, plan, own, future)


def _all_done_soon(link: Link, futures: list[Any]) -> bool:
    """Whether all are done, perhaps after a short while."""
    from distributed import wait

    client = link.client

    async def until_done() -> None:
        # wait() takes the current client, which need not be theirs. Two classes of
        # TimeoutError before Python 3.11. What was cancelled, as all is once the
        # connection is lost, is done: the caller finds out why.
        over = (TimeoutError, asyncio.TimeoutError, concurrent.futures.CancelledError)
        with client.as_current(), suppress(*over):
            await wait(futures, timeout=_POLL)

    if not all(future.done() for future in futures):
        link.call(until_done, what="the tasks that run again", limit=30)
    return all(future.done() for future in futures)


def _cancelled(link: Link, plan: Plan, future: Any) -> DbgkitError:
    """The error if somebody else ended a recompute: usually the client itself.

    ``Client._reconnect`` and ``_handle_restart`` (distributed/client.py) cancel all
    futures with a reason.
    """
    link.scheduler()
    reason = getattr(future_error(future), "reason", None)
    doing = f"inputs of {plan.key!r} were computed again"
    if reason == "scheduler-connection-lost":
        return SchedulerGone(
            f"the connection to the scheduler was lost for a moment while {doing}",
            "try again: it is back",
            key=plan.key,
        )
    if reason == "scheduler-restart":
        return Cancelled(
            "the cluster was restarted (client.restart(), or another client's) while "
            f"{doing}",
            "submit the work again: a restart leaves no task to debug",
            key=plan.key,
        )
    return Cancelled(
        f"the tasks by which {doing} were cancelled, by another client or a plugin",
        "try again",
        key=plan.key,
    )


def _failed(
    link: Link, plan: Plan, own: Mapping[Any, Any], future: Any
) -> RecomputeFailed:
    answer = link.visit(keys=[future.key], leaders=False)
    error = future.exception() if future.status == "error" else None
    key = own.get(future.key)
    text = safe_repr(error) if error is not None else f"it was {future.status}"
    if answer["failures"]:
        fact = answer["failures"][0]
        key = own.get(fact["key"], key)
        text = fact["exception_text"] or text
    failed = RecomputeFailed(
        f"an input of {plan.key!r} failed when it was computed again: {key!r}: {text}",
        f"{advice.option('scope', 'ancestors')} runs it here, where the debugger can "
        "enter it",
        key=key,
    )
    failed.__cause__ = error
    return failed
