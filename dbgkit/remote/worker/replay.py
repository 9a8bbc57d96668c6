"""Runs a failed task again on a worker.

The worker's event loop stays free, and its tasks, their states and their values stay
as they are: the task runs in a thread of its own, on copies.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

from distributed.threadpoolexecutor import ThreadPoolExecutor

if TYPE_CHECKING:
    from ..common.wire_replays import (
        Job,
        Look,
        ReplayAnswer,
        RunForm,
        SentRecording,
        StepForm,
    )

THREAD_NAME = "dbgkit-replay"
AROUND = 30.0  # seconds, at the least, for what is done around the task
COPIED_PER_SECOND = 1_000_000  # bytes, at the least: Python objects are slow
_FREE_PART = 0.8  # of what is free on the machine may be taken


def refusal(status: str, key: Any, text: str = "") -> ReplayAnswer:
    """Why the task cannot be run, in wire form."""
    return {"status": status, "key": key, "text": text}


class Stop(Exception):
    """The task cannot be run: ``answer`` is the `refusal`."""

    def __init__(self, status: str, key: Any, text: str = "") -> None:
        super().__init__(status)
        self.answer = refusal(status, key, text)


class Course:
    """How far the thread is, and what it has found so far.

    ``notify`` is called when a stage begins, and when the thread has ended in any way.
    """

    def __init__(self, job: Job, notify: Callable[[], None]) -> None:
        self.timeout: float = job["timeout"]
        self.copying = job["nbytes"] / COPIED_PER_SECOND
        self.notify = notify
        self.ended = False
        self.stopped = False
        self.thread = ""
        self.runs: list[RunForm] = []
        self.recordings: dict[str, SentRecording] = {}
        self.steps: dict[str, list[StepForm]] = {}
        self.changed: list[Any] = []
        self.prints: list[list[Any]] = []
        self.notes: list[str] = []
        self.problem: ReplayAnswer | None = None
        self.begin("copy", job["order"][-1])

    def begin(self, stage: str, key: Any) -> None:
        """Note which stage begins; each has a time limit."""
        limit = self.timeout
        if stage not in ("call", "compute"):  # nothing of the user's own
            limit = max(limit, AROUND) + self.copying
        self.began = perf_counter()
        self.stage, self.stage_key = stage, key
        self.deadline = monotonic() + limit
        self.notify()


def look(keys: Iterable[Any], dask_worker: Any = None) -> Look:
    """Whether a worker could run a task: what it holds, and its free memory."""
    free, limit = free_memory(dask_worker)
    return {
        "pid": os.getpid(),
        "status": dask_worker.status.name,
        "held": [key for key in keys if key in dask_worker.data],
        "actors": [key for key in keys if key in dask_worker.state.actors],
        "free": free,
        "limit": limit,
    }


async def replay(job: Job, dask_worker: Any = None) -> ReplayAnswer:
    """Run a task again in a thread of its own, and report its outcome."""
    free, limit = free_memory(dask_worker)
    # Of inputs that are fetched another copy is only made for further runs.
    if job["nbytes"] > free:
        problem = refusal("no-memory", None)
        return {**problem, "size": job["nbytes"], "free": free, "limit": limit}
    try:
        values, shared = await gather_inputs(job, dask_worker)
    except Stop as stop:
        return stop.answer
    loop = asyncio.get_running_loop()
    news = asyncio.Event()

    def notify() -> None:
        with suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(news.set)

    course = Course(job, notify)
    # Of Dask's own kind: a task may leave its thread (``secede``) and come back.
    executor = ThreadPoolExecutor(1, thread_name_prefix=THREAD_NAME)
    executor.submit(_run, job, values, shared, dask_worker, course)
    del values
    try:
        in_time = await _wait(course, news)
    finally:
        course.stopped = True
        executor.shutdown(wait=False)
    return _answer(course, in_time)


def _run(
    job: Job, values: dict[Any, Any], shared: set[Any], worker: Any, course: Course
) -> None:
    """What the thread does; it never raises."""
    from distributed.protocol.pickle import loads

    course.thread = threading.current_thread().name
    try:
        # Compiled here, and not while the worker's event loop waits.
        loads(job["code"])(job, values, shared, worker, course)
    except BaseException as error:  # of the plumbing around the task
        text = f"{type(error).__name__}: {error!s:.500}"
        course.problem = refusal("broken", job["order"][-1], text)
    finally:
        values.clear()
        course.ended = True
        course.notify()


def _answer(course: Course, in_time: bool) -> ReplayAnswer:
    answer: ReplayAnswer = {
        "status": "done" if in_time else "timeout",
        "stage": course.stage,
        "key": course.stage_key,
        "seconds": perf_counter() - course.began,
        "thread": course.thread,
        "runs": list(course.runs),
        "recordings": dict(course.recordings),
        "steps": dict(course.steps),
        "changed": list(course.changed),
        "prints": list(course.prints),
        "notes": list(course.notes),
    }
    if in_time and course.problem is not None:
        answer.update(course.problem)
    return answer


async def _wait(course: Course, news: asyncio.Event) -> bool:
    """Whether the thread ended before one of its stages took too long.

    A stage may have less time than the one before: the waiting side is woken for it.
    """
    while not course.ended:
        news.clear()
        left = course.deadline - monotonic()
        if left <= 0:
            return False
        # Two classes before Python 3.11.
        with suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(news.wait(), left)
    return True


async def gather_inputs(job: Job, worker: Any) -> tuple[dict[Any, Any], set[Any]]:
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


def free_memory(worker: Any) -> tuple[int, str]:
    """Bytes that the worker may take, and what limits them.

    As ``WorkerMemoryManager`` (distributed/worker_memory.py) has it: above its pause
    fraction a worker stops taking tasks.
    """
    import psutil

    free = int(psutil.virtual_memory().available * _FREE_PART)
    manager = worker.memory_manager
    if manager.memory_limit:
        allowed = int(manager.memory_limit * (manager.memory_pause_fraction or 1))
        left = max(0, allowed - worker.monitor.get_process_memory())
        if left <= free:
            return left, "its memory limit"
    return free, "what is free on its machine"
