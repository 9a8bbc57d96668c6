"""What a task's thread waits for, found from its call stack.

This file is sent to workers as source: standard library and distributed only. Nothing
is changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

    from ..common.wire_why_workers import Waits

MOST_FRAMES = 200
MOST_FUTURES = 1_000  # that are looked through
MOST_KEYS = 20  # that are reported
NAME_LIMIT = 200  # characters

# File and function of Dask's own that wait, and the kind of what they wait for.
_WAITS = {
    ("semaphore.py", "acquire"): "semaphore",
    ("lock.py", "acquire"): "lock",
    ("event.py", "wait"): "event",
    ("queues.py", "get"): "queue",
    ("queues.py", "put"): "queue",
    ("variable.py", "get"): "variable",
    ("multi_lock.py", "acquire"): "multi-lock",
    ("client.py", "result"): "future",
    ("client.py", "exception"): "future",
    ("client.py", "traceback"): "future",
    ("client.py", "gather"): "future",
    ("client.py", "wait"): "future",
    ("client.py", "__next__"): "future",
}
# Of those that wait for futures, the local variable that has them.
_FUTURES = {"gather": "futures", "wait": "fs"}


def waits_of(frame: FrameType | None) -> Waits | None:
    """What primitive of Dask a call stack waits for; the outermost, if one uses others.

    Its name is a local of Dask's own frames: ``self.name`` of a lock, semaphore,
    event, queue or variable, ``self.names`` of a multi-lock. The futures are ``self``,
    the argument of ``Client.gather`` or ``wait``, or ``as_completed.futures``.
    """
    found: Waits | None = None
    for _ in range(MOST_FRAMES):
        if frame is None:
            break
        code = frame.f_code
        folder, _, file = code.co_filename.replace("\\", "/").rpartition("/")
        kind = _WAITS.get((file, code.co_name))
        if kind is not None and folder.endswith("distributed"):
            found = _waits(kind, code.co_name, frame.f_locals)
        frame = frame.f_back
    return found


def _waits(kind: str, function: str, variables: Any) -> Waits:
    waiting = variables.get("self")
    found: Waits = {
        "kind": kind,
        "name": None,
        "keys": [],
        "any": function == "__next__"
        or variables.get("return_when") == "FIRST_COMPLETED",
        "limited": _is_limited(variables.get("timeout"), waiting),
    }
    if kind != "future":
        found["name"] = _name(waiting)
        return found
    futures = variables.get(_FUTURES[function]) if function in _FUTURES else waiting
    if function == "__next__":
        futures = tuple(getattr(waiting, "futures", ()))
    found["keys"] = list(islice(_pending(futures), MOST_KEYS))
    if len(found["keys"]) == 1:
        found["name"] = str(found["keys"][0])[:NAME_LIMIT]
    return found


def _is_limited(timeout: Any, waiting: Any) -> bool:
    """Whether the wait ends by itself, or does not block at all.

    ``as_completed._deadline`` and ``.expires`` (distributed/client.py).
    """
    deadline = getattr(waiting, "_deadline", None)
    return timeout is not None or bool(getattr(deadline, "expires", False))


def _pending(futures: Any) -> Iterable[Any]:
    """Keys of those futures among nested values that are not done, each once."""
    from distributed.client import Future

    left: list[Any] = [futures]
    seen: set[Any] = set()
    for _ in range(MOST_FUTURES):
        if not left:
            return
        value = left.pop()
        if issubclass(type(value), Future):
            if value.key not in seen and value.status == "pending":
                seen.add(value.key)
                yield value.key
        elif type(value) is dict:
            left += islice(value.values(), MOST_FUTURES)
        elif type(value) in (list, tuple, set, frozenset):
            left += islice(value, MOST_FUTURES)


def _name(waiting: Any) -> str | None:
    for attribute in ("name", "names"):
        value = getattr(waiting, attribute, None)
        if attribute == "names" and isinstance(value, list):
            return ", ".join(map(str, value))[:NAME_LIMIT]
        if isinstance(value, (str, bytes, tuple)):
            return str(value)[:NAME_LIMIT]
    return None
