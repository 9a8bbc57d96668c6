"""Parts of sentences: keys, counts, durations, sizes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dbgkit.remote.common.sentences import MOST_NAMED as MOST_NAMED
from dbgkit.remote.common.sentences import clock as clock
from dbgkit.remote.common.sentences import counted as counted
from dbgkit.remote.common.sentences import cut as cut
from dbgkit.remote.common.sentences import moment as moment
from dbgkit.remote.common.sentences import seconds as seconds
from dbgkit.remote.common.sentences import several as several
from dbgkit.remote.common.sentences import size as size
from dbgkit.remote.secrets.redact import redact_text

Words = tuple[str, list[str], list[str]]
MOST_EVIDENCE = 10  # lines of a finding; the rest is counted


def show(key: Any, limit: int = 80) -> str:
    """A key as Python writes it, cut; secrets hidden."""
    return cut(redact_text(repr(key)), limit)


def first_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """The first lines of some evidence, and how many more there are."""
    found = tuple(lines)
    more = len(found) - MOST_EVIDENCE
    return (*found[:MOST_EVIDENCE], f"and {more} more") if more > 0 else found
