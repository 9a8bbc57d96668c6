"""Which of the tasks that ran in a process a crash was in, by what Python wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .wire_deaths import BoxTask

_THREAD = re.compile(r"^Current thread 0x([0-9a-f]+)", re.MULTILINE)
AWAITED = "in _awaited"  # remote/worker/recorder.py: the loop ran a task's coroutine


def of_crash(tasks: Sequence[BoxTask], stack: str) -> list[BoxTask]:
    """Tasks of the thread that a crash was in."""
    crash = _THREAD.search(stack)
    thread = int(crash[1], 16) if crash else None
    return [task for task in tasks if task["thread"] == thread]


def crashed_task(tasks: Sequence[BoxTask], stack: str) -> BoxTask | None:
    """The task that a crash was in; None where that is not certain."""
    there = of_crash(tasks, stack)
    if len(there) != 1:  # coroutines share the thread of the worker's loop
        return None
    (task,) = there
    return task if not task["coroutine"] or AWAITED in stack else None
