"""Modules that a task needs: those that its pickle names, and workers that it ended.

A worker that lacks one of them cannot deserialize what the scheduler sends it: it
closes normally, so that its nanny does not restart it, and does not report why
(``Worker.handle_scheduler``, distributed/worker.py).
"""

from __future__ import annotations

import ast
import pickle
import pickletools
import platform
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.machinery import PathFinder
from importlib.util import find_spec
from itertools import islice
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .wire_failures import Module, Needs

from .bounded import Bounded
from .pacing import now_of

MOST_BYTES = 500_000  # of a pickle; what is longer is looked at as far as that
MOST_STEPS = 20_000  # of reading it: some 20 ms
MOST_MODULES = 20
MOST_SOURCE = 200_000  # bytes of a module that are parsed: some 0.1 s
MOST_ASKED = 16  # workers
MOST_ENTRIES = 20_000  # of the scheduler's log of transitions, the newest
_LOST = "handle-worker-cleanup-"  # Scheduler.add_worker, as a connection ends
# What a worker has in any case.
_EVERYWHERE = frozenset(
    (
        *sys.stdlib_module_names,
        *("__main__", "__mp_main__"),
        *("cloudpickle", "dask", "distributed", "msgpack", "tlz", "toolz", "cytoolz"),
    )
)
_STRINGS = ("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE")
_IMPORT = ("cloudpickle.cloudpickle", "subimport")
_BY_VALUE = (
    ("cloudpickle.cloudpickle", "_make_function"),
    ("cloudpickle.cloudpickle", "_make_skeleton_class"),
)


def needs_of(state: Any, key: Any, spec: Any) -> Needs:
    """The modules of a task, and for how long each worker lasted that it was sent to.

    ``spec`` is its run spec, if it is known.
    """
    ended = list(_ended(state, key))
    named = [] if spec is None else list(named_in(_pickled(spec)))
    workers = list(islice(state.workers.values(), MOST_ASKED))
    return {
        "modules": [_module(name) for name in _not_everywhere(named)],
        "lasted": [until - since for since, until in ended],
        "since": now_of(state) - ended[0][1] if ended else 0.0,
        "workers": [ws.address for ws in workers],
        "names": _names(named),
        "by_value": any(name in _BY_VALUE for name in named),
        "python": platform.python_version(),
        "pythons": {
            ws.address: version for ws in workers if (version := _python_of(ws))
        },
    }


def _python_of(ws: Any) -> str:
    """The version that a worker has reported: ``"3.11.7"``, or nothing."""
    host = (getattr(ws, "versions", None) or {}).get("host") or {}
    return ".".join(str(dict(host).get("python", "")).split(".")[:3])


def modules_named(value: Any) -> list[str]:
    """Modules that the pickle of a value names, as far as it is looked at."""
    return _not_everywhere(named_in(_pickled(value)))


def _not_everywhere(named: Iterable[tuple[str, str]]) -> list[str]:
    found: dict[str, None] = {}
    for module, _ in named:
        if module.split(".")[0] not in _EVERYWHERE:
            found.setdefault(module)
    return list(islice(found, MOST_MODULES))


def _names(named: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What is imported from modules that workers may have in another version."""
    found = dict.fromkeys(
        (module, name)
        for module, name in named
        if name and module.split(".")[0] not in _EVERYWHERE
    )
    return list(islice(found, MOST_MODULES))


def _pickled(value: Any) -> bytes:
    """The beginning of what a worker is sent; arrays are left out of it."""
    import cloudpickle

    file = Bounded(MOST_BYTES)
    pickler = cloudpickle.Pickler(file, protocol=5, buffer_callback=lambda _: None)
    # `TooLarge`, or whatever somebody's own code raises: the beginning is enough.
    with suppress(Exception):
        pickler.dump(value)
    return file.getvalue()


def named_in(data: bytes) -> Iterator[tuple[str, str]]:
    """Modules in a pickle, with what is taken from them; nothing of it is loaded."""
    memo: list[Any] = []
    last: Any = None  # what stands on top of the stack, if it is known
    strings: list[str] = []
    importing = False
    try:
        for opcode, argument, _ in islice(pickletools.genops(data), MOST_STEPS):
            name = opcode.name
            if name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
                memo.append(last)
                continue
            if name in ("BINGET", "LONG_BINGET", "GET"):
                number = int(str(argument))
                last = memo[number] if number < len(memo) else None
            elif name in _STRINGS:
                last = argument
            elif name == "STACK_GLOBAL" and len(strings) > 1:
                last = (strings[-2], strings[-1])
                yield last
            elif name == "GLOBAL":
                module, _, attribute = str(argument).partition(" ")
                last = (module, attribute)
                yield last
            elif name in ("FRAME", "MARK"):
                continue
            else:
                last = None
            if isinstance(last, str):
                strings = [*strings[-1:], last]
                if importing:
                    yield last, ""
            importing = last == _IMPORT
    except (ValueError, pickle.UnpicklingError, IndexError):
        return  # it was cut


def held_by(module: Any, name: str) -> Any:
    """An attribute that a module has itself; None if it would run code to find it.

    A lazy module imports something as it is asked for an attribute.
    """
    try:
        return object.__getattribute__(module, "__dict__").get(name)
    except AttributeError:  # anything may be in sys.modules
        return None


def _module(name: str) -> Module:
    file = held_by(sys.modules.get(name), "__file__")
    return {"name": name, "file": file if isinstance(file, str) else ""}


def _ended(state: Any, key: Any) -> Iterator[tuple[float, float]]:
    """When workers were sent a task, and when they were gone, newest first.

    An entry is ``(key, start, finish, …, stimulus, timestamp)``.
    """
    ended: float | None = None
    for entry in islice(reversed(state.transition_log), MOST_ENTRIES):
        if entry[0] != key:
            continue
        if entry[1] == "processing" and str(entry[4]).startswith(_LOST):
            ended = entry[5]
        elif entry[2] == "processing" and ended is not None:
            yield entry[5], ended
            ended = None


def missing_modules(names: Iterable[str]) -> list[str]:
    """Modules that this process lacks; none of them is imported."""
    return [name for name in names if not _is_there(name)]


def _is_there(name: str) -> bool:
    if name in sys.modules:
        return True
    above, _, _ = name.rpartition(".")
    try:
        if not above:
            return find_spec(name) is not None
        if above not in sys.modules:  # to look below it would import it
            return _is_there(above)
        places = held_by(sys.modules[above], "__path__")
        return PathFinder.find_spec(name, places) is not None
    except Exception:  # a finder may be anybody's: an import would fail likewise
        return False


def missing_names(names: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What modules of this process lack; none of them is imported, nothing is run."""
    named = [(module, name.split(".")[0], name) for module, name in names]
    there = {module: _names_of(module) for module, _, _ in named}
    return [
        (module, name)
        for module, first, name in named
        if (known := there[module]) is not None and first not in known
    ]


def _names_of(module: str) -> set[str] | None:
    """Names that a module has, or whose code may define them; None if in doubt."""
    if module in sys.modules:
        if type(sys.modules[module]) is not ModuleType:  # it may have names on demand
            return None
        found = set(vars(sys.modules[module]))
    else:
        try:
            spec = None if "." in module else find_spec(module)
            if spec is None or not str(spec.origin).endswith(".py"):
                return None
            with open(str(spec.origin), "rb") as file:
                found = _defined(ast.parse(file.read(MOST_SOURCE)))
        except Exception:  # it was cut, say; or a finder's own
            return None
    return None if found & {"*", "__getattr__"} else found


def _defined(tree: ast.Module) -> set[str]:
    """Names that a module's code may define, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)  # globals()["name"] = …, setattr(module, "name", …)
    return found
