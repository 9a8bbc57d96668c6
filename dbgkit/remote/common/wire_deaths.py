"""Wire forms of deaths: black boxes, nannies' reports, and ends of workers."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from .wire import Count, Key, Moment, Number, Scalar


class _BoxTask(TypedDict):
    key: Annotated[Any, "packed key"]  # or its bytes, as they were written
    text: str
    start: Moment
    inputs: Count
    thread: Count
    coroutine: bool
    line: str
    line_at: Moment


class BoxTask(_BoxTask, total=False):
    """A task that ran as a black box was written."""

    prefix: str
    unpacked: bool


class _Box(TypedDict):
    worker: str
    pid: Count
    sampled: Moment
    memory: Count
    left_out: Count
    tasks: list[BoxTask]
    ended: list[BoxTask]
    stack: str
    crashes: str


class Box(_Box, total=False):
    """``boxes.own_box``"""

    alive: bool
    nanny: str
    scheduler: str
    nonce: str
    started: float


class BoxUnread(TypedDict):
    """``boxes.read_boxes_of``, of a box that cannot be read."""

    unread: str
    worker: str
    pid: Count


class _Told(TypedDict):
    worker: str
    pid: int
    path: str
    nonce: str


class Told(_Told, total=False):
    """Where a worker has its black box, as it said itself."""

    nanny: str


class _Report(TypedDict):
    code: int | None
    when: Moment


class Report(_Report, total=False):
    """``nanny.deaths.DeathWatch.report``, or a line of a nanny's log."""

    by_time: bool
    box: Box | None
    closed: bool
    memory: Number | None
    memory_at: Moment | None
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
    inputs: Number | None


class _Over(TypedDict):
    rss: Number
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
    memory: Number | None
    memory_at: Moment | None
    memory_limit: Number | None
    unseen: Number | None
    heartbeat_tasks: list[HeartbeatTask]
    told: Annotated[Told, "mapping"] | None
    report: Report | None
    over: Over | None
    lines: list[str]


class Death(_Death, total=False):
    """``scheduler.deaths.removal_fact``"""

    number: int
    nthreads: int | None


class _Deaths(TypedDict):
    # Anybody can report a worker's end: each is checked for itself.
    deaths: Annotated[list[Death], "apart"]
    omitted: Count
    total: Count
    recorded: bool
    since: Moment | None
    notes: list[str]
    now: Moment


class Deaths(_Deaths, total=False):
    """``scheduler.deaths.tell_deaths``"""

    foreseen: list[Any]
