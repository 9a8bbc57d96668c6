"""Why the scheduler's event loop is late: what its threads do, and its process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

from ..common.frames import frames_of_threads, stack_lines
from ..common.processes import snapshot, usage
from ..common.why_words import LATE

if TYPE_CHECKING:
    from types import FrameType

    from ..common.wire_why_late import LoopForm

WINDOW = 0.5  # seconds of looking
EVERY = 0.01

Where = tuple[Any, int]  # the code, and the line


async def look_at_loop(state: Any, late: float) -> LoopForm | None:
    """Samples of the loop's thread, taken by another one; None if it is not late."""
    if late <= LATE:
        return None
    loop = threading.get_ident(), threading.get_native_id()
    found = await asyncio.to_thread(_watch, *loop)
    found["gil"] = _gil(state)
    return found


def _watch(ident: int, native: int) -> LoopForm:
    """Sample the thread of a loop, by Python's id and by the system's."""
    before = snapshot(os.getpid())
    stacks: dict[Where, list[str]] = {}
    seen: Counter[Where] = Counter()
    samples = 0
    end = perf_counter() + WINDOW
    while perf_counter() < end:
        sleep(EVERY)
        samples += 1
        frame = frames_of_threads().get(ident)
        if frame is not None and not _is_idle(frame):
            where = frame.f_code, frame.f_lineno
            seen[where] += 1
            if where not in stacks:
                stacks[where] = stack_lines(frame)
        del frame
    after = snapshot(os.getpid())
    looking = threading.get_native_id()
    used = usage(before, after, native, looking) if before and after else None
    other = _thread(used["thread"] if used else None)
    most = [stacks[where] for where, _ in seen.most_common(1)]
    return {
        "samples": samples,
        "busy": seen.total(),
        "stack": most[0] if most else [],
        "other": "" if other is None else other.name,
        "other_stack": _stack_of(other),
        "usage": used,
        "gil": None,
    }


def _is_idle(frame: FrameType) -> bool:
    """Whether a loop waits for something to happen: in ``selectors`` of Python."""
    return os.path.basename(frame.f_code.co_filename) == "selectors.py"


def _thread(native: int | None) -> threading.Thread | None:
    threads = threading.enumerate()
    return next((each for each in threads if each.native_id == native), None)


def _stack_of(thread: threading.Thread | None) -> list[str]:
    frame = None if thread is None else frames_of_threads().get(thread.ident or -1)
    return [] if frame is None else stack_lines(frame)


def _gil(state: Any) -> float | None:
    """``gil_contention`` of ``SystemMonitor``, which is there if gilknocker is."""
    recent = state.monitor.recent()
    found = recent.get("gil_contention")
    return float(found) if isinstance(found, (int, float)) else None
