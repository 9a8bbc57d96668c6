"""How a test names what it calls: by import, or by source with all that this needs."""

from __future__ import annotations

import ast
import builtins
import sys
from dataclasses import dataclass, field
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from dbgkit.bundles.to_test_draft import Block, Draft
from dbgkit.bundles.to_test_importable import (
    Imported,
    find_imported,
    is_dasks_decorator,
    root_of,
)
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
from dbgkit.bundles.to_test_parts import NotLiteral
from dbgkit.bundles.to_test_secrets import refuse_secret, refuse_secrets_in_file
from dbgkit.bundles.to_test_text import (
    Function,
    Home,
    bound_by,
    first_line,
    home_of,
    homes_of_module,
)
from dbgkit.bundles.to_test_values import Literals
from dbgkit.errors import NotHere
from dbgkit.source import Index
from dbgkit.source.reading import why_unknown

_RESTORED = (
    "def restored(kind, **attributes):",
    '    """An object as it was, without its `__init__`."""',
    "    found = object.__new__(kind)",
    "    vars(found).update(attributes)",
    "    return found",
)
_MISSING = object()
_ALIASES = {"numpy": "np", "pandas": "pd"}  # as everybody calls them


@dataclass
class Scope:
    """Where names of some code get their values: what travelled with it, its text."""

    values: dict[str, Any]
    home: Home
    module: str


@dataclass
class Writer:
    """Puts into a draft what its call needs. With ``bare``, a function is cut out
    without the decorators around it."""

    draft: Draft
    index: Index = field(default_factory=Index)
    bare: bool = False
    confidential: bool = False  # whether what looks like a secret is written too
    decorated: bool = False  # whether a function had decorators that are none of Dask's
    _taken: dict[str, Any] = field(default_factory=dict)  # what a name stands for
    _cut: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.literals = Literals(self.reference, self._need, self._restored)

    def _need(self, line: str) -> None:
        name = line.split()[-1]
        self._take(name, line, line)
        self.draft.need(line)

    def _take(self, name: str, what: Any, shown: str) -> None:
        if self._taken.setdefault(name, what) != what:
            raise NotHere(
                f"the test would need two things that are named {name!r}: {shown}",
                "move the function to a module that can be imported",
            )

    def _restored(self) -> str:
        """The name of a function that makes an object without its ``__init__``."""
        name = "restored"
        if name not in self._taken:
            self._take(name, _RESTORED, "a function that makes objects")
            lines = [(line, 0) for line in _RESTORED]
            self.draft.blocks.append(Block(lines))
        return name

    @property
    def taken(self) -> set[str]:
        """Names that the test's module has, or will have."""
        names = {*self._taken}
        return names | {"INPUTS", "Path", "sys", "pytest"}

    # -- what has a name -----------------------------------------------------

    def reference(self, value: Any) -> str:
        """An expression for a function or a class; raises `NotHere`."""
        found = find_imported(value)
        if found is not None:
            return self._imported(found)
        if isinstance(value, MethodType):
            raise NotLiteral("a method that is bound to an object")
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        raise NotLiteral(f"a {type(value).__name__} cannot be imported")

    def _imported(self, found: Imported) -> str:
        if found.module == "builtins":
            return found.expression
        first = found.expression.partition(".")[0]
        alias = _ALIASES.get(found.module)
        usual = f"import {found.module} as {alias}"
        if alias is not None and self._taken.get(alias, usual) == usual:
            self._need(usual)
            return f"{alias}.{found.expression}"
        line = f"from {found.module} import {first}"
        self._take(first, line, line)
        root = root_of(found.module)
        if root is None:
            self.draft.need(line)
        else:
            self.draft.own_imports.setdefault(line)
            self.draft.modules[found.module.partition(".")[0]] = root
        return found.expression

    def _home(self, code: CodeType, space: dict[str, Any], name: str) -> Home:
        module, path = space.get("__name__"), space.get("__file__")
        module = module if isinstance(module, str) else "__main__"
        home = home_of(code, module, path if isinstance(path, str) else "", self.index)
        if home is None:
            raise NotHere(f"the source of {name!r} is not known", why_unknown())
        return home

    # -- functions -----------------------------------------------------------

    def _function(self, function: FunctionType) -> str:
        code, qualname = function.__code__, function.__qualname__
        home = self._home(code, function.__globals__, function.__name__)
        scope = Scope(function.__globals__, home, function.__module__ or "__main__")
        node = home.function(code)
        around = self._decorated(function, scope, node)
        if around is not None:
            return around
        if node is None:
            raise NotHere(
                f"the source of {function.__name__!r} is not known: {home.filename!r} "
                "has it no longer",
                why_unknown(),
            )
        if "<locals>" not in qualname and not isinstance(node, ast.Lambda):
            return self._defined(qualname, node, scope)
        if node in home.tree.body and not function.__closure__:
            return self._defined(node_name(node), node, scope)
        return self._nested(function, node, scope)

    def _defined(self, qualname: str, node: Function | ast.Lambda, scope: Scope) -> str:
        outer, _, _ = qualname.partition(".")
        if outer != qualname:
            self._name_class(outer, scope)
            return qualname
        assert not isinstance(node, ast.Lambda)
        self.statement(node, scope)
        return qualname

    def _decorated(self, function: FunctionType, scope: Scope, node: Any) -> str | None:
        """The name of the function that this one is wrapped around, by a decorator."""
        inner = [function.__dict__.get("__wrapped__")]
        for cell in function.__closure__ or ():
            try:
                inner.append(cell.cell_contents)
            except ValueError:
                continue
        for each in inner:
            if type(each) is not FunctionType or "." in each.__qualname__:
                continue
            try:
                home = self._home(each.__code__, each.__globals__, each.__name__)
            except NotHere:
                continue
            found = home.function(each.__code__)
            if found in home.tree.body and decorators(found):
                assert isinstance(found, (ast.FunctionDef, ast.AsyncFunctionDef))
                values = {**function.__globals__, **each.__globals__}
                self.statement(found, Scope(values, home, scope.module))
                return found.name
        return None

    def _nested(
        self, function: FunctionType, node: Function | ast.Lambda, scope: Scope
    ) -> str:
        """A function that stands in another one: with what it has from around it."""
        free = function.__code__.co_freevars
        cells = dict(zip(free, function.__closure__ or (), strict=True))
        names = [name for name in free if name != function.__name__]
        what = id(function.__code__)
        if isinstance(node, ast.Lambda):
            name = "make_lambda" if names else "function"
            lines = lambda_lines(scope.home.segment(node), name, names)
        else:
            body = scope.home.cut(node, self._left_out(node, scope))
            lines, name = moved(body, node.col_offset, 0), node.name
            if names or not lines:
                name = f"make_{node.name}"
                lines = factory_lines(body, node, name, names)
        self._block(lines, scope, name, what)
        if name == node_name(node):
            return name
        given = [
            f"{each}={self.value_of(each, cells[each].cell_contents).flat}"
            for each in names
        ]
        return f"{name}({', '.join(given)})" if name != "function" else name

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
        for module in kept.modules:
            root = root_of(module)
            if root is not None:
                self.draft.modules[module.partition(".")[0]] = root
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
        scope = self._scope_of_class(kind)
        self._name_class(kind.__qualname__.partition(".")[0], scope)
        return kind.__qualname__

    def _has_class(self, home: Home, name: str) -> bool:
        """Whether a text has a class, or what makes one: ``namedtuple(…)``."""
        return home.class_named(name) is not None or home.defined(name) is not None

    def _scope_of_class(self, kind: type) -> Scope:
        outer = kind.__qualname__.partition(".")[0]
        values: dict[str, Any] = {}
        for each in vars(kind).values():
            plain = (
                getattr(each, "__func__", None) or getattr(each, "fget", None) or each
            )
            if not isinstance(plain, FunctionType):
                continue
            values = {**plain.__globals__, **values}
            try:
                home = self._home(plain.__code__, plain.__globals__, kind.__name__)
            except NotHere:
                continue
            if self._has_class(home, outer):
                return Scope(values, home, kind.__module__)
        for home in homes_of_module(kind.__module__):
            if self._has_class(home, outer):
                return Scope(values, home, kind.__module__)
        raise NotHere(
            f"the source of the class {kind.__qualname__!r} is not known", why_unknown()
        )

    def _name_class(self, name: str, scope: Scope) -> None:
        node = scope.home.class_named(name) or scope.home.defined(name)
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
            self._take(name, key, "{}:{}".format(*key))
        if node.col_offset:  # within an ``if`` or a ``try``
            lines = [(line[node.col_offset :], number) for line, number in lines]
        self._bind_all(lines, scope, bound)
        self._add(lines, scope.home)

    def _block(self, lines: Any, scope: Scope, name: str, what: Any) -> None:
        if self._taken.get(name, _MISSING) == what:
            return
        self._take(name, what, name)
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
        value = scope.values.get(name, _MISSING)
        if value is not _MISSING:
            self._bind_value(name, value, scope)
            return
        if name in self._taken:
            return
        statement = scope.home.defined(name)
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            self._import(statement, name, scope)
            return
        if statement is not None and statement.col_offset == 0:
            self.statement(statement, scope)
            return
        live = vars(sys.modules.get(scope.module) or builtins)
        if name in live and not hasattr(builtins, name):
            self._bind_value(name, live[name], scope)

    def _bind_value(self, name: str, value: Any, scope: Scope) -> None:
        if isinstance(value, ModuleType):
            self._bind_module(name, value, scope)
            return
        known = self._taken.get(name, _MISSING)
        if known is not _MISSING and known == ("value", id(value)):
            return
        named = isinstance(value, (FunctionType, type, BuiltinFunctionType))
        if named:
            expression = self._named(value, name, scope)
            if expression not in ("", name):
                self._assign(name, value, Expression(expression))
            return
        if known is not _MISSING:
            return
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
        self._assign(name, value, written)

    def _assign(self, name: str, value: Any, written: Expression) -> None:
        self._take(name, ("value", id(value)), name)
        lines = written.after(f"{name} = ").lines(0)
        self.draft.blocks.append(Block([(line, 0) for line in lines]))

    def _bind_module(self, name: str, module: ModuleType, scope: Scope) -> None:
        full = module.__name__
        line = f"import {full}" if full == name else f"import {full} as {name}"
        self._take(name, line, line)
        root = root_of(full)
        if root is None:
            self.draft.need(line)
        else:
            self.draft.own_imports.setdefault(line)
            self.draft.modules[full.partition(".")[0]] = root
        for each in scope.home.tree.body:  # ``import scipy.linalg``
            if isinstance(each, ast.Import):
                for alias in each.names:
                    if not alias.asname and alias.name.startswith(f"{name}."):
                        self.draft.need(f"import {alias.name}")

    def _import(
        self, node: ast.Import | ast.ImportFrom, name: str, scope: Scope
    ) -> None:
        """The part of an import that gives a name its value."""
        if getattr(node, "level", 0):
            raise NotHere(
                f"a relative import in {scope.home.filename!r} has no package"
            )
        for alias in node.names:
            if (alias.asname or alias.name.partition(".")[0]) == name:
                whole = f"{alias.name} as {name}" if alias.asname else alias.name
                module = getattr(node, "module", None)
                line = f"from {module} import {whole}" if module else f"import {whole}"
                self._take(name, line, line)
                self._import_line(module or alias.name, line)

    def _import_line(self, module: str, line: str) -> None:
        root = root_of(module)
        if root is None:
            self.draft.need(line)
        else:
            self.draft.own_imports.setdefault(line)
            self.draft.modules[module.partition(".")[0]] = root


def _kept_apart() -> tuple[type, ...]:
    """Kinds of values that are data, whatever statement has made them."""
    found: list[type] = [list, dict, set, tuple, str, bytes]
    if "numpy" in sys.modules:
        found.append(sys.modules["numpy"].ndarray)
    if "pandas" in sys.modules:
        pandas = sys.modules["pandas"]
        found += [pandas.DataFrame, pandas.Series, pandas.Index]
    return tuple(found)
