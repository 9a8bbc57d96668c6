"""Whether the source of what failed is known here: a check of `doctor`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dbgkit import advice
from dbgkit.model import FailureGroup, Finding
from dbgkit.remote.common.codes import DYNAMIC, is_dynamic
from dbgkit.remote.common.frames import own_index
from dbgkit.source.finding import EDITED
from dbgkit.source.reading import why_unknown
from dbgkit.source.shown import shown_text

MOST_GROUPS = 20  # root causes that are looked at

_FRAME = re.compile(
    r'^  File "(?P<file>.+?)", line \d+, in .+(?P<source>\n    )?', re.M
)


def check_source(groups: Sequence[FailureGroup]) -> list[Finding]:
    """Whether the line of each root cause can be shown; nothing if none failed."""
    if not groups:
        return []
    lost: list[str] = []
    stripped: list[str] = []
    edited: list[str] = []
    for group in groups:
        frames = list(_FRAME.finditer(shown_text(group.example)))
        index = own_index([frame["file"] for frame in frames])
        if index is None or frames[index]["source"]:
            continue
        file = frames[index]["file"]
        kind = edited if EDITED in file else stripped if is_dynamic(file) else lost
        kind.append(f"{group.location}: {group.exception_type}"[:200])
    findings = []
    for which, what, advised in (
        (lost, "is not known here", why_unknown()),
        (
            stripped,
            "is not known here: since version 3.1.3, cloudpickle sends functions of "
            f"notebooks and scripts as {DYNAMIC}, without the name of their file",
            f"{why_unknown()}; functions of a module that workers can import keep the "
            "names of their files",
        ),
        (
            edited,
            "was edited after it ran: the lines as they were are no longer known here",
            f"name a copy of the file as it was with {advice.option('source')}",
        ),
    ):
        if which:
            said = f"the source of {len(which)} of {len(groups)} root causes {what}"
            findings.append(Finding("source", "warning", said, advised, tuple(which)))
    text = "the source of each root cause is known here"
    return findings or [Finding("source", "ok", text)]
