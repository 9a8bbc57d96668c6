"""Wire forms of ``why``: the ends of what is waited for, by cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict

from .wire import Asked, Count, Key, Moment, Number, Scalar, Size, SpanForm, States
from .wire_failures import CodeForm, Needs
from .wire_live import StopForm
from .wire_why_late import LoopForm
from .wire_why_loops import Loop
from .wire_why_workers import Joining, Reach


class Named(TypedDict):
    address: str
    name: Scalar


class Paused(Named):
    """``scheduler.why_ends.paused_facts``: a worker that does not run."""

    status: str
    memory: Size | None
    limit: Size | None


class Executed(TypedDict):
    """A task that a worker executes: seconds so far, and those that others took."""

    key: Key
    duration: Number | None
    average: Number | None


class Placed(TypedDict):
    """A worker, and what it has to do; of what it executes the longest."""

    worker: str
    nthreads: Count
    processing: Count
    executing: list[Executed]


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
    waiting: Count  # unfinished tasks that need it, for the whole cluster
    waiting_cut: bool  # there may be more


class AnyEnd(_Needy, total=False):
    """What is said of each end."""

    suspicious: Count


class FailedFacts(TypedDict):
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


class FailedEnd(AnyEnd, FailedFacts):
    through: list[Key]


class FinishedFacts(TypedDict):
    code: Literal["finished"]
    workers: list[str]
    nbytes: Size


class FinishedEnd(AnyEnd, FinishedFacts):
    pass


class ReleasedFacts(TypedDict):
    code: Literal["released"]


class ReleasedEnd(AnyEnd, ReleasedFacts):
    pass


class LostFacts(TypedDict):
    code: Literal["lost-dependencies"]
    dependency: Key
    when: Moment | None


class LostEnd(AnyEnd, LostFacts):
    pass


class UnexplainedFacts(TypedDict):
    code: Literal["unexplained"]
    ruled_out: list[str]


class UnexplainedEnd(AnyEnd, UnexplainedFacts):
    pass


class QueuedFacts(TypedDict):
    code: Literal["queued"]
    queued: Count
    threads: Count
    workers: Count
    processing: Count
    places: Annotated[list[Placed], "some"]


class QueuedEnd(AnyEnd, QueuedFacts):
    pass


class NoWorkersFacts(Wanted):
    code: Literal["no-workers"]
    starting: Count


class NoWorkersEnd(AnyEnd, NoWorkersFacts):
    pass


class NearestPlace(Named):
    same_host: bool


class Gone(TypedDict):
    """A worker that has left; ``expected`` if it was to."""

    address: str
    when: Moment
    expected: bool


class RestrictionsFacts(Wanted):
    code: Literal["restrictions-unmet"]
    present: Count
    nearest: NearestPlace
    gone: list[Gone]


class RestrictionsEnd(AnyEnd, RestrictionsFacts):
    pass


class NearestResources(Named):
    lacks: dict[str, tuple[float, float]]  # needed, and supplied


class Lacking(Named):
    """A resource of which no worker has enough, and the worker that has the most."""

    resource: str
    wanted: Number
    has: Number


class ResourcesFacts(Wanted):
    """``nearest`` are some workers, what each lacks; those ``elsewhere`` lack nothing.

    They are not among those that the task may run on.
    """

    code: Literal["resources-unmet"]
    present: Count
    nearest: Annotated[list[NearestResources], "some"]
    lacking: list[Lacking]
    offered: list[str]
    elsewhere: list[Named]


class ResourcesEnd(AnyEnd, ResourcesFacts):
    pass


class StartingFacts(TypedDict):
    code: Literal["workers-starting"]
    joining: Annotated[list[Joining], "some"]


class StartingEnd(AnyEnd, StartingFacts):
    pass


class PausedFacts(TypedDict):
    code: Literal["workers-paused"]
    paused: list[Paused]
    paused_count: Count
    running: Count  # workers, which cannot run it


class PausedEnd(AnyEnd, PausedFacts):
    pass


class MissingInput(TypedDict):
    key: Key
    type: str  # of the value
    holders: list[str]


class ProcessingFacts(Placed, Wanted):
    code: Literal["processing"]
    status: str
    paused: list[Paused]
    running: Count  # workers
    joining: Joining | None
    age: Number
    duration: Number | None
    long_running: bool
    average: Number | None
    prefix: str
    queued: Count  # tasks that the scheduler holds back
    retries_left: Number
    tried: Number
    suspicious: Count
    breakpoint: StopForm | None
    missing: list[MissingInput]
    missing_count: Count


class ProcessingEnd(_Needy, ProcessingFacts):
    pass


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
EndFacts = (
    FailedFacts
    | FinishedFacts
    | ReleasedFacts
    | LostFacts
    | UnexplainedFacts
    | QueuedFacts
    | NoWorkersFacts
    | RestrictionsFacts
    | ResourcesFacts
    | StartingFacts
    | PausedFacts
    | ProcessingFacts
)


Unwanted = Literal["", "left", "released", "cancelled", "restarted"]


class Forgotten(TypedDict):
    """``scheduler.why_ends.forgotten_facts``: of a task that is not known."""

    key: Asked
    was: str | None
    when: Moment | None
    dependency: Key
    unwanted: Unwanted


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
    running: Count
    threads: Count
    paused: list[Paused]
    paused_count: Count
    starting: Count
    quiet: list[Quiet]
    joining: list[Joining]


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


class Killers(TypedDict):
    """Tasks that killed their workers, besides the one that is explained."""

    keys: list[Key]
    count: Count


class _Why(SpanForm):
    started: Moment | None  # of the scheduler
    ends: list[End]
    omitted_ends: Count
    loops: list[Loop]
    barrier: Barrier | None
    unknown: list[Forgotten]
    may_run_it: list[str]
    not_asked: Count
    given_up: Killers
    cluster: Overview | None
    out_of_step: list[KeyState]
    late: Number | None
    loop: LoopForm | None  # if it is late
    waiters: list[Waiter] | None
    answering: dict[str, bool]
    reach: dict[str, Reach]
    unfollowed: Count


class Why(_Why, total=False):
    """``scheduler.why.explain_state``"""

    asked: list[Key]
    asked_states: States
    unknown_count: Count
    foreseen: list[Any]


class WhyQuestion(TypedDict, total=False):
    """``keys``: None for the whole cluster."""

    keys: list[Any] | None
    pending: list[Any]
    texts: list[str]
    client: str | None
    ping: float
