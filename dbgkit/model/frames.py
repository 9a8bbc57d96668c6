"""Frames and values in bounded form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ValueSummary:
    """One value, told in a bounded text.

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
    def from_wire(cls, wire: Mapping[str, Any]) -> ValueSummary:
        return cls(wire["type"], wire["text"], wire["cut"], wire["hidden"])


@dataclass(frozen=True)
class FrameSummary:
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
    """

    filename: str
    lineno: int
    function: str
    source: tuple[tuple[int, str], ...] = ()
    locals: tuple[tuple[str, ValueSummary], ...] = ()
    own: bool = True
    omitted_locals: int = 0

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> FrameSummary:
        return cls(
            filename=wire["filename"],
            lineno=wire["lineno"],
            function=wire["function"],
            source=tuple((int(n), str(line)) for n, line in wire["source"]),
            locals=tuple(
                (str(name), ValueSummary.from_wire(value))
                for name, value in wire["locals"]
            ),
            own=wire["own"],
            omitted_locals=wire["omitted_locals"],
        )
