"""Code that is not installed on the cluster travels inside its own pickle, as source.

Pickling by reference fails where dbgkit is not installed; pickling by value ties the
two Python versions together, and ``Client.upload_file`` can keep late workers from
starting. So the pickle says: make a package of these sources, and take this name from
it. The package's name has a digest of its sources, so that two versions on one
scheduler do not interfere.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import resources
from typing import Any

from distributed.diagnostics.plugin import NannyPlugin, SchedulerPlugin, WorkerPlugin

# An import of a sibling; `sources_of` says why one line of text is enough.
_IMPORT = re.compile(r"\nfrom (\.+)([\w.]*) import ")
_LOAD = "exec(loader, space) or space['found']"
_LOAD_AND_CALL = "exec(loader, space) or space['found'](*arguments)"
# Runs over there, with `package`, `sources` and `name` as globals.
# Two threads may do this at once: neither takes a module that is half loaded.
_LOADER = """
import sys
import threading
import types
from importlib.util import find_spec


def package_at(full):
    module = sys.modules.get(full)
    if module is None:
        module = types.ModuleType(full)
        module.__path__ = []
        sys.modules[full] = module
    return module


def named(code, file):
    inner = (
        named(each, file) if isinstance(each, types.CodeType) else each
        for each in code.co_consts
    )
    return code.replace(co_filename=file, co_consts=tuple(inner))


def run(module, part, source):
    file = f"<{module.__name__}>"
    # Where this process has this very version, Python has compiled it before.
    here = f"dbgkit.remote.{part}"
    try:
        spec = find_spec(here) if "dbgkit.remote" in sys.modules else None
        same = spec is not None and spec.loader.get_source(here) == source
    except (ImportError, AttributeError):  # it is another version, or pytest loads it
        same = False
    if same:
        code = named(spec.loader.get_code(here), file)
    else:
        code = compile(source, file, "exec")
    exec(code, module.__dict__)


def add(part, source):
    full = f"{package}.{part}"
    module = sys.modules.get(full)
    if module is None:
        above = full.rpartition(".")[0]
        package_at(above)
        module = types.ModuleType(full)
        module.__package__ = above
        sys.modules[full] = module
        try:
            run(module, part, source)
        except BaseException:
            del sys.modules[full]
            raise
    return module


with vars(package_at(package)).setdefault("loading", threading.RLock()):
    for part, source in sources:
        found = getattr(add(part, source), name, None)
"""


@cache
def sources_of(module: str) -> tuple[tuple[str, str], ...]:
    """Names and source texts of a module of ``dbgkit.remote``, and of what it needs.

    In the order to run them: what is imported stands before what imports it. The
    modules of ``dbgkit.remote`` import each other with relative imports only, each of
    which begins a line with ``from``; those that are indented are for type checkers. A
    test compares what is read here with what Python's own parser finds.
    """
    found: dict[str, str] = {}

    def add(part: str) -> None:
        if part in found:
            return
        above = part.split(".")[:-1]
        text = _text_of(part)
        for dots, named in _IMPORT.findall(text):
            add(".".join([*above[: len(above) + 1 - len(dots)], named]))
        found[part] = text

    add(module)
    return tuple(found.items())


@cache
def _text_of(part: str) -> str:
    file = f"{part.replace('.', '/')}.py"
    return (resources.files("dbgkit.remote") / file).read_text("utf-8")


@cache
def _digest_of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def digest_of(module: str) -> str:
    """Short digest of a module's sources: one name for one version of it."""
    parts = [(part, _digest_of_text(text)) for part, text in sources_of(module)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def recorder_name() -> str:
    """Name of the recorder's plugins: one for each version of all that it is made of.

    The parts of two versions have nothing in common, so that neither can take
    anything from the other.
    """
    return f"dbgkit-recorder-{_recorder_digest()}"


def deaths_name() -> str:
    """Name of the plugins that watch deaths, which go with the recorder's."""
    return f"dbgkit-deaths-{_recorder_digest()}"


def _recorder_digest() -> str:
    parts = (
        *("worker.recorder", "nanny.deaths"),
        *("scheduler.recordings_store", "scheduler.deaths_store"),
        "scheduler.dashboard",
    )
    digests = " ".join(map(digest_of, parts))
    return hashlib.sha256(digests.encode()).hexdigest()[:12]


def package_of(module: str) -> str:
    """Name of the package that the sources become over there."""
    return f"dbgkit_remote_{digest_of(module)}"


def _names(module: str, name: str) -> dict[str, Any]:
    space = {
        "__name__": package_of(module),
        "package": package_of(module),
        "sources": sources_of(module),
        "name": name,
    }
    return {"loader": _LOADER, "space": space}


class ShippedFunction:
    """Pickles as one function of a module of ``dbgkit.remote``."""

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{self.name} can run only where it was sent")

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (_LOAD, _names(self.module, self.name))


class _Shipped:
    """Pickles as an instance of a plugin class of a module of ``dbgkit.remote``."""

    idempotent = True  # read by Client.register_plugin

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.module = module
        self.class_name = name
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        names = _names(self.module, self.class_name)
        return eval, (_LOAD_AND_CALL, {**names, "arguments": self.arguments})


class ShippedPlugin(_Shipped, SchedulerPlugin):  # type: ignore[misc]
    """A plugin of the scheduler: see `_Shipped`."""


class ShippedWorkerPlugin(_Shipped, WorkerPlugin):  # type: ignore[misc]
    """A plugin of every worker: see `_Shipped`."""


class ShippedNannyPlugin(_Shipped, NannyPlugin):  # type: ignore[misc]
    """A plugin of every nanny: see `_Shipped`."""
