"""Expressions of Python as text that a person likes to read: 88 columns, one a line."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

WIDTH = 88
_SHORT = 24  # characters of an item of which several stand in a line
_CHUNK = 60  # characters of one line of a long text
_ESCAPED = re.compile(r"\\(?:x..|u.{4}|U.{8}|N\{[^}]*\}|[0-7]{1,3}|.)|[^\\]", re.DOTALL)


@dataclass(frozen=True)
class Expression:
    """Text, or a bracketed list of expressions: ``head`` items ``tail``.

    ``prefix`` stands before it: the key of a dict's item, the name of an argument.
    """

    head: str
    items: tuple[Expression, ...] = ()
    tail: str = ""
    prefix: str = ""
    # Whether one item alone needs a comma, as a tuple's does.
    comma: bool = False

    def after(self, prefix: str) -> Expression:
        """The same behind a prefix."""
        whole = f"{prefix}{self.prefix}"
        return Expression(self.head, self.items, self.tail, whole, self.comma)

    def then(self, tail: str) -> Expression:
        """The same with a call after it: ``.astype("int8")``."""
        whole = f"{self.tail}{tail}"
        return Expression(self.head, self.items, whole, self.prefix, self.comma)

    @property
    def flat(self) -> str:
        """In one line, whatever its length."""
        inner = ", ".join(item.flat for item in self.items)
        if self.comma and len(self.items) == 1:
            inner += ","
        return f"{self.prefix}{self.head}{inner}{self.tail}"

    def lines(self, indent: int, after: int = 0) -> list[str]:
        """In lines that are indented; ``after`` characters follow the last one."""
        flat = self.flat
        if indent + len(flat) + after <= WIDTH or not self.items:
            return [*self._long(indent, after)]
        space, inner = " " * indent, indent + 4
        body: list[str] = []
        if all(not each.items and len(each.flat) <= _SHORT for each in self.items):
            body += _filled([each.flat for each in self.items], inner)
        else:
            for item in self.items:
                *most, last = item.lines(inner, 1)
                body += [*most, f"{last},"]
        return [f"{space}{self.prefix}{self.head}", *body, f"{space}{self.tail}"]

    def _long(self, indent: int, after: int) -> Iterator[str]:
        """One line; a long text in several, in brackets."""
        space = " " * indent
        quoted = re.match(r"^(b?)([\"'])", self.head)
        fits = indent + len(self.flat) + after <= WIDTH
        if fits or self.items or not quoted or len(self.head) <= _CHUNK:
            yield f"{space}{self.flat}"
            return
        mark = quoted[0]
        yield f"{space}{self.prefix}("
        for chunk in _chunks(self.head[len(mark) : -1]):
            yield f"{space}    {mark}{chunk}{quoted[2]}"
        yield f"{space}){self.tail}"


def text(code: str) -> Expression:
    """An expression that is not taken apart."""
    return Expression(code)


def _filled(items: list[str], indent: int) -> Iterator[str]:
    line = ""
    for item in items:
        if line and indent + len(line) + len(item) + 2 > WIDTH:
            yield f"{' ' * indent}{line}"
            line = ""
        line += f"{' ' if line else ''}{item},"
    if line:
        yield f"{' ' * indent}{line}"


def _chunks(inner: str) -> Iterator[str]:
    """Parts of a quoted text, cut after a line's end, or where it gets long."""
    chunk = ""
    for piece in _ESCAPED.findall(inner):
        chunk += piece
        if (
            piece == r"\n"
            or (len(chunk) >= _CHUNK and piece == " ")
            or len(chunk) >= _CHUNK + 12
        ):
            yield chunk
            chunk = ""
    if chunk:
        yield chunk


def quoted(value: str) -> str:
    """A text as a literal in double quotes; what cannot be seen is escaped."""
    inner = "".join(map(_seen, value))
    return f'"{inner}"'


_NAMED = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\\": r"\\", '"': r"\""}


def _seen(char: str) -> str:
    if char in _NAMED:
        return _NAMED[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def docstring(paragraphs: Iterable[str]) -> list[str]:
    """The lines of a text between three quotes, which ends there and nowhere else.

    Empty paragraphs are empty lines.
    """
    lines: list[str] = []
    for paragraph in paragraphs:
        seen = "".join('"' if c == '"' else _seen(c) for c in paragraph)
        seen = seen.replace('"""', r"\"\"\"")
        lines += textwrap.wrap(
            seen,
            WIDTH,
            break_long_words=False,
            break_on_hyphens=False,
            initial_indent="" if lines else '"""',
        ) or [""]
    return [*lines, '"""']
