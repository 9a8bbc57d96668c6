"""Failures in groups of one root cause."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from dbgkit.model.base import Jsonable, Span
from dbgkit.model.deaths import Death
from dbgkit.model.display import Displayed
from dbgkit.model.failure import Failure
from dbgkit.model.recordings import Recording

if TYPE_CHECKING:
    from dask.typing import Key


@dataclass(frozen=True)
class FailureGroup(Jsonable):
    """Failures with one root cause: class, own line, message but for what varies.

    Attributes
    ----------
    exception_type, message : str
        Of the example.
    pattern : str
        What the messages have in common, with "…" for what differs: quoted words,
        paths, ids, addresses, times or numbers. The message if all have the same.
    different : int
        How many different messages there are, at least; 1,000 are told apart.
    messages : tuple of str
        A sample of them; empty if all are the same.
    location : str
        Innermost line of the user's own code: ``file.py:12 in ratio``; empty where
        the traceback has none.
    count : int
        How many tasks failed this way.
    cascaded : int
        How many more failed because of them.
    forgotten : int
        How many of `count` the scheduler knows only from its history.
    again : int
        How many of `count` it knows only from its history, too, as their keys have been
        submitted or retried since, and have not finished yet.
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
    role : str
        What tasks whose workers died have to do with that: ``"suspects"``: one of them
        killed the workers, which one is not known; ``"bystanders"``: another one did,
        and they were only on the same workers. Empty for all else.
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
    pattern: str = ""
    different: int = 1
    messages: tuple[str, ...] = ()
    role: str = ""
    again: int = 0
    _json = (
        "exception_type message pattern different messages role location count "
        "cascaded forgotten again workers omitted_workers first last keys omitted_keys "
        "traceback_text=example._shown_traceback came_from=example.came_from deaths "
        "recording"
    )

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
        This client's own first, then the newest. What was only on a worker that
        another task killed comes last.
    total : int
        How many tasks failed by themselves.
    bystanders : int
        How many were only on a worker that another task killed.
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
    page : str
        Address of the live page of this cluster, if there is one: see `record`.
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
    page: str = ""
    bystanders: int = 0
    _json = (
        "total bystanders cascaded healed healed_keys omitted notes page unknown span "
        "groups"
    )
