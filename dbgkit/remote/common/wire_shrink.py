"""Wire forms of shrinking: what is asked of a place, and what it has found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from .wire import Count, Key, Number
from .wire_replays import RaisedForm

Verdict = Literal["one", "some", "block", "size", "none", "any", "flaky"]


class Described(TypedDict):
    """What a run raised; ``hints`` are positions that it gives itself.

    ``in_text``: where in a text it failed, which says more than any part of that.
    ``place``: of what Dask's own code raises, which leaves no frames: file, line, name.
    """

    form: RaisedForm
    hints: list[int]
    in_text: str
    place: Sequence[Any] | None


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
    what: str  # "row", "column", "element", "key", "line", "input"
    count: Count
    left: Count


class LeftForm(TypedDict):
    """What is left of an input's first axis."""

    name: Sequence[Any]
    path: list[Any]  # where in the slot's containers
    what: str
    count: Count
    kept: list[tuple[Count, Count]]  # spans; some of them if there are many


class LineForm(TypedDict):
    """Where a position of an input came from."""

    name: Sequence[Any]
    position: Count
    what: str  # "read_csv"
    path: str
    place: str  # "line 17", "row group 2"
    line: Count | None


class LinePlace(TypedDict):
    """Where the first row of a value is; each further row is in the next place.

    ``in_what``: ``"line"`` of a file (from 1), ``"array"``, or ``"row group N"``.
    """

    in_what: str
    number: Count


class _LineSource(TypedDict):
    what: str
    path: str
    place: str


class LineSource(_LineSource, total=False):
    """What an input was read from: the fields of a `model.Origin`.

    ``first``: what its first row is, if that was counted before: then the file is not
    read.
    """

    first: LinePlace


class _Shrunk(TypedDict):
    status: str  # "done", or why there is nothing to shrink
    text: str


class ShrunkForm(_Shrunk, total=False):
    """`worker.shrink_task.shrink`"""

    key: Key
    verdict: Verdict
    stopped: str  # "", "time", "runs", "ctrl-c", "hang", "gone"
    minimal: bool
    runs: Count
    tested: Count
    total: Count
    seconds: Number
    cuts: list[CutForm]
    left: list[LeftForm]
    every: list[Count] | None
    every_of: list[Sequence[Any]]  # the slots whose positions these are
    lines: list[LineForm]
    # A slot that is a text, and the line that it failed at.
    text_line: tuple[Sequence[Any], Count] | None
    notes: list[str]
    whole: RaisedForm
    smallest: RaisedForm
    slots: list[tuple[Sequence[Any], str, str]]  # name, words, type at first
    nbytes: Count
    # The smallest, pickled, and those of ``every``; empty if there are too many bytes.
    values: bytes
    every_values: bytes
    complete: RaisedForm
    complete_values: bytes  # the smallest, with all columns and keys, if that fails too
    told_values: bytes  # culprits as they were, of which parts were left out


class ShrinkLook(TypedDict):
    """How far a shrink on a worker is."""

    left: Count  # parts, of
    count: Count
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
    sources: dict[Any, LineSource]
    ask: str
    find: bytes
    code: bytes  # `shrink_thread.run`


class ShrinkChild(TypedDict):
    """What a child of this process needs besides, to shrink the inputs it has."""

    order: list[Any]
    limits: ShrinkLimits
    sources: dict[Any, LineSource] | None  # None: they are found in the graph
    memory: int  # bytes that one run may take
