"""Shared wording: sizes, times, counts, keys and places, and texts within limits."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from dask.utils import format_time

from dbgkit.model import Origin
from dbgkit.remote.common import sentences
from dbgkit.remote.common.frames import package_of
from dbgkit.remote.common.texts import in_line, visible
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.source import places

MESSAGE_LIMIT = 1_500
MESSAGE_LINES = 12
LINE = 400  # characters of one piece of evidence, of one log line
KEY = 300  # characters of a key
# How an exception follows from the one before.
FOLLOWS = {
    "cause": "raised from",
    "context": "raised while handling",
    "member": "sub-exception",
}


# --- numbers and times ----------------------------------------------------------


def size(nbytes: float | None) -> str:
    """Bytes in the unit that suits them: ``"1.20 GiB"``."""
    return "size unknown" if nbytes is None else sentences.size(nbytes)


def duration(seconds: float) -> str:
    """A time span: ``"12.00 ms"``, ``"130.00 s"``, ``"12m 5s"``, ``"2hr 10m"``."""
    return str(format_time(max(seconds, 0)))


def count(number: int, noun: str, nouns: str = "") -> str:
    """A number with its noun: ``"1 task"``, ``"2,000 tasks"``."""
    return sentences.counted(number, noun, nouns)


def moment(when: datetime | None) -> str:
    """A point in time, to the second, in UTC."""
    return "" if when is None else sentences.moment(when.timestamp())


BARS = "▁▂▃▄▅▆▇█"


def spark(samples: Sequence[tuple[float, int]], columns: int = 24) -> str:
    """Numbers over time as bars, each the highest of its part; blank without any.

    The samples are the oldest first, with how long ago they were taken.
    """
    parts = [number for _, number in samples]
    if len(samples) > columns:
        start, end = samples[0][0], samples[-1][0]
        width = (start - end) / columns or 1.0
        parts = [0] * columns
        for ago, number in samples:
            part = min(columns - 1, int((start - ago) / width))
            parts[part] = max(parts[part], number)
    most = max(parts) or 1
    bars = (BARS[min(7, number * 8 // most)] if number else " " for number in parts)
    return "".join(bars)


def clock(when: datetime) -> str:
    """A time of day, for a screen of today."""
    return sentences.clock(when.timestamp())


def between(first: datetime | None, last: datetime | None) -> str:
    """From one time to another; empty where neither is known."""
    if first is None or last is None or abs((last - first).total_seconds()) < 1:
        return moment(first or last)
    start, end = moment(first), moment(last)
    if start[:10] == end[:10]:
        end = end[11:]
    return f"{start.removesuffix(' UTC')} to {end}"


# --- texts within limits --------------------------------------------------------


def clip(text: str, chars: int = MESSAGE_LIMIT, lines: int = MESSAGE_LINES) -> str:
    """A text within limits; what was left out is counted."""
    text = visible(text)
    kept = text[:chars]
    rows = kept.split("\n")
    if len(rows) > lines:
        kept = "\n".join(rows[:lines])
    left = len(text) - len(kept)
    return f"{kept}… ({left:,} more characters)" if left else text


def safe(text: str, chars: int = LINE) -> str:
    """A sentence from the data: short, without secrets and control characters."""
    return clip(redact_text(text), chars, 6)


def safe_line(text: str, chars: int = LINE) -> str:
    """As `safe`, in one line: a name in it cannot begin another."""
    return in_line(safe(text, chars))


def safe_each(texts: Iterable[str]) -> tuple[str, ...]:
    """`safe` of each, without repetitions."""
    return tuple(dict.fromkeys(map(safe, texts)))


def shorten(text: str, most: int) -> str:
    """A text without its middle, as both ends of a key are informative."""
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 1]}…{text[-tail:]}"


def listed(names: Sequence[str], most: int, omitted: int = 0) -> str:
    """The first few of some names, and how many more there are."""
    if not names:
        return ""
    return sentences.several(map(in_line, names), len(names) + omitted, most)


# --- keys, exceptions, places ---------------------------------------------------


def key_text(key: Any) -> str:
    """A key as typed, in one line; secrets hidden."""
    plain = isinstance(key, str) and key.isprintable() and key != ""
    return redact_text(key if plain else repr(key))


def short_key(key: Any) -> str:
    """A key, without its middle if it is very long."""
    return shorten(key_text(key), KEY)


def said(exception_type: str, message: str, chars: int = MESSAGE_LIMIT) -> str:
    """``type: message``, as a traceback ends; secrets hidden."""
    text = clip(redact_text(message[: chars * 3]) + message[chars * 3 :], chars)
    kind = in_line(exception_type)
    return f"{kind}: {text}" if text else kind


def came_from(origins: Iterable[Origin]) -> tuple[str, ...]:
    """Where values came from, a line each."""
    return tuple(clip(one.text, 600, 1) for one in origins)


def place(filename: str, lineno: int) -> str:
    """A file and line, as short as can still be opened."""
    return in_line(
        places.place(
            filename if places.cell_name(filename) else _short(filename), lineno
        )
    )


def _short(filename: str) -> str:
    if package_of(filename):
        # Where it is installed says nothing: pandas/core/frame.py
        return re.split(r"[/\\](?:site|dist)-packages[/\\]", filename)[-1]
    here = os.path.join(_directory(), "")
    return filename[len(here) :] if filename.startswith(here) else filename


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return os.sep
