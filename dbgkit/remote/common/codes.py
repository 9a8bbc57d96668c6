"""Code objects, compared by what they do: fingerprints, nested code, lines.

Since version 3.1.3 cloudpickle names the file of all code that it pickles by value
``<dynamic-code>``; names, first line, bytecode and constants are unchanged, and
lead back to the file. The line table does not count: ``-X no_debug_ranges`` changes
it.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from types import CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

DYNAMIC = "<dynamic-code>"  # co_filename in cloudpickle's _code_reduce
_SHORT = 12  # hexadecimal digits of a fingerprint
_MOST_VALUES = 20_000  # values that are looked at on the way to them
_DEEP = 12
_WIDE = 500  # elements of one container
_PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes))  # lead nowhere


def is_dynamic(filename: str) -> bool:
    """Whether a file name says only that the code travelled by value."""
    return filename == DYNAMIC or filename.startswith(f"{DYNAMIC} ")


def is_cell(filename: str) -> bool:
    """Whether a file name is that of a notebook's cell, of any kernel."""
    return _CELL.search(filename) is not None


_CELL = re.compile(r"^<ipython-input-\d+-|[/\\]ipykernel_\d+[/\\]\d+\.py$")


def file_of_frame(frame: FrameType) -> str:
    """The file of a frame's code; else of the module that the code travelled from.

    cloudpickle sends a module's name and file along as globals of its functions.
    """
    filename = frame.f_code.co_filename
    if not is_dynamic(filename):
        return filename
    home = frame.f_globals.get("__file__")
    return home if isinstance(home, str) and home else filename


def identity(code: CodeType, *, lines: bool = True) -> tuple[Any, ...]:
    """What code is and does: equal for code compiled from one text, wherever.

    Constants count with their types, as ``1``, ``1.0`` and ``True`` are equal. Without
    ``lines``, where in its text it stood is left out.
    """
    return (
        code.co_name,
        code.co_firstlineno if lines else 0,
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_code,
        tuple(_constant(value, lines) for value in code.co_consts),
    )


def _constant(value: Any, lines: bool = True) -> Any:
    if isinstance(value, CodeType):
        return identity(value, lines=lines)
    if isinstance(value, tuple):
        return ("tuple", tuple(map(_constant, value)))
    if isinstance(value, frozenset):
        return ("frozenset", tuple(sorted(map(repr, map(_constant, value)))))
    # A text keeps apart what is equal: 0.0 and -0.0, and equals what is not: nan.
    return (type(value).__name__, repr(value))


def fingerprint(code: CodeType) -> str:
    """A short text for what code is and does; of one minor version of Python."""
    text = repr(identity(code)).encode("utf-8", "backslashreplace")
    return hashlib.blake2b(text).hexdigest()[:_SHORT]


def under(code: CodeType, filename: str) -> CodeType:
    """The same code as of a file; nested code too, which ``replace`` leaves alone."""
    constants = tuple(
        under(value, filename) if isinstance(value, CodeType) else value
        for value in code.co_consts
    )
    return code.replace(co_filename=filename, co_consts=constants)


def nested(code: CodeType) -> Iterator[CodeType]:
    """A code object, and those that its constants hold, outermost first."""
    waiting = [code]
    while waiting:
        found = waiting.pop()
        yield found
        waiting.extend(each for each in found.co_consts if isinstance(each, CodeType))


def marked(mark: str) -> str:
    """The name of a file of which only a fingerprint of the code is known."""
    return f"{DYNAMIC} {mark}" if mark else DYNAMIC


def mark_of(filename: str) -> str:
    """The fingerprint in what `marked` gave, or in a line that begins with it."""
    return filename[len(DYNAMIC) :].strip() if filename.startswith(DYNAMIC) else ""


def spans(code: CodeType, line: int) -> bool:
    """Whether a line belongs to the code itself, nested code left out."""
    return any(number == line for _, _, number in code.co_lines())


def last_line(code: CodeType) -> int:
    """The last line that code has instructions for, nested code included."""
    last = code.co_firstlineno
    for each in nested(code):
        last = max([last, *(number or 0 for _, _, number in each.co_lines())])
    return last


def functions_of(value: Any, most: int = _MOST_VALUES) -> Iterator[FunctionType]:
    """Functions that a value leads to, such as a run spec.

    Goes through containers, attributes of Dask's nodes, partials, closures, methods
    of classes, and the globals that a function uses and that travelled with it. The
    work is bounded: no more than ``most`` values are looked at; what is found first is
    nearest.
    """
    seen: set[int] = set()
    waiting: deque[tuple[Any, int]] = deque([(value, 0)])
    for _ in range(most):
        if not waiting:
            return
        each, depth = waiting.popleft()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, FunctionType):
            yield each
        if depth < _DEEP:
            parts = (part for part in _parts(each) if type(part) not in _PLAIN)
            waiting.extend((part, depth + 1) for part in parts)


# Packages whose objects are data.
_DATA = frozenset(("builtins", "numpy", "pandas", "pyarrow", "scipy", "xarray"))
# Of the nodes of dask/_task_spec.py; what their classes have is Dask's own.
_OF_NODES = ("func", "args", "kwargs", "value")


def _parts(value: Any) -> list[Any]:
    """What a value is made of, without calling anything of the user's."""
    kind = type(value)
    if isinstance(value, FunctionType):
        return _parts_of_function(value)
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, type):
        if not _travelled(value):
            return []
        return [*vars(value).values(), *value.__bases__]
    if kind is dict:
        return list(islice(value.values(), _WIDE))
    if kind in (list, tuple, set, frozenset):
        return list(islice(value, _WIDE))
    if isinstance(value, (property, staticmethod, classmethod)):
        return [
            getattr(value, name, None) for name in ("fget", "fset", "fdel", "__func__")
        ]
    if isinstance(value, ModuleType) or _package(kind) in _DATA:
        return []
    if kind.__module__ == "dask._task_spec":
        return [getattr(value, name, None) for name in _OF_NODES]
    return [*_attributes(value), kind]


def _package(kind: type) -> str:
    module = kind.__module__
    return module.partition(".")[0] if isinstance(module, str) else ""


def _travelled(kind: type) -> bool:
    """Whether a class was pickled by value, and is not just named in a pickle."""
    if kind.__flags__ & _HEAP_TYPE == 0:
        return False
    home = sys.modules.get(kind.__module__)
    if (
        home is None
        or kind.__module__ == "__main__"
        or vars(home).get(kind.__name__) is not kind
    ):
        return True
    return any(
        is_dynamic(value.__code__.co_filename)
        for value in vars(kind).values()
        if isinstance(value, FunctionType)
    )


_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: no class of C's own


def _attributes(value: Any) -> list[Any]:
    found: list[Any] = []
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        own = None
    if type(own) is dict:
        found.extend(own.values())
    names: list[str] = []
    for base in type(value).__mro__[:-1]:
        slots = base.__dict__.get("__slots__", ())
        names += (slots,) if isinstance(slots, str) else tuple(slots)
    # functools.partial keeps what it has outside of both.
    outside = ("func", "args", "keywords", "__wrapped__")
    for name in (*names, *(each for each in outside if each in type(value).__dict__)):
        with suppress(AttributeError):
            found.append(object.__getattribute__(value, name))
    return found


def _parts_of_function(function: FunctionType) -> list[Any]:
    found: list[Any] = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # it is empty as yet
            found.append(cell.cell_contents)
    found.extend(function.__defaults__ or ())
    found.extend((function.__kwdefaults__ or {}).values())
    if "__wrapped__" in function.__dict__:
        found.append(function.__dict__["__wrapped__"])
    if is_dynamic(function.__code__.co_filename) or function.__module__ == "__main__":
        names = {name for code in nested(function.__code__) for name in code.co_names}
        used = function.__globals__
        found.extend(used[name] for name in names if name in used)
    return found
