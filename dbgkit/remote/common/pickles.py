"""What an exception on a scheduler was raised from, read without loading its pickle.

A scheduler has the text of what a task raised, and its pickle; what it was raised from
is in the pickle alone. Every class and function that a pickle names is replaced by
an inert stand-in, so that no code of the user's runs or is imported.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

MOST_BYTES = 2**18  # of a pickle that is read
MOST_LINKS = 20  # exceptions of one chain
MOST_FRAMES = 1_000  # of one traceback

Frame = tuple[str, int, str]  # file, line, function
_Found = TypeVar("_Found")


class Raised(NamedTuple):
    """One exception of a chain: its text, as ``repr`` gives it, and its frames."""

    text: str
    frames: tuple[Frame, ...]


class _Inert:
    """Stands for any class or function of a pickle, and for what it makes."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        made = object.__new__(cls)
        made.__dict__["arguments"] = args
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _Inert(self, *args)

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass

    def add(self, value: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.__dict__["state"] = state


class _Reader(pickle.Unpickler):
    """Loads a pickle with inert stand-ins in place of all that it names."""

    def find_class(self, module: str, name: str) -> Any:
        return _stand_in(module, name)

    def persistent_load(self, pid: Any) -> Any:
        return _Inert(pid)


@lru_cache(maxsize=1_000)
def _stand_in(module: str, name: str) -> type:
    return type(name.rsplit(".", 1)[-1], (_Inert,), {"__slots__": ()})


def raised_from(exception: Any) -> list[Raised]:
    """What an exception as a scheduler holds it was raised from, the nearest first.

    Empty if it was raised from nothing, or if that cannot be read.
    """
    return _read(pickle_of(exception), _followed) or []


def kinds_in(data: bytes) -> list[tuple[str, str]] | None:
    """Classes of all that an exception was raised from, what is not shown too.

    In the order of ``raised.chain_of``, for exceptions without members: of each the
    class's name, and the file of its innermost frame (empty if it has none). None where
    the pickle (see `pickle_of`) does not have all of it.
    """
    return _read(data, _kinds)


def _read(data: bytes, look: Callable[[Any], _Found]) -> _Found | None:
    """What a function finds in a pickle; None where that cannot be read."""
    if not data or len(data) > MOST_BYTES:
        return None
    try:
        return look(_Reader(io.BytesIO(data)).load())
    except (
        # Of another version, by-value classes in a form of their own, cut off.
        pickle.UnpicklingError,
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        MemoryError,
        RecursionError,
        TypeError,
        ValueError,
    ):
        return None


def pickle_of(exception: Any) -> bytes:
    """The pickle of an exception as ``TaskState.exception`` has it; empty if unknown.

    ``Serialized`` (distributed/protocol/serialize.py) of bytes where it came over a
    wire, ``Serialize`` of bytes within one process, and plain bytes where the
    scheduler made it.
    """
    if isinstance(exception, bytes):
        return exception
    data = getattr(exception, "data", None)
    if isinstance(data, bytes):
        return data
    frames = getattr(exception, "frames", None)
    header = getattr(exception, "header", None)
    if not frames or not isinstance(header, dict) or header.get("type") != "bytes":
        return b""
    if any(header.get("compression") or ()):
        return b""
    if sum(memoryview(frame).nbytes for frame in frames) > MOST_BYTES:
        return b""
    return b"".join(bytes(frame) for frame in frames)


def small_pickle_of(exception: Any) -> bytes:
    """`pickle_of`, empty where it is too large to be sent along."""
    data = pickle_of(exception)
    return data if len(data) <= MOST_BYTES else b""


class _Parts(NamedTuple):
    kind: str
    args: Any
    cause: Any
    frames: tuple[Frame, ...]
    context: Any
    suppressed: bool
    contexts: bool  # whether contexts are in the pickle at all: since tblib 3.0


def _parts(made: Any) -> _Parts | None:
    """An exception as tblib pickles it (tblib/pickling_support.py).

    ``unpickle_exception(class, args, cause, tb[, context, suppress, notes])``, or
    ``unpickle_exception_with_attrs`` with attributes in place of the arguments.
    """
    name = type(made).__name__
    if not isinstance(made, _Inert) or not name.startswith("unpickle_exception"):
        return None
    cls, args, cause, tb, *rest = made.__dict__["arguments"]
    if isinstance(args, dict):
        args = args.get("args")
    kind = cls.__name__ if isinstance(cls, type) else _name_of_made(cls)
    context = rest[0] if rest else None
    suppressed = bool(rest[1]) if len(rest) > 1 else False
    return _Parts(kind, args, cause, _frames(tb), context, suppressed, bool(rest))


def _name_of_made(made: Any) -> str:
    """Name of a class that came by value (``cloudpickle._make_skeleton_class``)."""
    for _ in range(5):
        if not isinstance(made, _Inert):
            break
        texts = [each for each in made.__dict__["arguments"] if isinstance(each, str)]
        if texts:
            return texts[0]
        made = made.__dict__["arguments"][0] if made.__dict__["arguments"] else None
    return ""


def _followed(made: Any) -> list[Raised]:
    found: list[Raised] = []
    parts = _parts(made)
    while parts is not None and len(found) < MOST_LINKS:
        following = parts.cause
        if following is None and not parts.suppressed:
            following = parts.context
        parts = _parts(following)
        if parts is not None:
            found.append(Raised(_text(parts), parts.frames))
    return found


def _kinds(made: Any) -> list[tuple[str, str]] | None:
    found: list[tuple[str, str]] = []
    seen: set[int] = set()
    waiting = [made]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        parts = _parts(one)
        if parts is None or not _is_whole(parts) or len(found) > MOST_LINKS:
            return None
        found.append((parts.kind, parts.frames[-1][0] if parts.frames else ""))
        waiting += [parts.context, parts.cause]
    return found[1:]


def _is_whole(parts: _Parts) -> bool:
    """Whether all that hangs on an exception is read: of groups, members are not."""
    args = parts.args if isinstance(parts.args, tuple) else ()
    grouped = len(args) > 1 and isinstance(args[1], (list, tuple))
    return bool(parts.kind) and parts.contexts and not grouped


def _text(parts: _Parts) -> str:
    """As ``BaseException.__repr__`` has it, where its arguments are plain."""
    args = parts.args if isinstance(parts.args, tuple) else ()
    inner = repr(args[0]) if len(args) == 1 else repr(args)[1:-1]
    return f"{parts.kind}({inner})" if parts.kind else inner


def _frames(tb: Any) -> tuple[Frame, ...]:
    """Frames of a traceback as tblib has them: objects with their state, nested."""
    found: list[Frame] = []
    while isinstance(tb, _Inert) and len(found) < MOST_FRAMES:
        if type(tb).__name__ == "unpickle_traceback":
            frame, line, *rest = tb.__dict__["arguments"]
            tb = rest[0] if rest else None
        else:
            state = tb.__dict__.get("state") or {}
            frame, line = state.get("tb_frame"), state.get("tb_lineno")
            tb = state.get("tb_next")
        code = _state(_state(frame).get("f_code"))
        place = code.get("co_filename"), line, code.get("co_name")
        if not isinstance(place[1], int) or not isinstance(place[0], str):
            break
        found.append((place[0], place[1], str(place[2])))
    return tuple(found)


def _state(made: Any) -> dict[str, Any]:
    if not isinstance(made, _Inert):
        return {}
    state = made.__dict__.get("state")
    return state if isinstance(state, dict) else {}


def ran_last(exception: Any) -> frozenset[Any]:
    """What ran on the worker that a task killed last, at that worker's last heartbeat.

    A scheduler's ``KilledWorker`` holds ``WorkerState.clean()``
    (distributed/scheduler.py).
    """
    return _read(pickle_of(exception), _ran_last) or frozenset()


def _ran_last(made: Any) -> frozenset[Any]:
    if not isinstance(made, _Inert) or type(made).__name__ != "KilledWorker":
        return frozenset()
    _, worker, *_ = made.__dict__["arguments"]
    _, slots = worker.__dict__["state"]
    return frozenset(slots["executing"])
