"""What looks like a secret is hidden: by its name, or by its shape.

Stands by itself (with its siblings), so that it can be sent to a worker as source.
Hashes, and so the keys of Dask tasks, are no secrets: only shapes that nothing else
has are hidden, and what stands under a secret's name.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote_from_bytes

from .named import hide_named, names_in
from .names import is_secret_name, secrecy
from .patterns import regex
from .shapes import PEM, hide_shapes
from .source import hide_apart, hide_given
from .values import HIDDEN, MARGIN, STRONG, WEAK, needed, set_of, vocabulary

__all__ = ["HIDDEN", "MARGIN", "redact_text"]


def environment_secrets(extra: Iterable[str] = ()) -> tuple[str, ...]:
    """What this process' environment holds under secret names, the longest first.

    Also as it stands within a quoted text, a link, or bytes. Short values and usual
    words are none.
    """
    extra = tuple(extra)
    found = set()
    for name in list(os.environ):
        value = os.environ.get(name, "")
        if len(value) < 6 or value.lower() in _USUAL or not is_secret_name(name, extra):
            continue
        data = os.fsencode(value)
        found |= {value, repr(value)[1:-1], json.dumps(value)[1:-1]}
        found |= {data.decode("latin-1"), repr(data)[2:-1]}
        found |= {quote_from_bytes(data, safe=""), quote_from_bytes(data)}
        found |= {quote_from_bytes(data, safe=" ").replace(" ", "+")}
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


# Settings that stand under such names, and are none: ``AUTH_MODE=password``.
_USUAL = set_of(
    "anonymous default disabled enabled kerberos oauth2 optional password required "
    "secret string"
)


def redact_text(
    text: str,
    *,
    bare: bool = True,
    extra: Iterable[str] = (),
    values: Iterable[str] = (),
) -> str:
    """The text with what looks like a secret replaced by ``<hidden>``.

    Parameters
    ----------
    text : str
    bare : bool
        Whether ``password=hunter2`` is hidden too, as in logs and connection
        strings; source code has names there, so only quoted values are hidden in
        it (``bare=False``).
    extra : iterable of str
        As in `is_secret_name`.
    values : iterable of str
        Texts to hide wherever they stand, as `environment_secrets` has them.

    Returns
    -------
    str

    Examples
    --------
    >>> redact_text("postgresql://ann:s3cret@db/sales")
    'postgresql://ann:<hidden>@db/sales'
    >>> redact_text("ratio-9f86d081884c7d65")
    'ratio-9f86d081884c7d65'
    """
    for value in values:
        text = _hide(text, value)
    return _redact_text(text, bare, tuple(extra), _WITHIN)


def _redact_text(text: str, bare: bool, extra: tuple[str, ...], within: int) -> str:
    if len(text) < _SHORTEST or text.isalpha():
        return text
    if within and "\\" in text:
        text = _ESCAPED.sub(
            lambda found: _redact_escaped(found[0], extra, within - 1), text
        )
    words = vocabulary(text)
    if not bare:
        text = _hide_in_source(text, extra, words)
    return hide_shapes(hide_named(text, bare, extra, words), words)


def _hide_in_source(
    text: str, extra: tuple[str, ...], words: frozenset[bytes] | None = None
) -> str:
    """Source with its secrets hidden, in as many lines as there were."""
    names = names_in(text, extra, words)
    if not names:
        return text
    hidden = hide_apart(text, names, lambda inner: hide_named(inner, True, extra))
    if hidden is not text:
        names = names_in(hidden, extra)
    return hide_given(hidden, names)


_SHORTEST = 4  # ``pw=x``
_WITHIN = 6  # texts within texts: JSON within JSON within a ``repr``
_ESCAPED = regex(r'(?<!\\)(?:"(?:[^"\\\n]|\\.)*"|' r"'(?:[^'\\\n]|\\.)*')", re.DOTALL)
_ESCAPES = regex(r"\\(.)", re.DOTALL)
_MEANT = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"'}
_KEPT = "\ue000"  # for the backslash of any other escape


def _redact_escaped(literal: str, extra: tuple[str, ...], within: int) -> str:
    """A text in quotes that has escapes: read as what it says, and written again."""
    mark, inner = literal[0], literal[1:-1]
    if "\\" not in inner or _KEPT in inner:
        return literal
    said = _ESCAPES.sub(lambda found: _MEANT.get(found[1], _KEPT + found[1]), inner)
    hidden = _redact_text(said, True, extra, within)
    if hidden == said:
        return literal
    hidden = (
        hidden.replace("\\", "\\\\").replace(mark, f"\\{mark}").replace(_KEPT, "\\")
    )
    for letter, char in (("n", "\n"), ("r", "\r"), ("t", "\t")):
        hidden = hidden.replace(char, f"\\{letter}")
    return f"{mark}{hidden}{mark}"


def redact_cut(
    text: str,
    limit: int,
    *,
    bare: bool = True,
    extra: Iterable[str] = (),
    values: Iterable[str] = (),
) -> tuple[str, bool]:
    """The beginning of a text with secrets hidden, and whether there was more.

    Cut after it was redacted, so that half of a secret does not pass for none.
    """
    begin = text[: limit + MARGIN]
    redacted = redact_text(begin, bare=bare, extra=extra, values=values)
    if len(begin) < len(text):
        # What is before the last hidden one was not cut.
        last = redacted.rfind(HIDDEN)
        safe = max(len(redacted) - _SLIVER, last + len(HIDDEN) if last >= 0 else 0)
        return redacted[: min(limit, safe)], True
    return redacted[:limit], len(redacted) > limit


_SLIVER = 300  # the end is never kept: what was hidden made it shorter
_BEGIN = 40


def redact_lines(
    lines: list[str],
    *,
    extra: Iterable[str] = (),
    values: Iterable[str] = (),
    skip: int = 0,
) -> list[str]:
    """Lines of source with secrets hidden, as many as there were.

    Also what goes over several lines, such as a private key or a call. With
    ``skip``, the first lines are only looked at for its beginning, and not given back.
    """
    text = PEM.sub(
        lambda found: "\n".join([HIDDEN] * (found[0].count("\n") + 1)), "\n".join(lines)
    )
    names, texts = tuple(extra), tuple(values)
    hidden = redact_text(text, bare=False, extra=names, values=texts).split("\n")
    if len(hidden) != len(lines):
        hidden = [
            redact_text(line, bare=False, extra=names, values=texts)
            for line in _hide_in_source(text, names).split("\n")
        ]
    return hidden[skip:]


def numbered_lines(
    lines: list[str],
    first: int,
    last: int,
    *,
    extra: Iterable[str] = (),
    values: Iterable[str] = (),
) -> list[tuple[int, str]]:
    """Some lines of a file with their numbers: secrets hidden, long ones cut."""
    # From further above: a private key's lines are known by its first one.
    start = max(1, first - _ABOVE)
    near = (line.rstrip()[: LINE_WIDTH + MARGIN] for line in lines[start - 1 : last])
    hidden = _hidden_lines(tuple(near), first - start, tuple(extra), tuple(values))
    return [
        (number, line[:LINE_WIDTH] + ("…" if len(line) > LINE_WIDTH else ""))
        for number, line in enumerate(hidden, first)
    ]


@lru_cache(maxsize=64)  # a task is seen at few places, and fails at fewer
def _hidden_lines(
    lines: tuple[str, ...], skip: int, extra: tuple[str, ...], values: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(redact_lines([*lines], extra=extra, values=values, skip=skip))


LINE_WIDTH = 240  # characters of a line of source
_ABOVE = 80  # lines


def _hide(text: str, value: str) -> str:
    """The text without a value, or as much of it as stands there."""
    begin = value[:_BEGIN]
    start = text.find(begin)
    while start >= 0:
        # The text may have been cut within it.
        end = start + len(begin)
        while value[end - start : end - start + 1] == text[end : end + 1] != "":
            end += 1
        text = f"{text[:start]}{HIDDEN}{text[end:]}"
        start = text.find(begin, start + len(HIDDEN))
    return text


def redact_value(name: str, text: str) -> str:
    """The text of a named value, hidden by its name or by its shape."""
    return HIDDEN if hides_text(secrecy(name), text) else redact_text(text)


def hides_text(level: int, text: str) -> bool:
    """Whether a text is hidden under a name that is secret to some degree."""
    return bool(level) and level >= needed(text)


def hides_value(level: int, value: Any, is_numbers: Callable[[Any], bool]) -> bool:
    """Whether a value of any type is hidden under a name that is so secret.

    Nothing, yes or no, and numbers with a fraction are no secrets; arrays of numbers
    are hidden by few names. No method of the value's own class is called.
    """
    return _hides(level, value) and (level >= STRONG or not is_numbers(value))


def _hides(level: int, value: Any) -> bool:
    if not level or value is None:
        return False
    kind = type(value)
    if kind is bool or kind is float or kind is complex:
        return False
    if kind is int:
        return level >= STRONG
    if issubclass(kind, str):
        return hides_text(level, str.__getitem__(value, slice(0, 400)))
    if issubclass(kind, (bytes, bytearray)):
        base: Any = bytes if issubclass(kind, bytes) else bytearray
        begin = base.__getitem__(value, slice(0, 400))
        return hides_text(level, bytes(begin).decode("latin-1"))
    return _has_secret(level, value, 0)


def _has_secret(level: int, value: Any, depth: int) -> bool:
    """Whether something in a list or mapping under a name is a secret."""
    kind = type(value)
    if kind is dict:
        items = list(itertools.islice(dict.values(value), _ITEMS))
    elif kind is list or kind is tuple or kind is set or kind is frozenset:
        items = list(itertools.islice(value, _ITEMS))
    else:
        return level >= WEAK
    if depth > _DEPTH or (level == STRONG and items):
        return level >= WEAK
    return any(
        _hides(level, item)
        if type(item) not in _NESTS
        else _has_secret(level, item, depth + 1)
        for item in items
    )


_NESTS = (dict, list, tuple, set, frozenset)
_ITEMS, _DEPTH = 100, 3  # of a list, and lists within lists
