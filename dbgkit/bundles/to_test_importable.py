"""What a test can import: from which module, and from which folder that is."""

from __future__ import annotations

import ast
import builtins
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

from dbgkit.bundles.to_test_text import Home
from dbgkit.remote.common.codes import identity
from dbgkit.remote.common.frames import is_own

_NO_MODULES = ("__main__", "__mp_main__")
_DEEPEST = 5  # functions wrapped around functions


@dataclass(frozen=True)
class Imported:
    """``from module import …``, and the expression that gives the object then."""

    module: str
    expression: str


def find_imported(value: Any) -> Imported | None:
    """How something with a name is imported; None if it cannot be."""
    if isinstance(value, MethodType):
        owner = (
            find_imported(value.__self__) if isinstance(value.__self__, type) else None
        )
        if owner is None:
            return None
        return Imported(owner.module, f"{owner.expression}.{value.__name__}")
    module = _text(value, "__module__") or _module_of_type(value)
    name = _text(value, "__qualname__") or _text(value, "__name__")
    if not module or not name or module in _NO_MODULES:
        return None
    home = sys.modules.get(module)
    if module == "builtins":
        known = vars(builtins).get(name) is value
        return Imported("builtins", name) if known else None
    if home is None or not _has_file(home):
        return None
    if not all(part.isidentifier() for part in module.split(".")):
        return None  # loaded by its file alone
    if "<" not in name:
        expression = _matching(home, name, value)
        if expression is not None:
            return Imported(_shortest(module, expression, value), expression)
    for each, found in list(vars(home).items()):
        if each.isidentifier() and _is_same(found, value):  # ``double = lambda x: …``
            return Imported(module, each)
    return None


def _text(value: Any, name: str) -> str:
    try:
        found = getattr(value, name, None)
    except Exception:  # the user's own __getattr__
        return ""
    return found if isinstance(found, str) else ""


def _module_of_type(value: Any) -> str:
    """The module of what does not say so itself: NumPy's ufuncs."""
    return type(value).__module__ if type(value).__module__ == "numpy" else ""


def _has_file(module: ModuleType) -> bool:
    path = getattr(module, "__file__", None)
    spec = getattr(module, "__spec__", None)
    return spec is not None and (path is None or os.path.isfile(path))


def _matching(home: ModuleType, qualname: str, value: Any) -> str | None:
    """The expression by which a module has something: itself, or what is wrapped."""
    found: Any = home
    for part in qualname.split("."):
        try:
            found = getattr(found, part)
        except Exception:  # it is another object's by now
            return None
    for depth, each in enumerate(_wrapped(found)):
        if _is_same(each, value):
            return qualname + ".__wrapped__" * depth
    return None


def _wrapped(value: Any) -> Iterator[Any]:
    """An object, and what it is wrapped around, as `functools.wraps` says it."""
    for _ in range(_DEEPEST):
        yield value
        try:
            value = value.__wrapped__
        except Exception:  # it wraps nothing, or has attributes of its own making
            return


def _is_same(found: Any, value: Any) -> bool:
    if found is value:
        return True
    if type(found) is FunctionType and type(value) is FunctionType:
        same = identity(found.__code__) == identity(value.__code__)
        return same and len(found.__closure__ or ()) == len(value.__closure__ or ())
    if isinstance(found, type) and isinstance(value, type):
        return found.__qualname__ == value.__qualname__ and type(found) is type(value)
    return False


def _shortest(module: str, expression: str, value: Any) -> str:
    """The package that has it too: ``pandas`` in place of ``pandas.core.…``."""
    if module == "_operator":
        return "operator"
    top = module.partition(".")[0]
    package = sys.modules.get(top)
    if top == module or package is None or root_of(module) is not None:
        return module
    found = vars(package).get(expression)
    return top if found is value and found is not None else module


def root_of(module: str) -> str | None:
    """The folder that a module of the user's own is imported from; else None."""
    home = sys.modules.get(module)
    path = getattr(home, "__file__", None)
    if not isinstance(path, str) or not is_own(path):
        return None
    path = os.path.abspath(path)
    depth = module.count(".") + (os.path.basename(path) == "__init__.py")
    for _ in range(depth + 1):
        path = os.path.dirname(path)
    return path


def is_dasks_decorator(node: ast.expr, home: Home) -> bool:
    """Whether a decorator is ``delayed``, in any of the ways to write it."""
    if isinstance(node, ast.Call):
        node = node.func
    name = ast.unparse(node)
    first, _, rest = name.partition(".")
    imported = home.defined(first)
    if name.split(".")[-1] != "delayed" and not isinstance(imported, ast.ImportFrom):
        return False
    if isinstance(imported, ast.ImportFrom):
        origin = imported.module or ""
        whole = any(
            (alias.asname or alias.name) == first and alias.name == "delayed"
            for alias in imported.names
        )
        return origin.partition(".")[0] == "dask" and (whole or rest == "delayed")
    if isinstance(imported, ast.Import):
        return any(
            (alias.asname or alias.name).partition(".")[0] == first
            and alias.name.partition(".")[0] == "dask"
            for alias in imported.names
        )
    return name in ("delayed", "dask.delayed")  # imported in another cell
