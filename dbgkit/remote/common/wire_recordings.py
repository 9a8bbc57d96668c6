"""Wire forms of recordings, of replays on workers, and of calls on workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

from .wire import Count, Key, Moment, PagePlace


class _Header(TypedDict):
    key: Key
    exception_type: str
    message: str
    worker: str
    pid: int
    when: Moment
    left_out: int
    gap: str


class Header(_Header, total=False):
    """What a recording is of."""

    carried: bool  # the task's result carries the exception (see ``common.carried``)


class ListedHeader(Header):
    """``scheduler.recordings_store.RecordStore.on_list``"""

    number: Count
    size: Count


class RecordedPart(TypedDict):
    """What was recorded of a failure, until it is sent."""

    exception_type: str
    message: str
    kind: str
    gap: str
    left_out: int
    packed: bytes


class _RecordingEvent(Header):
    kind: str
    packed: bytes


class RecordingEvent(_RecordingEvent, total=False):
    """A recording as it comes to the scheduler."""

    number: int


class RecorderSettings(TypedDict, total=False):
    """``recording.take.Limits``, and what is held in all."""

    seconds: float
    nbytes: int
    kept: int
    kept_in_all: int
    frames: int
    locals: int
    repeats: int
    secret_names: list[str]
    hold: int
    keep_inputs: int
    dashboard: bool


class Here(TypedDict):
    """The answer to a plugin that has just been set up; None: it is not wanted."""

    settings: RecorderSettings | None


class _KeptInputsForm(TypedDict):
    kept: Count
    nbytes: Count


class KeptInputsForm(_KeptInputsForm, total=False):
    dropped: Count


class RecordingsForm(TypedDict):
    """What the recorder holds."""

    # Anybody can send recordings: each header is checked for itself.
    headers: Annotated[list[ListedHeader], "apart"]
    omitted: Count
    counts: dict[str, Count]
    held: Count
    hold: Count
    inputs: KeptInputsForm
    since: Moment


class OtherSettings(TypedDict):
    """The recorder is on: the plugin is to be sent again, made of these."""

    settings: Annotated[RecorderSettings, "mapping"]


class Without(TypedDict):
    """By address: why it is not there yet, and where it failed."""

    without: dict[str, str]
    broken: dict[str, str]


class IsOn(Without):
    was_on: bool
    page: PagePlace | None


class IsOff(TypedDict):
    others: Count
    without: dict[str, str]


class _RecorderQuestion(TypedDict):
    name: str
    verb: str
    options: dict[str, Any]


class RecorderQuestion(_RecorderQuestion, total=False):
    """``scheduler.recordings.ask_recorder``"""

    plugin: bytes
    remains: list[str]


class RecorderAnswer(TypedDict):
    """What the recorder's part answers; None where it is off."""

    answer: Any


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
