"""Builtin values in the form of `remote.values.keep`, as JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

from dbgkit.bundles.entries import Writer
from dbgkit.model.recordings import MALFORMED, restore
from dbgkit.remote.values.keep import NOT_KEPT, keep_whole

_MOST = 32_000_000  # bytes, roughly, of what is written that way
_LONGEST_INT = 20  # digits: longer ones have a form of their own
_ITEMS = ("list", "tuple", "set", "frozenset", "slice", "range")
_PLAIN = ("int", "complex", "ellipsis")


def plan(value: Any) -> Writer | None:
    """How to write a value; None if it is not of builtin types throughout."""
    text = text_of(value)
    if text is None:
        return None
    data = text.encode()

    def write(file: Any) -> None:
        file.write(data)

    return Writer(write, len(data))


def text_of(value: Any) -> str | None:
    """A value as JSON; None if that does not give it back."""
    form = keep_whole(value, _MOST)
    if form == NOT_KEPT:
        return None
    try:
        text = json.dumps(encode(form), separators=(",", ":"))
        again = keep_whole(restore(decode(_parse(text))), 2 * _MOST)
        same = _ordered(again) == _ordered(form)
    except MALFORMED:
        return None
    return text if same else None


def read(data: bytes) -> Any:
    """The value that was written."""
    return restore(decode(_parse(data.decode())))


def _parse(text: str) -> Any:
    return json.loads(text, parse_int=_short_int)


def _short_int(digits: str) -> int:
    if len(digits) > _LONGEST_INT:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def encode(form: Any) -> Any:
    """A kept form for JSON, which has no bytes."""
    if isinstance(form, bytes):
        return ["b64", base64.b64encode(form).decode()]
    if not isinstance(form, list):
        return form
    tag, payload = form
    if tag in _ITEMS:
        return [tag, [encode(each) for each in payload]]
    if tag == "dict":
        return [tag, [[encode(key), encode(each)] for key, each in payload]]
    return [tag, encode(payload) if tag == "bytearray" else payload]


def decode(form: Any) -> Any:
    """What `encode` was given; of anything else, an error that `MALFORMED` lists."""
    if isinstance(form, dict):
        raise ValueError("an object where there is none")
    if not isinstance(form, list):
        return form
    tag, payload = form
    if tag == "b64":
        return base64.b64decode(payload, validate=True)
    if tag in _ITEMS:
        return [tag, [decode(each) for each in payload]]
    if tag == "dict":
        return [tag, [[decode(key), decode(each)] for key, each in payload]]
    if tag == "bytearray":
        return [tag, decode(payload)]
    if tag not in _PLAIN:
        raise ValueError(f"a value of the unknown kind {tag!r:.40}")
    return form


def _ordered(form: Any) -> str:
    """A form as text to compare: the order of a set does not count."""
    if isinstance(form, list) and len(form) == 2:
        tag, payload = form
        if tag in ("set", "frozenset"):
            return f"{tag}{sorted(map(_ordered, payload))}"
        if tag in _ITEMS:
            return f"{tag}{list(map(_ordered, payload))}"
        if tag == "dict":
            return f"{tag}{[(_ordered(key), _ordered(each)) for key, each in payload]}"
    return repr(form)
