"""Classes of a script or a notebook: their text travels with them.

A class need not have code that leads to its text: an exception, an enum, a named tuple.
Pickles in files name `read_class`: its name and arguments stay.
"""

from __future__ import annotations

import ast
from typing import Any

from dbgkit.bundles.codes import Source, show
from dbgkit.bundles.to_test_homes import home_named, homes_of_module
from dbgkit.bundles.to_test_lines import names_used
from dbgkit.bundles.to_test_text import Home, first_line
from dbgkit.errors import NotHere

# What a class of a file has of its text: whoever copies the class copies it, too.
_TEXT = "__dbgkit_text__"


def with_text(reduced: tuple[Any, ...], source: Source | None) -> tuple[Any, ...]:
    """How to pickle a class, with its text."""
    if source is None or len(reduced) != 6:
        return reduced
    make, args, state, items, pairs, put = reduced
    return make, args, (state, put, source), items, pairs, read_class


def read_class(kind: type, state: tuple[Any, Any, Source]) -> None:
    """Give a class of a pickle what it had, and keep its text in mind."""
    inner, put, source = state
    put(kind, inner)
    type.__setattr__(kind, _TEXT, (source.filename, source.text))


def home_of_class(kind: type) -> Home | None:
    """The text that a class has come with."""
    along = vars(kind).get(_TEXT)
    return None if along is None else home_named(show(*along))


def text_of_class(kind: type) -> Source | None:
    """The text of a class, and of what that needs as it runs."""
    if _TEXT in vars(kind):
        return Source(*vars(kind)[_TEXT])
    if "<locals>" in kind.__qualname__:
        return None
    name = kind.__qualname__.partition(".")[0]
    for home in homes_of_module(kind.__module__):
        if home.class_named(name) is not None:
            return Source(home.filename, _text(home, name))
    return None


def _text(home: Home, name: str) -> str:
    """The statements that a class needs, on their lines; all others are empty."""
    kept: dict[int, str] = {}
    done: set[int] = set()
    waiting: list[ast.stmt] = [each for each in home.tree.body if _is_future(each)]
    waiting += _outermost(home, name)
    while waiting:
        node = waiting.pop()
        if first_line(node) in done:
            continue
        done.add(first_line(node))
        lines = home.cut(node)
        kept.update({number: line for line, number in lines})
        for each in _names(home, node, "\n".join(line for line, _ in lines)):
            waiting += _outermost(home, each)
    return "\n".join(kept.get(n, "") for n in range(1, max(kept) + 1)) + "\n"


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _names(home: Home, node: ast.stmt, text: str) -> list[str]:
    try:
        # Its methods take along what they use, as all functions do.
        return names_used(text, home, at_once=isinstance(node, ast.ClassDef))
    except NotHere:
        return []


def _outermost(home: Home, name: str) -> list[ast.stmt]:
    """The outermost statement in which a name gets its value."""
    node = home.class_named(name)
    if node is None:
        return []
    return [
        each
        for each in home.tree.body
        if each.lineno <= node.lineno <= (each.end_lineno or each.lineno)
    ]
