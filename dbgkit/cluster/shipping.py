"""Code that is not installed on the cluster travels inside its own pickle, as source.

Pickling by reference fails where dbgkit is not installed; pickling by value ties the
two Python versions together, and ``Client.upload_file`` can keep late workers from
starting. So the pickle says: make a package of these sources, and take this name from
it. The package's name has a digest of its sources, so that two versions on one
scheduler do not interfere. Compiled code goes along, for those whose Python compiles
to the same: compiling takes most of the time that a first question does.
"""

from __future__ import annotations

import hashlib
import marshal
import pickle
import re
import zlib
from functools import cache
from importlib import resources
from importlib.machinery import PathFinder
from importlib.util import MAGIC_NUMBER
from types import CodeType
from typing import Any

from distributed.diagnostics.plugin import NannyPlugin, SchedulerPlugin, WorkerPlugin

# An import of a sibling; `sources_of` says why one line of text is enough.
_IMPORT = re.compile(r"\nfrom (\.+)([\w.]*) import ")
_LOAD = "exec(loader, space) or space['found']"
_LOAD_AND_CALL = "exec(loader, space) or space['found'](*arguments)"
# Runs over there, with `package`, `sources`, `magic` and `name` as globals.
# Two threads may do this at once: neither takes a module that is half loaded. The two
# `setdefault` are atomic, so that both take the same package, and one lock.
_LOADER = """
import marshal
import pickle
import sys
import threading
import types
from importlib.util import MAGIC_NUMBER


def package_at(full):
    module = types.ModuleType(full)
    module.__path__ = []
    return sys.modules.setdefault(full, module)


def add(part, source, compiled):
    full = f"{package}.{part}"
    module = sys.modules.get(full)
    if module is None:
        above = full.rpartition(".")[0]
        package_at(above)
        module = types.ModuleType(full)
        module.__package__ = above
        sys.modules[full] = module
        try:
            if MAGIC_NUMBER == magic:
                code = marshal.loads(compiled)
            else:
                code = compile(source, f"<{full}>", "exec")
            exec(code, module.__dict__)
        except BaseException:
            del sys.modules[full]
            raise
    return module


with vars(package_at(package)).setdefault("loading", threading.RLock()):
    for part, source, compiled in sources:
        found = getattr(add(part, source, compiled), name, None)
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


def live_name() -> str:
    """Name of the plugins of live sessions, on scheduler and workers."""
    return f"dbgkit-live-{_digest_of_parts('scheduler.live', 'worker.live')}"


def _recorder_digest() -> str:
    return _digest_of_parts(
        *("worker.recorder", "nanny.deaths"),
        *("scheduler.recordings_store", "scheduler.deaths_store"),
        "scheduler.dashboard",
    )


def _digest_of_parts(*parts: str) -> str:
    digests = " ".join(map(digest_of, parts))
    return hashlib.sha256(digests.encode()).hexdigest()[:12]


def package_of(module: str) -> str:
    """Name of the package that the sources become over there."""
    return f"dbgkit_remote_{digest_of(module)}"


@cache
def _compiled(part: str, file: str) -> bytes:
    """A module's code, as from a file of that name; Python has mostly compiled it."""
    full = f"dbgkit.remote.{part}"
    above = resources.files("dbgkit.remote") / "/".join(part.split(".")[:-1])
    # Not through the finders of others: pytest's loader gives no code.
    spec = PathFinder.find_spec(full, [str(above)])
    try:
        code = spec.loader.get_code(full)  # type: ignore[union-attr]
    except (AttributeError, ImportError):  # however it is installed
        code = compile(_text_of(part), file, "exec", dont_inherit=True)
    return marshal.dumps(_named(code, file))


def _named(code: CodeType, file: str) -> CodeType:
    """Code without the path that it was compiled from."""
    inner = (
        _named(each, file) if isinstance(each, CodeType) else each
        for each in code.co_consts
    )
    return code.replace(co_filename=file, co_consts=tuple(inner))


@cache
def _names(module: str, name: str) -> dict[str, Any]:
    package = package_of(module)
    space = {
        "__name__": package,
        "package": package,
        "sources": tuple(
            (part, text, _compiled(part, f"<{package}.{part}>"))
            for part, text in sources_of(module)
        ),
        "magic": MAGIC_NUMBER,
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


class CompressedFunction(ShippedFunction):
    """A `ShippedFunction` in few bytes: it is compiled where it arrives."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (_UNPACK, {"packed": _packed(self.module, self.name)})


_UNPACK = "__import__('pickle').loads(__import__('zlib').decompress(packed))"


@cache
def _packed(module: str, name: str) -> bytes:
    names = _names(module, name)
    space = {
        **names["space"],
        "sources": tuple((part, text, b"") for part, text in sources_of(module)),
        "magic": b"",
    }
    return zlib.compress(pickle.dumps(_Loading({**names, "space": space})), 9)


class _Loading:
    """Pickles as what runs the loader with some names."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (_LOAD, self.names)
