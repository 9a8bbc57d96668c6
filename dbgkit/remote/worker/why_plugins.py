"""Plugins of a worker whose ``setup`` failed: they stay, and only its log says so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..common.texts import safe_repr

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..common.wire_why_workers import FailedPlugin

MOST_FAILED = 5
MOST_TEXT = 5_000  # characters of an exception
# ``Worker.plugin_add`` logs it, with the exception.
_FAILED = "Worker plugin %s failed to setup"
_LINE = re.compile(r"Worker plugin (?P<name>.+) failed to setup\n")


def failed_plugins(worker: Any) -> list[FailedPlugin]:
    """Plugins that are there, and whose newest attempt at a setup failed."""
    found: dict[str, FailedPlugin] = {}
    for record in list(worker._deque_handler.deque):
        if record.msg != _FAILED or not record.args:
            continue
        name = str(record.args[0])
        error = record.exc_info[1] if record.exc_info else None
        if name in worker.plugins:
            text = safe_repr(error, MOST_TEXT) if error is not None else ""
            found[name] = {"name": name, "error": text, "when": record.created}
    return list(found.values())[-MOST_FAILED:]


def logged_plugins(lines: Iterable[Any]) -> list[FailedPlugin]:
    """The same from the lines of a dump, the newest first; they have no exact times."""
    found: dict[str, FailedPlugin] = {}
    for _, text in lines:
        if line := _LINE.search(text):
            name = line["name"]
            error = text.strip().splitlines()[-1][:MOST_TEXT]
            found.setdefault(name, {"name": name, "error": error, "when": None})
    return list(found.values())[:MOST_FAILED]
