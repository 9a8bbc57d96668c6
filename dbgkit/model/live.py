"""What turning live sessions on and off has come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dbgkit.remote.common.sentences import counted, several


@dataclass(frozen=True)
class WentOn:
    """The result of turning it on.

    Attributes
    ----------
    without : mapping of str to str
        Addresses of workers where tasks do not stop (yet), and why.
    tasks : mapping of str to int, optional
        How many tasks a place by key means, by state. None: it is not by key.
    """

    without: Mapping[str, str] = field(default_factory=dict)
    tasks: Mapping[str, int] | None = None

    def __str__(self) -> str:
        return f"breakpoint() stops in tasks{_but(self.without)}"


@dataclass(frozen=True)
class WentOff:
    """The result of turning it off.

    Attributes
    ----------
    others : int
        How many other uses there are, for which tasks still stop.
    went_on : int
        How many tasks waited, and go on now.
    without : mapping of str to str
        Addresses of workers that did not answer, and why. They follow as soon as they
        do.
    places : bool
        Whether what `break_at` has armed was meant, and nothing else.
    """

    others: int = 0
    went_on: int = 0
    without: Mapping[str, str] = field(default_factory=dict)
    places: bool = False

    def __str__(self) -> str:
        state = "live is off" if not self.others else "live stays on for others"
        if self.places:
            state = "what was armed is taken off"
        went_on = ""
        if self.went_on:
            verb = "waited and goes" if self.went_on == 1 else "waited and go"
            went_on = f"; {counted(self.went_on, 'task')} {verb} on"
        return f"{state}{went_on}{_but(self.without)}"


def _but(without: Mapping[str, str]) -> str:
    """The end of a sentence that names those that did not answer, or refuse."""
    if not without:
        return "."
    shown = several((f"{address} ({why})" for address, why in without.items()), most=3)
    return f", except on {shown}."
