"""Reading classes and objects without calling what they define themselves.

Uses ``type`` and the descriptors of the interpreter, never a metaclass, a property or a
``__getattr__``.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any, Protocol

# How ``type`` itself reads a class, which a metaclass cannot override.
class_module = type.__dict__["__module__"].__get__
class_name = type.__dict__["__qualname__"].__get__
class_dict = type.__dict__["__dict__"].__get__
class_mro = type.__dict__["__mro__"].__get__
_class_flags = type.__dict__["__flags__"].__get__


# A descriptor, which typeshed takes for the namespace itself.
_module_space: Any = vars(types.ModuleType)["__dict__"]


class Teller(Protocol):
    """What is needed of the walk, for arrays and frames."""

    cut: bool

    def tell(self, value: Any) -> str:
        """The text of one value within the data."""

    def named(self, name: Any, value: Any) -> str:
        """The same, under a name that may hide it."""

    def hidden(self, name: Any, numbers: bool = False) -> bool:
        """Whether a name hides what it names, which may be numbers only."""

    def join(self, pieces: list[str], count: int, between: str = ", ") -> str:
        """Pieces, and how many more there would have been."""


def namespace(module: str) -> dict[str, Any]:
    """Names of a module if it is loaded, without loading what is loaded lazily."""
    found = sys.modules.get(module)
    if found is None or not issubclass(type(found), types.ModuleType):
        return {}
    names = _module_space.__get__(found)
    return names if type(names) is dict else {}


def is_a(kind: type, base: Any) -> bool:
    """Whether a class derives from another one, asking no metaclass."""
    return base is not None and any(cls is base for cls in class_mro(kind))


def stored(value: Any, name: str) -> Any:
    """What an object keeps under a name, in a slot or its ``__dict__``; else None."""
    for base in class_mro(type(value)):
        descriptor = class_dict(base).get(name)
        if type(descriptor) is types.MemberDescriptorType:
            try:
                return descriptor.__get__(value)
            except AttributeError:  # not set
                return None
    space = instance_dict(value)
    return None if space is None else dict.get(space, name)


def module_of(cls: type) -> str:
    """The top-level package that a class says it is of."""
    module = class_module(cls)
    return module.split(".")[0] if type(module) is str else ""


def type_name(cls: type) -> str:
    """Name of a class, with its module unless builtin, past any metaclass."""
    module = class_module(cls)
    name = class_name(cls)[:100]
    if type(module) is not str or module in ("builtins", "__main__"):
        return str(name)
    return f"{module[:100]}.{name}"


def instance_dict(value: Any) -> dict[str, Any] | None:
    """An object's ``__dict__``, never through a property of that name."""
    for base in class_mro(type(value)):
        descriptor = class_dict(base).get("__dict__")
        if any(type(descriptor) is kind for kind in _OF_DICT):
            found = descriptor.__get__(value)
            return found if issubclass(type(found), dict) else None
    # A class of an extension may have one without the descriptor: not read.
    return None


# `types.SimpleNamespace` has the latter.
_OF_DICT = (types.GetSetDescriptorType, types.MemberDescriptorType)


def slots(value: Any, limit: int) -> Iterator[tuple[str, Any]]:
    """What an object has in ``__slots__``."""
    for base in class_mro(type(value)):
        if _class_flags(base) & _HEAP_TYPE == 0:
            continue
        for name, descriptor in list(class_dict(base).items()):
            if type(descriptor) is not types.MemberDescriptorType:
                continue
            try:
                found = descriptor.__get__(value)
            except AttributeError:  # not set
                continue
            yield name, found
            limit -= 1
            if limit <= 0:
                return


_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement


def class_attribute(cls: type, name: str) -> Any:
    """An attribute of a class, past any metaclass; None if it has none."""
    for base in class_mro(cls):
        space = class_dict(base)
        if name in space:
            return space[name]
    return None
