"""Secrets in source code: literals that a secret name has for its value.

Strings and comments are read as any other text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator

from .patterns import regex
from .values import HIDDEN, WEAK, needed, replaced

Name = tuple[int, int, int]  # where it begins and ends, and how secret it is
# What says that a literal is the value of a name: ``name = ``, ``name: str = ``,
# ``x["name"] = ``, ``"name": ``
_GIVEN = regex(
    r"""['"]\s{0,20}(?:\]\s{0,20}[=!:+|]?=|:)
        |\s{0,20}(?::[ ]{0,20}[^=:;#\n]{1,80}(?<![=!<>:]))?[=!:+|]?=""",
    re.VERBOSE,
)
_TOKEN = regex(
    r"""(?P<mark>\"{3}|'{3}|["'])|(?P<opening>[\[({])|(?P<closing>[\])}])
        |(?P<end>[,;\n])|\\\n|\#[^\n]*""",
    re.VERBOSE,
)
_LITERAL_ENDS = {
    mark: regex(rf"(?s:(?:[^\\]|\\.)*?){mark}")
    if len(mark) == 3
    else regex(rf"(?:[^\\\n{mark}]|\\[\s\S])*(?:{mark}|$|(?=\n))")
    for mark in ('"', "'", '"' * 3, "'" * 3)
}
# What a value is looked up by is no value: ``os.environ["DB_PASSWORD"]``.
_LOOKED_UP = regex(r"(?:[\w\])]\[|(?:get|getenv|pop|env)\()\s*$")
# Texts and comments. A text that is not closed goes on.
_APART = regex(
    r"""\"{3}(?P<double>(?:[^\\]|\\.)*?)(?:\"{3}|\Z)
        |'{3}(?P<single>(?:[^\\]|\\.)*?)(?:'{3}|\Z)
        |"(?P<d>(?:[^\\\n"]|\\.)*)(?:"|(?=\n)|\Z)
        |'(?P<s>(?:[^\\\n']|\\.)*)(?:'|(?=\n)|\Z)
        |(?P<comment>\#[^\n]*)""",
    re.VERBOSE | re.DOTALL,
)


def _apart(text: str, names: list[Name]) -> list[tuple[int, int, range]]:
    """Where texts and comments are that have names in them, and which."""
    places = [start for start, _, _ in names]
    found = []
    for each in _APART.finditer(text):
        begin, end = each.span(each.lastgroup or 0)
        first = bisect_left(places, begin)
        within = range(first, bisect_left(places, end, first))
        # A key has the name alone: ``{"password": "x"}``
        if within and names[first][:2] != (begin, end):
            found.append((begin, end, within))
    return found


def hide_apart(text: str, names: list[Name], hide: Callable[[str], str]) -> str:
    """Source with secrets hidden in its texts and comments, as many lines as before.

    ``names`` says where secret names are in it; ``hide`` hides what is secret in any
    other text.
    """

    def hidden() -> Iterator[tuple[int, int, str]]:
        for begin, end, _ in _apart(text, names):
            inner = text[begin:end]
            other = hide(inner)
            if other is not inner:
                lost = inner.count("\n") - other.count("\n")
                yield begin, end, other + "\n" * lost

    return replaced(text, hidden())


def hide_given(text: str, names: list[Name]) -> str:
    """Source with the literals hidden that a secret name has for its value.

    In as many lines as before; names in texts and comments are left alone.
    """
    return replaced(text, _given(text, names))


def _given(text: str, names: list[Name]) -> Iterator[tuple[int, int, str]]:
    inside = {index for _, _, found in _apart(text, names) for index in found}
    read = 0
    for index, (start, end, level) in enumerate(names):
        if index in inside:
            continue
        sign = _GIVEN.match(text, end) if level >= WEAK and start >= read else None
        if sign is None:
            continue
        line = text[text.rfind("\n", 0, start) + 1 : start]
        # ``user, password = "ann", "x"``: what stands beside it is hidden too.
        several = "," in line and not any(mark in line for mark in "([{")
        literals, read = _literals(text, sign.end(), several, level)
        for begin, stop, mark in literals:
            lines = "\n" * text.count("\n", begin, stop)
            yield begin, stop, f"{mark[0]}{HIDDEN}{mark[0]}{lines}"


def _literals(
    text: str, position: int, several: bool, level: int
) -> tuple[list[tuple[int, int, str]], int]:
    """``(begin, end, mark)`` of the texts in an expression, and where it ends."""
    found, depth, start = [], 0, position
    while token := _TOKEN.search(text, position):
        position = token.end()
        if mark := token["mark"]:
            end = _LITERAL_ENDS[mark].match(text, position)
            position = len(text) if end is None else end.end()
            value = text[token.end() : position].removesuffix(mark)
            before = text[max(0, token.start() - 40) : token.start()]
            if needed(value) <= level and not _LOOKED_UP.search(before):
                found.append((token.start(), position, mark))
        elif token["opening"]:
            depth += 1
        elif token["closing"]:
            depth -= 1
        elif not text[start : token.start()].strip():
            continue  # it begins on the next line
        if depth < 0 or (
            not depth and token["end"] and not (several and token["end"] == ",")
        ):
            break
    else:
        position = len(text)
    return found, position
