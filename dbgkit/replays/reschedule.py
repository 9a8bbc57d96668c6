"""A task that asks to be run elsewhere has not failed."""

from __future__ import annotations

from collections.abc import Iterable

from dbgkit.model import Run

_NOTE = (
    "the task raised Reschedule: on a cluster that is no failure, the scheduler would "
    "have run it again, on another worker perhaps"
)


def reschedule_notes(runs: Iterable[Run]) -> list[str]:
    """What is to be known where a run raised ``distributed.Reschedule``."""
    return [_NOTE] if any(run.exception_type == "Reschedule" for run in runs) else []
