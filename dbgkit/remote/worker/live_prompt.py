"""What a prompt on a worker needs of its stop, and what ends a wait there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class GoOn(BaseException):
    """The task is to go on by itself: raised at the prompt."""


class Interrupted(BaseException):
    """What runs at the prompt is interrupted.

    A class of our own: Dask lets a ``KeyboardInterrupt`` of a task end its worker.
    """


class Asked(Protocol):
    """A stop, whose session can be asked and told."""

    visitor: Any

    def read(self, wanted: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The next message, after saying what is wanted."""

    def say(self, message: Mapping[str, Any]) -> None:
        """Send a message to whoever is there."""
