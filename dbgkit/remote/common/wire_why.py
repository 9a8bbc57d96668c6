"""Wire forms of ``why``: the ends of what is waited for, by cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict

from .wire import Asked, Count, Key, Moment, Number, Scalar, Span, States
from .wire_failures import CodeForm, Needs


class Named(TypedDict):
    address: str
    name: Scalar


class Paused(TypedDict):
    """``scheduler.why_ends.paused_facts``: a worker that does not run."""

    address: str
    status: str
    memory: Number | None
    limit: Number | None


class Placed(TypedDict):
    """A worker, and what it has to do."""

    worker: str
    nthreads: Count
    processing: Count
    executing: list[Key]


class Wanted(TypedDict):
    """What a task asks of a worker."""

    only_workers: list[str]
    only_hosts: list[str]
    resources: dict[str, float]


class _End(TypedDict):
    key: Key
    state: str
    count: Count
    chain: Annotated[list[Key], "some"]
    length: Count


class _Needy(_End, total=False):
    keys: list[Key]
    needs: Needs | None


class _AnyEnd(_Needy, total=False):
    suspicious: Count


class FailedEnd(_AnyEnd):
    code: Literal["failed", "cascaded"]
    blame: Key
    exception_text: str
    traceback_text: str
    codes: Sequence[CodeForm]
    shuffle: str
    in_shuffle: str
    erred_on: list[str]
    when: Moment | None
    killed: Count
    tried: Count
    others: list[Key]
    others_count: Count
    through: list[Key]


class FinishedEnd(_AnyEnd):
    code: Literal["finished"]
    workers: list[str]
    nbytes: Number


class _ReleasedEnd(_AnyEnd):
    code: Literal["released"]


class ReleasedEnd(_ReleasedEnd, total=False):
    lost: bool


class LostEnd(_AnyEnd):
    code: Literal["lost-dependencies"]
    dependency: Key
    when: Moment | None


class UnexplainedEnd(_AnyEnd):
    code: Literal["unexplained"]
    ruled_out: list[str]


class QueuedEnd(_AnyEnd):
    code: Literal["queued"]
    queued: Count
    threads: Count
    workers: Count
    processing: Count
    places: Annotated[list[Placed], "some"]


class NoWorkersEnd(_AnyEnd, Wanted):
    code: Literal["no-workers"]
    starting: Count


class NearestPlace(Named):
    same_host: bool


class RestrictionsEnd(_AnyEnd, Wanted):
    code: Literal["restrictions-unmet"]
    present: Count
    nearest: NearestPlace


class NearestResources(Named):
    lacks: dict[str, tuple[float, float]]


class ResourcesEnd(_AnyEnd, Wanted):
    code: Literal["resources-unmet"]
    present: Count
    nearest: NearestResources


class StartingEnd(_AnyEnd):
    code: Literal["workers-starting"]
    joining: list[str]


class PausedEnd(_AnyEnd):
    code: Literal["workers-paused"]
    paused: list[Paused]
    present: Count


class _MissingInput(TypedDict):
    key: Key
    holders: list[str]


class MissingInput(_MissingInput, total=False):
    nbytes: int


class _ProcessingEnd(_Needy, Placed):
    code: Literal["processing"]
    status: str
    paused: list[Paused]
    age: Number
    duration: Number | None
    long_running: bool
    average: Number | None
    prefix: str
    retries_left: Number
    tried: Number
    suspicious: Count
    missing: list[MissingInput]
    missing_count: Count


class ProcessingEnd(_ProcessingEnd, total=False):
    worker_name: Scalar
    actor: bool


End = (
    FailedEnd
    | FinishedEnd
    | ReleasedEnd
    | LostEnd
    | UnexplainedEnd
    | QueuedEnd
    | NoWorkersEnd
    | RestrictionsEnd
    | ResourcesEnd
    | StartingEnd
    | PausedEnd
    | ProcessingEnd
)


class Forgotten(TypedDict):
    """``scheduler.why_ends.forgotten_facts``: of a task that is not known."""

    key: Asked
    was: str | None
    when: Moment | None
    dependency: Key
    unwanted: Literal["", "left", "released", "cancelled", "restarted"]


class Barrier(TypedDict):
    """The barrier of a shuffle that is waited for."""

    key: Key
    state: str
    inputs: Count
    missing: Count
    outputs: Count
    chain: Annotated[list[Key], "some"]


class Quiet(TypedDict):
    """A worker without a heartbeat for some seconds."""

    address: str
    age: Number


class Overview(TypedDict):
    """``scheduler.why_cluster.overview``"""

    states: States
    workers: Count
    threads: Count
    paused: list[Paused]
    paused_count: Count
    quiet: list[Quiet]


class _Waiter(TypedDict):
    kind: str
    name: str
    waiting: Count


class Waiter(_Waiter, total=False):
    """Who waits for a lock, an event, a queue."""

    held: Count
    queue: str


class KeyState(TypedDict):
    key: Key
    state: str


class GivenUp(TypedDict):
    """Tasks that killed their workers, besides the one that is explained."""

    keys: list[Key]
    count: Count


class _Why(Span):
    ends: list[End]
    omitted_ends: Count
    barrier: Barrier | None
    unknown: list[Forgotten]
    may_run_it: list[str]
    not_asked: Count
    given_up: GivenUp
    cluster: Overview | None
    out_of_step: list[KeyState]
    late: Number | None
    waiters: list[Waiter] | None
    answering: dict[str, bool]
    unfollowed: Count


class Why(_Why, total=False):
    """``scheduler.why.explain_state``"""

    asked: list[Key]
    asked_states: States
    unknown_count: Count
    walked: Count
    foreseen: list[Any]


# -- what workers know of tasks that they are to run ---------------------------


class _Executing(TypedDict):
    key: Key
    since: Number | None


class Executing(_Executing, total=False):
    state: str
    stack: list[str] | None


# One of its fields is a word of Python.
Fetched = TypedDict(
    "Fetched",
    {"key": "Key", "state": str, "from": "str | None", "since": "Number | None"},
)


class Waits(TypedDict):
    kind: str
    name: str | None


class _ProbedTask(TypedDict):
    key: Key
    state: str | None
    since: Number | None
    inputs: list[Fetched]
    stack: list[str] | None
    waits: Waits | None


class ProbedTask(_ProbedTask, total=False):
    input_count: Count


class Probe(TypedDict):
    """``worker.why.look_at_tasks``"""

    now: Moment
    status: str
    nthreads: Count
    executing: list[Executing]
    ready: Count
    constrained: Count
    in_flight: Annotated[list[Any], "apart"]
    transfer_limit: Count | None
    tasks: list[ProbedTask]
