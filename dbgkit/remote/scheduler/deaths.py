"""What the scheduler's events and logs still say about workers that went away.

It answers in place of the recorder's part if that is on, and adds what happened before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import chain, islice
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgpack

from ..common.keys import as_key
from ..common.pacing import Pace, is_dump
from .asking import nanny_logs
from .removals import are_keys, removals

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
RESTART = 150.0  # seconds between a worker's end and the word that it was wanted
NEAR = 3.0  # seconds between a removal and a nanny's line about it
NEAREST = 0.3  # where others are near, too
SOON = 1.0  # seconds that a word of what leads to an end may come after it
LOG_LINES = 500
OVER_TOPIC = "worker-restart-memory"  # of a nanny that ends a worker for its memory

_REMOVED = re.compile(r"Remove worker addr: (?P<worker>\S+) name: (?P<name>.+?) \(")
_ENDED = re.compile(
    r"Worker process (?P<pid>\d+) "
    r"(?:exited with status (?P<status>\d+)|was killed by (?P<unknown>unknown )?signal"
    r"(?: (?P<signal>\d+))?)"
)


def removal_fact(when: float, msg: Mapping[str, Any], reason: str) -> DeathForm:
    """What a ``remove-worker`` event says about a worker; the rest is empty.

    The event is of ``Scheduler.remove_worker`` (distributed/scheduler.py); the reason
    to close is the worker's own.
    """
    processing = msg.get("processing-tasks") or ()
    lost = msg.get("lost-computed-tasks") or ()
    scattered = msg.get("lost-scattered-tasks") or ()
    return {
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
        "memory": None,
        "memory_at": None,
        "memory_limit": None,
        "unseen": None,
        "heartbeat_tasks": [],
        "box_at": None,  # where it had its black box: see DeathStore.on_box
        "report": None,  # of its nanny: see nanny.deaths.DeathWatch.report
        "over": None,  # what its nanny said of its memory
        "logged": None,  # what it said as it closed: see DeathStore.log_event
        "lines": [],  # of nannies' logs, where nobody reported
    }


def over_of(msg: Any, when: float) -> Over | None:
    """A nanny's report that its worker uses too much memory; None if it is not one."""
    types = {"worker": str, "pid": int, "rss": int}
    if not isinstance(msg, Mapping):
        return None
    whole = all(type(msg.get(name)) is kind for name, kind in types.items())
    return cast("Over", {**msg, "when": when}) if whole else None


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
    "history": (list, tuple),
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

    A key that was too long for the box is sought among those that the scheduler still
    had there. Of tasks that had ended, those stay that it still had there.
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
    unreported = set(known) - {task["key"] for task in box["tasks"]}
    box["ended"] = [task for task in box["ended"] if task["key"] in unreported]


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

    ``name``: of the recorder's part. ``keys``: only workers that had one of them.
    ``recorded_only``: nothing out of Dask's own events and logs.
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
    until = answer["now"]
    if handler is not None:
        held: HeldDeaths = await handler(keys=keys, limit=limit)
        answer["deaths"], answer["recorded"] = held["deaths"], True
        answer["omitted"], answer["total"] = held["omitted"], held["total"]
        answer["since"] = until = held["since"]
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
        is_wanted = one_of(keys)
        had = sorted(had, key=lambda key: not is_wanted(key))
    return {**death, "processing": had[:MOST_SENT]}


def one_of(keys: Iterable[Any]) -> Callable[[Any], bool]:
    """A test whether a key is one of these, as it is or by its text."""
    wanted = {as_key(key) for key in keys}
    wanted |= {str(key) for key in wanted}
    return lambda key: key in wanted or str(key) in wanted


async def _of_events(state: Any, until: float, keys: Any) -> list[DeathForm]:
    """Deaths that the scheduler's own list of events still has, newest first."""
    pace = Pace()
    is_wanted = None if keys is None else one_of(keys)
    events = state.get_events()
    found: list[DeathForm] = []
    async for when, msg in removals(state, events, pace):
        if msg["action"] == "restart-workers":
            note_restart(found, msg.get("workers"), when)
            continue
        if when >= until:
            continue
        had = msg.get("processing-tasks") or ()
        if is_wanted is not None and not any(map(is_wanted, had)):
            continue
        reason = _reason(events.get(msg["worker"], ()), when)
        found.append(removal_fact(when, msg, reason))
    reported = [over_of(msg, when) for when, msg in events.get(OVER_TOPIC, ())]
    for death in found:
        for over in filter(None, reported):
            # What was reported after its end is about the next worker of its nanny.
            before = -SOON < death["when"] - over["when"] < 60
            if before and over["worker"] == death["worker"]:
                death["over"], death["pid"] = over, over["pid"]
    return found[::-1]


def note_restart(deaths: Any, workers: Any, when: float) -> None:
    """Mark deaths, which come the oldest first, as requested by a client.

    ``Scheduler.restart_workers`` logs workers that have just gone; others may have
    had the same address before.
    """
    if not are_keys(workers):
        return
    wanted = {each for each in workers if isinstance(each, str)}
    for death in reversed(deaths):
        if death["worker"] in wanted and when - death["when"] < RESTART:
            wanted.discard(death["worker"])
            death["restarted"] = True


def _reason(events: Iterable[Any], removed: float) -> str:
    """Why a worker closed, by its own report before or just after its removal.

    The events are those of all workers that have had its address.
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
    names = {
        removed["worker"]: removed["name"]
        for line in state.get_logs(0, LOG_LINES, False)
        if (removed := _REMOVED.search(str(line[1])))
    }
    lines = await _nanny_lines(state, notes)
    for death in deaths:
        death["name"] = names.get(death["worker"], "")
        near = [line for line in lines if abs(line.when - death["when"]) < NEAR]
        if death["pid"] is not None:
            near = [line for line in near if line.pid == death["pid"]]
        others = [
            other
            for other in known
            if other is not death and abs(other["when"] - death["when"]) < NEAR
        ]
        line = _line_of(death, near, others)
        if line is not None:
            death["pid"], death["lines"] = line.pid, [line.text]
            death["report"] = {"code": line.code, "when": line.when, "by_time": True}
        else:
            death["lines"] = [line.text for line in near][:5]


class _Line(NamedTuple):
    """A nanny's line about a process that ended."""

    when: float
    pid: int
    code: int
    text: str


def _line_of(
    death: DeathForm, near: list[_Line], others: list[DeathForm]
) -> _Line | None:
    """The nanny's line on a worker's end, among those that are near to it.

    Of several with the same code, for as many ends, the nearest is taken.
    """
    if len(near) == 1 and (not others or death["pid"] is not None):
        return near[0]
    if len({line.code for line in near}) != 1 or len(near) <= len(others):
        return None
    nearest = [line for line in near if abs(line.when - death["when"]) < NEAREST]
    alone = all(abs(each["when"] - death["when"]) > 2 * NEAREST for each in others)
    return nearest[0] if len(nearest) == 1 and alone else None


async def _nanny_lines(state: Any, notes: list[str]) -> list[_Line]:
    """What nannies have logged about ends, the oldest first."""
    answers, left_out = await nanny_logs(state, LOG_LINES, NANNIES_LIMIT)
    if left_out:
        notes.append(f"{left_out} nannies were not asked")
    found = set()
    for when, _, text in chain.from_iterable(filter(None, answers.values())):
        if ended := _ENDED.search(str(text)):
            code = int(ended["status"] or 255)
            if ended["signal"]:
                code = -int(ended["signal"])
            found.add(_Line(float(when), int(ended["pid"]), code, str(text)[:500]))
    return sorted(found)
