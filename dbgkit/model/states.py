"""What the scheduler knows: failures in groups, tasks in rows, why nothing moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dbgkit.model.display import Displayed, traceback_shown
from dbgkit.model.keys import plain_key

if TYPE_CHECKING:
    from dbgkit.model.graph import TaskGraph


@dataclass(frozen=True)
class Span:
    """The span of time in which an answer was taken (timezone-aware, UTC)."""

    start: datetime
    end: datetime


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
        How many tasks failed so.
    cascaded : int
        How many more fell because of them.
    forgotten : int
        How many of `count` the scheduler has forgotten but for its history.
    workers : tuple of str
        Addresses of the workers they failed on.
    first, last : datetime or None
        Times of the first and last, where the scheduler still has them.
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
        failed and the recorder was on. Where the example only was queued there, those
        of another of its tasks, which ran.
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
    keys: tuple[Any, ...]
    omitted_keys: int
    example: Any
    omitted_workers: int = 0
    recording: Any = None
    deaths: tuple[Any, ...] = ()

    @property
    def failure(self) -> Any:
        """The example, so that a group is a target itself."""
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
        How many fell because of them.
    healed : int or None
        How many failed and then succeeded in a retry; None where nobody knows.
    healed_keys : tuple of Key
        A sample of them.
    omitted : int
        How many groups were left out.
    span : Span or None
    notes : tuple of str
        What is missing, and why.
    unknown : tuple of str
        What was asked for by a name that nothing has: ``"span 'load'"``.
    """

    groups: tuple[FailureGroup, ...]
    total: int
    cascaded: int
    healed: int | None = None
    omitted: int = 0
    span: Span | None = None
    notes: tuple[str, ...] = ()
    healed_keys: tuple[Any, ...] = ()
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
            "span": _span(self.span),
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
                    "first": _moment(group.first),
                    "last": _moment(group.last),
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


@dataclass(frozen=True)
class TaskRow:
    """One task as the scheduler has it.

    Attributes
    ----------
    key, state, prefix : Key, str, str
    workers : tuple of str
        Where it is processed, or in memory, or has failed.
    nbytes : int or None
        Size of its result, if it is in memory.
    waiting_on, dependents : int
        How many tasks it waits for, and how many depend on it.
    retries, suspicious : int
        Retries left; how many workers died that had it.
    restrictions : str
        Of workers, hosts and resources, in words; empty without any.
    since : float or None
        Seconds in its state, where the scheduler's log still tells.
    exception : str
        Text of what it raised, cut.
    blame : Key or None
        The task that it fell because of, if it did not fail by itself.
    omitted_workers : int
        How many more workers there are.
    """

    key: Any
    state: str
    prefix: str
    workers: tuple[str, ...] = ()
    nbytes: int | None = None
    waiting_on: int = 0
    dependents: int = 0
    retries: int = 0
    suspicious: int = 0
    restrictions: str = ""
    since: float | None = None
    exception: str = ""
    blame: Any = None
    omitted_workers: int = 0


@dataclass(frozen=True)
class TaskTable(Displayed):
    """Rows of tasks; filtered first, cut after.

    Attributes
    ----------
    rows : tuple of TaskRow
    matched : int
        How many tasks match.
    omitted : int
        How many of them are not in `rows`.
    summary : mapping of str to mapping of str to int
        Prefix -> state -> count, of all tasks.
    span : Span or None
    notes : tuple of str
    unknown : tuple of str
        What was asked for by a name or key that nothing has: ``"prefix 'load'"``.
    """

    rows: tuple[TaskRow, ...]
    matched: int
    omitted: int
    summary: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    span: Span | None = None
    notes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def to_pandas(self) -> Any:
        """The rows as a `pandas.DataFrame`, one column an attribute.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        import pandas as pd

        columns = list(TaskRow.__dataclass_fields__)
        frame = pd.DataFrame(
            [[getattr(row, name) for name in columns] for row in self.rows],
            columns=columns,
        )
        return frame

    def to_json(self) -> dict[str, Any]:
        """Builtin types only, for ``--json``."""
        return {
            "matched": self.matched,
            "omitted": self.omitted,
            "notes": list(self.notes),
            "unknown": list(self.unknown),
            "span": _span(self.span),
            "summary": {name: dict(states) for name, states in self.summary.items()},
            "rows": [
                {
                    **asdict(row),
                    "key": plain_key(row.key),
                    "blame": plain_key(row.blame),
                    "workers": list(row.workers),
                }
                for row in self.rows
            ],
        }


@dataclass(frozen=True)
class Moment:
    """One line of a `Timeline`.

    ``source`` is ``"scheduler"``, a worker's address, ``"event"`` or ``"log"``.
    """

    when: datetime
    source: str
    what: str
    detail: str = ""


@dataclass(frozen=True)
class Timeline(Displayed):
    """What happened to a task, in order of time.

    ``notes`` says where logs have rolled over, so that the beginning is missing.
    """

    key: Any
    moments: tuple[Moment, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Builtin types only, for ``--json``."""
        return {
            "key": plain_key(self.key),
            "notes": list(self.notes),
            "moments": [
                {**asdict(moment), "when": _moment(moment.when)}
                for moment in self.moments
            ],
        }


# Causes that are no cause for concern.
_HEALTHY = {
    "finished",
    "queued",
    "released",
    "running",
    "transferring",
    "worker-saturated",
    "workers-starting",
}


@dataclass(frozen=True)
class Explanation(Displayed):
    """Why a task, a collection or a cluster does not move on.

    Attributes
    ----------
    cause : str
        A stable code: ``"waiting-on"``, ``"no-workers"``, …
    summary : str
        One sentence.
    evidence : tuple of str
        The facts it rests on.
    advice : tuple of str
        What to do.
    key : Key or None
        The task that it is about: at the end of the chain, not the one asked for.
    chain : tuple of Key
        From the task asked for to `key`.
    others : tuple of Explanation
        Further causes, ranked, the likelier first.
    because : str
        Of ``"waiting-on"``, the code of what holds up `key`.
    span : Span or None
    notes : tuple of str
        What could not be looked at.
    graph : TaskGraph or None
        What `key` needs and what needs it, with the chain.
    """

    cause: str
    summary: str
    evidence: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    key: Any = None
    chain: tuple[Any, ...] = ()
    others: tuple[Explanation, ...] = ()
    span: Span | None = None
    notes: tuple[str, ...] = ()
    graph: TaskGraph | None = None
    because: str = ""

    @property
    def healthy(self) -> bool:
        """Whether all is done, or goes on by itself; the end of a chain decides."""
        rest = all(other.healthy for other in self.others)
        if self.cause == "p2p-barrier" and self.others:
            return rest
        return rest and (self.because or self.cause) in _HEALTHY

    def to_json(self) -> dict[str, Any]:
        """Builtin types only, for ``--json``."""
        return {
            "cause": self.cause,
            "because": self.because,
            "summary": self.summary,
            "evidence": list(self.evidence),
            "advice": list(self.advice),
            "key": plain_key(self.key),
            "chain": [plain_key(key) for key in self.chain],
            "others": [other.to_json() for other in self.others],
            "span": _span(self.span),
            "notes": list(self.notes),
            "graph": self.graph.to_json() if self.graph else None,
        }


@dataclass(frozen=True)
class Finding:
    """One thing that `doctor` found.

    ``level`` is ``"ok"``, ``"warning"`` or ``"problem"``.
    """

    check: str
    level: str
    summary: str
    advice: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkup(Displayed):
    """What `doctor` found, problems first."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.level == "ok" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Builtin types only, for ``--json``."""
        return {
            "healthy": self.healthy,
            "notes": list(self.notes),
            "findings": [
                {**asdict(finding), "evidence": list(finding.evidence)}
                for finding in self.findings
            ],
        }


def _moment(when: datetime | None) -> str | None:
    return when.isoformat() if when else None


def _span(span: Span | None) -> list[str] | None:
    return [span.start.isoformat(), span.end.isoformat()] if span else None
