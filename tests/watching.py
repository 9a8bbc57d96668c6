"""The state of a cluster, and waits for one, each with a limit."""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager
from typing import Any

from dbgkit.cluster.extension import extension_name
from dbgkit.remote.common.frames import own_index, walk

LIMIT = 30.0  # seconds until a wait fails


def wait_until(
    condition: Any, what: str, limit: float = LIMIT, *, on_the_way: Any = None
) -> Any:
    """Poll until a condition holds, and return its value.

    Five times a second that it does not hold, `on_the_way` is called, if given.
    """
    start = called = time.monotonic()
    while not (found := condition()):
        now = time.monotonic()
        assert now < start + limit, f"not within {limit:g} s: {what}"
        if on_the_way and now > called + 0.2:
            on_the_way()
            called = time.monotonic()
        time.sleep(0.02)
    return found


def collect_garbage(client: Any) -> None:
    """Have workers drop the frames of tasks that have failed.

    Dask leaves them in cycles (of the future of a thread, its exception and the frames
    of its traceback), and with them the futures of a worker's own client.
    """
    client.run(gc.collect, on_error="ignore")


def look(dask_scheduler: Any) -> Any:
    """All tasks of a scheduler, and who is connected; runs on the scheduler."""
    return {
        "tasks": {
            key: (
                ts.state,
                ts.exception_blame.key if ts.exception_blame else None,
                len(ts.who_has or ()),
                ts.exception_text or "",
                sorted(cs.client_key for cs in ts.who_wants or ()),
            )
            for key, ts in dask_scheduler.tasks.items()
        },
        "workers": sorted(dask_scheduler.workers),
        "clients": sorted(dask_scheduler.clients),
    }


def settings_on(client: Any) -> Any:
    """Settings of the recorder that a scheduler has."""

    def settings(dask_scheduler: Any) -> Any:
        (found,) = (
            dict(plugin.settings)
            for name, plugin in dask_scheduler.plugins.items()
            if str(name).startswith("dbgkit-recorder") and hasattr(plugin, "settings")
        )
        return {**found, "secret_names": list(found["secret_names"])}

    return client.run_on_scheduler(settings)


def wanted(dask_scheduler: Any, client: Any = "") -> Any:
    """Keys that a client wants, and how many tasks are under way.

    What a task has submitted its worker's own client lets go of a moment later.
    """
    busy = ("waiting", "queued", "processing")
    left = sum(ts.state in busy for ts in dask_scheduler.tasks.values())
    for name, other in dask_scheduler.clients.items():
        if name.startswith("Client-worker-"):
            left += len(other.wants_what)
    return {ts.key for ts in dask_scheduler.clients[client].wants_what}, left


def settle(client: Any) -> None:
    """Wait until nothing runs and the scheduler knows what the client has released."""

    # Futures in the frames of exceptions are let go of when those are collected.
    gc.collect()

    def settled() -> Any:
        keys, busy = client.run_on_scheduler(wanted, client=client.id)
        held = {
            key
            for key, state in client.futures.items()
            if state.status not in ("lost", "cancelled")
        }
        return not busy and keys == held

    wait_until(
        settled,
        "the cluster has settled",
        on_the_way=lambda: collect_garbage(client),
    )


def picture(client: Any) -> Any:
    """States, blame and places of all tasks, and status of all futures."""
    seen = client.run_on_scheduler(look)
    seen["futures"] = {key: state.status for key, state in client.futures.items()}
    return seen


@contextmanager
def unchanged(client: Any, *, settled: Any = True) -> Any:
    """Fail unless the cluster is as before, once private keys are forgotten.

    Parameters
    ----------
    settled : bool
        Whether to wait at first for all that runs or is being let go of.
    """
    if settled:
        settle(client)
    before = picture(client)
    yield before
    after = picture(client)
    end = time.monotonic() + LIMIT
    while after != before and time.monotonic() < end:
        time.sleep(0.02)
        after = picture(client)
    assert after == before


def known_keys(client: Any) -> Any:
    """Keys of all tasks that the scheduler knows."""
    return set(client.run_on_scheduler(look)["tasks"])


def forgotten(client: Any, but: Any = ()) -> None:
    """Wait until the scheduler knows no other keys than these."""
    wait_until(
        lambda: known_keys(client) <= set(but),
        f"the scheduler has forgotten all but {but!r}",
        on_the_way=lambda: collect_garbage(client),
    )


def own_frame(exception: Any) -> Any:
    """The frame in which the debugger stops first."""
    frames = [frame for frame, _ in walk(exception.__traceback__)]
    index = own_index([frame.f_code.co_filename for frame in frames])
    assert index is not None, f"no frame of the user's own in {exception!r}"
    return frames[index]


def entered(replay: Any, function: Any, **values: Any) -> None:
    """Assert that a replay's innermost own frame is this function's, with locals.

    For a replay in a child, values are compared with the texts of the summaries.
    """
    if replay.exception is not None:
        frame = own_frame(replay.exception)
        found, local = frame.f_code.co_name, frame.f_locals
    else:
        last = [frame for frame in replay.frames if frame.own][-1]
        found = last.function
        local = {name: value.text for name, value in last.locals}
        values = {name: repr(value) for name, value in values.items()}
    assert found == function
    assert {name: local.get(name) for name in values} == values


def started_again(client: Any, gone: Any, count: int) -> None:
    """Wait until nannies have replaced a dead worker; a cluster cannot close before.

    ``LocalCluster.close`` waits for ever for a nanny that is just starting a worker.
    """

    def back() -> Any:
        workers = client.run_on_scheduler(look)["workers"]
        return len(workers) == count and gone not in workers

    wait_until(back, f"{gone} was replaced")


def keep_loop(server: Any, seconds: Any, path: Any) -> None:
    """Keep the event loop of a worker or a scheduler; a file says that it is kept."""

    def keep() -> None:
        open(path, "w").close()
        time.sleep(seconds)

    server.loop.call_later(0.1, keep)  # its answer goes out before


def state_of(dask_scheduler: Any, key: Any) -> Any:
    """A task's state, for ``run_on_scheduler``; ``"unknown"`` until it is there."""
    ts = dask_scheduler.tasks.get(key)
    return "unknown" if ts is None else ts.state


def remove_extension(client: Any) -> None:
    """Take dbgkit's extension off the scheduler."""
    client.sync(getattr(client.scheduler, f"{extension_name()}-remove"))


def clear_history(dask_scheduler: Any) -> None:
    """Have a scheduler forget the failures that tasks have left behind."""
    dask_scheduler.erred_tasks.clear()


def drop_inner(dask_worker: Any) -> None:
    """Have a worker's own client let go of what it has submitted."""
    if dask_worker._client is not None:
        let_go_of_frames(dask_worker._client)


def let_go_of_frames(client: Any) -> None:
    """A client holds exceptions, whose frames hold the futures that hold them."""
    for state in list(client.futures.values()):
        if isinstance(state.exception, BaseException):
            state.exception.__traceback__ = None
    for _ in range(3):
        if not gc.collect():
            break
