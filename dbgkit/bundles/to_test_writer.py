"""How a test names what it calls: by import, or by source with all that this needs."""

from __future__ import annotations

import ast
import builtins
import sys
from dataclasses import dataclass, field
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from dbgkit.bundles.to_test_draft import Block, Draft
from dbgkit.bundles.to_test_importable import find_imported, is_dasks_decorator
from dbgkit.bundles.to_test_layout import Expression
from dbgkit.bundles.to_test_lines import (
    decorators,
    factory_lines,
    is_annotated,
    lambda_lines,
    moved,
    names_used,
    node_name,
)
from dbgkit.bundles.to_test_names import Names
from dbgkit.bundles.to_test_parts import NotLiteral
from dbgkit.bundles.to_test_scopes import (
    Scope,
    decorated_within,
    scope_of_class,
    scope_of_function,
)
from dbgkit.bundles.to_test_secrets import refuse_secret, refuse_secrets_in_file
from dbgkit.bundles.to_test_text import Function, Home, bound_by, first_line
from dbgkit.bundles.to_test_values import Literals
from dbgkit.errors import NotHere
from dbgkit.source import Index
from dbgkit.source.reading import why_unknown


@dataclass
class Writer:
    """Puts into a draft what its call needs. With ``bare``, a function is cut out
    without the decorators around it."""

    draft: Draft
    index: Index = field(default_factory=Index)
    bare: bool = False
    confidential: bool = False  # whether what looks like a secret is written too
    decorated: bool = False  # whether a function had decorators that are none of Dask's
    _cut: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.names = Names(self.draft)
        self.literals = Literals(self.reference, self.names.need, self.names.restored)

    # -- what has a name -----------------------------------------------------

    def reference(self, value: Any) -> str:
        """An expression for a function or a class; raises `NotHere`."""
        found = find_imported(value)
        if found is not None:
            return self.names.imported(found)
        if isinstance(value, MethodType):
            raise NotLiteral("a method that is bound to an object")
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        raise NotLiteral(f"a {type(value).__name__} cannot be imported")

    # -- functions -----------------------------------------------------------

    def _function(self, function: FunctionType) -> str:
        scope = scope_of_function(function, self.index)
        around = decorated_within(function, self.index)
        if around is not None:
            self.statement(*around)
            return around[0].name
        node = scope.home.function(function.__code__)
        if node is None:
            raise NotHere(
                f"the source of {function.__name__!r} is not known: "
                f"{scope.home.filename!r} has it no longer",
                why_unknown(),
            )
        qualname = function.__qualname__
        at_top = node in scope.home.tree.body and not function.__closure__
        inner = "<locals>" in qualname
        if isinstance(node, ast.Lambda) or (inner and not at_top):
            return self._nested(function, node, scope)
        if inner:
            qualname = node.name
        outer, dot, _ = qualname.partition(".")
        if dot:
            self._name_class(outer, scope)
        else:
            self.statement(node, scope)
        return qualname

    def _nested(
        self, function: FunctionType, node: Function | ast.Lambda, scope: Scope
    ) -> str:
        """A function that stands in another one: with what it has from around it."""
        free = function.__code__.co_freevars
        cells = dict(zip(free, function.__closure__ or (), strict=True))
        names = [name for name in free if name != function.__name__]
        what = id(function.__code__)
        if isinstance(node, ast.Lambda):
            name = self.names.free("make_lambda" if names else "function", what)
            lines = lambda_lines(scope.home.segment(node), name, names)
        else:
            body = scope.home.cut(node, self._left_out(node, scope))
            lines, name = moved(body, node.col_offset, 0), node.name
            if names or not lines:
                name = self.names.free(f"make_{node.name}", what)
                lines = factory_lines(body, node, name, names)
        self._block(lines, scope, name, what)
        if name == node_name(node):
            return name
        given = [
            f"{each}={self.value_of(each, cells[each].cell_contents).flat}"
            for each in names
        ]
        made = bool(names) or not isinstance(node, ast.Lambda)
        return f"{name}({', '.join(given)})" if made else name

    # -- values --------------------------------------------------------------

    def literal(self, name: str, value: Any) -> Expression:
        """A value as it stands in the text; raises `NotLiteral`."""
        written = self.literals.of(value)
        if not self.confidential:
            refuse_secret(name, value if isinstance(value, str) else written.flat)
        return written

    def beside(self, name: str, value: Any) -> tuple[Expression, str]:
        """How a value is read from a file beside the test, and what to say of it."""
        try:
            written, kept = self.draft.beside(name, value, self.reference)
        except NotLiteral as error:
            raise NotHere(f"{name!r} cannot be written to a file: {error}") from None
        if not self.confidential:
            refuse_secrets_in_file(name, value, kept.data)
        return written, kept.note

    def value_of(self, name: str, value: Any) -> Expression:
        """An expression for a value: a literal, or what reads a file beside."""
        try:
            return self.literal(name, value)
        except NotLiteral:
            return self.beside(name, value)[0]

    # -- classes -------------------------------------------------------------

    def _class(self, kind: type) -> str:
        if "<locals>" in kind.__qualname__:
            raise NotHere(
                f"the class {kind.__qualname__!r} is defined within a function",
                "move it to the top of its file, or to a module",
            )
        scope = scope_of_class(kind, self.index)
        self._name_class(kind.__qualname__.partition(".")[0], scope)
        return kind.__qualname__

    def _name_class(self, name: str, scope: Scope) -> None:
        node = scope.home.class_named(name)
        if node is None:
            raise NotHere(f"the source of the class {name!r} is not known")
        self.statement(node, scope)

    # -- statements ----------------------------------------------------------

    def _left_out(self, node: ast.stmt, scope: Scope) -> tuple[ast.expr, ...]:
        """Decorators that make a task of a function, and what is to be bare."""
        around = decorators(node)
        dasks = [each for each in around if is_dasks_decorator(each, scope.home)]
        others = len(dasks) < len(around)
        if others and not isinstance(node, ast.ClassDef):
            self.decorated = True
            if self.bare:
                return tuple(around)
        return tuple(dasks)

    def statement(self, node: ast.stmt, scope: Scope) -> None:
        """Cut a statement out, with all that it needs before it."""
        key = (scope.home.filename, first_line(node))
        if key in self._cut:
            return
        self._cut.add(key)
        lines = scope.home.cut(node, self._left_out(node, scope))
        bound = bound_by(node)
        for name in bound:
            self.names.take(name, key, "{}:{}".format(*key))
        if node.col_offset:  # within an ``if`` or a ``try``
            lines = [(line[node.col_offset :], number) for line, number in lines]
        self._bind_all(lines, scope, bound)
        self._add(lines, scope.home)

    def _block(self, lines: Any, scope: Scope, name: str, what: Any) -> None:
        if self.names.take(name, what, name):
            self._bind_all(lines, scope, {name})
            self._add(lines, scope.home)

    def _add(self, lines: Any, home: Home) -> None:
        for name in home.future:
            if name != "annotations" or is_annotated(lines):
                self.draft.need(f"from __future__ import {name}")
        self.draft.blocks.append(Block(lines, home.filename))
        self.draft.from_job = True

    def _bind_all(self, lines: Any, scope: Scope, own: set[str]) -> None:
        text = "\n".join(line for line, _ in lines)
        for name in names_used(text, scope.home):
            if name not in own:
                self._bind(name, scope)

    # -- names ---------------------------------------------------------------

    def _bind(self, name: str, scope: Scope) -> None:
        """Have the test's module give a name the value that it had."""
        if name in scope.values:
            self._bind_value(name, scope.values[name], scope)
            return
        if name in self.names:
            return
        statement = scope.home.defined(name)
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            self.names.import_by(statement, name, scope.home)
            return
        if statement is not None and statement.col_offset == 0:
            self.statement(statement, scope)
            return
        live = vars(sys.modules.get(scope.module) or builtins)
        if name in live and not hasattr(builtins, name):
            self._bind_value(name, live[name], scope)

    def _bind_value(self, name: str, value: Any, scope: Scope) -> None:
        if isinstance(value, ModuleType):
            self.names.import_module(name, value, scope.home)
        elif self.names.has_value(name, value):
            return
        elif isinstance(value, (FunctionType, type, BuiltinFunctionType)):
            expression = self._named(value, name, scope)
            if expression not in ("", name):
                self.names.assign(name, value, Expression(expression))
        elif name not in self.names:
            self._bind_constant(name, value, scope)

    def _named(self, value: Any, name: str, scope: Scope) -> str:
        try:
            return self.reference(value)
        except NotLiteral:
            statement = scope.home.defined(name)
            if statement is None:
                raise NotHere(f"{name!r} cannot be imported") from None
            self.statement(statement, scope)
            return ""

    def _bind_constant(self, name: str, value: Any, scope: Scope) -> None:
        try:
            written = self.literal(name, value)
        except NotLiteral:
            statement = scope.home.defined(name)
            if isinstance(value, _kept_apart()) or statement is None:
                written, note = self.beside(name, value)
                if note:
                    self.draft.blocks.append(
                        Block([(f"# {note[0].upper()}{note[1:]}.", 0)])
                    )
            else:
                self.statement(statement, scope)
                return
        self.names.assign(name, value, written)


def _kept_apart() -> tuple[type, ...]:
    """Kinds of values that are data, whatever statement has made them."""
    found: list[type] = [list, dict, set, tuple, str, bytes]
    if "numpy" in sys.modules:
        found.append(sys.modules["numpy"].ndarray)
    if "pandas" in sys.modules:
        pandas = sys.modules["pandas"]
        found += [pandas.DataFrame, pandas.Series, pandas.Index]
    return tuple(found)
