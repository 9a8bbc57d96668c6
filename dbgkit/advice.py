"""What to do next, written as the reader would type it.

Advice names a verb and its arguments; the front end decides how that is written: a call
by default, a magic with ``%load_ext dbgkit``, a command in a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from dask.typing import Key


class Wording(Protocol):
    """How one front end writes verbs and options."""

    def call(self, verb: str, targets: tuple[Any, ...], options: dict[str, Any]) -> str:
        """A verb with its target and options."""
        ...

    def option(self, name: str, value: Any) -> str:
        """One option, with its value, or with none."""
        ...

    def in_session(self, verb: str) -> str:
        """A verb in the session that ran the task, about what failed there last."""
        ...

    def next_cause(self, key: Any, options: Mapping[str, Any]) -> str:
        """How to open the next root cause; ``key`` may be None, see `next_cause`."""
        ...


@dataclass(frozen=True)
class Variable:
    """A target by an expression of Python, by its number in a list, or by its key."""

    text: str
    number: int
    key: Key


class Calls:
    """As Python calls: in scripts, and wherever no front end decides otherwise."""

    def call(self, verb: str, targets: tuple[Any, ...], options: dict[str, Any]) -> str:
        given = [e.text if isinstance(e, Variable) else repr(e) for e in targets]
        given += [f"{name}={value!r}" for name, value in options.items()]
        return f"dbgkit.{verb}({', '.join(given)})"

    def option(self, name: str, value: Any) -> str:
        return f"{name}=" if value is None else f"{name}={value!r}"

    def in_session(self, verb: str) -> str:
        return self.call(verb, (), {})

    def next_cause(self, key: Any, options: Mapping[str, Any]) -> str:
        given = {n: v for n, v in options.items() if "debug" not in _WITHOUT[n]}
        return "" if key is None else self.call("debug", (key,), given)


_wording: list[Wording] = [Calls()]
_MOST_MADE = 200
_made: dict[str, None] = {}  # the latest last
_lock = Lock()  # of what was made, and of how it is worded
# Options of the call that is under way that the next one needs too.
_again: ContextVar[Mapping[str, Any]] = ContextVar("dbgkit_again")
# What some verbs do not take: these need a cluster, or show no code.
_WITHOUT = {
    "client": ("debugging",),
    "view": (
        *("attach", "break_at", "debug", "debugging", "live", "locate", "peek"),
        *("record", "replay", "save", "shrink", "to_test"),
    ),
    "source": ("break_at", "debugging", "live", "record", "tasks"),
}


def call(verb: str, *targets: Any, **options: Any) -> str:
    """How to call a verb with a target, by its key, and with options.

    Those that the call under way was given are repeated: see `repeating`.
    """
    given = {
        name: value
        for name, value in again().items()
        if verb not in _WITHOUT[name] and name not in options
    }
    return _kept(_wording[-1].call(verb, targets, {**options, **given}))


def option(name: str, value: Any = None) -> str:
    """How to write one option; just its name if there is no value."""
    return _wording[-1].option(name, value)


def in_session(verb: str) -> str:
    """How to call a verb in the session that ran the task, which a shell is not."""
    return _kept(_wording[-1].in_session(verb))


def next_cause(key: Any) -> str:
    """How to open the next root cause; empty if that is impossible.

    ``key`` is None where the cluster cannot be asked for it any more.
    """
    return _kept(_wording[-1].next_cause(key, again()))


@contextmanager
def repeating(options: Mapping[str, Any]) -> Iterator[None]:
    """Have advice repeat options while inside: ``client``, ``view`` and ``source``."""
    token = _again.set(options)
    try:
        yield
    finally:
        _again.reset(token)


def again() -> Mapping[str, Any]:
    """What advice repeats now."""
    return _again.get({})


def made() -> Sequence[str]:
    """What was last advised: a reader may want to copy it exactly."""
    with _lock:
        return tuple(_made)


def _kept(text: str) -> str:
    if text:
        with _lock:
            _made.pop(text, None)
            _made[text] = None
            while len(_made) > _MOST_MADE:
                del _made[next(iter(_made))]
    return text


def word_with(wording: Wording) -> None:
    """Have advice written in another way, until `unword`."""
    with _lock:
        _wording.append(wording)


def unword(wording: Wording) -> None:
    """Undo `word_with`; does nothing if it was undone already."""
    with _lock:
        for index in range(len(_wording) - 1, 0, -1):
            if _wording[index] is wording:
                del _wording[index]
                return


@contextmanager
def worded(wording: Wording) -> Iterator[None]:
    """Have advice written in another way while inside."""
    word_with(wording)
    try:
        yield
    finally:
        unword(wording)
