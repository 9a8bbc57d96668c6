"""Causes of a run compared with those recorded when the task failed.

A recording has what is shown of a chain: for each exception its cause or its context,
with secrets hidden, and not all of a long chain. So it can show that a cause differs;
it shows that all are the same only if it has them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dbgkit.model import Failure, RecordedCause, Recording
from dbgkit.remote.common.frames import is_machinery
from dbgkit.remote.recording.raised import LONGEST_CAUSE
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.replays.wording import alike, forms_of, same_class

Row = Sequence[Any]  # class, message, repr, own: see `remote.recording.raised.chain_of`

_HIDDEN = "<hidden>"


def as_recorded(failure: Failure, forms: Iterable[str]) -> set[str]:
    """Forms of a message with their secrets hidden, if those of a failure's are.

    A file has its message so: whether a secret is the same one cannot be told.
    """
    if _HIDDEN not in failure.message:
        return set()
    recording = failure.evidence.recording
    names = () if recording is None else recording.secret_names
    return {redact_text(form, extra=names) for form in forms}


def changed_cause(recording: Recording, here: Sequence[Row]) -> str | None:
    """The first recorded cause that a run does not have, in words; None: it has all."""
    for cause in _own(recording):
        if not any(_may_be(recording, cause, row) for row in here):
            before = f"{cause.exception_type}: {cause.message[:200]}"
            now = next((row for row in here if row[3]), None)  # the nearest of its own
            return f"before {before}, now {in_words(now)}"
    return None


def all_known(recording: Recording, here: Sequence[Row]) -> bool:
    """Whether all causes of a run are known to be those that were recorded."""
    return (
        not recording.more_causes
        and len(recording.causes) == len(here)
        and all(
            _HIDDEN not in cause.message and _is(recording, cause, row)
            for cause, row in zip(recording.causes, here, strict=True)
        )
    )


def _own(recording: Recording) -> list[RecordedCause]:
    """Those that the task's own code raised, as far as their frames show."""
    return [
        cause
        for cause in recording.causes
        if not (cause.frames and is_machinery(cause.frames[-1].filename))
    ]


def _may_be(recording: Recording, cause: RecordedCause, row: Row) -> bool:
    """Whether it is the same cause, or differs at most in what was not recorded."""
    if not same_class(cause.exception_type, row[0]):
        return False
    message = cause.message
    cut = message.endswith("…") or len(message) >= LONGEST_CAUSE
    return cut or _HIDDEN in message or _is(recording, cause, row)


def _is(recording: Recording, cause: RecordedCause, row: Row) -> bool:
    if not same_class(cause.exception_type, row[0]):
        return False
    forms = forms_of(row[1], row[2])
    now = {redact_text(form, extra=recording.secret_names) for form in forms}
    return alike({cause.message}, now)


def in_words(row: Row | None) -> str:
    """Class and message of a cause, if there is one."""
    if row is None:
        return "none"
    return f"{row[0]}: {row[1][:200]}" if row[1] else str(row[0])
