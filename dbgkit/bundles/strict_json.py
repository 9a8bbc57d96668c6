"""JSON of unknown origin: bounded in depth, in number of values and of digits."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 60  # lists and objects within one another
MOST_VALUES = 300_000
_MOST_DIGITS = 400  # of one number: what a float is written with at most
_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def read_json(data: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises
    ------
    ValueError
        It is none, has a name twice, or is out of bounds.
    """
    # Before anything is made of it: 3 bytes are a list, which takes 60; and the parser
    # goes as deep as the stack.
    outside = _outside_texts(data)
    if sum(map(outside.count, b",[{")) > MOST_VALUES:
        raise ValueError(f"it has more than {MOST_VALUES:,} values")
    if _depth(outside) > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    return json.loads(
        data.decode("utf-8"),
        object_pairs_hook=_object,
        parse_int=_whole,
        parse_float=_real,
    )


def _outside_texts(data: bytes) -> bytes:
    """What is not within quotes, up to where the parser stops at what is no JSON."""
    unescaped = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    if unescaped.count(b'"') > 4 * MOST_VALUES:
        raise ValueError(f"it has more than {MOST_VALUES:,} values")
    return b"".join(unescaped.split(b'"')[::2])


def _depth(outside: bytes) -> int:
    depth = deepest = 0
    for bracket in outside.translate(None, _BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # readers differ in which of the two they take
        raise ValueError("an object has a name twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number has {len(digits):,} digits")
    return int(digits)


def _real(digits: str) -> float:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number has {len(digits):,} digits")
    return float(digits)
