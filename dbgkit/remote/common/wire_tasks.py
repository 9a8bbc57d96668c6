"""Wire forms of ``tasks``, ``story``, ``doctor``, and of the graph around a task."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

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
    States,
)


class RowForm(TypedDict):
    """One task in a table."""

    key: Key
    state: str
    prefix: str
    workers: list[str]
    omitted_workers: Count
    nbytes: Size | None
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


class Tasks(SpanForm, NotFound):
    """``scheduler.tasks.survey_tasks``"""

    rows: list[RowForm]
    matched: Count
    summary: dict[str, States]


class TasksQuestion(TypedDict, total=False):
    """``keys``: some, or a text that spells one or is a pattern."""

    states: list[str] | None
    prefixes: list[str] | None
    keys: Any
    worker: Any
    failed: bool | None
    sort: str | None
    reverse: bool
    limit: int | None


class WorkerLoadForm(TypedDict):
    """What one worker has to do, and how full it is."""

    address: str
    name: str
    status: str
    threads: Count
    tasks: Count
    memory: Size | None
    memory_limit: Size | None


class Counts(SpanForm):
    """``scheduler.tasks.survey_counts``"""

    summary: dict[str, States]
    workers: dict[str, Count]
    threads: Count
    address: str
    loads: list[WorkerLoadForm]


class Workers(SpanForm):
    """``scheduler.workers.survey_workers``"""

    rows: list[WorkerLoadForm]
    omitted: Count
    dashboard_port: Count | None


class GraphForm(TypedDict):
    """``scheduler.graph``: edges and gaps name nodes by their position."""

    nodes: Annotated[list[tuple[Key, str, str, int, int]], "some"]
    edges: list[tuple[Count, Count]]
    gaps: list[tuple[Count, Count, Count]]
    asked: Count | None


class Around(TypedDict):
    """``scheduler.graph.look_around``"""

    graphs: list[GraphForm | None]


class _AroundTask(TypedDict):
    key: Any


class AroundTask(_AroundTask, total=False):
    """A task, and of where all waits for it the chain that leads there."""

    chain: list[Any]
    length: int


class AroundQuestion(TypedDict):
    tasks: list[AroundTask]
    limit: int


class StoryForm(TypedDict):
    """``scheduler.story.tell_story``"""

    now: Moment
    key: Key
    state: str
    moments: list[tuple[Moment, str, str, str]]
    notes: list[str]
    similar: list[str]


class WorkerStory(TypedDict):
    """What one worker, or its part of a dump, says about a task."""

    story: list[Any]
    logs: list[Any]


class StoryQuestion(TypedDict, total=False):
    key: Any
    limit: float
    most: int


# -- doctor --------------------------------------------------------------------

Settings = dict[str, Scalar]


class ClientForm(TypedDict):
    id: str
    packages: dict[str, str]


class ExaminedWorker(TypedDict):
    address: str
    name: str
    status: str
    nanny: str | None
    silent: Number | None
    memory: Size | None
    memory_limit: Size | None
    packages: dict[str, str] | None


class Log(TypedDict):
    """How far back a log of bounded length goes."""

    length: Count
    most: Count | None
    since: Moment | None


class TransitionLog(Log):
    made: Count | None


class FailedPlugin(TypedDict):
    """A plugin whose ``setup`` failed, at a worker or nanny, if it is known which."""

    at: str
    plugin: str
    error: str


class RaisingPlugin(TypedDict):
    """A plugin of the scheduler that raised, and in which of its methods."""

    plugin: str
    place: str
    error: str
    count: Count


class Leaver(TypedDict):
    """A worker that left soon after it had joined."""

    worker: str
    lived: Number
    tasks: Count
    reason: str


class NanniesSaid(TypedDict):
    """``scheduler.doctor_logs.nannies_said``"""

    failed: list[FailedPlugin]
    no_start: list[str]
    silent: Count
    left_out: Count


class Examined(TypedDict):
    """``scheduler.doctor.examine``"""

    now: Moment
    address: str
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
    tasks: Count
    page: PagePlace | None
    failed_plugins: list[FailedPlugin]  # of a dump; live, the workers are asked
    raising: list[RaisingPlugin]
    hides_raising: bool | None
    leavers: list[Leaver]
    nannies: NanniesSaid | None
    preloads: list[str]


class DoctorQuestion(TypedDict, total=False):
    client: str | None
    limit: float  # seconds for nannies to send their logs


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


class ModuleForm(TypedDict):
    """``worker.doctor_modules.ModuleFiles.describe``"""

    name: str
    file: str
    digest: str
    edited: list[str]
    local: bool  # in the worker's own folder, where uploaded files are


class Checked(TypedDict):
    """``worker.doctor.probe_worker``"""

    pid: Count
    settings: Settings
    hides_failures: bool
    held: Held
    recorders: list[RecorderState]
    failed_plugins: list[tuple[str, str]]  # names and errors
    preloads: list[str]
    modules: list[ModuleForm]


class Surroundings(TypedDict):
    """``worker.environment.describe_process``"""

    python: str
    packages: dict[str, str | None]
    directory: str | None
    environment: dict[str, str]
    configuration: dict[str, str]
