"""A task that asks to be run elsewhere has not failed."""

from __future__ import annotations

from collections.abc import Iterable

from dbgkit.model import Run

_NOTE = (
    "the task raised Reschedule, which is not a failure on a cluster: the scheduler "
    "would have run it again, perhaps on another worker"
)


def reschedule_notes(runs: Iterable[Run]) -> list[str]:
    """A note for a run that raised ``distributed.Reschedule``."""
    return [_NOTE] if any(run.exception_type == "Reschedule" for run in runs) else []
