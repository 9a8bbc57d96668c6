"""Call a function once a module is imported, without importing it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


@contextmanager
def once_imported(name: str, action: Callable[[], None]) -> Iterator[None]:
    """Call an action as soon as a module has been imported: now, if it has been.

    While inside only; nothing is left on ``sys.meta_path`` after it.
    """
    if name in sys.modules:
        action()
        yield
        return
    finder = _Finder(name, action)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        finder.leave()


class _Finder(MetaPathFinder):
    """Waits for one module, and steps aside once it is asked for."""

    def __init__(self, name: str, action: Callable[[], None]) -> None:
        self.name = name
        self.action = action

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        self.leave()
        for finder in sys.meta_path:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self.action)
                return spec
        return None

    def leave(self) -> None:
        with suppress(ValueError):  # another thread may have been first
            sys.meta_path.remove(self)


class _Loader(Loader):
    """Loads as the real one does, then acts; the module keeps the real one."""

    def __init__(self, real: Any, action: Callable[[], None]) -> None:
        self.real = real
        self.action = action

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self.real.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.real
        if module.__spec__ is not None:
            module.__spec__.loader = self.real
        self.real.exec_module(module)
        self.action()
