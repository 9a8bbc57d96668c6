"""Wire forms of failures: in groups, and each for itself, in a visit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypedDict, final

from .wire import (
    Asked,
    Count,
    Key,
    Moment,
    Number,
    PagePlace,
    Scalar,
    Size,
    SpanForm,
)


class Module(TypedDict):
    name: str
    file: str  # on the scheduler


class Needs(TypedDict):
    """``modules.needs_of``: what a task needs that may be missing on workers."""

    modules: list[Module]
    lasted: list[Number]  # seconds that each worker had it before its connection ended
    since: Number  # seconds that the last of them has been gone
    workers: list[str]  # some to ask whether they have the modules
    names: list[tuple[str, str]]  # module and name of what its pickle imports
    by_value: bool  # it holds code: only a worker of the same Python can unpickle it
    python: str  # of the scheduler, which pickles it
    pythons: dict[str, str]  # of these workers, as far as they are known


@final
class OriginsLeftOut(TypedDict):
    """The last of some origins: how many there are besides."""

    more: Count
    least: bool


class _OriginFound(TypedDict):
    what: str
    path: str
    place: str
    args: Sequence[tuple[Scalar, str]]
    key: Key


@final
class OriginFound(_OriginFound, total=False):
    """``origins.origins_of``: a literal that leads to a task."""

    call: bool
    value: bool


OriginForm = OriginsLeftOut | OriginFound
# ``frame_codes.FrameCode``
CodeForm = tuple[str, int, str, str, str]


class _HistoryEntry(TypedDict):
    key: Key
    when: Moment | None
    erred_on: Sequence[str]
    exception_text: str
    traceback_text: str


class HistoryEntry(_HistoryEntry, total=False):
    """``scheduler.failed.history_of``: what is left of a failure."""

    cause_text: str
    cause_frames: str
    codes: Sequence[CodeForm]
    carried: bool  # the task's result carried it: for Dask it has finished
    now: str  # state of a task of the same key, as it was submitted or retried since


class FollowersForm(TypedDict):
    """Tasks that failed because another one of their collective did."""

    keys: Annotated[list[Key], "some"]
    text: str


class SharedForm(TypedDict):
    """``scheduler.killings.Blame``: what else was on workers that died with a task."""

    role: str  # "suspect" or "bystander"
    keys: list[Key]  # the other suspects; or what killed them
    more: Count
    ran: list[Key]  # of all suspects those that ran at the last heartbeat


class _Fact(HistoryEntry):
    asked: Asked
    tried: Count
    killed: bool
    group_size: Count | None


class Fact(_Fact, total=False):
    """``scheduler.failed``, and what a visit adds: one failure."""

    went_in: Count
    exception: bytes | None
    needs: Needs | None
    suspicious: Count
    came_from: Sequence[OriginForm]
    through: Sequence[Key]
    alike: Count
    submitted: HistoryEntry | None
    followers: FollowersForm | None
    gone: bool
    pickled: bytes | None
    shared: SharedForm | None


class GroupForm(TypedDict):
    """``scheduler.failures_groups.Group.to_wire``: failures that are alike."""

    exception_type: str | None
    message: str  # "…" for what differs between them
    messages: list[str]  # a sample, if they differ
    different: Count  # messages
    place: tuple[str, str, int] | None
    count: Count
    cascaded: Count
    forgotten: Count
    again: Count  # whose key has been submitted or retried since
    workers: list[str]
    omitted_workers: Count
    first: Moment | None
    last: Moment | None
    keys: list[Key]
    omitted_keys: int
    example: Fact
    example_forgotten: bool


class Missing(TypedDict):
    """Failures that a filter had to leave out, and what it did not know."""

    undated: Count
    unasked: Count
    span_unknown: bool
    client_unknown: bool


class _Failures(SpanForm, Missing):
    groups: list[GroupForm]
    omitted: Count
    total: Count
    bystanders: Count  # that were only on a worker that another task killed
    cascaded: Count
    healed: Count | None
    healed_keys: list[Key]
    page: PagePlace | None


class Failures(_Failures, total=False):
    """``scheduler.failures.survey_failures``"""

    passed: Any
    foreseen: list[Any]


class FailuresQuestion(TypedDict, total=False):
    limit: int | None
    since: float | None
    client: str | None
    first: str | None
    span: str | None
    deaths: str
    recorder: str


# -- visits --------------------------------------------------------------------


class Restrictions(TypedDict, total=False):
    workers: list[str]
    hosts: list[str]
    resources: dict[str, float]
    loose: bool


class TaskForm(TypedDict):
    """``scheduler.rows``: a task as it is to be run again."""

    key: Key
    state: str
    nbytes: Size | None
    type: str
    who_has: list[str]
    dependencies: list[Key]
    lost: bool
    alias_of: Key
    group_size: Count | None
    restrictions: Restrictions
    spec: bytes | None
    spec_bytes: Count
    spec_error: str


class WorkerForm(TypedDict):
    name: Scalar
    status: str
    memory_limit: Size | None
    pid: Count | None
    nanny: str | None
    local_directory: str | None
    nthreads: Count


class AskedFor(TypedDict):
    """What became of a key that was asked for."""

    asked: Asked
    key: Asked
    state: str


class _Visit(TypedDict):
    now: Moment
    asked: list[AskedFor]
    failures: list[Fact]
    omitted: Count
    unfollowed: Count
    erred: list[HistoryEntry]
    past: list[HistoryEntry]  # what the history alone has of what is asked for
    tasks: list[TaskForm]
    workers: dict[str, WorkerForm]
    of_any: bool


class Visit(_Visit, total=False):
    """``scheduler.extension.Extension.visit``"""

    spec_bytes: Count
    foreseen: list[Any]
    # Noted as it comes: when, and from which scheduler.
    arrived: Any
    scheduler: Any
