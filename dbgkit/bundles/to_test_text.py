"""The text that some code was compiled from, and statements cut out of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from types import CodeType
from typing import Any

from dbgkit.remote.common.codes import identity, nested
from dbgkit.source.texts import Text, read_file

# A line, and its number in the text that it is from; 0 for what was added.
Line = tuple[str, int]
Function = ast.FunctionDef | ast.AsyncFunctionDef
_DEFINED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_FLAGS = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@dataclass(frozen=True)
class Home:
    """A text, by the name that its code's file has."""

    filename: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        # As Python counts them: a form feed ends none.
        return re.split(r"\r\n|\r|\n", self.text)

    @cached_property
    def tree(self) -> ast.Module:
        try:
            tree = compile(self.text, self.filename, "exec", _FLAGS, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return ast.Module([], [])
        assert isinstance(tree, ast.Module)
        return tree

    @property
    def future(self) -> list[str]:
        """Names of its ``from __future__`` imports."""
        return [
            alias.name
            for each in self.tree.body
            if isinstance(each, ast.ImportFrom) and each.module == "__future__"
            for alias in each.names
        ]

    def function(self, code: CodeType) -> Function | ast.Lambda | None:
        """Where some code is defined: by name and line, and by what it does."""
        named: list[Any] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Lambda):
                if code.co_name == "<lambda>" and node.lineno <= code.co_firstlineno:
                    named.append(node)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and (
                node.name == code.co_name and first_line(node) == code.co_firstlineno
            ):
                named.append(node)
        if code.co_name == "<lambda>":
            named = self._lambdas(named, code)
        return named[-1] if named else None

    def _lambdas(self, nodes: list[ast.Lambda], code: CodeType) -> list[ast.Lambda]:
        """Those with exactly this code, of several on a line."""
        there = [n for n in nodes if n.lineno == code.co_firstlineno]
        if len(there) < 2:
            return there
        wanted = (code.co_code, code.co_names, identity(code)[-1])
        return [node for node in there if _does(node, code, wanted)] or there[:1]

    def defined(self, name: str) -> ast.stmt | None:
        """The statement, not within another, that last gives a name its value."""
        found = None
        for statement in _statements(self.tree.body):
            if name in bound_by(statement):
                found = statement
        return found

    def class_named(self, name: str) -> ast.stmt | None:
        """The statement of a class, or of what makes one: ``namedtuple(…)``."""
        classes = [
            each
            for each in _statements(self.tree.body)
            if isinstance(each, ast.ClassDef) and each.name == name
        ]
        return classes[-1] if classes else self.defined(name)

    def cut(self, node: ast.stmt, without: tuple[ast.expr, ...] = ()) -> list[Line]:
        """The lines of a statement, with the comments above it.

        The decorators that are to be left out are.
        """
        first, last = first_line(node), node.end_lineno or node.lineno
        left_out = {
            number
            for each in without
            for number in range(each.lineno, (each.end_lineno or each.lineno) + 1)
        }
        indent = node.col_offset
        comment = re.compile(rf"^ {{{indent}}}#(?! ?%%)")
        while first > 1 and comment.match(self.lines[first - 2]):
            first -= 1
        return [
            (self.lines[number - 1], number)
            for number in range(first, last + 1)
            if number not in left_out
        ]

    def segment(self, node: ast.expr) -> list[Line]:
        """The lines of an expression, cut where it begins and ends."""
        found = ast.get_source_segment(self.text, node) or ""
        return [
            (line, node.lineno + number)
            for number, line in enumerate(re.split(r"\r\n|\r|\n", found))
        ]


def _does(node: ast.Lambda, code: CodeType, wanted: Any) -> bool:
    """Whether a lambda compiles to the bytecode of some code.

    It stands in a function that has what the code takes from around it.
    """
    around = ast.parse(f"lambda {', '.join(code.co_freevars)}: 0", mode="eval")
    assert isinstance(around.body, ast.Lambda)
    around.body.body = node
    try:
        whole = compile(around, "<lambda>", "eval", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    (outer,) = (each for each in whole.co_consts if isinstance(each, CodeType))
    return any(
        (each.co_code, each.co_names, identity(each)[-1]) == wanted
        for each in nested(outer)
        if each.co_name == "<lambda>" and each is not outer
    )


def first_line(node: ast.stmt) -> int:
    """The line on which a statement begins, with its decorators."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when a text is, those within ``if`` and ``try`` too."""
    for each in body:
        yield each
        if isinstance(each, (*_DEFINED, ast.For, ast.While)):
            continue
        if isinstance(each, ast.If) and _is_main_guard(each):
            continue
        for name in ("body", "orelse", "handlers", "finalbody"):
            inner = getattr(each, name, [])
            for part in inner:
                if isinstance(part, ast.ExceptHandler):
                    yield from _statements(part.body)
                elif isinstance(part, ast.stmt):
                    yield from _statements([part])


def _is_main_guard(node: ast.If) -> bool:
    return "__name__" in ast.dump(node.test)


def bound_by(node: ast.stmt) -> set[str]:
    """Names that a statement gives a value, by itself."""
    if isinstance(node, _DEFINED):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {a.asname or a.name.partition(".")[0] for a in node.names}
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {
            name.id
            for target in targets
            for name in ast.walk(target)
            if isinstance(name, ast.Name)
        }
    return set()


def edited_since(code: CodeType | None) -> str:
    """The file of some code, if it has no longer that code; else empty."""
    text = read_file(code.co_filename) if code is not None else None
    if code is None or text is None:
        return ""
    wanted = identity(code, lines=False)
    found = Text(code.co_filename, text).codes_named(code.co_name)
    same = any(identity(each, lines=False) == wanted for each in found)
    return "" if same else code.co_filename
