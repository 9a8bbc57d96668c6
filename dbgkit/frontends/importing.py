"""Call a function once a module is imported, without importing it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_OURS = "dbgkit."


@contextmanager
def once_imported(name: str, action: Callable[[], None]) -> Iterator[None]:
    """Call an action as soon as a module has been imported: now, if it has been.

    If a module of dbgkit imports it, the action waits until that one is complete, so
    that it may use any of them. While inside only; nothing is left on
    ``sys.meta_path`` after it.
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
    """Waits for one module, and follows what dbgkit loads until it is there."""

    def __init__(self, name: str, action: Callable[[], None]) -> None:
        self.name = name
        self.action = action
        self.loading: set[str] = set()  # in any thread

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != self.name and not fullname.startswith(_OURS):
            return None
        finders = list(sys.meta_path)
        if self not in finders:
            return None  # another thread was first
        for finder in finders[finders.index(self) + 1 :]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self)
                return spec
        return None

    def loaded(self) -> None:
        """Act if the module is there, and all that was being loaded is complete."""
        if not self.loading and self.name in sys.modules and self.leave():
            self.action()

    def leave(self) -> bool:
        """Whether it was still there: another thread may have been first."""
        try:
            sys.meta_path.remove(self)
        except ValueError:
            return False
        return True


class _Loader(Loader):
    """Loads as the real one does, and tells the finder; the module keeps the real one.

    Some only ask for a spec, and then its loader for more.
    """

    def __init__(self, real: Any, finder: _Finder) -> None:
        self.real = real
        self.finder = finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self.real.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.real
        if module.__spec__ is not None:
            module.__spec__.loader = self.real
        self.finder.loading.add(module.__name__)
        try:
            self.real.exec_module(module)
        finally:
            self.finder.loading.discard(module.__name__)
        self.finder.loaded()
