"""The checks of `doctor` on workers' files in folders that others can write to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dbgkit.diagnose.sentences import first_lines
from dbgkit.model import Finding

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_tasks import Checked


def check_boxes(probes: Mapping[str, Checked | None]) -> Iterable[Finding]:
    """Whether the recorder's black boxes are where they usually are."""
    apart = [
        f"worker {address}: in {os.path.dirname(state['box'])}, because "
        f"{state['refused']}"
        for address, probe in probes.items()
        for state in (probe["recorders"] if probe else ())
        if state.get("refused") and "box" in state
    ]
    if apart:
        yield Finding(
            "black-boxes",
            "warning",
            f"{len(apart)} workers keep their black boxes in private folders: others "
            "can write to the usual one",
            "nothing is lost; remove that folder before the recorder is turned on "
            "again, and find out who made it if it was not you",
            first_lines(apart),
        )
