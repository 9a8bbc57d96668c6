"""What logs and events say of plugins that fail, and of workers that leave at start."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from types import CodeType
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

from ..common.frames import walk
from ..common.log_records import (
    error_of,
    failed_setup,
    last_line,
    logged_plugins,
    records_of,
)
from ..common.pacing import Pace
from ..common.texts import safe_repr
from .asking import nanny_logs
from .deaths import note_restart
from .removals import is_removal

if TYPE_CHECKING:
    from ..common.wire_tasks import FailedPlugin, Leaver, NanniesSaid, RaisingPlugin

EARLY = 30.0  # seconds: a worker that leaves sooner than that hardly started
RESTART = 5.0  # seconds from the end of a worker to the word that it was restarted
MOST_LEAVERS = 100
NANNIES_LIMIT = 2.0  # seconds for nannies to send their logs
LOG_LINES = 300
MOST_LINES = 20
MOST_FRAMES = 50
MOST_TEXT = 300

# What Nanny.instantiate and WorkerProcess.start log (distributed/nanny.py).
_NO_START = re.compile(
    r"Failed to start process|Nanny failed to start process|Timed out connecting Nanny"
)


# -- plugins of the scheduler ----------------------------------------------------


async def raising_plugins(state: Any, pace: Pace) -> list[RaisingPlugin]:
    """Plugins that raised as the scheduler called them, which it only logs.

    Whose code it was that raised, a record's traceback says.
    """
    codes = dict(_codes_of_plugins(state))
    found: dict[tuple[str, str], RaisingPlugin] = {}
    for record in records_of(state):
        await pace.checkpoint()
        error = error_of(record)
        if error is None:
            continue
        for frame, line in islice(walk(error.__traceback__), MOST_FRAMES):
            code = frame.f_code
            if (plugin := codes.get(code)) is not None:
                place = f"{code.co_name} ({code.co_filename}:{line})"
                said: RaisingPlugin = {
                    "plugin": plugin,
                    "place": place[:MOST_TEXT],
                    "error": safe_repr(error, MOST_TEXT),
                    "count": 0,
                }
                found.setdefault((plugin, code.co_name), said)["count"] += 1
                break
    return list(found.values())[:MOST_LINES]


def _codes_of_plugins(state: Any) -> Iterator[tuple[CodeType, str]]:
    """The code of each method of each plugin, and the plugin's name."""
    for name, plugin in list(state.plugins.items()):
        for kind in type(plugin).__mro__:
            if kind in (SchedulerPlugin, object):
                continue
            for value in list(vars(kind).values()):
                code = getattr(value, "__code__", None)
                if type(code) is CodeType:
                    yield code, str(name)[:MOST_TEXT]


def hides_plugins(state: Any) -> bool:
    """Whether the scheduler does not log what a plugin's ``transition`` raises."""
    return not logging.getLogger("distributed.scheduler").isEnabledFor(logging.INFO)


# -- workers that left as they started -------------------------------------------


async def early_leavers(state: Any, now: float, pace: Pace) -> list[Leaver]:
    """Workers that left by themselves soon after they had joined, newest first.

    Also those that are leaving.
    """
    joined: dict[str, float] = {}
    found: list[dict[str, Any]] = []
    for when, msg in state.get_events("all"):
        await pace.checkpoint()
        if not isinstance(msg, Mapping):  # anyone can log events
            continue
        action, worker = msg.get("action"), msg.get("worker")
        if action == "restart-workers":
            note_restart(found, msg.get("workers"), float(when))
        elif action == "add-worker" and isinstance(worker, str):
            joined[worker] = float(when)
        elif action == "remove-worker" and isinstance(worker, str):
            lived = float(when) - joined.pop(worker, 0.0)
            if 0 <= lived < EARLY and not msg.get("expected") and is_removal(msg):
                tasks = len(msg.get("processing-tasks") or ())
                found.append(
                    {"worker": worker, "when": when, "lived": lived, "tasks": tasks}
                )
    left = [each for each in found if not each.get("restarted")]
    # One whose start failed may be listed for long: it has closed, but not its nanny.
    left += [
        {"worker": ws.address, "when": now, "lived": now - joined[ws.address]}
        for ws in list(state.workers.values())
        if ws.status.name == "closing" and ws.address in joined
    ]
    return [
        _leaver(each, state.get_events(each["worker"]))
        for each in left[-MOST_LEAVERS:][::-1]
    ]


def _leaver(left: Mapping[str, Any], events: Iterable[Any]) -> Leaver:
    """A worker that left, with the reason that it gave, if it gave one."""
    since, until = left["when"] - left["lived"], left["when"] + RESTART
    closing = [
        (float(when) - since, str(msg.get("reason", "")))
        for when, msg in events
        if isinstance(msg, Mapping)
        and msg.get("action") == "closing-worker"
        and since <= when <= until
    ]
    lived, reason = closing[-1] if closing else (left["lived"], "")
    return {
        "worker": left["worker"],
        "lived": max(0.0, lived),
        "tasks": left.get("tasks", 0),
        "reason": reason[:MOST_TEXT],
    }


# -- what nannies have logged ----------------------------------------------------


async def nannies_said(state: Any, limit: float) -> NanniesSaid:
    """Plugins of nannies that failed, and workers that nannies could not start."""
    answers, left_out = await nanny_logs(state, LOG_LINES, limit)
    # Nannies of one process share their logs: then it is not known whose a line is.
    texts: dict[tuple[float, str], str] = {}
    for address, lines in answers.items():
        for when, _, text in lines or ():
            entry = float(when), str(text)
            texts[entry] = "" if entry in texts else address
    said: NanniesSaid = {
        "failed": [],
        "no_start": [],
        "silent": sum(lines is None for lines in answers.values()),
        "left_out": left_out,
    }
    for (_, text), address in sorted(texts.items()):
        if failed := failed_setup(text):
            plugin, error = failed
            said["failed"].append({"at": address, "plugin": plugin, "error": error})
        elif _NO_START.search(text):
            said["no_start"].append(last_line(text))
    said["failed"] = said["failed"][-MOST_LINES:]
    said["no_start"] = said["no_start"][-MOST_LINES:]
    return said


# -- in a dump -------------------------------------------------------------------


def failed_in_dump(state: Any) -> list[FailedPlugin]:
    """Plugins that failed to set up on workers, by the logs in a dump."""
    found: list[FailedPlugin] = []
    for address, own in state.worker_dumps.items():
        for plugin, error in logged_plugins(own.get("logs") or ()):
            found.append({"at": address, "plugin": plugin, "error": error})
    return found[:MOST_LINES]
