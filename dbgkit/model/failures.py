"""Failures in groups of one root cause."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dbgkit.model.base import Span, iso_span, iso_time, plain_key
from dbgkit.model.deaths import Death
from dbgkit.model.display import Displayed, traceback_shown
from dbgkit.model.failure import Failure
from dbgkit.model.recordings import Recording

if TYPE_CHECKING:
    from dask.typing import Key


@dataclass(frozen=True)
class FailureGroup:
    """Failures with one root cause: class, message without numbers, own line.

    Attributes
    ----------
    exception_type, message : str
        Of the example.
    location : str
        Innermost line of the user's own code: ``file.py:12 in ratio``; empty where
        the traceback has none.
    count : int
        How many tasks failed this way.
    cascaded : int
        How many more failed because of them.
    forgotten : int
        How many of `count` the scheduler knows only from its history.
    workers : tuple of str
        Addresses of the workers they failed on.
    first, last : datetime or None
        Times of the first and last, if the scheduler still has them.
    keys : tuple of Key
        A sample.
    omitted_keys : int
        How many more keys there are.
    example : Failure
        The earliest that the scheduler still has, else the earliest; a target for
        `debug` and `replay`.
    omitted_workers : int
        How many more workers there are.
    recording : Recording or None
        What the recorder holds of the example, if it was on.
    deaths : tuple of Death
        How the workers that had the example died, the newest first, if that is why it
        failed and the recorder was on. If the example was only queued there, the deaths
        of another of the group's tasks, which ran.
    """

    exception_type: str
    message: str
    location: str
    count: int
    cascaded: int
    forgotten: int
    workers: tuple[str, ...]
    first: datetime | None
    last: datetime | None
    keys: tuple[Key, ...]
    omitted_keys: int
    example: Failure
    omitted_workers: int = 0
    recording: Recording | None = None
    deaths: tuple[Death, ...] = ()

    @property
    def failure(self) -> Failure:
        """The example, which makes a group a target."""
        return self.example


@dataclass(frozen=True)
class FailureReport(Displayed):
    """All failures that a cluster or a dump knows of, by root cause.

    Attributes
    ----------
    groups : tuple of FailureGroup
        The most frequent first.
    total : int
        How many tasks failed by themselves.
    cascaded : int
        How many failed because of them.
    healed : int or None
        How many failed and then succeeded in a retry; None if unknown.
    healed_keys : tuple of Key
        A sample of them.
    omitted : int
        How many groups were left out.
    span : Span or None
    notes : tuple of str
        What is missing, and why.
    unknown : tuple of str
        Names that were asked for and do not exist: ``"span 'load'"``.
    """

    groups: tuple[FailureGroup, ...]
    total: int
    cascaded: int
    healed: int | None = None
    omitted: int = 0
    span: Span | None = None
    notes: tuple[str, ...] = ()
    healed_keys: tuple[Key, ...] = ()
    unknown: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Builtin types only, for ``--json``."""
        return {
            "total": self.total,
            "cascaded": self.cascaded,
            "healed": self.healed,
            "healed_keys": [plain_key(key) for key in self.healed_keys],
            "omitted": self.omitted,
            "notes": list(self.notes),
            "unknown": list(self.unknown),
            "span": iso_span(self.span),
            "groups": [
                {
                    "exception_type": group.exception_type,
                    "message": group.message,
                    "location": group.location,
                    "count": group.count,
                    "cascaded": group.cascaded,
                    "forgotten": group.forgotten,
                    "workers": list(group.workers),
                    "omitted_workers": group.omitted_workers,
                    "first": iso_time(group.first),
                    "last": iso_time(group.last),
                    "keys": [plain_key(key) for key in group.keys],
                    "omitted_keys": group.omitted_keys,
                    "traceback_text": traceback_shown(group.example),
                    "came_from": [one.to_json() for one in group.example.came_from],
                    "deaths": [death.to_json() for death in group.deaths],
                    "recording": group.recording.to_json() if group.recording else None,
                }
                for group in self.groups
            ],
        }
