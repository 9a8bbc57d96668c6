"""Recordings: what a worker saw of a task at the moment it failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from dbgkit.model.base import Jsonable, Span
from dbgkit.model.bounded import bounded_frames, bounded_name, bounded_text
from dbgkit.model.display import Displayed
from dbgkit.model.frames import FrameSummary, checked
from dbgkit.model.kept import Restoring
from dbgkit.model.origin import Origin
from dbgkit.remote.common.keys import as_key
from dbgkit.remote.common.sentences import several
from dbgkit.remote.common.texts import in_line

if TYPE_CHECKING:
    from dask.typing import Key

    from dbgkit.remote.common.wire_recordings import Content, Header


@dataclass(frozen=True)
class SwitchedOn:
    """The result of turning the recorder on.

    Attributes
    ----------
    was_on : bool
        Whether it was on before, whoever wanted it.
    without : mapping of str to str
        Addresses of workers, or nannies, that do not have it yet, and why. They get it
        as soon as they answer.
    page : str
        Address of the page, if there is one.
    """

    was_on: bool
    without: Mapping[str, str] = field(default_factory=dict)
    page: str = ""

    def __str__(self) -> str:
        return f"The recorder is on{_but(self.without)}"


@dataclass(frozen=True)
class SwitchedOff:
    """The result of turning the recorder off.

    Attributes
    ----------
    others : int
        How many other clients want it; it stays on as long as they do.
    without : mapping of str to str
        Addresses of workers, or nannies, that still have it, and why. They lose it as
        soon as they answer.
    """

    others: int = 0
    without: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.others:
            who = "another client wants" if self.others == 1 else "other clients want"
            return f"The recorder stays on, as {who} it."
        return f"The recorder is off{_but(self.without)}"


def _but(without: Mapping[str, str]) -> str:
    """The end of a sentence that names those that did not answer."""
    if not without:
        return "."
    shown = several((f"{address} ({why})" for address, why in without.items()), most=3)
    return f", except on {shown}: it follows as soon as it answers."


@dataclass(frozen=True)
class RecordedCause(Jsonable):
    """A cause of a recorded exception, or a member of a group.

    Attributes
    ----------
    how : str
        ``"cause"`` (``raise … from``), ``"context"`` (while handling it) or
        ``"member"`` (of an exception group).
    exception_type, message : str
    frames : tuple of FrameSummary
        Its innermost frame alone.
    values : mapping
        As of a `Recording`.
    parent : int
        Index of the cause that it belongs to; -1 for the recorded exception itself.
    """

    how: str
    exception_type: str
    message: str
    frames: tuple[FrameSummary, ...] = field(default=(), repr=False)
    values: Mapping[int, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    parent: int = -1
    _json = "how parent exception_type message frames"


@dataclass(frozen=True)
class RecordedInput:
    """An input of the task, identified by its fingerprint.

    ``digest`` is empty if there is none; ``whole`` says whether the whole value was
    read for it.
    """

    key: Key
    type: str
    digest: str
    whole: bool


@dataclass(frozen=True)
class Recording(Displayed):
    """What a worker saw of a task at the moment it failed.

    Attributes
    ----------
    key : Key
    name : str
        The task in human words.
    exception_type, message, traceback_text : str
        As on the worker; secrets hidden.
    worker : str
        Address of the worker.
    pid : int
        Of its process.
    when : datetime
        When it failed (timezone-aware, UTC).
    frames : tuple of FrameSummary
        Outermost first, without Dask's own.
    values : mapping
        Index in `frames` -> ``{name: value}``: locals that were small enough to be
        recorded whole.
    causes : tuple of RecordedCause
        What it was raised from, nearest first; the first members of a group.
    more_causes : int
        How many more there were; 1,000 means 1,000 or more.
    inputs : tuple of RecordedInput
        Fingerprints of the task's inputs, as they were when it had failed.
    came_from : tuple of Origin
        The literals that lead to it, as far as its worker knew them.
    short : bool
        Whether it was kept short because the worker had recorded enough of its kind.
    left_out : int
        How many times something was cut off to keep it within its size.
    gap : str
        Why there is no content; empty if there is.
    seconds : float
        How long it took to record.
    secret_names : tuple of str
        Further names that were to be hidden.
    foreign : bool
        Whether it is out of a file of unknown origin: nothing of this machine is shown
        as if it were of the recording's.
    sources : mapping of str to str
        Of a foreign one: the texts of its files, as far as they came along.
    """

    key: Key
    name: str
    exception_type: str
    message: str
    worker: str
    pid: int
    when: datetime
    traceback_text: str = ""
    frames: tuple[FrameSummary, ...] = field(default=(), repr=False)
    values: Mapping[int, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    causes: tuple[RecordedCause, ...] = field(default=(), repr=False)
    more_causes: int = 0
    inputs: tuple[RecordedInput, ...] = field(default=(), repr=False)
    came_from: tuple[Origin, ...] = field(default=(), repr=False)
    short: bool = False
    left_out: int = 0
    gap: str = ""
    seconds: float = 0.0
    secret_names: tuple[str, ...] = field(default=(), repr=False)
    foreign: bool = field(default=False, repr=False)
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)
    _json = (
        "key name exception_type message worker pid when gap short left_out "
        "traceback_text came_from frames causes more_causes"
    )

    def __repr__(self) -> str:
        raised = f"{self.exception_type}: {self.message[:80]!r}"
        from dbgkit.remote.secrets.redact import redact_text

        return in_line(f"<Recording of {redact_text(repr(self.key))}: {raised}>")


@dataclass(frozen=True)
class Recordings(Displayed):
    """What the recorder holds.

    Attributes
    ----------
    recordings : tuple of Recording
        The newest first.
    omitted : int
        How many more there are.
    failures : int
        How many failures were seen since `since`.
    gaps : int
        How many of them without a recording's content.
    dropped : int
        How many were dropped to keep within `hold`.
    held, hold : int
        Bytes held, and the limit.
    kept_inputs, kept_bytes : int
        Inputs of failed tasks that are kept on the workers, and their size.
    since : datetime or None
        When the recorder was turned on; None: it is off.
    span : Span or None
    notes : tuple of str
    asked : tuple of Key
        The tasks that were asked for; empty: all. The counts above are of all tasks,
        but for `omitted`.
    unknown : tuple of Key
        Those of `asked` of which there is no recording.
    """

    recordings: tuple[Recording, ...]
    omitted: int = 0
    failures: int = 0
    gaps: int = 0
    dropped: int = 0
    held: int = 0
    hold: int = 0
    kept_inputs: int = 0
    kept_bytes: int = 0
    since: datetime | None = None
    span: Span | None = None
    notes: tuple[str, ...] = ()
    asked: tuple[Key, ...] = ()
    unknown: tuple[Key, ...] = ()
    _json = "failures gaps dropped omitted held hold since notes unknown recordings"

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, index: int) -> Recording:
        return self.recordings[index]


HOW = ("cause", "context", "member")
MOST_CAUSES = 100
# What reading may raise for data that our recorder did not write.
MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,  # a time that no clock of this system has
    RecursionError,
    TypeError,
    ValueError,
)


def recording_from_wire(
    header: Header, content: Content | None, name: str
) -> Recording:
    """A recording made from what the scheduler holds."""
    # Anybody may have made it: readers catch `MALFORMED`.
    body: Any = content or {}
    restoring = Restoring(printable=True)
    frames = bounded_frames(body.get("frames", ()))
    causes = list(body.get("causes", ()))
    more, beyond = len(causes) - MOST_CAUSES, len(body.get("frames", ())) - len(frames)
    return Recording(
        key=header["key"],
        name=name,
        exception_type=bounded_name(header["exception_type"]),
        message=bounded_text(body.get("message") or header["message"]),
        worker=bounded_name(header["worker"]),
        pid=header["pid"],
        when=datetime.fromtimestamp(header["when"], tz=timezone.utc),
        traceback_text=bounded_text(body.get("traceback_text", "")),
        frames=frames,
        values=_values(body.get("kept", ()), len(frames), restoring),
        causes=tuple(_causes(causes[:MOST_CAUSES], restoring)),
        more_causes=body.get("more_causes", 0) + max(0, more),
        inputs=tuple(_input(*each) for each in body.get("inputs", ())),
        came_from=tuple(map(Origin.from_wire, body.get("came_from", ()))),
        short=body.get("short", False),
        left_out=header["left_out"] + max(0, beyond),
        gap=header["gap"],
        seconds=body.get("seconds", 0.0),
        secret_names=tuple(body.get("secret_names", ())),
    )


def _input(key: Any, kind: Any, digest: Any, whole: Any) -> RecordedInput:
    return RecordedInput(
        as_key(key), checked(str, kind), checked(str, digest), bool(whole)
    )


def _causes(wire: Sequence[Any], restoring: Restoring) -> Iterator[RecordedCause]:
    for index, cause in enumerate(wire):
        how, parent = checked(str, cause["how"]), checked(int, cause["parent"])
        if how not in HOW or not -1 <= parent < index:
            raise ValueError(f"a cause that is {how!r:.20} of {parent}")
        frames = bounded_frames(cause["frames"])
        yield RecordedCause(
            how,
            bounded_name(cause["exception_type"]),
            bounded_text(cause["message"]),
            frames,
            _values(cause["kept"], len(frames), restoring),
            parent,
        )


def _values(
    wire: Iterable[Any], frames: int, restoring: Restoring
) -> dict[int, dict[str, Any]]:
    values: dict[int, dict[str, Any]] = {}
    for index, variable, kept in wire:
        if type(index) is not int or not 0 <= index < frames:
            continue
        try:
            value = restoring.restore(kept)
        except (ImportError, *MALFORMED):
            continue  # its library is not here, or reads it differently: shown as text
        values.setdefault(index, {})[checked(str, variable)] = value
    return values
