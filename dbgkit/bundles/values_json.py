"""Builtin values in the form of `remote.values.keep`, as JSON."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from dbgkit.bundles.entries import Writer
from dbgkit.model.recordings import MALFORMED
from dbgkit.remote.values.keep import NOT_KEPT, keep_whole

_MOST = 32_000_000  # bytes, roughly, of what is written that way
_LONGEST_INT = 20  # digits: longer ones have a form of their own
_ITEMS = ("list", "tuple", "set", "frozenset", "slice", "range")


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
        again = keep_whole(decode(_parse(text)), 2 * _MOST)
        same = _ordered(again) == _ordered(form)
    except MALFORMED:
        return None
    return text if same else None


def read(data: bytes) -> Any:
    """The value that was written."""
    return decode(_parse(data.decode()))


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
    """The value of an encoded form; for anything else, an error of `MALFORMED`.

    Nothing of it takes much more than its text, unlike arrays and ranges of pandas,
    which recordings have in this form.
    """
    if isinstance(form, dict):
        raise ValueError("an object where there is none")
    if not isinstance(form, list):
        return form
    tag, payload = form
    builder = _BUILDERS.get(tag)
    if builder is None:
        raise ValueError(f"a value of the unknown kind {tag!r:.40}")
    return builder(payload)


def _each(payload: Any) -> list[Any]:
    return list(map(decode, payload))


def _pairs(payload: Any) -> dict[Any, Any]:
    keys = _hashed([key for key, _ in payload])
    values = [decode(value) for _, value in payload]
    return dict(zip(keys, values, strict=True))


def _hashed(payload: Any) -> list[Any]:
    """Elements of a set: of many with one hash, each is compared with all others."""
    found = _each(payload)
    if any(count > _ALIKE for count in Counter(map(hash, found)).values()):
        raise ValueError("elements that have one hash")
    return found


_ALIKE = 50
_BUILDERS: dict[str, Callable[[Any], Any]] = {
    "b64": lambda payload: base64.b64decode(payload, validate=True),
    "bytearray": lambda payload: bytearray(decode(_of_bytes(payload))),
    "int": lambda payload: int(payload, 16),
    "complex": lambda payload: complex(*payload),
    "ellipsis": lambda payload: Ellipsis,
    "slice": lambda payload: slice(*_each(payload)),
    "range": lambda payload: range(*_each(payload)),
    "list": _each,
    "tuple": lambda payload: tuple(_each(payload)),
    "set": lambda payload: set(_hashed(payload)),
    "frozenset": lambda payload: frozenset(_hashed(payload)),
    "dict": _pairs,
}


def _of_bytes(payload: Any) -> Any:
    if payload[:1] != ["b64"]:  # a number would be as many bytes
        raise ValueError("no bytes")
    return payload


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
