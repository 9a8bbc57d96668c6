"""Entries of logs and events as moments of one task's story, in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

Moment = tuple[float, str, str, str]  # when, source, what, detail

TEXT_LIMIT = 2000  # characters of one log line

_LOGGED_KEY = re.compile(r"^Key: +(.*)$", re.MULTILINE)
_WRITTEN = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)[,.](\d{3}) - ")
_LEFT_OUT = {"action", "stimulus_id", "worker"}
# What set something off, by how the stimulus's id begins (distributed/scheduler.py,
# worker_state_machine.py). The longest that fits counts; others say no more than the
# states do.
_SET_OFF_BY = {
    "cancel-key": "a client cancelled it",
    "cancelled-by-worker-close": "its worker was closing",
    "check-no-workers-timeout": "no worker could run it in time",
    "check-worker-ttl": "a worker had sent no heartbeat for too long",
    "client-releases-keys": "no client needs it any longer",
    "client-restart": "a client restarted the cluster",
    "client-restart-workers": "a client restarted workers",
    "find-missing": "an input was looked for again",
    "gather-dep-busy": "the worker that has an input was busy",
    "gather-dep-failed": "an input could not be unpacked",
    "gather-dep-network-failure": "an input could not be fetched",
    "handle-worker-cleanup": "a worker left",
    "remove-client": "its client left",
    "reschedule": "it asked to be run again elsewhere",
    "retire-workers": "a worker was retired",
    "secede": "it left its thread to others",
    "steal": "another worker had less to do",
    "stimulus-retry": "a client asked for it again",
    "update-data": "a client sent its value",
    "update-graph": "a client submitted it",
    "worker-close-gracefully": "a worker was closing",
    "worker-closing": "a worker was closing",
    "worker-connect": "a worker joined",
    "worker-send-comm-fail": "a worker could not be reached",
    "worker-status-change": "a worker was paused, or went on",
}
_LISTS = {
    "processing-tasks": "was processing this task",
    "lost-computed-tasks": "lost this task's result",
    "lost-scattered-tasks": "lost this scattered value",
}


def entry_moment(address: str, entry: tuple[Any, ...], key: Any) -> Moment | None:
    """One entry of a worker's log (distributed/worker_state_machine.py), in words.

    Transitions are ``(key, start, recommended, finish, {recommendations}, stimulus,
    time)``, all others ``(key, what, …, stimulus, time)`` or ``(what, …, stimulus,
    time)``.
    """
    *fields, stimulus, when = entry
    cause = set_off_by(stimulus)
    if fields[0] == key:
        if len(fields) == 5 and isinstance(fields[4], Mapping):
            _, start, recommended, finish, _ = fields
            aside = "" if recommended == finish else f"{recommended} was asked for"
            what, detail = f"{start} -> {finish}", joined(aside, cause)
        else:
            rest = joined(*map(str, fields[2:]))
            what, detail = str(fields[1]), joined(cut(rest, 300), cause)
        return float(when), address, what, detail
    others = [part for part in fields[1:] if _holds(part, key)]
    if not others or not isinstance(fields[0], str):
        return None
    rest = joined(*(part for part in fields[1:] if isinstance(part, str)))
    among = f"one of {len(others[0])} keys" if len(others[0]) > 1 else ""
    return float(when), address, fields[0], joined(cut(rest, 300), among, cause)


def set_off_by(stimulus: Any) -> str:
    """What set something off, in words; empty where that says nothing more."""
    found = [each for each in _SET_OFF_BY if str(stimulus).startswith(f"{each}-")]
    return _SET_OFF_BY[max(found, key=len)] if found else ""


def joined(*parts: str) -> str:
    """Those parts of a detail that there are."""
    return "; ".join(filter(None, parts))


def _holds(part: Any, key: Any) -> bool:
    return isinstance(part, (list, tuple, set, frozenset)) and key in part


def names_key(message: Any, key: Any, depth: int = 0) -> bool:
    """Whether a message contains exactly this key; messages may hold anything."""
    if _same(message, key):
        return True
    if depth == 3:
        return False
    if isinstance(message, Mapping):
        # The outermost has names of fields, which may equal a key.
        return (depth > 0 and key in message) or any(
            names_key(item, key, depth + 1)
            for name, item in message.items()
            if name != "action"
        )
    if isinstance(message, (set, frozenset)):
        return key in message
    if isinstance(message, (list, tuple)):
        return any(_same(item, key) for item in message)
    return False


def _same(one: Any, other: Any) -> bool:
    """Whether two are equal; an array, say, is not asked."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, (str, bytes, int, float)) and bool(one == other)


def event_moment(when: float, topic: str, message: Any, key: Any) -> Moment:
    """One event that names a task (Scheduler.remove_worker, or a user's own)."""
    if not isinstance(message, Mapping):
        return when, "event", topic, cut(repr(message), 300)
    parts = [
        words
        for name, words in _LISTS.items()
        if name in message and names_key(message[name], key)
    ]
    if parts and "expected" in message:
        parts.append("was to leave" if message["expected"] else "left unexpectedly")
    if not parts:
        parts = [
            f"{name}={cut(repr(item), 100)}"
            for name, item in message.items()
            if name not in _LEFT_OUT
        ]
    worker = [str(message["worker"])] if "worker" in message else []
    what = str(message.get("action", topic))
    return when, "event", what, cut(", ".join([*worker, *parts]), 600)


def log_moments(lines: Iterable[Any], origin: str, key: Any) -> list[Moment]:
    """Log lines that name the task; ``lines`` are ``(created, level, text)``."""
    mentioned = _mention_of(key)
    return [
        (
            float(when),
            "log",
            f"{str(level).lower()} on {origin}",
            cut(_WRITTEN.sub("", text, count=1)),
        )
        for when, level, text in lines
        if mentioned(text)
    ]


def lines_with_times(
    lines: Iterable[Any], key: Any, times: list[float]
) -> list[tuple[float, str, str]]:
    """Log lines out of a dump, ``(level, text)``, with the times that they begin with.

    These are in the worker's own zone, which no dump holds. Zones differ by quarters
    of an hour, and lines that name a task were written while it had its story: so
    they are moved to the end of it.
    """
    mentioned = _mention_of(key)
    found = []
    for level, text in lines:
        written = _WRITTEN.match(text)
        if written is None or not mentioned(text):
            continue
        there = datetime.strptime(written[1], "%Y-%m-%d %H:%M:%S")
        when = there.replace(tzinfo=timezone.utc).timestamp() + int(written[2]) / 1000
        if times:
            when += round((times[-1] - when) / 900) * 900
        found.append((when, str(level), text))
    return found


def _mention_of(key: Any) -> Callable[[str], bool]:
    """A test whether a log line is about this task, and no other one."""
    spelled = str(key)
    if isinstance(key, (int, float)) or re.fullmatch(r"\w*", spelled):
        # A mere word may mean anything, for instance a function's name.
        word = re.escape(spelled)
        pattern = re.compile(rf"^Key: +{word}$|'{word}'|\bTask {word}\b", re.MULTILINE)
    else:
        pattern = re.compile(rf"(?<![\w-]){re.escape(spelled)}(?![\w-])")

    def mentioned(text: str) -> bool:
        if spelled not in text:
            return False
        # A failure's line names the task's inputs too.
        named = _LOGGED_KEY.search(text)
        if named is not None:
            return named[1].strip() == spelled.split("\n")[0].strip()
        return pattern.search(text) is not None

    return mentioned


def in_order(moments: list[Moment]) -> list[Moment]:
    """In order of time, each log line once: workers in one process share their logs."""
    each: dict[tuple[float, str], Moment] = {}
    others = []
    for moment in moments:
        when, source, what, detail = moment
        if source != "log":
            others.append(moment)
            continue
        first = each.setdefault((when, detail), moment)
        if first is not moment:
            level = what.partition(" ")[0]
            each[when, detail] = (when, source, f"{level} in one process", detail)
    return sorted([*others, *each.values()], key=lambda moment: moment[0])


def cut(text: str, limit: int = TEXT_LIMIT) -> str:
    """A text of at most so many characters; says how many were cut off."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit} more characters)"
