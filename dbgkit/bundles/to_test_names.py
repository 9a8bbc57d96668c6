"""The names of a test's module: each stands for one thing, by import or by value."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from dbgkit.bundles.to_test_draft import Block, Draft
from dbgkit.bundles.to_test_importable import Imported
from dbgkit.bundles.to_test_layout import Expression
from dbgkit.bundles.to_test_text import Home
from dbgkit.errors import NotHere

_RESTORED = (
    "def restored(kind, **attributes):",
    '    """An object as it was, without its `__init__`."""',
    "    found = object.__new__(kind)",
    "    vars(found).update(attributes)",
    "    return found",
)
_ALIASES = {"numpy": "np", "pandas": "pd"}  # as everybody calls them
_OTHERS = {"INPUTS", "Path", "sys", "pytest"}  # that the test may have besides


@dataclass
class Names:
    """What each global name of a draft stands for."""

    draft: Draft
    _taken: dict[str, Any] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self._taken

    @property
    def reserved(self) -> set[str]:
        """Names that the test's module has, or will have."""
        return {*self._taken} | _OTHERS

    def take(self, name: str, what: Any, shown: str) -> bool:
        """Have a name stand for something; False if it did so already.

        Raises `NotHere` if it stands for another thing.
        """
        if name not in self._taken:
            self._taken[name] = what
            return True
        if self._taken[name] != what:
            raise NotHere(
                f"the test would need two things that are named {name!r}: {shown}",
                "move the function to a module that can be imported",
            )
        return False

    def free(self, name: str, what: Any) -> str:
        """A name for something of ours, with a number if others have it already."""
        found, number = name, 1
        while self._taken.get(found, what) != what:
            number += 1
            found = f"{name}_{number}"
        return found

    # -- imports ---------------------------------------------------------------

    def need(self, line: str) -> None:
        """A line of import, of a library."""
        self.take(line.split()[-1], line, line)
        self.draft.need(line)

    def imported(self, found: Imported) -> str:
        """Import what a module has; the expression for it."""
        if found.module == "builtins":
            return found.expression
        alias = _ALIASES.get(found.module)
        usual = f"import {found.module} as {alias}"
        if alias is not None and self._taken.get(alias, usual) == usual:
            self.need(usual)
            return f"{alias}.{found.expression}"
        first = found.expression.partition(".")[0]
        self._import(found.module, first, f"from {found.module} import {first}")
        return found.expression

    def import_module(self, name: str, module: ModuleType, home: Home) -> None:
        """Have a name stand for a module, with the parts that its code imports."""
        full = module.__name__
        line = f"import {full}" if full == name else f"import {full} as {name}"
        self._import(full, name, line)
        for each in home.tree.body:  # ``import scipy.linalg``
            if isinstance(each, ast.Import):
                for alias in each.names:
                    if not alias.asname and alias.name.startswith(f"{name}."):
                        self.draft.need(f"import {alias.name}")

    def import_by(
        self, node: ast.Import | ast.ImportFrom, name: str, home: Home
    ) -> None:
        """Copy the part of an import that gives a name its value."""
        if getattr(node, "level", 0):
            raise NotHere(f"a relative import in {home.filename!r} has no package")
        for alias in node.names:
            if (alias.asname or alias.name.partition(".")[0]) == name:
                whole = f"{alias.name} as {name}" if alias.asname else alias.name
                module = getattr(node, "module", None)
                line = f"from {module} import {whole}" if module else f"import {whole}"
                self._import(module or alias.name, name, line)

    def _import(self, module: str, name: str, line: str) -> None:
        self.take(name, line, line)
        self.draft.need_from(module, line)

    # -- values ----------------------------------------------------------------

    def assign(self, name: str, value: Any, written: Expression) -> None:
        """Have a name stand for a value."""
        if self.take(name, _as_value(value), name):
            lines = written.after(f"{name} = ").lines(0)
            self.draft.blocks.append(Block([(line, 0) for line in lines]))

    def has_value(self, name: str, value: Any) -> bool:
        """Whether a name has been assigned this very value."""
        return self._taken.get(name) == _as_value(value)

    def restored(self) -> str:
        """The name of a function that makes an object without its ``__init__``."""
        if self.take("restored", _RESTORED, "a function that makes objects"):
            self.draft.blocks.append(Block([(line, 0) for line in _RESTORED]))
        return "restored"


def _as_value(value: Any) -> tuple[str, int]:
    return "value", id(value)
