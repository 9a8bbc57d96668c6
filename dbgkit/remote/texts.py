"""Texts of exceptions: what a class and a message were, and whether two are alike."""

from __future__ import annotations

import ast
import re

_REPR = re.compile(r"^(?P<type>[\w.<>]+)\((?P<args>.*)\)$", re.DOTALL)
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")
_HEX = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b")
_NUMBER = re.compile(r"[-+]?\d+(?:[.,_]\d+)*(?:[eE][-+]?\d+)?")


def safe_repr(value: object, limit: int = 10_000) -> str:
    """``repr`` of an exception or key; a broken one is told, not raised."""
    try:
        text = repr(value)
    except Exception as error:  # a user's own __repr__
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}…"


def safe_str(value: object, limit: int = 10_000) -> str:
    """``str`` of an exception; a broken one is told, not raised."""
    try:
        text = str(value)
    except Exception as error:  # a user's own __str__
        return f"<{type(value).__name__}, whose str raises {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}…"


def type_and_message(exception_text: str) -> tuple[str, str]:
    """Class and message out of an exception's ``repr``.

    >>> type_and_message("ValueError('bad: 3')")
    ('ValueError', 'bad: 3')
    """
    found = _REPR.match(exception_text.strip())
    if not found:
        return "", exception_text
    kind = found["type"].rsplit(".", 1)[-1]
    args = found["args"]
    try:
        value = ast.literal_eval(args) if args else ""
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return kind, args
    return kind, sendable(value if isinstance(value, str) else str(value))


def sendable(text: str) -> str:
    """A text that msgpack can send: halves of surrogate pairs are escaped.

    They come from names of files that are no UTF-8.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def normalise(message: str) -> str:
    """A message with numbers, addresses and tokens taken out.

    >>> normalise("bad value 3.5 in <obj at 0x7f21>")
    'bad value # in <obj at #>'
    """
    for pattern in (_ADDRESS, _HEX, _NUMBER):
        message = pattern.sub("#", message)
    return message


Signature = tuple[str, str, tuple[str, str, int] | None]


def signature(
    exception_type: str, message: str, line: tuple[str, int, str] | None
) -> Signature:
    """What makes two failures the same: class, message, innermost own line.

    Of the line's file only the name counts, as folders differ between machines.
    """
    place = None
    if line is not None:
        filename, lineno, function = line
        place = (re.split(r"[/\\]", filename)[-1], function, lineno)
    return exception_type, normalise(message), place
