"""A failure as a file, opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dbgkit.model.base import Jsonable
from dbgkit.model.display import Displayed
from dbgkit.model.failure import Failure
from dbgkit.model.recordings import Recording
from dbgkit.model.replay import Difference
from dbgkit.remote.common.texts import in_line


@dataclass(frozen=True)
class BundledInput(Jsonable):
    """An argument of the failed call that a bundle holds.

    Attributes
    ----------
    name : str
        Of the parameter, or its position.
    type, text : str
        As in `ValueSummary`.
    format : str
        How it is stored: ``"npy"``, ``"arrow"``, ``"json"`` or ``"pickle"``.
    nbytes : int
        Its size in the file.
    """

    name: str
    type: str
    text: str
    format: str
    nbytes: int


@dataclass(frozen=True)
class Bundle(Displayed):
    """A failure as a file, opened.

    Attributes
    ----------
    path : str
        Of the file.
    failure : Failure
        With ``found_in="file"``.
    recording : Recording or None
        Its frames and locals, to be looked at.
    trusted : bool
        Whether it was opened with trust, so that it can be replayed.
    saved : datetime
        When it was saved (timezone-aware).
    dbgkit, python : str
        Versions that it was saved with.
    function : str
        The function that failed, in words; empty if its call is not in the file.
    inputs : tuple of BundledInput
    sources : mapping of str to str
        File -> its text; lines that were not saved are empty.
    differences : tuple of Difference
        In what this process differs from the one that it was saved in; with trust only.
    notes : tuple of str
    """

    path: str
    failure: Failure
    recording: Recording | None
    trusted: bool
    saved: datetime
    dbgkit: str
    python: str
    function: str
    inputs: tuple[BundledInput, ...]
    sources: Mapping[str, str] = field(repr=False)
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    _json = (
        "path failure recording trusted saved dbgkit python function inputs "
        "differences notes"
    )

    def __repr__(self) -> str:
        from dbgkit.remote.secrets.redact import redact_text

        raised = f"{self.failure.exception_type}: {self.failure.message[:80]!r}"
        return in_line(redact_text(f"<Bundle {self.path}: {raised}>"))
