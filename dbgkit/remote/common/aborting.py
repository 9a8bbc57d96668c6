"""What a task raises that somebody aborts at its breakpoint."""

from __future__ import annotations

from typing import Any

_LOAD = """
try:
    from dbgkit.remote.common.aborting import Aborted
except ImportError:
    Aborted = RuntimeError
found = Aborted(text)
"""


class Aborted(RuntimeError):
    """The task was stopped at a ``breakpoint()``, and somebody aborted it there.

    It arrives as a plain ``RuntimeError`` where dbgkit is not installed.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        names = {"code": _LOAD, "space": {"text": str(self)}}
        return eval, ("exec(code, space) or space['found']", names)
