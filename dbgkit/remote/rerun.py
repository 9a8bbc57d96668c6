"""What runs on a worker, so that a failed task runs again there.

This file is sent to workers as source: standard library, dask and distributed only.
The worker's event loop stays free, and its tasks, their states and their values stay
as they are: the task runs in a thread of its own, on copies.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from time import monotonic, perf_counter
from typing import Any

from .rerun_thread import COPIED_PER_SECOND, Rerun, Stop

THREAD_NAME = "dbgkit-replay"
_FREE_PART = 0.8  # of what is free on the machine may be taken


def look(keys: Iterable[Any], dask_worker: Any = None) -> dict[str, Any]:
    """Whether a worker could run a task: what it holds, and how much room it has."""
    room, limit = _room(dask_worker)
    return {
        "pid": os.getpid(),
        "status": dask_worker.status.name,
        "held": [key for key in keys if key in dask_worker.data],
        "actors": [key for key in keys if key in dask_worker.state.actors],
        "room": room,
        "limit": limit,
    }


async def rerun(job: Mapping[str, Any], dask_worker: Any = None) -> dict[str, Any]:
    """Run a task again in a thread of its own, and tell what it came to.

    Parameters
    ----------
    job : mapping
        ``order``: keys to run, the task's own last; ``specs``: their pickled run
        specs; ``inputs``: for each key that is in memory the key that workers have it
        by, and their addresses; ``nbytes``: size of these; ``times``, ``timeout``;
        ``ancestors``: whether what leads to the task belongs to each run;
        ``limits``: of a recording.

    Returns
    -------
    dict
        ``status`` is ``"done"``, ``"timeout"`` (the thread still runs), or why it
        was not run at all.
    """
    room, limit = _room(dask_worker)
    # Of inputs that are fetched another copy is only made for further runs.
    if job["nbytes"] > room:
        answer = Stop("no-room", None).answer
        return {**answer, "size": job["nbytes"], "room": room, "limit": limit}
    try:
        values, shared = await _gather(job, dask_worker)
    except Stop as stop:
        return stop.answer
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def tell() -> None:
        with suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(ended.set)

    runner = Rerun(job, values, shared, dask_worker, tell)
    del values
    executor = _executor()
    executor.submit(runner.run)
    try:
        in_time = await _wait(runner, ended)
    finally:
        runner.stopped = True
        executor.shutdown(wait=False)
    return _answer(runner, in_time)


def _executor() -> Any:
    """One thread of Dask's own kind: a task may leave it (``secede``) and come back."""
    from distributed.threadpoolexecutor import ThreadPoolExecutor

    return ThreadPoolExecutor(1, thread_name_prefix=THREAD_NAME)


def _answer(runner: Rerun, in_time: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "status": "done" if in_time else "timeout",
        "stage": runner.stage,
        "key": runner.stage_key,
        "seconds": perf_counter() - runner.began,
        "thread": runner.thread,
        "runs": list(runner.runs),
        "recordings": dict(runner.recordings),
        "changed": list(runner.changed),
        "notes": list(runner.notes),
    }
    if in_time and runner.problem is not None:
        answer.update(runner.problem)
    return answer


async def _wait(runner: Rerun, ended: asyncio.Event) -> bool:
    """Whether the thread ended before one of its stages took too long."""
    while not ended.is_set():
        left = runner.deadline - monotonic()
        if left <= 0:
            return False
        # Two classes before Python 3.11.
        with suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(ended.wait(), left)
    return True


async def _gather(
    job: Mapping[str, Any], worker: Any
) -> tuple[dict[Any, Any], set[Any]]:
    """Inputs that are in memory, and which of them this worker holds itself."""
    from distributed.utils_comm import gather_from_workers

    found: dict[Any, Any] = {}
    elsewhere: dict[Any, set[str]] = {}
    for key, (stored, addresses) in job["inputs"].items():
        if stored in worker.data:
            found[key] = worker.data[stored]
        elif stored in worker.state.actors:
            raise Stop("actor", key)
        else:
            elsewhere[stored] = set(addresses) - {worker.address}
    # Workers of one process hand each other the values themselves.
    inproc = worker.address.startswith("inproc")
    shared = set(job["inputs"]) if inproc else set(found)
    if not elsewhere:
        return found, shared
    limit = job["timeout"] + job["nbytes"] / COPIED_PER_SECOND
    fetching = gather_from_workers(elsewhere, rpc=worker.rpc)
    try:
        data, missing, unreadable, _ = await asyncio.wait_for(fetching, limit)
    except (TimeoutError, asyncio.TimeoutError):
        raise Stop("fetch-timeout", next(iter(elsewhere)), f"{limit:g} s") from None
    if missing:
        raise Stop("moved", missing[0])
    if unreadable:
        raise Stop("unreadable-input", unreadable[0])
    for key, (stored, _) in job["inputs"].items():
        if stored in data:
            found[key] = data[stored]
    return found, shared


def _room(worker: Any) -> tuple[int, str]:
    """Bytes that the worker may take on, and by what that is limited.

    As ``WorkerMemoryManager`` (distributed/worker_memory.py) has it: above its pause
    fraction a worker stops to take on tasks.
    """
    import psutil

    free = int(psutil.virtual_memory().available * _FREE_PART)
    manager = worker.memory_manager
    if not manager.memory_limit:
        return free, "what is free on its machine"
    allowed = int(manager.memory_limit * (manager.memory_pause_fraction or 1))
    room = max(0, allowed - worker.monitor.get_process_memory())
    if free < room:
        return free, "what is free on its machine"
    return room, "its memory limit"
