"""What several kinds of data share: keys and times, and how they are written."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Span:
    """The span of time in which an answer was taken (timezone-aware, UTC)."""

    start: datetime
    end: datetime


class FoundIn:
    """Mixin for ``found_in``, formerly ``source``, as it still is in JSON."""

    found_in: str

    @property
    def source(self) -> str:
        """The former name of `found_in`."""
        warnings.warn(
            f"{type(self).__name__}.source is now called found_in: source means the "
            "text of code",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.found_in

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Accept pickles with the former name, too."""
        vars(self).update(state)
        if "source" in vars(self):
            vars(self)["found_in"] = vars(self).pop("source")


def iso_time(when: datetime | None) -> str | None:
    return when.isoformat() if when else None


def iso_span(span: Span | None) -> list[str] | None:
    return [span.start.isoformat(), span.end.isoformat()] if span else None


def plain_key(key: Any) -> Any:
    """A key as JSON has it: tuples become their text."""
    return key if isinstance(key, (str, int, float, type(None))) else str(key)


def as_key(key: Any) -> Any:
    """A key as it was: msgpack may make lists of tuples."""
    return tuple(map(as_key, key)) if isinstance(key, (list, tuple)) else key
