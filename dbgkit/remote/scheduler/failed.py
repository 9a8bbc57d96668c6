"""What is known about one failed task, in wire form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..common.modules import needs_of
from ..common.pacing import is_dump
from .p2p import as_text, cause_in_shuffle, went_in

if TYPE_CHECKING:
    from ..common.wire_failures import Fact, HistoryEntry

MOST_CARRIED = 1_000  # recordings that are looked through
TEXT_LIMIT = 100_000  # characters of one exception's or traceback's text


def history_of(state: Any) -> list[HistoryEntry]:
    """``scheduler.erred_tasks``, newest first (distributed.scheduler.ErredTask)."""
    return [
        {
            "key": entry.key,
            "when": entry.timestamp,
            "erred_on": list(entry.erred_on),
            "exception_text": entry.exception_text[:TEXT_LIMIT],
            "traceback_text": entry.traceback_text[:TEXT_LIMIT],
        }
        for entry in state.erred_tasks
    ]


async def carried_history(state: Any, recorder: str) -> list[HistoryEntry]:
    """What the recorder has of exceptions that were results: as `history_of`.

    Dask knows these tasks as finished (see ``common.carried``).
    """
    handler = None if is_dump(state) else state.handlers.get(f"{recorder}-list")
    held = None if handler is None else await handler(keys=None, limit=MOST_CARRIED)
    return [
        {
            "key": header["key"],
            "when": header["when"],
            "erred_on": [header["worker"]],
            "exception_text": f"{header['exception_type']}({header['message']!r})",
            "traceback_text": "",
            "carried": True,
        }
        for header in (held["headers"] if held else ())
        if header["carried"]
    ]


def failure_fact(state: Any, ts: Any, asked: Any, entry: HistoryEntry | None) -> Fact:
    """One root cause: what failed, where, when and how, and on which values."""
    text = ts.exception_text or (entry["exception_text"] if entry else "")
    frames = ts.traceback_text or (entry["traceback_text"] if entry else "")
    retries = (ts.annotations or {}).get("retries")
    tried = int(retries) - ts.retries + 1 if isinstance(retries, int) else 1
    cause = cause_in_shuffle(text, ts.exception)
    killed = not text and ts.suspicious > state.allowed_failures
    needs = None
    if killed and not is_dump(state):
        needs = needs_of(state, ts.key, ts.run_spec)
    return {
        "key": ts.key,
        "asked": asked,
        "when": entry["when"] if entry else None,
        "erred_on": list(ts.erred_on or ()),
        "exception_text": text[:TEXT_LIMIT],
        "traceback_text": frames[:TEXT_LIMIT],
        # What the user can fix, where Dask's own exception has only the phase.
        "cause_text": cause.text[:TEXT_LIMIT] if cause else "",
        "cause_frames": as_text(cause)[:TEXT_LIMIT] if cause else "",
        "went_in": went_in(ts, text, frames),
        # KilledWorker and the like come as bytes, without any text
        # (Scheduler.remove_worker, Scheduler.check_no_workers_timeout).
        "exception": ts.exception if isinstance(ts.exception, bytes) else None,
        "killed": killed,
        "needs": needs,
        "suspicious": ts.suspicious,
        "tried": max(tried, ts.suspicious),
        "group_size": sum(ts.group.states.values()),
        "came_from": [],
    }


def forgotten_fact(entry: HistoryEntry) -> Fact:
    """As `failure_fact`, if only an entry of the history is left of it."""
    fact: Fact = {
        "key": entry["key"],
        "when": entry["when"],
        "erred_on": entry["erred_on"],
        "exception_text": entry["exception_text"],
        "traceback_text": entry["traceback_text"],
        "cause_text": entry.get("cause_text", ""),
        "cause_frames": entry.get("cause_frames", ""),
        "codes": entry.get("codes", ()),
        "asked": entry["key"],
        "exception": None,
        "killed": False,
        "tried": 1,
        "group_size": None,
    }
    if "now" in entry:
        fact["now"] = entry["now"]
    if "carried" in entry:
        fact["carried"] = entry["carried"]
    return fact
