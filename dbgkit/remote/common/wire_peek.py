"""Wire forms of ``peek``: what runs on a cluster, and where each task is now."""

from __future__ import annotations

from typing import Literal, TypedDict

from .wire import Asked, Count, Key, Moment, Number, SpanForm, States
from .wire_recordings import FrameForm


class RunningQuestion(TypedDict):
    """``keys``: the tasks that are asked about; None: all that run."""

    keys: list[Key] | None
    limit: int


class PlacedTask(TypedDict):
    """A task, its state, and where it is processed or held."""

    key: Key
    state: str
    worker: str | None
    actor: bool


class BusyWorker(TypedDict):
    """``longest``: seconds for which it had run a task at its last heartbeat."""

    address: str
    tasks: Count
    longest: Number | None


class Running(SpanForm):
    """``scheduler.peek.survey_running``"""

    tasks: list[PlacedTask]
    states: States
    unknown_keys: list[Asked]
    workers: list[BusyWorker]
    omitted_workers: Count


class PeekQuestion(TypedDict):
    """``keys``: which tasks; None: the longest of those that the worker runs."""

    keys: list[Key] | None
    limit: int
    times: int
    every: float
    secret_names: list[str]


# How a task runs, empty if it does not. Of the last two nothing is seen: in a pool of
# processes, say, and where it has just begun or ended.
How = Literal["", "thread", "coroutine", "actor", "elsewhere", "unseen"]


class _LineForm(TypedDict):
    filename: str
    lineno: int
    function: str
    text: str
    samples: Count


class LineForm(_LineForm, total=False):
    """A line at which a task was seen, and how often."""

    code: list[str]


class PeekedForm(TypedDict):
    """One task in so many samples; frames are those of the first or the last."""

    key: Key
    state: str
    how: How
    since: Number | None  # when it began
    executor: str
    samples: Count
    frames: list[FrameForm]
    lines: list[LineForm]
    other_lines: Count  # samples at further lines
    paused: str  # why its thread is traced, or paused
    unread: bool  # whether no local was read because of that
    awaits: str


class Peeked(TypedDict):
    """``worker.peek.sample``"""

    now: Moment
    pid: Count
    status: str
    tasks: list[PeekedForm]
    omitted: Count
    rest: list[tuple[Key, str]]  # asked for and not running: their states there
    samples: Count
    seconds: Number
    used: Number  # seconds of processor time, by the event loop for all samples
