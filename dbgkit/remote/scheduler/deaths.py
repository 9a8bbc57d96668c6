"""What the scheduler's events and logs still say about workers that went away.

This file is sent to the scheduler as source. It answers in place of the
recorder's part if that is on, and adds what happened before it was.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from time import time
from typing import TYPE_CHECKING, Any, cast

import msgpack

from ..common.keys import as_key
from ..common.pacing import Pace, is_dump

if TYPE_CHECKING:
    from ..common.wire_deaths import (
        Box,
        DeathForm,
        DeathsForm,
        DeathsQuestion,
        HeldDeaths,
        Over,
    )

MOST_KEYS = 1_000  # of tasks that a worker had; of more, the rest is counted
MOST_SENT = 20  # of them
NANNIES_LIMIT = 5.0  # seconds for nannies to send their logs
MOST_NANNIES = 50
RESTART = 150.0  # seconds between a worker's end and the word that it was wanted
NEAR = 3.0  # seconds between a removal and a nanny's line about it
NEAREST = 0.3  # where others are near, too
SOON = 1.0  # seconds that a word of what leads to an end may come after it
LOG_LINES = 500

_REMOVED = re.compile(r"Remove worker addr: (?P<worker>\S+) name: (?P<name>.+?) \(")
_ENDED = re.compile(
    r"Worker process (?P<pid>\d+) "
    r"(?:exited with status (?P<status>\d+)|was killed by (?P<unknown>unknown )?signal"
    r"(?: (?P<signal>\d+))?)"
)


def removal_fact(when: float, msg: Mapping[str, Any], reason: str) -> DeathForm:
    """What a ``remove-worker`` event says about a worker; the rest is empty.

    Parameters
    ----------
    when : float
        Seconds since 1970.
    msg : mapping
        See ``Scheduler.remove_worker`` (distributed/scheduler.py).
    reason : str
        Why it closed, as it said itself.
    """
    processing = msg.get("processing-tasks") or ()
    lost = msg.get("lost-computed-tasks") or ()
    scattered = msg.get("lost-scattered-tasks") or ()
    return {
        "number": 0,
        "worker": msg["worker"],
        "when": when,
        "expected": msg.get("expected"),
        "stimulus": str(msg.get("stimulus_id", ""))[:200],
        "reason": reason,
        "restarted": False,
        "processing": list(islice(processing, MOST_KEYS)),
        "processing_count": len(processing),
        "lost_count": len(lost),
        "lost_scattered": len(scattered),
        "name": "",
        "host": "",
        "pid": None,
        "nanny": "",
        "nthreads": None,
        "memory": None,
        "memory_at": None,
        "memory_limit": None,
        "unseen": None,
        "heartbeat_tasks": [],
        "told": None,  # of its black box, by itself: see deaths.DeathStore.on_box
        "report": None,  # of its nanny: see nanny.deaths.DeathWatch.report
        "over": None,  # what its nanny said of its memory
        "lines": [],  # of nannies' logs, where nobody reported
    }


def is_removal(msg: Mapping[str, Any]) -> bool:
    """Whether `removal_fact` can read this: anyone can log events."""
    keys = ("processing-tasks", "lost-computed-tasks", "lost-scattered-tasks")
    return isinstance(msg.get("worker"), str) and all(
        _is_many(msg.get(name) or ()) for name in keys
    )


def is_over(msg: Any) -> bool:
    """Whether a nanny reports that its worker uses too much memory."""
    if not isinstance(msg, Mapping):
        return False
    return [type(msg.get(name)) for name in ("worker", "pid", "rss")] == [str, int, int]


def over_of(msg: Mapping[str, Any], when: float) -> Over:
    """What a nanny reports so, see `is_over`."""
    found: Any = {**msg, "when": when}
    return cast("Over", found)


def _is_many(value: Any) -> bool:
    if not isinstance(value, Collection) or isinstance(value, (str, bytes)):
        return False
    try:
        set(value)
    except TypeError:  # not hashable, so no keys
        return False
    return True


_NONE = type(None)
_REPORTED: dict[str, tuple[type, ...]] = {
    "worker": (str,),
    "nanny": (str,),
    "name": (str,),
    "pid": (int, _NONE),
    "when": (float, int),
    "code": (int, _NONE),
    "box": (dict, _NONE),
    "closed": (bool,),
    "memory": (int, _NONE),
    "memory_at": (float, int, _NONE),
    "kills": (dict,),
    "lines": (list, tuple),
    "error": (str,),
}


def is_report(report: Any) -> bool:
    """Whether this is a nanny's report: anyone who reaches a scheduler can send one.

    See ``nanny.deaths.DeathWatch.report``.
    """
    return (
        isinstance(report, Mapping)
        and all(isinstance(report.get(name), of) for name, of in _REPORTED.items())
        and all(isinstance(count, int) for count in report["kills"].values())
        and all(isinstance(line, str) for line in report["lines"])
        and (report["box"] is None or _is_box(report["box"]))
    )


def _is_box(box: Mapping[str, Any]) -> bool:
    parts = (box.get("tasks"), box.get("ended"))
    return all(isinstance(part, (list, tuple)) for part in parts) and all(
        isinstance(task, dict)
        and isinstance(task.get("key"), bytes)
        and isinstance(task.get("text"), str)
        for part in parts
        for task in part or ()
    )


def unpack_keys(box: Box, known: Iterable[Any]) -> None:
    """Unpack the keys of a black box in place, once.

    Parameters
    ----------
    box : dict
        See ``boxes.read_box``.
    known : iterable of Key
        Keys that the scheduler still had there: one that was too long for the box is
        looked for among them, and tasks that had ended are named if it did not know.
    """
    for task in (*box["tasks"], *box["ended"]):
        if task.get("unpacked"):
            continue
        task["unpacked"] = True
        if task["key"]:
            task["key"] = _key_of(task["key"])
        else:
            text = task["text"]
            found = [key for key in known if repr(key).startswith(text)]
            task["key"] = found[0] if len(found) == 1 else text
    unheard = set(known) - {task["key"] for task in box["tasks"]}
    box["ended"] = [task for task in box["ended"] if task["key"] in unheard]


def _key_of(packed: bytes) -> Any:
    """A key of a box; its bytes as text if they are incomplete."""
    try:
        key = as_key(msgpack.unpackb(packed, unicode_errors="surrogatepass"))
        hash(key)
    except (ValueError, TypeError):  # msgpack's own errors too
        return repr(packed)
    return key


async def tell_deaths(state: Any, question: DeathsQuestion) -> DeathsForm:
    """How workers went away, the newest first.

    Parameters
    ----------
    state : Scheduler or dump
    question : dict
        ``name`` of the recorder's part; ``keys``: only workers that had one of them;
        ``limit``; ``recorded_only``: nothing out of Dask's own events and logs.
    """
    answer: DeathsForm = {
        "deaths": [],
        "omitted": 0,
        "total": 0,
        "recorded": False,
        "since": None,
        "notes": [],
        "now": time(),
    }
    if is_dump(state):
        answer["now"] = state.taken
        answer["notes"].append(
            "a dump contains no events, so how workers ended is unknown"
        )
        return answer
    limit = question.get("limit", 50)
    keys = question.get("keys")
    handler = state.handlers.get(f"{question['name']}-list")
    until = time()
    if handler is not None:
        held: HeldDeaths = await handler(keys=keys, limit=limit)
        answer["deaths"], answer["recorded"] = held["deaths"], True
        answer["omitted"], answer["total"] = held["omitted"], held["total"]
        answer["since"] = held["since"]
        until = held["since"]
    earlier = []
    if not question.get("recorded_only"):
        earlier = await _of_events(state, until, keys)
    answer["total"] += len(earlier)
    left = limit - len(answer["deaths"])
    answer["omitted"] += max(0, len(earlier) - left)
    shown = earlier[: max(0, left)]
    if shown:
        await _add_logs(state, shown, earlier, answer["notes"])
    answer["deaths"] = [_cut(each, keys) for each in (*answer["deaths"], *shown)]
    return answer


def _cut(death: DeathForm, keys: Any) -> DeathForm:
    """A death with a sample of its tasks, those that were asked for first."""
    had = death["processing"]
    if keys is not None:
        wanted = all_spellings(keys)
        had = sorted(had, key=lambda key: key not in wanted and str(key) not in wanted)
    return {**death, "processing": had[:MOST_SENT]}


def all_spellings(keys: Iterable[Any]) -> set[Any]:
    """Keys and their texts."""
    found = {as_key(key) for key in keys}
    return found | {str(key) for key in found}


async def _of_events(state: Any, until: float, keys: Any) -> list[DeathForm]:
    """Deaths that the scheduler's own list of events still has, newest first."""
    pace = Pace()
    wanted = None if keys is None else all_spellings(keys)
    events = state.get_events()
    found: list[DeathForm] = []
    for when, msg in list(events.get("all", ())):
        await pace.checkpoint()
        if not isinstance(msg, Mapping):
            continue
        if msg.get("action") == "restart-workers":
            note_restart(found, msg.get("workers"), float(when))
        if msg.get("action") != "remove-worker" or when >= until:
            continue
        if not is_removal(msg) or _is_still_there(state, events, msg["worker"], when):
            continue
        had = msg.get("processing-tasks") or ()
        if wanted is not None and not any(k in wanted or str(k) in wanted for k in had):
            continue
        reason = _reason(events.get(msg["worker"], ()), float(when))
        found.append(removal_fact(float(when), msg, reason))
    over = list(events.get("worker-restart-memory", ()))
    for death in found:
        for when, msg in over:
            # What was reported after its end is of the next worker of its nanny.
            before = -SOON < death["when"] - when < 60
            if is_over(msg) and msg["worker"] == death["worker"] and before:
                death["over"] = over_of(msg, when)
                death["pid"] = msg["pid"]
    return found[::-1]


def _is_still_there(
    state: Any, events: Mapping[str, Any], worker: str, when: float
) -> bool:
    """Whether a worker is still there, whatever was reported.

    Another one may have its address by now.
    """
    return worker in state.workers and not any(
        at > when and isinstance(msg, Mapping) and msg.get("action") == "add-worker"
        for at, msg in list(events.get(worker, ()))
    )


def note_restart(deaths: Any, workers: Any, when: float) -> None:
    """Mark deaths that a client requested, the oldest first.

    ``Scheduler.restart_workers`` logs workers that have just gone; others may have
    had the same address before.
    """
    if not _is_many(workers):
        return
    wanted = {each for each in workers if isinstance(each, str)}
    for death in reversed(deaths):
        if death["worker"] in wanted and when - death["when"] < RESTART:
            wanted.discard(death["worker"])
            death["restarted"] = True


def _reason(events: Iterable[Any], removed: float) -> str:
    """Why a worker closed, by its own report before or just after its removal.

    The events are of all workers that have had its address.
    """
    reason = ""
    for when, msg in list(events):
        if not isinstance(msg, Mapping):
            continue
        if msg.get("action") == "add-worker":
            if when > removed:  # the next one
                break
            reason = ""
        elif msg.get("action") == "closing-worker" and when <= removed + NEAR:
            reason = reason or str(msg.get("reason", ""))[:300]
    return reason


async def _add_logs(
    state: Any,
    deaths: list[DeathForm],
    known: list[DeathForm],
    notes: list[str],
) -> None:
    """Add what the scheduler's and the nannies' logs say about some deaths.

    A nanny's line has a process id, and a removal an address: they are matched by time,
    if there is only one of each around it.
    """
    for line in state.get_logs(0, LOG_LINES, False):
        found = _REMOVED.search(str(line[1]))
        for death in deaths if found else ():
            if found and death["worker"] == found["worker"]:
                death["name"] = found["name"]
    lines = await _nanny_lines(state, notes)
    for death in deaths:
        near = [line for line in lines if abs(line[0] - death["when"]) < NEAR]
        if death["pid"] is not None:
            near = [line for line in near if line[1] == death["pid"]]
        others = [
            other
            for other in known
            if other is not death and abs(other["when"] - death["when"]) < NEAR
        ]
        line = _line_of(death, near, others)
        if line is not None:
            when, pid, code, text = line
            death["pid"], death["lines"] = pid, [text]
            death["report"] = {"code": code, "when": when, "by_time": True}
        else:
            death["lines"] = [line[3] for line in near][:5]


def _line_of(
    death: DeathForm,
    near: list[tuple[float, int, int, str]],
    others: list[DeathForm],
) -> tuple[float, int, int, str] | None:
    """The nanny's line on a worker's end, among those that are near to it.

    Of several with the same text, for as many ends, the nearest is taken.
    """
    if len(near) == 1 and (not others or death["pid"] is not None):
        return near[0]
    if len({code for _, _, code, _ in near}) != 1 or len(near) <= len(others):
        return None
    nearest = [line for line in near if abs(line[0] - death["when"]) < NEAREST]
    alone = all(abs(each["when"] - death["when"]) > 2 * NEAREST for each in others)
    return nearest[0] if len(nearest) == 1 and alone else None


async def _nanny_lines(
    state: Any, notes: list[str]
) -> list[tuple[float, int, int, str]]:
    """Time, process id, exit code and text of each end that nannies have logged."""
    nannies = list({ws.nanny for ws in state.workers.values() if ws.nanny})
    if len(nannies) > MOST_NANNIES:
        notes.append(f"{len(nannies) - MOST_NANNIES} nannies were not asked")

    async def ask(address: str) -> Any:
        asking = state.rpc(address).get_logs(start=0, n=LOG_LINES, timestamps=True)
        try:
            return await asyncio.wait_for(asking, NANNIES_LIMIT)
        except (OSError, asyncio.TimeoutError):
            return ()

    found = set()
    for lines in await asyncio.gather(*map(ask, nannies[:MOST_NANNIES])):
        for when, _, text in lines:
            ended = _ENDED.search(str(text))
            if ended is None:
                continue
            code = 255
            if ended["signal"]:
                code = -int(ended["signal"])
            elif ended["status"]:
                code = int(ended["status"])
            found.add((float(when), int(ended["pid"]), code, str(text)[:500]))
    return sorted(found)
