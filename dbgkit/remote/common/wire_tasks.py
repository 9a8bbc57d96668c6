"""Wire forms of ``tasks``, ``story``, ``doctor``, and of the graph around a task."""

from __future__ import annotations

from typing import Annotated, TypedDict

from .wire import Asked, Count, Key, Moment, Number, Scalar, Span, States


class Row(TypedDict):
    """One task in a table."""

    key: Key
    state: str
    prefix: str
    workers: list[str]
    omitted_workers: Count
    nbytes: Number | None
    waiting_on: Count
    dependents: Count
    retries: Number | None  # as the user had it
    suspicious: Count
    restrictions: str
    since: Number | None
    exception: str
    blame: Key


class NotFound(TypedDict):
    """Names that were asked for and are not there, and what is near to them."""

    near: dict[str, str]
    unknown_keys: list[Asked]


class Tasks(Span, NotFound):
    """``scheduler.tasks.survey_tasks``"""

    rows: list[Row]
    matched: Count
    summary: dict[str, States]


class Counts(Span):
    """``scheduler.tasks.survey_counts``"""

    summary: dict[str, States]
    workers: dict[str, Count]
    threads: Count
    address: str


class GraphForm(TypedDict):
    """``scheduler.graph``: edges and gaps name nodes by their position."""

    nodes: Annotated[list[tuple[Key, str, str, int, int]], "some"]
    edges: list[tuple[Count, Count]]
    gaps: list[tuple[Count, Count, Count]]
    asked: Count | None


class Around(TypedDict):
    """``scheduler.graph.look_around``"""

    graphs: list[GraphForm | None]


class Story(TypedDict):
    """``scheduler.story.tell_history``"""

    now: Moment
    key: Key
    state: str
    moments: list[tuple[Moment, str, str, str]]
    notes: list[str]
    similar: list[str]


# -- doctor --------------------------------------------------------------------

Settings = dict[str, Scalar]


class ClientForm(TypedDict):
    id: str
    packages: dict[str, str]


class ExaminedWorker(TypedDict):
    address: str
    status: str
    nanny: str | None
    silent: Number | None
    memory: Number | None
    memory_limit: Number | None
    packages: dict[str, str] | None


class Log(TypedDict):
    """How far back a log of bounded length goes."""

    length: Count
    most: Count | None
    since: Moment | None


class TransitionLog(Log):
    made: Count | None


class Examined(TypedDict):
    """``scheduler.doctor.examine``"""

    now: Moment
    scheduler: dict[str, str] | None
    clients: list[ClientForm]
    workers: list[ExaminedWorker]
    workers_left_out: Count
    transitions: TransitionLog
    failures: Log | None
    allowed_failures: float | None
    settings: Settings
    worker_settings: Settings
    not_dumped: list[str]
    lost_tracebacks: list[Key]


class Held(TypedDict):
    """What the frames of failed tasks keep alive."""

    bytes: Count
    frames: Count
    functions: list[tuple[str, Count]]


class _RecorderState(TypedDict):
    errors: list[str]
    dropped: Count


class RecorderState(_RecorderState, total=False):
    """How a recorder does, of any version that is on there."""

    box: str
    refused: str


class Checked(TypedDict):
    """``worker.doctor.probe_worker``"""

    pid: Count
    settings: Settings
    hides_failures: bool
    held: Held
    recorders: list[RecorderState]


class Surroundings(TypedDict):
    """``worker.environment.describe_process``"""

    python: str
    executable: str | None
    packages: dict[str, str | None]
    directory: str | None
    environment: dict[str, str]
    configuration: dict[str, str]
