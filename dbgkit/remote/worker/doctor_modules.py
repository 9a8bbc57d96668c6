"""How source files of modules differ between two processes: run on both sides.

No module is imported here, and no code of one is run.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property, lru_cache
from importlib.machinery import SourceFileLoader
from inspect import CO_OPTIMIZED
from time import time
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, cast

import psutil

from ..common.codes import identity
from ..common.modules import held_by

if TYPE_CHECKING:
    from ..common.wire_tasks import ModuleForm

MOST_BYTES = 1_000_000  # of one file; a longer one is not compared
MOST_HASHED = 10_000_000  # bytes of all files: some 10 ms
MOST_COMPILED = 300_000  # bytes of files that were edited: some 0.1 s
MOST_NAMED = 5  # functions of one module
_DECORATORS = 10  # around one function
# What may be wrong with a file, or with a zip file that has one.
_UNREADABLE = (
    *(OSError, ValueError, KeyError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, OverflowError),
)
_CLOCKS = 5.0  # seconds that the clock of a file server may be behind


class ModuleFiles:
    """Source files of modules, each read once, within limits."""

    def __init__(self) -> None:
        self.hashed = 0
        self.compiled = 0
        self.started = psutil.Process().create_time() - _CLOCKS

    def describe(self, name: str, file: str | None = None) -> ModuleForm:
        """The file that a module comes from, or would come from, and its text.

        ``digest`` is empty if there is no such file, or it was not read; ``edited``
        names functions that this process has otherwise than the file has them now.
        """
        file = file or file_of(name)
        found: ModuleForm = {
            "name": name,
            "file": file or "",
            "digest": "",
            "edited": [],
            "local": False,
        }
        if file is None:
            return found
        with suppress(*_UNREADABLE):
            text, changed = _read(file, MOST_HASHED - self.hashed)
            self.hashed += len(text)
            # Line ends differ between systems, and mean nothing.
            plain = text.replace(b"\r\n", b"\n")
            found["digest"] = hashlib.sha256(plain).hexdigest()[:16]
            if changed > self.started and self.compiled + len(text) <= MOST_COMPILED:
                self.compiled += len(text)
                found["edited"] = edited_functions(name, file, text)
        return found


def compare_modules(folder: str, wanted: Mapping[str, str]) -> list[ModuleForm]:
    """Modules of which this process has another text than wanted, or edited since.

    ``wanted`` are digests by name; ``folder`` is where uploaded files are.
    """
    files = ModuleFiles()
    differing = []
    for name, digest in wanted.items():
        found = files.describe(name)
        if found["digest"] != digest or found["edited"]:
            found["local"] = bool(folder) and found["file"].startswith(folder + os.sep)
            differing.append(found)
    return differing


def file_of(name: str) -> str | None:
    """The file that a module was imported from, or would be; None: there is none."""
    module = sys.modules.get(name)
    if module is not None:
        file = held_by(module, "__file__")
        return file if isinstance(file, str) else None
    path: Any = None
    above = ""
    for part in name.split("."):
        full = f"{above}.{part}" if above else part
        known = sys.modules.get(full)
        if known is None:
            spec = _spec_of(full, path)
            if spec is None:
                return None
            path, file = spec.submodule_search_locations, spec.origin
        else:
            path, file = held_by(known, "__path__"), None
        above = full
    return file if isinstance(file, str) else None


def _spec_of(full: str, path: Any) -> Any:
    """What ``importlib.util.find_spec`` finds, which would import the package above."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        with suppress(Exception):  # a finder may be anybody's
            if find is not None and (spec := find(full, path)) is not None:
                return spec
    return None


def _read(file: str, left: int) -> tuple[bytes, float]:
    """The text of a file, or of a part of a zip, and when it was last changed."""
    archive, separated, part = file.rpartition(".zip" + os.sep)
    if separated:
        _check_file(f"{archive}.zip")
        with zipfile.ZipFile(f"{archive}.zip") as packed:
            info = packed.getinfo(part.replace(os.sep, "/"))
            _check_size(info.file_size, left)
            return packed.read(info), 0.0
    found = _check_file(file)
    _check_size(found.st_size, left)
    with open(file, "rb") as opened:
        text = opened.read(found.st_size)
    # A copied file may have an old time of modification, but its change is new.
    return text, min(max(found.st_mtime, found.st_ctime), time())


def _check_file(file: str) -> os.stat_result:
    found = os.stat(file)
    if not stat.S_ISREG(found.st_mode):  # a pipe, say, which would keep us waiting
        raise ValueError("not a file")
    return found


def _check_size(size: int, left: int) -> None:
    if size > min(MOST_BYTES, left):
        raise ValueError("too large")


# -- what was edited after it was imported ---------------------------------------


def edited_functions(name: str, file: str, text: bytes) -> list[str]:
    """Functions of a module that are not as its file has them now, or are not there."""
    module = sys.modules.get(name)
    if type(module) is not ModuleType:
        return []
    loader = getattr(module, "__loader__", None)
    if type(loader) is not SourceFileLoader:  # others may rewrite what they load
        return []
    try:
        code = compile(text, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        # It is being edited.
        return []
    now: dict[str, list[Any]] = {}
    for path, each in _codes_in(code):
        now.setdefault(path, []).append(identity(each, lines=False))
    edited = [
        path
        for path, each in _functions_of(module, name, file)
        if identity(each, lines=False) not in now.get(path, ())
    ]
    return edited[:MOST_NAMED]


def _codes_in(code: CodeType, above: str = "") -> Iterator[tuple[str, CodeType]]:
    """Codes of functions and methods, by qualified name; not of inner functions."""
    for value in code.co_consts:
        if isinstance(value, CodeType):
            path = f"{above}{value.co_name}"
            yield path, value
            # Only the body of a class has locals that are no function's.
            if not value.co_flags & CO_OPTIMIZED:
                yield from _codes_in(value, f"{path}.")


def _functions_of(
    module: ModuleType, name: str, file: str
) -> Iterator[tuple[str, CodeType]]:
    """Functions and methods that a module itself defines."""
    values = list(vars(module).values())
    for value in values:
        if issubclass(type(value), type):
            if type.__getattribute__(value, "__module__") == name:
                kinds = (FunctionType, *_HOLDERS)
                values += [part for part in vars(value).values() if type(part) in kinds]
            continue
        function = _function_in(value)
        if function is not None and _is_defined_in(function, name, file):
            yield function.__qualname__, function.__code__


# What holds a function, and under which attribute. An attribute is looked up only on
# these: other objects may run code of their own.
_HOLDERS: dict[type, str] = {
    staticmethod: "__func__",
    classmethod: "__func__",
    property: "fget",
    cached_property: "func",
    type(lru_cache(len)): "__wrapped__",
}


def _function_in(value: Any) -> FunctionType | None:
    """The function that a module or class has, without its decorators."""
    for _ in range(_DECORATORS):
        kind = type(value)
        if kind is FunctionType:
            inner = vars(value).get("__wrapped__")
            if inner is None:
                return cast("FunctionType", value)
            value = inner
        elif kind in _HOLDERS:
            value = getattr(value, _HOLDERS[kind])
        elif kind.__module__ == "dask.delayed":
            value = delayed_function(value)
        else:
            return None
    return None


def delayed_function(value: Any) -> Any:
    """The function of a ``@delayed`` one: ``DelayedLeaf._obj`` (dask/delayed.py)."""
    try:
        return object.__getattribute__(value, "_obj")
    except AttributeError:
        return None


def _is_defined_in(function: FunctionType, name: str, file: str) -> bool:
    return (
        function.__module__ == name
        and "<locals>" not in function.__qualname__
        and os.path.abspath(function.__code__.co_filename) == os.path.abspath(file)
    )
