"""Which entry of the scheduler's history belongs to an exception, if no text is equal.

A text that is longer than Dask sends is cut; one with an address or a time in it
differs between the two sides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dbgkit.remote.common.codes import DYNAMIC
from dbgkit.remote.common.frames import parse_traceback, walk
from dbgkit.remote.common.texts import COMPARED, safe_repr, type_and_message

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_failures import HistoryEntry

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")


def entry_for(
    key: Any,
    when: float | None = None,
    erred_on: Sequence[str] = (),
    exception_text: str = "",
    traceback_text: str = "",
) -> HistoryEntry:
    """An entry as the scheduler's history has it, with what is known of a failure."""
    return {
        "key": key,
        "when": when,
        "erred_on": erred_on,
        "exception_text": exception_text,
        "traceback_text": traceback_text,
    }


def alike(exception: BaseException, entries: list[HistoryEntry]) -> list[HistoryEntry]:
    """The entries most like an exception, by the first of three ways that finds any.

    By the beginning of the text; by the text without addresses; by the class and the
    line that raised it.
    """
    text = safe_repr(exception)[:COMPARED]
    found = [entry for entry in entries if entry["exception_text"][:COMPARED] == text]
    if not found:
        plain = _ADDRESS.sub("", text)
        found = [
            entry
            for entry in entries
            if _ADDRESS.sub("", entry["exception_text"][:COMPARED]) == plain
        ]
    if not found:
        found = [entry for entry in entries if _raised_alike(exception, entry)]
    return found


def _raised_alike(exception: BaseException, entry: HistoryEntry) -> bool:
    """Whether class and innermost line are those of an exception."""
    kind, _ = type_and_message(entry["exception_text"])
    if kind.isidentifier() and kind != type(exception).__name__:
        return False
    here = [
        (frame.f_code.co_filename, line, frame.f_code.co_name)
        for frame, line in walk(exception.__traceback__)
    ]
    there = parse_traceback(entry["traceback_text"])
    return bool(here and there) and _is_same_line(here[-1], there[-1])


def _is_same_line(one: tuple[str, int, str], other: tuple[str, int, str]) -> bool:
    files = {re.split(r"[/\\]", place[0])[-1] for place in (one, other)}
    # Code that travelled by value has no file.
    return one[1:] == other[1:] and len(files - {DYNAMIC}) <= 1
