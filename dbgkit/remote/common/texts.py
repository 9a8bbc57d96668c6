"""Texts of exceptions: class and message, and whether two are alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .parsing import literal

COMPARED = 1_000  # characters of an exception's text by which it is known again
_REPR = re.compile(r"^(?P<type>[\w.<>]+)\((?P<args>.*)\)$", re.DOTALL)
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")
# UUIDs, tokens, and what `tempfile` makes up.
_HEX = re.compile(
    r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[0-9a-f]*\d)[0-9a-f]{8,}"
    r"|tmp[a-z0-9_]{8})\b"
)
# What a terminal obeys and what a reader does not see: controls but for line ends and
# tabs, direction, what has no width, line ends of Unicode, halves of surrogate pairs,
# and Unicode's "default ignorable" ones but the two that only choose an emoji's look.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_LONG, _FEW = 10_000, 200
_NUMBER = re.compile(r"[-+]?\d+(?:[.,_]\d+)*(?:[eE][-+]?\d+)?")


def with_article(noun: str) -> str:
    """``a task``, ``an exception``."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def safe_repr(value: object, limit: int = 10_000) -> str:
    """``repr`` of an exception or key; a broken one is named, not raised."""
    return _safely(repr, value, limit)


def safe_str(value: object, limit: int = 10_000) -> str:
    """``str`` of an exception; a broken one is named, not raised."""
    return _safely(str, value, limit)


def _safely(show: Callable[[object], str], value: object, limit: int) -> str:
    try:
        text = show(value)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a user's own method; also one that exits
        name, how = type(value).__name__, show.__name__
        return f"<{name}, whose {how} raises {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}…"


def type_and_message(exception_text: str) -> tuple[str, str]:
    """Class and message out of an exception's ``repr``.

    >>> type_and_message("ValueError('bad: 3')")
    ('ValueError', 'bad: 3')
    >>> type_and_message("KeyError('bad')")  # as Python prints it
    ('KeyError', "'bad'")
    """
    found = _REPR.match(exception_text.strip())
    if not found:
        return "", exception_text
    kind = found["type"].rsplit(".", 1)[-1]
    args = found["args"]
    try:
        value = literal(args) if args else ""
    except ValueError:
        return kind, args
    plain = isinstance(value, str) and (kind != "KeyError" or not args)
    return kind, sendable(value if plain else repr(value))


def sendable(text: str) -> str:
    """A text that msgpack can send: halves of surrogate pairs are escaped.

    They come from names of files that are no UTF-8.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def visible(text: str) -> str:
    r"""A text for people: control and invisible characters are escaped.

    Line ends and tabs stay. All that dbgkit shows goes through here as it leaves.

    >>> print(visible("a\x1b]0;title\x07 and b\r\n"), end="")
    a\x1b]0;title\x07 and b
    """
    text = text.replace("\r\n", "\n")
    if len(text) > _LONG:
        # A call for each of millions takes seconds; of most texts there are few kinds.
        kinds = _UNSEEN.findall("".join(set(text)))
        if len(kinds) <= _FEW:
            for each in kinds:
                text = text.replace(each, _escaped(each))
            return text
    return _UNSEEN.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]


def in_line(text: str) -> str:
    r"""As `visible`, for what has one line: a name, a path, an error.

    >>> print(in_line("a\nb"))
    a\nb
    """
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def normalise(message: str) -> str:
    """A message with numbers, addresses, tokens and temporary names taken out.

    >>> normalise("bad value 3.5 in <obj at 0x7f21>")
    'bad value # in <obj at #>'
    """
    for pattern in (_ADDRESS, _HEX, _NUMBER):
        message = pattern.sub("#", message)
    return message


# What varies from one message of a place to the next.
_VARIES = re.compile(
    r"""
    (?P<quoted>
        (?<!\w)b?'[^'\n]{0,500}'(?!\w) | (?<!\w)b?"[^"\n]{0,500}" | `[^`\n]{0,500}`
    )
    | (?P<other>
        [a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^\s'"<>,;)\]}]{1,2000}  # a URL
        | (?<![\w.])(?:~|\.{1,2})?/[^\s'":,;()<>\[\]]{1,2000}  # paths
        | \b[A-Za-z]:\\[^\s'":,;()<>\[\]]{1,2000}
        | \b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?
        | \b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b  # an address
        | \b0x[0-9a-fA-F]+\b
        | \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b
        | \b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b
        | \btmp[a-z0-9_]{8}\b
        | \b(?=[A-Za-z0-9]*\d[A-Za-z]+\d)[A-Za-z0-9]{6,64}\b  # other ids
        | (?<![\w.])[-+]?(?:inf|nan|NaN)\b
        | [-+]?\d+(?:[.,_]\d+)*(?:[eE][-+]?\d+)?
    )
    """,
    re.VERBOSE,
)
_BLANK = "\0"  # stands for what varies; what is shown has no such character
_LISTED = re.compile(r"(b?['\"`]?\0['\"`]?)(?:, \1)+")


class Likeness(NamedTuple):
    """A message without what varies, and that in the order in which it stands."""

    words: str
    parts: tuple[str, ...]


def likeness(message: str) -> Likeness:
    """What a message has in common with others that one line of code raises.

    Taken out are quoted words, paths, URLs, addresses, ids, times and numbers; of a
    list it does not matter how many there are.

    >>> likeness("user 'ann' not found, 3 tries").parts
    ("'ann'", '3')
    """
    parts: list[str] = []

    def take(found: re.Match[str]) -> str:
        text = found[0]
        parts.append(text)
        if found.lastgroup != "quoted":
            return _BLANK
        start = 2 if text.startswith("b") else 1
        return f"{text[:start]}{_BLANK}{text[-1]}"

    words = _VARIES.sub(take, message)
    return Likeness(_LISTED.sub(r"\1", words), tuple(parts))


def filled(words: str, parts: Sequence[str | None]) -> str:
    """Words with their parts put back; "…" for those that are None.

    All are "…" if there are more parts than places, as a list had several.
    """
    pieces = re.split(r"(b?['\"`]\0['\"`]|\0)", words)
    places = pieces[1::2]
    if len(places) != len(parts):
        parts = [None] * len(places)
    pieces[1::2] = [
        place.replace(_BLANK, "…") if part is None else part
        for place, part in zip(places, parts, strict=True)
    ]
    return "".join(pieces)


Signature = tuple[str, str, tuple[str, str, int] | None]


def signature(
    exception_type: str, message: str, line: tuple[str, int, str] | None
) -> Signature:
    """What makes two failures the same: class, message, innermost own line.

    What varies in messages does not count where they are of one line. Of the line's
    file only the name counts, as folders differ between machines.
    """
    if line is None:
        return exception_type, normalise(message), None
    filename, lineno, function = line
    place = (re.split(r"[/\\]", filename)[-1], function, lineno)
    return exception_type, likeness(message).words, place
