"""What a prompt remembers from one ``%dbg`` to the next."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbgkit.model import Failure


class NoMore(Exception):
    """There is no such root cause; the text says why."""


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
    _listed: tuple[Failure, ...] | None = None  # as they were last shown
    _walks_list: bool = False  # whether the next root cause is the next of that list

    def meant(self, target: Any) -> Any:
        """What a target stands for: with nothing the last failure, as it was asked."""
        if target is not None:
            return target
        last = last_exception()
        return self._opened_for if last is not None and last is self._opened else last

    def note_shown(self, value: Any) -> None:
        """Know the value that a cell has shown: numbers are those of a list in it."""
        model = sys.modules.get("dbgkit.model")
        if model is None:  # or nothing of ours was made yet
            return
        if isinstance(value, model.ClusterReport):
            value = value.failures
        if not isinstance(value, model.FailureReport):
            return
        self._listed = tuple(group.example for group in value.groups)
        if self._listed:
            self.target, self.options = None, {}
            self._shown, self._walks_list = -1, True

    def listed(self, number: int) -> tuple[Any, dict[str, Any]]:
        """What a number in the list stands for, and the options to ask for it with."""
        if self._listed is None:
            raise NoMore(
                f"{number} is a number in the list that %dbg_failures shows, and none "
                f"was shown; the key {number} is written ({number})"
            )
        count = len(self._listed)
        if not 1 <= number <= count:
            raise NoMore(f"there is no failure {number} in the list of {count}")
        failure = self._listed[number - 1]
        options = dict(failure.evidence.again)
        # A client that was opened for an address has closed.
        return failure.key if "client" in options else failure, options

    @property
    def listed_keys(self) -> list[Any]:
        """Keys in the list."""
        return [each.key for each in self._listed or () if each.key is not None]

    def begin(self, target: Any, options: dict[str, Any], number: int = 0) -> None:
        """Go on from a target, which led to a failure: that number in the list."""
        self.target, self.options = target, options
        self._causes, self._shown = None, max(0, number - 1)
        self._walks_list = number > 0

    @property
    def place_in_list(self) -> str | None:
        """Where in the list the one is that is opened next; None: it is of no list."""
        count = len(self._listed or ())
        return f"{self._shown + 2} of {count} listed" if self._walks_list else None

    def left(self, opened: BaseException | None) -> None:
        """Know what the debugger left at the prompt: it stands for the target."""
        self._opened, self._opened_for = opened, self.target

    def next(
        self, options: dict[str, Any], locate_all: Callable[..., Any]
    ) -> tuple[Any, dict[str, Any]]:
        """The next root cause and those after it, and the options to open it with.

        It is the next one until `went_on`.
        """
        if self.options is None:
            raise NoMore("type %dbg or %dbg_failures first")
        options = {**self.options, **options}
        if self._walks_list:
            count = len(self._listed or ())
            if self._shown + 1 >= count:
                raise NoMore(f"that was the last of the {count} that were listed")
            target, given = self.listed(self._shown + 2)
            return target, {**given, **options}
        if self._causes is None:
            asked = {k: options[k] for k in ("client", "timeout") if k in options}
            self._causes = locate_all(self.target, **asked)
        if self._shown + 1 >= len(self._causes):
            number = len(self._causes)
            if number == 1:
                listing = "%dbg_failures lists all failures"
                raise NoMore(f"it has no other root cause; {listing}")
            raise NoMore(f"that was the last of {number} root causes")
        return list(self._causes[self._shown + 1 :]), options

    def went_on(self) -> None:
        """Know that the next root cause was opened."""
        self._shown += 1


def last_exception() -> BaseException | None:
    """The exception that reached the prompt last, or None."""
    last = getattr(sys, "last_value", None)
    return last if isinstance(last, BaseException) else None
