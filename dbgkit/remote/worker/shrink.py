"""Shrinks the input of a failed task on a worker, in a thread of its own, on copies.

The worker's event loop stays free, and its tasks and their values stay as they are.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from distributed.threadpoolexecutor import ThreadPoolExecutor

from .replay import (
    AROUND,
    COPIED_PER_SECOND,
    Stop,
    free_memory,
    gather_inputs,
    refusal,
)

if TYPE_CHECKING:
    from ..common.wire_replays import ReplayAnswer
    from ..common.wire_shrink import ShrinkJob, ShrinkLook, ShrunkForm

THREAD_NAME = "dbgkit-shrink"
ALONE = 60.0  # seconds without a question after which it ends by itself
_KEPT = "_dbgkit_shrinks"  # of the worker, while any runs


class Course:
    """How far the thread is.

    Attributes
    ----------
    shrinking : shrink_task.Shrinking or None
        What it is at; None until it has begun.
    form : ShrunkForm or None
        What it has found, once it has ended.
    stop : str
        Why no further run is to begin.
    """

    def __init__(self, job: ShrinkJob, worker: Any) -> None:
        self.name = job["name"]
        self.once = job["timeout"]
        self.around = AROUND + job["nbytes"] / COPIED_PER_SECOND
        self.worker = worker
        self.shrinking: Any = None
        self.form: ShrunkForm | None = None
        self.stop = ""
        self.thread = ""
        self.left = self.count = 0
        self.asked = monotonic()
        self._deadline = monotonic() + self.around
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    # -- in the thread -----------------------------------------------------------

    def begin(self, *, call: bool) -> None:
        """A run begins, or what is around it: each has a limit."""
        self._deadline = monotonic() + (self.once if call else self.around)

    def tell(self, runs: int, left: int, count: int) -> None:
        self.left, self.count = left, count

    def why_stop(self) -> str:
        """Why no further run is to begin: nobody waits for the result any more."""
        if not self.stop and monotonic() - self.asked > ALONE:
            self.stop = "gone"
        return self.stop

    def end(self, form: ShrunkForm) -> None:
        self.form = form
        with suppress(RuntimeError):  # the loop has been closed meanwhile
            self._loop.call_soon_threadsafe(self._news.set)

    # -- in the worker's loop ------------------------------------------------------

    async def look(self, seconds: float, stop: str) -> ShrinkLook:
        """How far it is, in so many seconds or once it has ended."""
        self.asked = monotonic()
        self.stop = self.stop or stop
        wait = max(0.0, min(seconds, self._deadline - monotonic()))
        # Two classes before Python 3.11.
        with suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(self._news.wait(), wait)
        form, thread = self.form, ""
        if form is None and monotonic() > self._deadline:
            form, thread = await self._hung(), self.thread
        done = form is not None
        if done:
            forget(self)
        elif self.shrinking is not None:
            form = self.shrinking.so_far("gone")
        return {
            "left": self.left,
            "count": self.count,
            "best": form,
            "done": done,
            "thread": thread,
        }

    async def _hung(self) -> ShrunkForm:
        """The best so far, as the thread does not come to an end."""
        self.stop = "hang"
        form: ShrunkForm | None = None
        if self.shrinking is not None:
            form = await asyncio.to_thread(self.shrinking.so_far, "hang", values=True)
        return form or {"status": "spent", "text": "once"}


async def begin(job: ShrinkJob, dask_worker: Any = None) -> ReplayAnswer:
    """Begin to shrink; `shrink_look.look` says how far it is."""
    free, limit = free_memory(dask_worker)
    if job["nbytes"] > free:
        problem = refusal("no-memory", None)
        return {**problem, "size": job["nbytes"], "free": free, "limit": limit}
    try:
        values, _ = await gather_inputs(job, dask_worker)  # type: ignore[arg-type]
    except Stop as stop:
        return stop.answer
    course = Course(job, dask_worker)
    vars(dask_worker).setdefault(_KEPT, {})[course.name] = course
    executor = ThreadPoolExecutor(1, thread_name_prefix=THREAD_NAME)
    executor.submit(_run, job, values, dask_worker, course)
    executor.shutdown(wait=False)
    return {"status": "begun", "key": os.getpid()}


def forget(course: Course) -> None:
    """Leave no trace of a shrink that has ended."""
    kept = vars(course.worker).get(_KEPT, {})
    kept.pop(course.name, None)
    if not kept:
        vars(course.worker).pop(_KEPT, None)


def _run(job: ShrinkJob, values: dict[Any, Any], worker: Any, course: Course) -> None:
    """What the thread does; it never raises."""
    from distributed.protocol.pickle import loads

    course.thread = threading.current_thread().name
    try:
        # Compiled here, and not while the worker's event loop waits.
        form = loads(job["code"])(job, values, worker, course)
    except Stop as stop:
        form = {"status": stop.answer["status"], "text": stop.answer["text"]}
    except BaseException as error:  # of the plumbing around the task
        form = {"status": "broken", "text": f"{type(error).__name__}: {error!s:.500}"}
    values.clear()
    course.end(form)
    if course.stop == "gone":
        forget(course)
