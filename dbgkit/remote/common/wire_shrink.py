"""Wire forms of shrinking: what is asked of a place, and what it has found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from .wire_replays import RaisedForm


class ShrinkLimits(TypedDict):
    """How long and how often it may run, and what of the result is brought home."""

    seconds: float  # in all
    once: float  # for one run
    runs: int | None
    all: bool
    most: int  # bytes of the smallest input


class CutForm(TypedDict):
    """What became of one axis of an input."""

    names: list[Sequence[Any]]  # slots that were cut alike, see `shrink_call.Name`
    path: list[Any]  # where in the slot's containers
    axis: int
    what: str  # "row", "column", "element", "key", "line", "input"
    count: int
    left: int
    kept: list[Sequence[int]]  # spans; some of them if there are many


class LineForm(TypedDict):
    """Where a position of an input came from."""

    name: Sequence[Any]
    position: int
    what: str  # "read_csv"
    path: str
    place: str  # "line 17", "row group 2"
    line: int | None


class _Shrunk(TypedDict):
    status: str  # "done", or why there is nothing to shrink
    text: str


class ShrunkForm(_Shrunk, total=False):
    """`worker.shrink_task.shrink`"""

    key: Any
    verdict: str
    stopped: str  # "", "time", "runs", "ctrl-c", "hang", "gone"
    minimal: bool
    runs: int
    tested: int
    total: int
    seconds: float
    cuts: list[CutForm]
    every: list[int] | None
    lines: list[LineForm]
    text_line: tuple[Any, int] | None  # a slot that is a text, and where it failed
    notes: list[str]
    whole: RaisedForm
    smallest: RaisedForm
    slots: list[Sequence[Any]]  # name, words, type at first
    nbytes: int
    values: bytes  # the smallest, pickled; empty if there are too many bytes


class ShrinkLook(TypedDict):
    """How far a shrink on a worker is."""

    left: int  # parts, of
    count: int
    best: ShrunkForm | None  # so far, without values; None before the whole has run
    done: bool  # ``best`` is all that comes
    thread: str  # that still runs, if it is done because a run does not end


class ShrinkJob(TypedDict, total=False):
    """What `worker.shrink.begin` takes: as a `wire_replays.Job`, and its limits."""

    name: str
    order: list[Any]
    specs: dict[Any, bytes]
    inputs: dict[Any, tuple[Any, Sequence[str]]]
    nbytes: int
    timeout: float
    limits: ShrinkLimits
    sources: dict[Any, Any]
    ask: str
    find: bytes
    code: bytes  # `shrink_thread.run`


class ShrinkChild(TypedDict):
    """What a child of this process needs besides, to shrink the inputs it has."""

    order: list[Any]
    limits: ShrinkLimits
    sources: dict[Any, Any] | None  # None: they are found in the graph
    memory: int  # bytes that one run may take
