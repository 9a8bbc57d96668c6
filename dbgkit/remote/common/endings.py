"""How a worker's process ended, as its nanny has reported it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from .sentences import size

if TYPE_CHECKING:
    from .wire_deaths import Box, DeathForm, NannyReport

UNREADABLE = 255  # distributed/process.py: somebody else has read the exit status
NO_REPORT: NannyReport = {"code": None, "when": 0.0}


def box_of(death: DeathForm) -> Box | None:
    """A worker's black box, whoever has read it."""
    return (death["report"] or NO_REPORT).get("box") or death.get("box")


def used_by(death: DeathForm) -> str:
    """How much memory its nanny ended it for, and of how much; empty if it did not."""
    if not (over := death["over"]):
        return ""
    limit = death["memory_limit"]
    return f"{size(over['rss'])} of {size(limit)}" if limit else size(over["rss"])


def how_ended(code: int | None) -> str:
    """By which signal, or with which status; empty if that is not known."""
    if code is None or code == UNREADABLE:
        return ""
    if code < 0:
        return f"was killed by signal {-code} ({signal_name(-code)})"
    return f"ended with exit status {code}"


def signal_name(number: int) -> str:
    """``"SIGKILL"``; a number where this system has no such signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
