"""What tasks of a worker do now: their call stacks, sampled from outside.

It runs in the worker's event loop, between samples as well: nothing is stopped, no
thread is started, and nothing of the user's is called.
"""

from __future__ import annotations

import asyncio
import linecache
import os
from dataclasses import replace
from heapq import nsmallest
from itertools import islice
from time import perf_counter, thread_time, time
from typing import TYPE_CHECKING, Any

from ..common.codes import file_of_frame
from ..common.frames import own_index
from ..secrets.redact import environment_secrets, numbered_lines
from ..values.summarize import (
    Budget,
    code_of,
    pick_among,
    place_of,
    summarize_places,
)
from .running import Around

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from ..common.frames import Place
    from ..common.wire_peek import LineForm, Peeked, PeekedForm, PeekQuestion
    from ..common.wire_recordings import FrameForm
    from .running import Seen

MOST_FRAMES = 20
MOST_LOCALS = 20  # of one frame
BUDGET = Budget(chars=300, string=120, items=6, visits=40, depth=2)  # of each local
MOST_REST = 20  # tasks that do not run, whose states are told
MOST_LINES = 50  # of one task that are told apart
SECONDS = 0.1  # for the frames of one task, once
SAMPLE_SECONDS = 0.2  # for those of all tasks, once: the event loop waits
LATE = 2.0  # seconds beyond what the samples were to take


async def sample(question: PeekQuestion, dask_worker: Any = None) -> Peeked:
    """Where tasks are, in so many samples; the frames with locals of the last one.

    It ends once all of them have ended, and soon after the time that the samples were
    to take, though the event loop was kept.
    """
    times, every = question["times"], question["every"]
    begin, before = perf_counter(), thread_time()
    names = tuple(question["secret_names"])
    secrets = environment_secrets(names)
    budget = replace(BUDGET, secret_names=names, secret_values=secrets)
    tasks: list[_Task] = []
    rest: list[tuple[Any, str]] = []
    omitted = taken = 0
    used = 0.0
    while taken < times:
        if taken:
            pause = begin + taken * every - perf_counter()
            await asyncio.sleep(max(0.0, pause))
            before = thread_time()
        start = perf_counter()
        around = Around(dask_worker)
        if not taken:
            keys, omitted = _chosen(around, dask_worker, question)
            tasks = [_Task(key, dask_worker, budget) for key in keys]
            rest = _rest(around, dask_worker, question)
        taken += 1
        whole = taken in (1, times)
        alive = [each.take(around, whole=whole, start=start) for each in tasks]
        del around  # with all frames
        used += thread_time() - before
        if not any(alive) or start - begin > times * every + LATE:
            break
    return {
        "now": time(),
        "pid": os.getpid(),
        "status": dask_worker.status.name,
        "tasks": [each.form for each in tasks if each.form["how"]],
        "omitted": omitted,
        "rest": rest,
        "samples": taken,
        "seconds": perf_counter() - begin,
        "used": used,
    }


def _chosen(
    around: Around, worker: Any, question: PeekQuestion
) -> tuple[list[Any], int]:
    """Keys of the tasks to look at, the longest first, and how many more there are."""
    tasks = worker.state.tasks
    running = list(around.running())
    if question["keys"] is not None:
        wanted = set(question["keys"])
        # An actor's methods stand under names of their own.
        for key in question["keys"]:
            wanted.update(around.methods_of(key))
        running = [key for key in running if key in wanted]

    def began(key: Any) -> float:
        ts = tasks.get(key)
        return (ts.start_time if ts is not None else None) or time()

    chosen = nsmallest(question["limit"], running, key=began)
    return chosen, len(running) - len(chosen)


def _rest(around: Around, worker: Any, question: PeekQuestion) -> list[tuple[Any, str]]:
    """Tasks that were asked for, and do not run here: their states."""
    running = set(around.running())
    found = (worker.state.tasks.get(key) for key in question["keys"] or ())
    there = (ts for ts in found if ts is not None and ts.key not in running)
    return [(ts.key, ts.state) for ts in islice(there, MOST_REST)]


class _Task:
    """One task, as the samples saw it; ``form`` is what was found so far.

    It keeps no frame: that would keep the user's values alive.
    """

    def __init__(self, key: Any, worker: Any, budget: Budget) -> None:
        ts = worker.state.tasks.get(key)
        self.budget = budget
        self._lines: dict[tuple[CodeType, int], LineForm] = {}
        self.form: PeekedForm = {
            "key": key,
            "state": "" if ts is None else ts.state,
            "how": "",
            "since": None if ts is None else ts.start_time,
            "executor": "",
            "samples": 0,
            "frames": [],
            "lines": [],
            "other_lines": 0,
            "paused": "",
            "unread": False,
            "awaits": "",
        }

    def take(self, around: Around, *, whole: bool, start: float) -> bool:
        """Take one sample, with its frames if it is to be ``whole``; did it run?

        ``start``: when this sample began, by `time.perf_counter`.
        """
        seen = around.of(self.form["key"])
        if seen is None:
            return False
        form = self.form
        if not form["how"] or seen.places:
            form["how"], form["executor"] = seen.how, seen.executor
        if not seen.places:
            return True
        form["samples"] += 1
        form["paused"], form["awaits"] = seen.paused, seen.awaits
        form["unread"] = seen.unread
        self._count(_own_place(seen.places))
        if whole or not form["frames"]:
            left = start + SAMPLE_SECONDS - perf_counter()
            form["frames"] = self._frames(seen, max(0.0, min(SECONDS, left)))
        return True

    def _frames(self, seen: Seen, seconds: float) -> list[FrameForm]:
        return summarize_places(
            pick_among(seen.places, MOST_FRAMES),
            max_locals=0 if seen.unread else MOST_LOCALS,
            seconds=seconds,
            budget=self.budget,
        )

    def _count(self, place: Place) -> None:
        """Count a sample at a line."""
        frame, lineno = place
        known = self._lines.get((frame.f_code, lineno))
        if known is not None:
            known["samples"] += 1
        elif len(self._lines) < MOST_LINES:
            form = _line(frame, lineno, self.budget)
            self._lines[frame.f_code, lineno] = form
            self.form["lines"].append(form)
        else:
            self.form["other_lines"] += 1


def _own_place(places: list[Place]) -> Place:
    """The innermost line of the user's own, or what stands for it."""
    index = own_index([file_of_frame(frame) for frame, _ in places])
    return places[-1 if index is None else index]


def _line(frame: FrameType, lineno: int, budget: Budget) -> LineForm:
    """One line with its text, which has been read by now as a rule."""
    filename, lineno, function = place_of(frame, lineno)
    lines = linecache.getlines(frame.f_code.co_filename, frame.f_globals)
    text = ""
    if 0 < lineno <= len(lines):
        names, values = budget.secret_names, budget.secret_values
        found = numbered_lines(lines, lineno, lineno, extra=names, values=values)
        text = found[0][1].strip()
    return {
        "filename": filename,
        "lineno": lineno,
        "function": function,
        "text": text,
        "samples": 1,
        "code": code_of(frame),
    }
