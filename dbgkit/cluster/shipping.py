"""Code that is not installed over there travels inside its own pickle, as source.

Pickling by reference fails where dbgkit is not installed, by value ties the two
Python versions together, and ``Client.upload_file`` can keep late workers from
starting. So what is pickled says: run this source, and take that name out of it.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

_LOAD = "exec(compile(source, filename, 'exec'), module) or module[name]"
_LOAD_AND_CALL = f"({_LOAD.replace(' or ', ') or ')}(*arguments)"


@cache
def source_of(module: str) -> str:
    """Source text of a module of ``dbgkit.remote``."""
    return (resources.files("dbgkit.remote") / f"{module}.py").read_text("utf-8")


@cache
def digest_of(module: str) -> str:
    """Short digest of a module's source: one name for one version of it."""
    return hashlib.sha256(source_of(module).encode()).hexdigest()[:12]


def _names(module: str, name: str) -> dict[str, Any]:
    label = f"dbgkit_remote_{module}_{digest_of(module)}"
    return {
        "source": source_of(module),
        "filename": f"<{label}>",
        "module": {"__name__": label},
        "name": name,
    }


class ShippedFunction:
    """Pickles as one function of a module of ``dbgkit.remote``."""

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{self.name} is to be run where it is sent to")

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (_LOAD, _names(self.module, self.name))


class ShippedPlugin(SchedulerPlugin):  # type: ignore[misc]
    """Pickles as an instance of a plugin class of a module of ``dbgkit.remote``."""

    idempotent = True  # read by Client.register_plugin

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.module = module
        self.class_name = name
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        names = _names(self.module, self.class_name)
        return eval, (_LOAD_AND_CALL, {**names, "arguments": self.arguments})
