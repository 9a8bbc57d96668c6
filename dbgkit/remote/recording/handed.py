"""Futures that an exception's frames hold, and which of them handed it out."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import islice
from types import FrameType
from typing import Any

from ..common.exceptions import linked, members_of, traceback_of
from ..common.frames import package_of, walk
from ..common.texts import safe_repr

MOST_RAISED = 20  # exceptions of a chain that are looked through
_CONTAINERS = (list, tuple, set, frozenset, dict)
_MOST = 100_000  # values looked through in containers of a frame


def is_future(value: Any) -> bool:
    """Whether a value is a Future; imports nothing."""
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(value, distributed.Future)


def future_error(future: Any) -> BaseException | None:
    """The exception that a future holds, without waiting or raising.

    ``Future.exception()`` waits, so this reads ``FutureState.exception``.
    """
    state = getattr(future, "_state", None)
    error = getattr(state, "exception", None)
    return error if isinstance(error, BaseException) else None


def holds(future: Any, error: BaseException) -> bool:
    """Whether a future failed with this exception, or one that is equal to it."""
    held = future_error(future)
    return held is error or (held is not None and is_equal(held, error))


def is_equal(one: BaseException, other: BaseException) -> bool:
    """Whether two exceptions are of one class and have the same text."""
    return type(one) is type(other) and safe_repr(one) == safe_repr(other)


def is_part(error: BaseException, whole: BaseException) -> bool:
    """Whether an exception is a member of a group, or a group of some of them.

    ``except*`` makes a group of its own, of the members that it handles.
    """
    parts = set(map(id, _leaves(error)))
    return bool(members_of(whole)) and parts <= set(map(id, _leaves(whole)))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, and in groups in there; of any other, itself."""
    waiting = [error]
    for _ in range(_MOST):
        if not waiting:
            return
        one = waiting.pop()
        members = members_of(one)
        waiting.extend(members)
        if not members:
            yield one


def futures_in(values: Any) -> list[Any]:
    """Futures among values, and in the builtin containers among them."""
    found, seen, left = [], set(), _MOST
    waiting = list(values)
    while waiting and left:
        left -= 1
        value = waiting.pop()
        if is_future(value):
            found.append(value)
        elif isinstance(value, _CONTAINERS) and id(value) not in seen:
            seen.add(id(value))
            # A subclass may do as it likes when it is walked through.
            if type(value) is dict:
                waiting.extend(value.values())
            elif type(value) in _CONTAINERS:
                waiting.extend(value)
    return found


def futures_of_frames(exception: BaseException) -> list[Any]:
    """Futures among the locals of an exception's own frames, each once."""
    found: dict[int, Any] = {}
    for frame, _ in walk(traceback_of(exception)):
        for future in futures_in(frame.f_locals.values()):
            found[id(future)] = future
    return list(found.values())


def handed_keys(exception: BaseException) -> list[Any]:
    """Keys of futures whose error is an exception, or one attached to it.

    Futures of a client that has been closed since no longer know what they held.
    """
    return list(dict.fromkeys(_handed(exception)))


def _handed(exception: BaseException) -> Iterator[Any]:
    for error in islice(linked(exception), MOST_RAISED):
        for frame, _ in walk(traceback_of(error)):
            future = raising_future(frame, error)
            if future is not None:
                yield future.key
        for future in futures_of_frames(error):
            if holds(future, error):
                yield future.key


def raising_future(frame: FrameType, error: BaseException) -> Any:
    """The future whose error a frame of the client raises, if it is such a frame.

    ``Future.result``, ``Future._result``, ``Client._gather`` (distributed/client.py).
    """
    code = frame.f_code
    if not re.search(r"[/\\]client\.py$", code.co_filename):
        return None
    if package_of(code.co_filename) != "distributed":
        return None
    found = None
    if code.co_name in ("result", "_result"):
        found = frame.f_locals.get("self")
    elif code.co_name == "_gather" and frame.f_locals.get("exception") is error:
        found = frame.f_locals.get("future")
    return found if is_future(found) else None
