"""Where a function or a class is from: its text, and what the names in it stand for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from dbgkit.bundles.classes import home_of_class
from dbgkit.bundles.to_test_homes import home_named, homes_of_module
from dbgkit.bundles.to_test_lines import decorators
from dbgkit.bundles.to_test_text import Function, Home
from dbgkit.errors import NotHere
from dbgkit.source import Index
from dbgkit.source.reading import why_unknown
from dbgkit.source.texts import is_nameless


@dataclass
class Scope:
    """Where names of some code get their values: what travelled with it, its text."""

    values: dict[str, Any]
    home: Home
    module: str


def scope_of_function(function: FunctionType, index: Index) -> Scope:
    """Raises `NotHere` if its text is not known."""
    home = _home_of(function, index)
    if home is None:
        raise NotHere(
            f"the source of {function.__name__!r} is not known", why_unknown()
        )
    return Scope(function.__globals__, home, function.__module__ or "__main__")


def decorated_within(
    function: FunctionType, index: Index
) -> tuple[Function, Scope] | None:
    """What has decorators, if a function is what one of these has put around it."""
    inner = [function.__dict__.get("__wrapped__")]
    for cell in function.__closure__ or ():
        try:
            inner.append(cell.cell_contents)
        except ValueError:
            continue
    for each in inner:
        if type(each) is not FunctionType or "." in each.__qualname__:
            continue
        home = _home_of(each, index)
        node = home and home.function(each.__code__)
        if home and node in home.tree.body and decorators(node):
            assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            values = {**function.__globals__, **each.__globals__}
            return node, Scope(values, home, function.__module__ or "__main__")
    return None


def scope_of_class(kind: type, index: Index) -> Scope:
    """By the text that has come with it, its methods, or its module.

    Raises `NotHere` if its text is not known.
    """
    outer = kind.__qualname__.partition(".")[0]
    values: dict[str, Any] = {}
    along = home_of_class(kind)
    for function in _functions_of(kind):
        values = {**function.__globals__, **values}
        home = along or _home_of(function, index)
        if home is not None and home.class_named(outer) is not None:
            return Scope(values, home, kind.__module__)
    for home in [along] if along else homes_of_module(kind.__module__):
        if home.class_named(outer) is not None:
            return Scope(values, home, kind.__module__)
    raise NotHere(
        f"the source of the class {kind.__qualname__!r} is not known", why_unknown()
    )


def _functions_of(kind: type) -> Iterator[FunctionType]:
    for each in vars(kind).values():
        plain = getattr(each, "__func__", None) or getattr(each, "fget", None) or each
        if isinstance(plain, FunctionType):
            yield plain


def _home_of(function: FunctionType, index: Index) -> Home | None:
    """The text of a function, as it was when it ran; None if it is not known."""
    filename = function.__code__.co_filename
    if is_nameless(filename):
        space = function.__globals__
        module, path = space.get("__name__"), space.get("__file__")
        found = index.find(
            function.__code__,
            module if isinstance(module, str) else "__main__",
            path if isinstance(path, str) else "",
        )
        if found is None:
            return None
        filename = found.filename
    return home_named(filename)
