"""Wire forms of deaths: black boxes, nannies' reports, and ends of workers."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from .wire import Count, Key, Moment, Number, Scalar, Size

MemoryForm = tuple[Moment, Size]  # when, and bytes of a process's memory


class LoggedForm(TypedDict):
    """A warning or an error that a worker's process logged, secrets hidden."""

    when: Moment  # the last time
    level: Count
    text: str
    times: Count  # with other numbers in it


class _BoxTask(TypedDict):
    key: Annotated[Any, "packed key"]  # or its bytes, as they were written
    text: str  # of a key that is too long
    start: Moment
    inputs: Count
    thread: Count
    coroutine: bool
    first: str  # the first lines of its functions
    line: str
    line_at: Moment
    raised: str  # what it raised that ends a worker, secrets hidden


class BoxTask(_BoxTask, total=False):
    """A task that ran as a black box was written."""

    prefix: str
    unpacked: bool


class BoxFixed(TypedDict):
    """What a black box says from the beginning."""

    worker: str
    nanny: str
    scheduler: str
    crashes: str
    nonce: str
    stderr_file: str  # empty where its standard error goes elsewhere
    pid: int
    started: float


class _Box(TypedDict):
    worker: str
    pid: Count
    sampled: Moment
    memory: Count
    left_out: Count
    tasks: list[BoxTask]
    ended: list[BoxTask]  # as long as no other task has taken their place
    stack: str  # of a crash, as Python wrote it
    crashes: str
    history: list[MemoryForm]  # the oldest first
    logged: list[LoggedForm]  # the oldest first
    unlogged: Count  # how many more there were just then
    stderr: str  # written after the last sample, by its process or another one
    closed: bool  # in good order, but it could not tell its scheduler


class Box(_Box, total=False):
    """``boxes.own_box``"""

    alive: bool  # whether its process still runs
    nanny: str
    scheduler: str
    nonce: str
    stderr_file: str
    started: float


class BoxUnread(TypedDict):
    """``boxes.read_boxes_of``, of a box that cannot be read."""

    unread: str
    worker: str
    pid: Count


class _BoxPlace(TypedDict):
    worker: str
    pid: int
    path: str
    nonce: str


class BoxPlace(_BoxPlace, total=False):
    """Where a worker has its black box, as it said itself."""

    nanny: str


class _Report(TypedDict):
    code: int | None
    when: Moment


class NannyReport(_Report, total=False):
    """``nanny.deaths.DeathWatch.report``, or a line of a nanny's log."""

    by_time: bool
    box: Box | None
    closed: bool
    memory: Size | None
    memory_at: Moment | None
    history: list[MemoryForm]
    kills: dict[str, int]
    lines: list[str]
    error: str
    worker: str
    nanny: str
    name: str
    pid: int | None


class HeartbeatTask(TypedDict):
    """A task that ran at a worker's last heartbeat."""

    key: Key
    prefix: str
    seconds: Number
    inputs: Size | None


class _Over(TypedDict):
    rss: Size
    when: Moment


class Over(_Over, total=False):
    """A nanny ends its worker for the memory that it uses."""

    worker: str
    pid: int


class _Death(TypedDict):
    worker: str
    name: Scalar
    host: str
    pid: Count | None
    nanny: str
    when: Moment
    expected: Any
    stimulus: str
    reason: str
    restarted: bool
    processing: list[Key]
    processing_count: Count
    lost_count: Count
    lost_scattered: Count
    memory: Size | None
    memory_at: Moment | None
    memory_limit: Size | None
    unseen: Number | None
    heartbeat_tasks: list[HeartbeatTask]
    box_at: Annotated[BoxPlace, "mapping"] | None
    report: NannyReport | None
    over: Over | None
    logged: list[LoggedForm] | None  # of one that closed in good order
    lines: list[str]


class DeathForm(_Death, total=False):
    """``scheduler.deaths.removal_fact``"""

    # Of its black box, where another worker of its host was asked for that.
    box: Box
    unread: str


class _Deaths(TypedDict):
    # Anybody can report a worker's end: each is checked for itself.
    deaths: Annotated[list[DeathForm], "apart"]
    omitted: Count
    total: Count
    recorded: bool
    since: Moment | None
    notes: list[str]
    now: Moment


class DeathsForm(_Deaths, total=False):
    """``scheduler.deaths.tell_deaths``"""

    foreseen: list[Any]
    odd: int  # how many were left out, as they are none


class HeldDeaths(TypedDict):
    """``scheduler.deaths_store.DeathStore.on_list``"""

    deaths: list[DeathForm]
    omitted: int
    total: int
    since: float


class DeathsQuestion(TypedDict):
    name: str
    keys: list[Any] | None
    limit: int
    recorded_only: bool
