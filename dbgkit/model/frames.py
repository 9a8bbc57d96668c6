"""Frames and values in bounded form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from dbgkit.model.base import Jsonable

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_recordings import FrameForm, ValueForm

T = TypeVar("T")

LONGEST = 1e9  # seconds: 30 years


def checked(kind: type[T], value: Any) -> T:
    """A value that came from another process, checked for its type.

    Raises
    ------
    TypeError
        It is not.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} where {kind.__name__} was expected")
    return value


def duration(value: Any) -> float:
    """A duration in seconds, checked as by `checked`.

    Raises
    ------
    TypeError, ValueError
        It is not a possible duration.
    """
    seconds = checked(float, value)
    if not 0.0 <= seconds < LONGEST:
        raise ValueError(f"{seconds} where seconds were expected")
    return seconds


@dataclass(frozen=True)
class ValueSummary:
    """One value, described in a bounded text.

    Attributes
    ----------
    type : str
        Name of its type, with the module unless builtin.
    text : str
        What it is: an array's dtype, shape and NaN count, a frame's rows and
        dtypes, else a cut ``repr``.
    cut : bool
        Whether the text leaves part of the value out.
    hidden : bool
        Whether the value was hidden, as it looks like a secret.
    """

    type: str
    text: str
    cut: bool = False
    hidden: bool = False

    @classmethod
    def from_wire(cls, wire: ValueForm) -> ValueSummary:
        return cls(
            checked(str, wire["type"]),
            checked(str, wire["text"]),
            bool(wire["cut"]),
            bool(wire["hidden"]),
        )


@dataclass(frozen=True)
class FrameSummary(Jsonable):
    """One frame of a traceback, in bounded form.

    Attributes
    ----------
    filename, lineno, function : str, int, str
        Where; ``lineno`` counts from 1.
    source : tuple of (int, str)
        Numbered source lines around ``lineno``; empty where no source is found.
    locals : tuple of (str, ValueSummary)
        The local variables, in order of their assignment in the frame.
    own : bool
        Whether it is the user's own code: neither Dask, the standard library nor
        an installed package.
    omitted_locals : int
        How many locals were left out.
    code : tuple of str
        What leads to the source on another machine: the code's fingerprint, its module
        and the module's file; empty if that was not recorded.
    """

    filename: str
    lineno: int
    function: str
    source: tuple[tuple[int, str], ...] = ()
    locals: tuple[tuple[str, ValueSummary], ...] = ()
    own: bool = True
    omitted_locals: int = 0
    code: tuple[str, ...] = ()
    _json = "filename lineno function own source locals=_shown_locals omitted_locals"

    @property
    def _shown_locals(self) -> dict[str, dict[str, str]]:
        return {
            name: {"type": value.type, "text": value.text}
            for name, value in self.locals
        }

    @classmethod
    def from_wire(cls, wire: FrameForm) -> FrameSummary:
        return cls(
            filename=checked(str, wire["filename"]),
            lineno=checked(int, wire["lineno"]),
            function=checked(str, wire["function"]),
            source=tuple((int(n), str(line)) for n, line in wire["source"]),
            locals=tuple(
                (str(name), ValueSummary.from_wire(value))
                for name, value in wire["locals"]
            ),
            own=bool(wire["own"]),
            omitted_locals=checked(int, wire["omitted_locals"]),
            code=tuple(map(str, wire.get("code") or ())),
        )
