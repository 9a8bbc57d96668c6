"""Exceptions of callbacks of futures: they run in a thread of the client's."""

from __future__ import annotations

from types import FrameType

from dbgkit.remote.common.frames import walk
from dbgkit.targets.tracebacks import place_of
from dbgkit.targets.without_task_kind import Kind


def of_callback(error: BaseException) -> Kind | None:
    """``execute_callback`` in ``Future.add_done_callback`` (distributed/client.py)."""
    for frame, _ in walk(error.__traceback__):
        found: FrameType | None = frame
        for _ in range(1_000):
            if found is None:
                break
            if place_of(found) == ("distributed", "client.py", "execute_callback"):
                key = getattr(found.f_locals.get("fut"), "key", None)
                return Kind(
                    "callback",
                    error,
                    (
                        f"a callback of the future {key!r} raised this, here, after "
                        "the task was done: there is nothing to replay",
                        "future.add_done_callback(…) has it called; fix that function",
                    ),
                )
            found = found.f_back
        break  # what called the outermost frame
    return None
