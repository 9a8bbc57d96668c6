"""Code that has only moved to other lines since it ran.

It is shown by its present text, on the lines that it had: these are what tracebacks,
recordings and the replay itself refer to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import CodeType

from dbgkit.remote.common.codes import fingerprint, identity, nested
from dbgkit.source.texts import Text, remember

_MOST_LINES = 300  # of one function that are tried against a fingerprint


def find_moved(texts: Iterable[Text], code: CodeType) -> str | None:
    """The name of the only text with exactly this code on other lines; else None.

    ``linecache`` has the text by that name, moved to the lines as they were.
    """
    wanted, layout = identity(code, lines=False), _layout(code)
    first = code.co_firstlineno
    found = {
        (text.filename, each.co_firstlineno): (text, each.co_firstlineno - first)
        for text, each in _named(texts, code.co_name)
        if identity(each, lines=False) == wanted and _layout(each) == layout
    }
    return _shown(*found.popitem()[1]) if len(found) == 1 else None


def find_moved_mark(
    texts: Iterable[Text], name: str, line: int, mark: str
) -> str | None:
    """As `find_moved`, if only a line and a fingerprint are known."""
    found = {}
    for text, each in _named(texts, name):
        numbers = {number for _, _, number in each.co_lines() if number}
        for number in sorted(numbers)[:_MOST_LINES]:
            if fingerprint(_shifted(each, line - number)) == mark:
                found[text.filename, each.co_firstlineno] = (text, number - line)
    return _shown(*found.popitem()[1]) if len(found) == 1 else None


def _named(texts: Iterable[Text], name: str) -> Iterator[tuple[Text, CodeType]]:
    for text in texts:
        for code in text.codes_named(name):
            yield text, code


def _layout(code: CodeType) -> tuple[int, ...]:
    """The lines of some code, counted from its first."""
    return tuple(
        number - code.co_firstlineno
        for each in nested(code)
        for _, _, number in each.co_lines()
        if number is not None
    )


def _shifted(code: CodeType, down: int) -> CodeType:
    constants = tuple(
        _shifted(value, down) if isinstance(value, CodeType) else value
        for value in code.co_consts
    )
    first = max(0, code.co_firstlineno + down)
    return code.replace(co_firstlineno=first, co_consts=constants)


def _shown(text: Text, down: int) -> str:
    """Have ``linecache`` give the text on other lines; its name there."""
    if not down:
        return text.show()
    lines = text.text.splitlines(keepends=True)
    shown = lines[down:] if down > 0 else ["\n"] * -down + lines
    count, where = abs(down), "down" if down > 0 else "up"
    said = f"now {count} line{'' if count == 1 else 's'} {where}"
    filename = f"{text.filename} ({said})"
    remember(filename, "".join(shown))
    return filename
