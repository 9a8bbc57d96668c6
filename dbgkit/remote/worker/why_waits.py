"""What a task's thread waits for, found from its call stack.

This file is sent to workers as source: standard library and distributed only. Nothing
is changed.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..common.wire_why_workers import Waits
    from .running import Seen

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
# Those that go on as soon as one of them is done, or has failed.
_ANY = ("__next__", "gather")


def waits_of(seen: Seen | None, scheduler: str) -> Waits | None:
    """What primitive of Dask a call stack waits for; the outermost, if one uses others.

    Its name is a local of Dask's own frames: ``self.name`` of a lock, semaphore,
    event, queue or variable, ``self.names`` of a multi-lock. The futures are ``self``,
    the argument of ``Client.gather`` or ``wait``, or ``as_completed.futures``. Those of
    another cluster than that of the scheduler's address have no keys and no names.
    """
    if seen is None or seen.unread:
        return None
    for frame, _ in seen.places[-MOST_FRAMES:]:
        code = frame.f_code
        folder, _, file = code.co_filename.replace("\\", "/").rpartition("/")
        kind = _WAITS.get((file, code.co_name))
        if kind is not None and folder.endswith("distributed"):
            return _waits(kind, code.co_name, frame.f_locals, scheduler)
    return None


def _waits(kind: str, function: str, variables: Any, scheduler: str) -> Waits:
    waiting = variables.get("self")
    first = variables.get("return_when") == "FIRST_COMPLETED"
    found: Waits = {
        "kind": kind,
        "name": None,
        "keys": [],
        "any": function in _ANY or first,
        "limited": _is_limited(variables.get("timeout"), waiting),
    }
    if kind != "future":
        if _address(getattr(waiting, "_scheduler", None)) in (None, scheduler):
            found["name"] = _name(waiting)
        return found
    futures = variables.get(_FUTURES[function]) if function in _FUTURES else waiting
    if function == "__next__":
        futures = tuple(getattr(waiting, "futures", ()))
    keys, others = _pending(futures, scheduler)
    if not (others and (first or function == "__next__")):
        found["keys"] = keys
    if len(keys) == 1:
        found["name"] = str(keys[0])[:NAME_LIMIT]
    return found


def _is_limited(timeout: Any, waiting: Any) -> bool:
    """Whether the wait ends by itself, or does not block at all.

    ``as_completed._deadline`` and ``.expires`` (distributed/client.py).
    """
    deadline = getattr(waiting, "_deadline", None)
    return timeout is not None or bool(getattr(deadline, "expires", False))


def _pending(futures: Any, scheduler: str) -> tuple[list[Any], bool]:
    """Keys of those futures among nested values that are not done, each once.

    And whether there are others: done, of another cluster, or too many.
    """
    from distributed.client import Future

    left: list[Any] = [futures]
    keys: dict[Any, None] = {}
    others = False
    for _ in range(MOST_FUTURES):
        if not left or len(keys) == MOST_KEYS:
            break
        value = left.pop()
        if issubclass(type(value), Future):
            own = _address(getattr(value.client, "scheduler", None)) == scheduler
            if own and value.status == "pending":
                keys[value.key] = None
            else:
                others = True
        elif type(value) is dict:
            left += islice(value.values(), MOST_FUTURES)
        elif type(value) in (list, tuple, set, frozenset):
            left += islice(value, MOST_FUTURES)
    return list(keys), others or bool(left)


def _address(rpc: Any) -> Any:
    """The address that an rpc, or a pooled one, goes to."""
    return getattr(rpc, "address", None) or getattr(rpc, "addr", None)


def _name(waiting: Any) -> str | None:
    for attribute in ("name", "names"):
        value = getattr(waiting, attribute, None)
        if attribute == "names" and isinstance(value, list):
            return ", ".join(map(str, value))[:NAME_LIMIT]
        if isinstance(value, (str, bytes, tuple)):
            return str(value)[:NAME_LIMIT]
    return None
