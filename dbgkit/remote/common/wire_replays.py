"""Wire forms of replays on workers and in children, and of what they ask others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from .wire import Count, Key, Raised
from .wire_recordings import FrameForm, Header, RecorderSettings, ValueForm


class StepForm(TypedDict):
    """``recording.steps.steps_wire``: a step that had begun, and its values."""

    key: Any
    function: str
    label: str
    failed: bool
    arguments: list[tuple[str, ValueForm]]
    inputs: list[tuple[Any, ValueForm]]


class RaisedForm(TypedDict):
    """``recording.raised.raised``: what is compared of an exception."""

    type: str
    message: str  # its `str`
    text: str  # its `repr`
    broken_repr: tuple[str, str] | None  # type and message of what that raises
    frames: list[Sequence[Any]]  # file name, line, function
    chain: list[list[Any]]  # type, message, text, whether it is the task's own
    cut: bool  # whether a part of the chain is not the task's


class RunError(RaisedForm):
    """With its kind, by which its recording is found."""

    kind: str
    handed: list[Any]


class RunForm(TypedDict):
    """One run of a task."""

    error: RunError | None
    returned: ValueForm | None
    key: Any
    seconds: float


class SentRecording(Header):
    packed: bytes


class _ReplayAnswer(TypedDict):
    status: str  # "done", "timeout" (the thread still runs), or why it was not run
    key: Any


class ReplayAnswer(_ReplayAnswer, total=False):
    """``worker.replay.replay``: what it has found, or why the task was not run."""

    text: str
    size: int
    free: int
    limit: str
    runs: list[RunForm]
    recordings: dict[str, SentRecording]
    steps: dict[str, list[StepForm]]
    changed: list[Any]
    prints: list[list[Any]]
    notes: list[str]
    thread: str
    stage: str
    seconds: float


class _Job(TypedDict):
    order: list[Any]  # keys to run, the task's own last
    specs: dict[Any, bytes]  # pickled
    # Of what is in memory: the key that workers have it by, and their addresses.
    inputs: dict[Any, tuple[Any, Sequence[str]]]
    nbytes: int  # of these
    times: int
    timeout: float
    ancestors: bool  # whether what leads to the task belongs to each run
    limits: RecorderSettings  # of a recording


class Job(_Job, total=False):
    """What ``worker.replay.replay`` takes."""

    compared: list[Any]  # inputs whose fingerprints are wanted before and after a run
    ask: str  # see `replay_leases.Tools`
    find: bytes
    code: bytes  # `replay_thread.run`


# -- calls on workers ----------------------------------------------------------


class Ran(TypedDict):
    status: Literal["OK"]
    result: Any


class NotRun(TypedDict):
    """The worker has gone, or did not answer in time."""

    status: Literal["gone", "silent"]


class RanIntoError(TypedDict):
    status: str
    exception: Raised


# ``scheduler.foresight.run_on_workers``
Called = Ran | NotRun | RanIntoError


class Look(TypedDict):
    """``worker.replay.look``: whether a worker could run a task."""

    pid: Count
    status: str
    held: list[Key]
    actors: list[Key]
    free: Count
    limit: str


# -- parts of a worker, which a stand-in asks for ------------------------------


class _PartForm(TypedDict):
    status: Literal["ok", "missing", "unsendable", "large"]
    type: str


class PartForm(_PartForm, total=False):
    """``worker.parts.read_part``"""

    data: bytes  # if it is ok
    owner: str  # if it is missing: the class that lacks it
    text: str  # otherwise: why not


# -- replays in a child of this process ----------------------------------------


class ChildCluster(TypedDict):
    """How a child reaches the cluster."""

    address: str
    security: Any
    timeout: float


class _ChildTask(TypedDict):
    key: Any
    scope: str
    outputs: list[Any]
    inputs: Any
    timeout: float
    max_bytes: int
    worker: str
    known: Any
    secret_names: tuple[str, ...]
    cluster: ChildCluster | None
    alone: bool


class ChildTask(_ChildTask, total=False):
    """What a child is to run; one that was not forked reads run specs."""

    specs: dict[Any, bytes]
    shrink: Any  # of one that shrinks: a `wire_shrink.ShrinkChild`


class ChildError(TypedDict):
    raised: RaisedForm
    lack: Any
    handed: list[str]
    ends_worker: bool
    frames: list[FrameForm]


class ChildResult(TypedDict):
    """``replays.child.run_nodes``"""

    seconds: float
    notes: list[str]
    exception: ChildError | None
    steps: list[StepForm]
