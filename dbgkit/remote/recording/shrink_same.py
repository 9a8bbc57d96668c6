"""Does a part fail the same way? Compared with the whole, in the very same place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..common.exceptions import traceback_of
from ..common.frames import is_own, walk
from ..common.shrink_engine import OTHER, SAME, WORDED
from ..common.texts import likeness
from .raised import raised

if TYPE_CHECKING:
    from ..common.wire_replays import RaisedForm
    from ..common.wire_shrink import Described

_COMPILED = (".pyx", ".pxd", ".pxi")
_ATTRIBUTES = ("pos", "lineno", "start", "row", "index", "position", "line_num")
_NAMED = re.compile(
    r"\b(?:position|row|line|index|element|item|record|entry)s?\b\D{0,4}(\d{1,12})\b",
    re.IGNORECASE,
)
_MOST_HINTS = 6


def describe(error: BaseException) -> Described:
    """What is compared of an exception, and the positions that it gives."""
    form = raised(error)
    return {
        "form": form,
        "hints": hints_of(error),
        "in_text": _place_in_text(error),
        "place": None if form["frames"] else _innermost(error),
    }


def _innermost(error: BaseException) -> list[Any] | None:
    """Where it was raised, whoever's code that is: file, line, function."""
    place = None
    for frame, line in walk(traceback_of(error)):
        place = [frame.f_code.co_filename, line, frame.f_code.co_name]
    return place


def _place_in_text(error: BaseException) -> str:
    """``line 3, position 17`` of an error of a parser; empty for all others."""
    if not isinstance(error, ValueError) and not isinstance(error, SyntaxError):
        return ""
    found = ((name, getattr(error, name, None)) for name in ("lineno", "pos"))
    words = {"lineno": "line", "pos": "position"}
    return ", ".join(f"{words[n]} {each:,}" for n, each in found if type(each) is int)


class Whole:
    """The failure of the whole input, with which those of parts are compared."""

    def __init__(self, first: Described) -> None:
        self.form = first["form"]
        self._line = _own_line(first)
        self._recursion = self.form["type"] == "RecursionError"

    def likeness(self, found: Described) -> int:
        """`SAME`, `WORDED` or `OTHER`."""
        then, now = self.form, found["form"]
        if now["type"] != then["type"]:
            return OTHER
        if not self._recursion and _own_line(found) != self._line:
            return OTHER
        if not (then["cut"] or now["cut"]) and _kinds(now) != _kinds(then):
            return OTHER
        texts = [(then["message"], now["message"])]
        texts += [(a[1], b[1]) for a, b in zip(then["chain"], now["chain"])]  # noqa: B905
        return SAME if all(_says_same(*pair) for pair in texts) else WORDED


def _kinds(form: RaisedForm) -> list[Any]:
    return [row[0] for row in form["chain"]]


def _own_line(found: Described) -> tuple[Any, ...] | None:
    """The innermost line of the user's own code, else of what has source."""
    frames = found["form"]["frames"]
    if not frames and found["place"] is not None:
        return tuple(found["place"])
    own = [tuple(row) for row in frames if is_own(row[0])]
    readable = [tuple(row) for row in frames if not row[0].endswith(_COMPILED)]
    return next(reversed(own or readable), None)


def _says_same(whole: str, part: str) -> bool:
    """Whether a message says nothing but what that of the whole says.

    Numbers do not count; of what is listed, some may be missing.
    """
    if whole == part:
        return True
    then, now = likeness(whole), likeness(part)
    if then.words != now.words:
        return False
    return _named(now.parts) <= _named(then.parts)


def _named(parts: tuple[str, ...]) -> set[str]:
    return {part for part in parts if not _is_number(part)}


def _is_number(part: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[\d.,_]+(?:[eE][-+]?\d+)?|0x[0-9a-fA-F]+", part))


def hints_of(error: BaseException) -> list[int]:
    """Positions that an exception gives itself, of whatever it may be."""
    return list(dict.fromkeys(_hints(error)))[:_MOST_HINTS]


def _hints(error: BaseException) -> Iterator[int]:
    for name in _ATTRIBUTES:
        value = vars(error).get(name) if hasattr(error, "__dict__") else None
        if value is None and type(error).__module__ in ("builtins", "json.decoder"):
            value = getattr(error, name, None)
        if type(value) is int and value >= 0:
            yield value
            if "line" in name and value > 0:  # counted from 1, perhaps below a header
                yield value - 1
    for text in _NAMED.findall(str(error)[:2_000]):
        yield int(text)
