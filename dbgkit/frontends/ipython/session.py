"""What a prompt remembers from one ``%dbg`` to the next."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbgkit.model import Failure


class NoMore(Exception):
    """There is no next root cause; the text says why."""


@dataclass
class Session:
    """The target that was opened last, and how far its root causes were walked."""

    # What was asked for; an exception where nothing was said and one was at hand.
    target: Any = None
    options: dict[str, Any] | None = None  # what it was asked for with
    _opened: BaseException | None = None  # a replay's, which no future holds
    _opened_for: Any = None
    _causes: tuple[Failure, ...] | None = None
    _shown: int = 0

    def meant(self, target: Any) -> Any:
        """What a target stands for: with nothing the last failure, as it was asked."""
        if target is not None:
            return target
        last = last_exception()
        return self._opened_for if last is not None and last is self._opened else last

    def begin(self, target: Any, options: dict[str, Any]) -> None:
        """Go on from a target, which led to a failure."""
        self.target, self.options = target, options
        self._causes, self._shown = None, 0

    def left(self, opened: BaseException | None) -> None:
        """Know what the debugger left at the prompt: it stands for the target."""
        self._opened, self._opened_for = opened, self.target

    def next(
        self, options: dict[str, Any], locate_all: Callable[..., Any]
    ) -> tuple[list[Failure], dict[str, Any]]:
        """The next root cause and those after it, and the options to open it with.

        It is the next one until `went_on`.
        """
        if self.options is None:
            raise NoMore("type %dbg first")
        options = {**self.options, **options}
        if self._causes is None:
            asked = {k: options[k] for k in ("client", "timeout") if k in options}
            self._causes = locate_all(self.target, **asked)
        if self._shown + 1 >= len(self._causes):
            number = len(self._causes)
            causes = "1 root cause" if number == 1 else f"{number} root causes"
            raise NoMore(f"that was the last of {causes}")
        return list(self._causes[self._shown + 1 :]), options

    def went_on(self) -> None:
        """Know that the next root cause was opened."""
        self._shown += 1


def last_exception() -> BaseException | None:
    """The exception that reached the prompt last, or None."""
    last = getattr(sys, "last_value", None)
    return last if isinstance(last, BaseException) else None
