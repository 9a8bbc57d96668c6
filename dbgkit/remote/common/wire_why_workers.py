"""Wire forms of ``why``: what workers know of tasks that they are to run."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from .wire import Count, Key, Moment, Number, Size


class Joining(TypedDict):
    """A worker that has registered, and is still being set up."""

    address: str
    age: Number  # seconds since it registered
    pid: Count | None
    plugins: list[str]  # which are set up then


class Waits(TypedDict):
    """``worker.why_waits.waits_of``: a primitive of Dask, with the futures' keys."""

    kind: str
    name: str | None
    keys: list[Key]
    any: bool  # of the futures one is enough
    limited: bool  # it ends by itself


class _Executing(TypedDict):
    key: Key
    since: Number | None


class Executing(_Executing, total=False):
    state: str
    stack: list[str] | None
    waits: Waits | None


# One of its fields is a word of Python.
Fetched = TypedDict(
    "Fetched",
    {
        "key": Key,
        "state": str,
        "from": str | None,
        "since": Number | None,
        "error": str,
    },
)


class ProbedTask(TypedDict):
    key: Key
    state: str | None
    since: Number | None
    inputs: list[Fetched]
    stack: list[str] | None
    waits: Waits | None


class Spilling(TypedDict):
    """How a worker spills: where, how much at most, and what failed how long ago."""

    folder: str
    free: Size | None  # bytes of that disk; None if the folder is gone
    most: Size | None
    blocked_by: Key  # its oldest value, if that cannot be pickled
    unpicklable: list[Key]
    not_written: Number | None
    no_room: Number | None


class Memory(TypedDict):
    """``worker.why_memory.memory_of``, in bytes; a threshold that is off is None.

    ``held``: of values that are not spilled, by their estimated sizes.
    """

    used: Size | None
    limit: Size | None
    pause: Number | None
    spill: Number | None
    held: Size
    spilled: Size
    spilling: Spilling | None


class Probe(TypedDict):
    """``worker.why.look_at_tasks``"""

    now: Moment
    status: str
    nthreads: Count
    executing: list[Executing]
    seceded: list[Executing]  # they hold no thread of the worker's
    ready: Count
    constrained: Count
    in_flight: Annotated[list[Any], "apart"]
    transfer_limit: Count | None
    tasks: list[ProbedTask]
    memory: Memory | None
    plugins: list[tuple[str, str]]  # whose setup failed, and their errors


class LoggedError(TypedDict):
    """``worker.why_errors.last_errors``: the newest error of a task in a log."""

    key: Key
    when: Moment
    error: str


Port = Literal["open", "closed", "silent", "unreachable", "unknown"]


class Reach(TypedDict):
    """``scheduler.why_reach.reach_of``: of a worker that did not answer.

    Whether its nanny and another worker of its host answer; None if there is none.
    """

    host: str
    pid: Count | None
    port: Port
    nanny: bool | None
    mate: bool | None
