"""Parts of sentences, on whichever side they are written: counts, durations, sizes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

MOST_NAMED = 5


def cut(text: str, limit: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def several(
    names: Iterable[Any], count: int | None = None, most: int = MOST_NAMED
) -> str:
    """The first few of some names, and how many more there are."""
    found = list(names)
    named = ", ".join(str(name) for name in found[:most])
    more = (len(found) if count is None else count) - min(len(found), most)
    return f"{named} and {more:,} more" if more > 0 else named


def seconds(value: float) -> str:
    """A duration: ``0.5 s``, ``12 s``, ``3 min``."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def size(nbytes: float) -> str:
    """A number of bytes."""
    from dask.utils import format_bytes

    return str(format_bytes(int(nbytes)))


def moment(when: float) -> str:
    """A point in time, to the second; in UTC, as the reader may be anywhere."""
    return _in_utc(when, "%Y-%m-%d %H:%M:%S UTC")


def clock(when: float) -> str:
    """A time of day, where the day is known."""
    return _in_utc(when, "%H:%M:%S UTC")


def _in_utc(when: float, form: str) -> str:
    return datetime.fromtimestamp(when, tz=timezone.utc).strftime(form)


def counted(count: int, noun: str, nouns: str = "") -> str:
    """``1 task``, ``2,000 tasks``."""
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"


def literal_of(key: Any) -> str:
    """A key as Python spells it, where a bare number is another thing.

    >>> print(literal_of(("x", 0)), literal_of(2))
    ('x', 0) (2)
    """
    text = repr(key)
    return f"({text})" if text.isdecimal() else text


def typed_key(key: Any) -> str:
    """A key as a command reads it: a text as it is, if nothing in it is unseen."""
    plain = isinstance(key, str) and key.isprintable() and not key.isdecimal()
    return key if plain and key else literal_of(key)


def quoted(text: str) -> str:
    """A text as one word of a shell, in double quotes where it has single ones.

    >>> print(quoted("('x', 0)"), quoted("load-1"), quoted("a b"))
    "('x', 0)" load-1 'a b'
    """
    if "'" in text and not re.search(r'["$`!]|\\(?:\\|\n|$)', text):
        return f'"{text}"'
    return shlex.quote(text)
