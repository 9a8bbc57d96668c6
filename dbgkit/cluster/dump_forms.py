"""The form of a cluster dump, as far as it is used.

A dump is a file that anybody may have written. Its parts are checked as they are read,
so that the rest of the code can rely on the form of distributed's own dumps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from dbgkit.errors import DumpUnreadable

Form = Callable[[Any], bool]

HINT = "make one with client.dump_cluster_state(path), as msgpack or yaml"
MOST = 2.0**63  # of any count or size
LATEST = 1e11  # seconds since 1970: a time that `datetime` still has
KEY_DEPTH = 20
KEY_PARTS = 1_000  # a key is short; one that refers to itself has no end
_PLAIN = frozenset({str, int, float, bool, type(None)})  # what a key has in it
_SHOWN = 60  # characters of what is wrong


class Checked(Mapping[str, Any]):
    """A part of a dump, whose fields are checked as they are read.

    Not before: a dump may hold millions, and most questions read few of them. ``forms``
    says what they have to be; None is a field that is not there.
    """

    __slots__ = ("_forms", "_raw")

    def __init__(self, raw: Any, forms: Mapping[str, Form]) -> None:
        if type(raw) is not dict:
            raise _other_than_known(
                f"{_shown(raw)} stands where a part of it is expected"
            )
        self._raw = raw
        self._forms = forms

    def get(self, name: str, default: Any = None) -> Any:
        """A field; the default if it is missing or None."""
        return default if self._raw.get(name) is None else self[name]

    def __getitem__(self, name: str) -> Any:
        value = self._raw.get(name)
        holds = self._forms.get(name)
        if value is not None and (holds is None or holds(value)):
            return value
        if value is None:
            raise _other_than_known(f"{self._what()} has no {name!r}")
        raise _other_than_known(f"{self._what()} has {_shown(value)} as {name!r}")

    def __contains__(self, name: object) -> bool:
        return self._raw.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def _what(self) -> str:
        for name in ("key", "address", "client_key", "name"):
            if type(self._raw.get(name)) in (str, list):
                return f"{name} {_shown(self._raw[name])}"
        return "a part of it"


def named_parts(raw: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Parts of one kind by their names; none where there is no such kind."""
    parts = raw.get(kind)
    if parts is None:
        return {}
    if not _named(parts):
        raise _other_than_known(f"its {kind} are {_shown(parts)}")
    return cast("Mapping[str, Any]", parts)


def transitions(log: Any, last: int = 0) -> Sequence[Any]:
    """Entries of the scheduler's transition log, or its last ones only."""
    entries = log or ()
    if not _sequence(entries):
        raise _other_than_known(f"its transition log is {_shown(log)}")
    wanted: Sequence[Any] = entries[-last:]
    if not all(map(_transition, wanted)):
        raise _other_than_known("its transition log has other things than transitions")
    return wanted


def last_handled(log: Any) -> float:
    """When a worker last heard something; 0 if unknown."""
    entry = log[-1] if _sequence(log) and log else None
    when: Any = entry.get("handled") if type(entry) is dict else None
    return float(when) if _time(when) else 0.0


def _other_than_known(what: str) -> DumpUnreadable:
    return DumpUnreadable(
        f"this is not a cluster dump that dbgkit can read: {what}", HINT
    )


def _shown(value: Any) -> str:
    """A value within a few characters, whatever it refers to."""
    if isinstance(value, (str, bytes, int, float, type(None))):
        text = repr(value[:_SHOWN] if isinstance(value, (str, bytes)) else value)
        return text[:_SHOWN]
    return f"a {type(value).__name__}"


# -- forms --------------------------------------------------------------------


def _text(value: Any) -> bool:
    return type(value) is str


def _flag(value: Any) -> bool:
    return type(value) is bool


def _count(value: Any) -> bool:
    return type(value) is int and -MOST < value < MOST


def _number(value: Any) -> bool:
    # False for NaN.
    return type(value) in (int, float) and -MOST < value < MOST


def _time(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < LATEST


def _amount(value: Any) -> bool:
    return type(value) in (int, float) and value >= 0


def _share(value: Any) -> bool:
    return value is False or _amount(value)


def _name(value: Any) -> bool:
    return type(value) in (str, int, float) and value == value


def _mapping(value: Any) -> bool:
    return type(value) is dict


def _named(value: Any) -> bool:
    return type(value) is dict and all(map(_text, value))


def _sequence(value: Any) -> bool:
    return type(value) in (list, tuple)


def _key(value: Any) -> bool:
    # Most are; there is one for each task and each line of a log.
    if type(value) is str:
        return True
    if (
        type(value) is list
        and len(value) < KEY_PARTS
        and _PLAIN.issuperset(map(type, value))
    ):
        return True
    parts, depth, left = [value], 0, KEY_PARTS
    while parts and depth < KEY_DEPTH:
        left -= len(parts)
        inner: list[Any] = []
        for part in parts:
            if _sequence(part):
                left -= len(part)
                if left < 0:
                    return False
                inner += part
            elif type(part) not in _PLAIN:
                return False
        parts, depth = inner, depth + 1
    return not parts


def _each(holds: Form) -> Form:
    return lambda value: type(value) in (list, tuple) and all(map(holds, value))


def _by_text(holds: Form) -> Form:
    return lambda value: _named(value) and all(map(holds, value.values()))


def _transition(entry: Any) -> bool:
    if type(entry) is not list or len(entry) < 6:
        return False
    key, start, finish, recommended, stimulus, when = entry[:6]
    return (
        type(start) is type(finish) is type(stimulus) is str
        and type(recommended) is dict
        and (not recommended or all(map(_text, recommended.values())))
        and type(when) is float
        and 0 <= when < LATEST
        and _key(key)
    )


def _moment(entry: Any) -> bool:
    """An entry of a worker's log: see ``remote.scheduler.story_words.entry_moment``."""
    if not _sequence(entry):
        return False
    if not entry:
        return True
    return len(entry) >= 3 and _time(entry[-1]) and all(map(_part, entry[:-1]))


def _part(part: Any) -> bool:
    return _mapping(part) or _key(part)


def _line(entry: Any) -> bool:
    return _sequence(entry) and len(entry) == 2 and all(map(_text, entry))


def _own_tasks(value: Any) -> bool:
    return _mapping(value) and all(map(_own_task, value.values()))


def _own_task(value: Any) -> bool:
    return (
        _mapping(value)
        and value.get("key") is not None
        and value.get("state") is not None
        and all(
            holds(field)
            for name, holds in _OWN_TASK.items()
            if (field := value.get(name)) is not None
        )
    )


def _metrics(value: Any) -> bool:
    """Of these, only the memory is used."""
    return _named(value) and (value.get("memory") is None or _number(value["memory"]))


def _annotations(value: Any) -> bool:
    """Of these, only retries are used: a count, or one per task."""
    if not value:
        return _mapping(value)
    if not _named(value):
        return False
    retries = value.get("retries")
    return retries is None or _count(retries) or _mapping(retries)


# -- what stands where ---------------------------------------------------------

SCHEDULER: dict[str, Form] = {
    "tasks": _mapping,
    "address": _text,
    "id": _text,
    "started": _number,
    "transition_counter": _count,
    "extensions": _mapping,
}
TASK: dict[str, Form] = {
    "key": _key,
    "state": _text,
    "group_key": _text,
    "dependencies": _each(_text),
    "dependents": _each(_text),
    "waiting_on": _each(_text),
    "waiters": _each(_text),
    "exception_blame": _text,
    "who_has": _each(_text),
    "processing_on": _text,
    "who_wants": _each(_text),
    "erred_on": _each(_text),
    "nbytes": _count,
    "type": _text,
    "retries": _count,
    "suspicious": _count,
    "actor": _flag,
    "annotations": _annotations,
    "priority": _each(_number),
    "has_lost_dependencies": _flag,
    "exception_text": _text,
    "traceback_text": _text,
    "worker_restrictions": _each(_text),
    "host_restrictions": _each(_text),
    "resource_restrictions": _by_text(_amount),
    "loose_restrictions": _flag,
}
WORKER: dict[str, Form] = {
    "address": _text,
    "name": _name,
    "host": _text,
    "pid": _count,
    "nanny": _text,
    "status": _text,
    "nthreads": _count,
    "nbytes": _count,
    "memory_limit": _count,
    "local_directory": _text,
    "last_seen": _time,
    "time_delay": _number,
    "resources": _by_text(_amount),
    "metrics": _metrics,
    "processing": _each(_text),
    "long_running": _each(_text),
    "executing": _by_text(_number),
}
CLIENT: dict[str, Form] = {
    "client_key": _text,
    "last_seen": _time,
    "wants_what": _each(_text),
}
GROUP: dict[str, Form] = {
    "name": _text,
    "states": _by_text(_count),
    "span_id": _text,
    "all_durations": _by_text(_number),
}
# What a worker says of itself.
OWN: dict[str, Form] = {
    "status": _text,
    "nthreads": _count,
    "tasks": _own_tasks,
    "log": _each(_moment),
    "logs": _each(_line),
    "executing": _each(_key),
    "ready": _sequence,
    "constrained": _sequence,
    "in_flight_workers": _by_text(_sequence),
    "memory_pause_fraction": _share,
    "memory_spill_fraction": _share,
}
_OWN_TASK: dict[str, Form] = {
    "key": _key,
    "state": _text,
    "start_time": _time,
    "waiting_for_data": _each(_text),
    "coming_from": _text,
    "exception_text": _text,
    "who_has": _each(_text),
}
