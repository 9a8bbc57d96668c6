"""Wire forms of live sessions: who has armed, what waits, what a session says."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from .wire import Count, Key, Moment, Number


class CodeForm(TypedDict):
    """Code to stop in, by what it is (see ``common.codes.fingerprint``)."""

    name: str
    first: Count  # its first line
    mark: str
    module: str
    path: str  # its qualified name


class AtForm(TypedDict):
    """Where tasks are to stop: by key or prefix, by a line, or in some code."""

    text: str  # as it is shown
    keys: list[Any]
    prefix: str
    file: str
    line: Count  # 0: none
    codes: list[CodeForm]
    when: str  # "start", "error" or "line"
    condition: str
    hits: Count
    once: bool
    log: str
    spent: bool  # it has stopped once, and is not to stop again


class _Arming(TypedDict):
    most: Count
    limit: Number


class Arming(_Arming, total=False):
    """One use of ``live``, or with ``at`` one of ``break_at``, as workers have it.

    With ``holds`` one of ``record``, which stops nothing: failures are held.
    """

    at: AtForm
    holds: bool


class LiveSettings(TypedDict):
    """What a worker's part is to know: all armings, by token."""

    armings: dict[str, Arming]


class PlaceForm(TypedDict):
    """A line that a frame stands at, and whose code that is (see `FrameCode`)."""

    name: str
    line: Count
    mark: str
    module: str
    file: str
    text: str  # the line itself, where the worker has it


class StopForm(TypedDict):
    """A task that has stopped: ``worker.live_stop.Stop.form``."""

    id: str
    key: Key
    prefix: str
    worker: str
    thread: str
    place: PlaceForm
    since: Moment
    until: Moment
    state: str  # "waiting", "running" or "held"
    who: str  # who is in it; empty: nobody
    entered: Moment | None
    commands: Count
    resources: dict[str, float]
    cancelled: bool
    tokens: list[str]
    exception: str  # of a failure that is held: class and message


class PassedForm(TypedDict):
    """Tasks that came to a ``breakpoint()`` and went on."""

    prefix: str
    why: str
    place: PlaceForm
    count: Count
    example: Key
    when: Moment


class ValueForm(TypedDict):
    """What an expression came to where tasks do not stop, but report it."""

    tokens: list[str]
    key: Key
    worker: str
    place: PlaceForm
    asked: str
    value: str


class ArmedForm(TypedDict):
    """One use of ``live`` or ``break_at``, as the scheduler lists it."""

    at: str  # ``break_at('load')``; empty: every ``breakpoint()``
    holds: bool  # failures are held, and nothing stops
    who: str
    everyone: bool
    most: Count
    limit: Number
    since: Moment


class StopsForm(TypedDict):
    """``scheduler.live.LiveStops.on_list``"""

    # Anybody can send events: each is checked for itself.
    stops: Annotated[list[StopForm], "apart"]
    held: Annotated[list[StopForm], "apart"]
    passed: Annotated[list[PassedForm], "apart"]
    omitted: Count
    armed: list[ArmedForm]
    now: Moment


class _IsLive(TypedDict):
    refused: str
    without: dict[str, str]
    broken: dict[str, str]


class IsLive(_IsLive, total=False):
    """``scheduler.live.LiveStops.on_on``"""

    tasks: dict[str, Count] | None  # of a place by key, by state


class IsNotLive(TypedDict):
    """``scheduler.live.LiveStops.on_off``"""

    others: Count
    went_on: Count
    without: dict[str, str]


class _LiveQuestion(TypedDict):
    name: str
    verb: str
    options: dict[str, Any]


class LiveQuestion(_LiveQuestion, total=False):
    """``scheduler.recordings.ask_recorder``, which passes on to any part."""

    plugin: bytes
    remains: list[str]


class LiveStopsForm(TypedDict):
    answer: StopsForm | None


class LiveOnForm(TypedDict):
    answer: IsLive


class LiveOffForm(TypedDict):
    answer: IsNotLive | None
