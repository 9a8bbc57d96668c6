"""Exceptions of workers that did not start, and of scripts without a main guard."""

from __future__ import annotations

import ast
import sys
from types import FrameType

from dbgkit.remote.common.frames import walk
from dbgkit.remote.common.parsing import parsed
from dbgkit.remote.common.texts import safe_str
from dbgkit.targets.tracebacks import live_places
from dbgkit.targets.without_task_kind import Kind


def of_start(error: BaseException) -> Kind | None:
    """``Server.start`` (distributed/core.py) says which of its kind did not start."""
    if not _did_not_start(error):
        return None
    what = safe_str(error).split()[0]
    missing = guard_missing(error)
    if missing is not None:
        return Kind("start", error, missing)
    cause = error.__cause__
    why = f": {type(cause).__name__}: {safe_str(cause, 200)}" if cause else ""
    return Kind(
        "start",
        error,
        f"no task has run: a {what.lower()} did not start{why}",
        "what it printed when it started says more, also of a failed preload",
    )


def _did_not_start(error: BaseException) -> bool:
    return safe_str(error).endswith("failed to start.") and any(
        place == ("distributed", "core.py", "start") for place, _ in live_places(error)
    )


def guard_missing(error: BaseException) -> str | None:
    """What to say about a script that starts workers wherever it is imported.

    None if that is not why an exception was raised.
    """
    place = unguarded_line(error) if _did_not_start(error) else None
    if place is None:
        return None
    filename, line = place
    return (
        f"workers could not start, because each of them runs {filename} again, "
        f'with its line {line}: put that line under if __name__ == "__main__":'
    )


def unguarded_line(error: BaseException) -> tuple[str, int] | None:
    """The line of the script that a new process would run again; None if none does.

    Processes that are spawned import ``__main__`` under another name
    (multiprocessing/spawn.py).
    """
    for frame, line in walk(error.__traceback__):
        if not _is_main(frame):
            continue
        filename = frame.f_code.co_filename
        try:
            with open(filename, encoding="utf-8") as file:
                tree = parsed(file.read())
        except (OSError, ValueError):
            return None  # typed in: such a process has nothing to run again
        return None if _is_guarded(tree, line) else (filename, line)
    return None


def _is_main(frame: FrameType) -> bool:
    """Whether a frame is the script itself, not one of its functions."""
    main = sys.modules.get("__main__")
    return (
        frame.f_code.co_name == "<module>"
        and main is not None
        and frame.f_globals is main.__dict__
    )


def _is_guarded(tree: ast.Module, line: int) -> bool:
    """Whether a line is under an ``if`` that checks the module's name."""
    return any(
        node.lineno <= line <= (node.end_lineno or node.lineno)
        and any(
            isinstance(part, ast.Name) and part.id == "__name__"
            for part in ast.walk(node.test)
        )
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
    )
