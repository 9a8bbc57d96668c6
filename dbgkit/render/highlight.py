"""Lines of Python with classes of CSS for their tokens, as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from markupsafe import Markup, escape

from dbgkit.remote.common.texts import visible

# Class -> the names of Pygments' tokens that have it, and those within them.
_CLASSES = {
    "c": ("Comment",),
    "k": ("Keyword", "Operator.Word"),
    "s": ("Literal.String", "Literal.Date"),
    "n": ("Literal.Number",),
    "f": ("Name.Function", "Name.Class"),
    "b": ("Name.Builtin", "Name.Decorator", "Name.Exception"),
}
# Class -> what it looks like; the colours are those of the palette of the page.
STYLES = {
    "c": "opacity: .6; font-style: italic",
    "k": "color: var(--dbgkit-magenta)",
    "s": "color: var(--dbgkit-green)",
    "n": "color: var(--dbgkit-blue)",
    "f": "color: var(--dbgkit-blue)",
    "b": "color: var(--dbgkit-yellow)",
}
LONGEST = 2_000  # characters of a line: a longer one is no code that anyone reads


def highlighted(
    source: Sequence[tuple[int, str]],
) -> list[tuple[int, Markup]]:
    """Numbered lines as HTML: everything escaped, control characters made visible."""
    lines = [_plain(line) for _, line in source]
    if any(len(line) > LONGEST for line in lines):
        parts = [escape(line) for line in lines]
    else:
        parts = list(_lines("\n".join(lines)))
    parts += [Markup()] * (len(lines) - len(parts))
    numbers = (number for number, _ in source)
    return list(zip(numbers, parts[: len(lines)], strict=True))


def _plain(line: str) -> str:
    return visible(line.expandtabs(4)).replace("\n", "\\n")


def css_code() -> str:
    """A rule for each class of tokens."""
    return "\n".join(
        f".dbgkit .dbgkit-source .{name} {{ {how}; }}" for name, how in STYLES.items()
    )


def _lines(text: str) -> Iterator[Markup]:
    from rich.syntax import Syntax

    lexer = Syntax("", "python").lexer  # Pygments' own, with blank lines
    assert lexer is not None
    line = Markup()
    for kind, token in lexer.get_tokens(text):
        name = _class_of(kind)
        for index, part in enumerate(token.split("\n")):
            if index:
                yield line
                line = Markup()
            if part and name:
                line += Markup('<span class="{}">{}</span>').format(name, part)
            else:
                line += escape(part)
    yield line


def _class_of(kind: Any) -> str:
    """The class of a kind of token, whose text is ``Token.Name.Function.Magic``."""
    dotted = str(kind).removeprefix("Token.") + "."
    for name, kinds in _CLASSES.items():
        if any(dotted.startswith(f"{each}.") for each in kinds):
            return name
    return ""
