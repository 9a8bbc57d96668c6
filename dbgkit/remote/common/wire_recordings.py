"""Wire forms of recordings, of replays on workers, and of calls on workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict

from .wire import Count, Key, Moment, Raised


class _Header(TypedDict):
    key: Key
    exception_type: str
    message: str
    worker: str
    pid: int
    when: Moment
    left_out: int
    gap: str


class Header(_Header):
    """``scheduler.recordings_store.RecordStore.on_list``: what a recording is of."""

    number: Count
    size: Count


class KeptInputsForm(TypedDict):
    kept: Count
    nbytes: Count


class RecordingsForm(TypedDict):
    """What the recorder holds."""

    # Anybody can send recordings: each header is checked for itself.
    headers: Annotated[list[Header], "apart"]
    omitted: Count
    counts: dict[str, Count]
    held: Count
    hold: Count
    inputs: KeptInputsForm
    since: Moment


class OtherSettings(TypedDict):
    """The recorder is on: the plugin is to be sent again, made of these."""

    settings: dict[str, Any]


class Without(TypedDict):
    """By address: why it is not there yet, and where it failed."""

    without: dict[str, str]
    broken: dict[str, str]


class IsOn(Without):
    was_on: bool


class IsOff(TypedDict):
    others: Count
    without: dict[str, str]


# ``scheduler.recordings.ask_recorder`` passes on what the recorder's part answers.
class ListedForm(TypedDict):
    answer: RecordingsForm | None


class FetchedForm(TypedDict):
    answer: dict[int, bytes] | None


class SwitchedOnForm(TypedDict):
    answer: OtherSettings | IsOn


class SwitchedOffForm(TypedDict):
    answer: IsOff | None


# -- what a recording holds, checked as it is read -----------------------------


class ValueForm(TypedDict):
    """``values.summarize.summarize``"""

    type: str
    text: str
    cut: bool
    hidden: bool


class _FrameForm(TypedDict):
    filename: str
    lineno: int
    function: str
    source: Sequence[Sequence[Any]]
    locals: list[Any]  # [name, ValueForm]
    own: bool
    omitted_locals: int


class FrameForm(_FrameForm, total=False):
    """``values.summarize.summarize_frames``"""

    code: list[str]


class CauseForm(TypedDict):
    """What an exception was raised from, or a member of a group."""

    how: str
    parent: int
    exception_type: str
    message: str
    frames: list[FrameForm]
    kept: list[Any]


class _OriginWords(TypedDict):
    text: str


class OriginWords(_OriginWords, total=False):
    """``recording.origins.worded``"""

    what: str
    path: str
    place: str
    key: Key
    call: bool


class Content(TypedDict):
    """``recording.take.take``: a recording, before it is packed."""

    format: int
    kind: str
    exception_type: str
    message: str
    traceback_text: str
    frames: list[FrameForm]
    kept: list[Any]
    causes: list[CauseForm]
    more_causes: int
    inputs: list[Any]
    came_from: list[OriginWords]
    short: bool
    secret_names: list[str]
    when: Moment
    seconds: float


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
    room: Count
    limit: str
