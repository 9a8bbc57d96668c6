"""From a code object to the file that it was compiled from."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType, MethodType
from typing import Any

import psutil

from dbgkit.remote.common.codes import (
    fingerprint,
    identity,
    is_cell,
    is_dynamic,
    last_line,
    nested,
    spans,
)
from dbgkit.source.named import named_sources
from dbgkit.source.shifted import find_moved, find_moved_mark
from dbgkit.source.texts import (
    Text,
    by_value_modules,
    has_text,
    is_nameless,
    main_texts,
    named_texts,
    read_file,
    text_of_module,
)

EDITED = "edited since it ran"
_CLOCKS = 2.0  # seconds by which the clocks of files and of processes may differ
UNKNOWN = "its source is not known"


@dataclass(frozen=True)
class Found:
    """Where some code is from."""

    filename: str  # a file here, or a name by which ``linecache`` has the text
    others: tuple[str, ...] = ()  # further files with the very same code
    first: int = 0  # line that it begins on; 0 if its text is not known
    last: int = 0


class Index:
    """Finds the files of code that travelled, for one call."""

    def __init__(self, sources: Iterable[str] = ()) -> None:
        # Files, folders and notebooks.
        self._sources = tuple(dict.fromkeys([*sources, *named_sources()]))
        self._named: list[Text] | None = None
        self._live: list[CodeType] | None = None
        self._main: list[Text] | None = None
        self._found: dict[Any, Found | None] = {}

    def find(
        self, code: CodeType, module: str = "__main__", path: str = ""
    ) -> Found | None:
        """The file of some code; None if it is not known here.

        ``module`` and ``path`` are ``__name__`` and ``__file__`` of the globals that
        travelled with it.
        """
        which = (identity(code), module, path)
        if which not in self._found:
            found = self._search(which[0], code, module, path)
            self._found[which] = next(filter(None, found), None)
        return self._found[which]

    def _search(
        self, wanted: Any, code: CodeType, module: str, path: str
    ) -> Iterator[Found | None]:
        """What is found, place by place: what costs least comes first."""
        name = code.co_name
        homes = dict.fromkeys(("__main__", module))
        # An object under its own name is found without reading anything.
        for home in homes:
            yield _among(below_name(home, name), wanted)
        texts = [*self._main_texts(), *self._module_texts(module)]
        yield _in_texts(texts, wanted, name)
        for home in homes:
            yield _among(_in_module(home, name), wanted)
        yield _among(self._alive(name), wanted)
        yield _in_texts(self._named_texts(), wanted, name)
        moved = find_moved([*texts, *self._named_texts()], code)
        yield None if moved is None else Found(moved)
        yield _in_file(path, wanted, code)

    def find_text(
        self,
        name: str,
        line: int,
        mark: str = "",
        module: str = "__main__",
        file: str = "",
    ) -> Found | None:
        """The file of code of which a frame's function and line are known, or more.

        If the code's fingerprint is known, its ``mark``, only that counts. ``module``
        and ``file`` say where it is from, as far as known.
        """
        which = (name, line, mark, module, file)
        if which not in self._found:
            self._found[which] = (
                self._find_mark(*which) if mark else self._find_line(name, line, module)
            )
        return self._found[which]

    def _find_mark(
        self, name: str, line: int, mark: str, module: str, file: str
    ) -> Found | None:
        def wanted(code: CodeType) -> bool:
            return spans(code, line) and fingerprint(code) == mark

        there = _text_there(file)
        texts = [*self._main_texts(), *self._module_texts(module), *there]
        found = _with_code(texts, name, wanted)
        if found:
            return _first_of(found)
        homes = dict.fromkeys(("__main__", module))
        live = [code for home in homes for code in _in_module(home, name)]
        for codes in (live, self._alive(name)):
            with_text = (code for code in codes if has_text(code.co_filename))
            code = next(filter(wanted, with_text), None)
            if code is not None:
                return replace(
                    _of_live(code), first=code.co_firstlineno, last=last_line(code)
                )
        found = _with_code(self._named_texts(), name, wanted)
        if found:
            return _first_of(found)
        moved = find_moved_mark([*texts, *self._named_texts()], name, line, mark)
        if moved is not None:
            return Found(moved)
        if not file or is_dynamic(file) or is_cell(file):
            return None
        if not there:  # of another machine
            return Found(file)
        if any(True for text in there for _ in text.codes_named(name)):
            return Found(f"{file} ({EDITED})")
        return Found(f"{file} ({UNKNOWN})")

    def _find_line(self, name: str, line: int, module: str) -> Found | None:
        """The only code that spans a line; texts with equal code count as one."""
        texts = [
            *self._main_texts(),
            *self._module_texts(module),
            *self._named_texts(),
        ]
        found = _with_code(texts, name, lambda code: spans(code, line))
        if len({fingerprint(code) for _, codes in found for code in codes}) != 1:
            return None
        return _first_of(found)

    # -- where to look -------------------------------------------------------

    def _main_texts(self) -> list[Text]:
        if self._main is None:
            modules = map(text_of_module, by_value_modules())
            self._main = [*main_texts(), *(text for text in modules if text)]
        return self._main

    def _module_texts(self, module: str) -> Iterator[Text]:
        text = text_of_module(sys.modules.get(module)) if module != "__main__" else None
        if text is not None:
            yield text

    def _named_texts(self) -> list[Text]:
        if self._named is None:
            self._named = list(named_texts(self._sources))
        return self._named

    def _alive(self, name: str) -> Iterator[CodeType]:
        """Code of live functions, wherever they are referenced."""
        if self._live is None:
            self._live = list(_living())
        for code in self._live:
            yield from (each for each in nested(code) if each.co_name == name)


def _with_code(
    texts: Iterable[Text], name: str, wanted: Callable[[CodeType], bool]
) -> list[tuple[Text, list[CodeType]]]:
    """Texts that have code of the wanted name, each once, with that code."""
    found: dict[str, tuple[Text, list[CodeType]]] = {}
    for text in texts:
        codes = [code for code in text.codes_named(name) if wanted(code)]
        if codes:
            found.setdefault(text.filename, (text, codes))
    return list(found.values())


def _first_of(found: list[tuple[Text, list[CodeType]]]) -> Found:
    """The first of some texts with the same code; the others are named."""
    (text, (code, *_)), *rest = found
    others = tuple(other.filename for other, _ in rest)
    return Found(text.show(), others, code.co_firstlineno, last_line(code))


def _text_there(file: str) -> list[Text]:
    """The text of the file that code says it is from, if it is here."""
    text = read_file(file) if file and not is_dynamic(file) else None
    return [] if text is None else [Text(file, text)]


def _in_file(path: str, wanted: Any, code: CodeType) -> Found | None:
    """The file that code says it is from, if it has that code (same machine)."""
    there = _text_there(path) if path.endswith((".py", ".pyw")) else []
    found = _in_texts(there, wanted, code.co_name)
    if found is None and (moved := find_moved(there, code)):
        return Found(moved)
    if found is None and any(
        True for text in there for _ in text.codes_named(code.co_name)
    ):
        return Found(f"{path} ({EDITED})")
    return found


def _in_texts(texts: Iterable[Text], wanted: Any, name: str) -> Found | None:
    """The first text with exactly this code; others with the same code are named."""
    found = [text for text in texts if _is_among(text.codes_named(name), wanted)]
    if not found:
        return None
    others = tuple(dict.fromkeys(text.filename for text in found[1:]))
    return Found(found[0].show(), others)


def _is_among(codes: Iterable[CodeType], wanted: Any) -> bool:
    """Whether the code of an identity is there: first by its line, which is quick."""
    return any(
        code.co_firstlineno == wanted[1] and identity(code) == wanted for code in codes
    )


def _of_live(code: CodeType) -> Found:
    """Where a live function is from: its file may have changed since."""
    path = code.co_filename
    if not _changed_here(path):
        return Found(path)
    there = _text_there(path)
    alike = _signature if _is_rewritten(path) else identity
    same = any(
        each.co_firstlineno == code.co_firstlineno and alike(each) == alike(code)
        for text in there
        for each in text.codes_named(code.co_name)
    )
    if same:
        return Found(path)
    return Found(find_moved(there, code) or f"{path} ({EDITED})")


def _is_rewritten(path: str) -> bool:
    """Whether a module was compiled from more than its text, as pytest does."""
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == path:
            loader = getattr(module, "__loader__", None)
            return loader is not None and type(loader) is not SourceFileLoader
    return False


def _signature(code: CodeType) -> tuple[Any, ...]:
    arguments = code.co_argcount + code.co_kwonlyargcount
    return code.co_varnames[:arguments], code.co_freevars, code.co_posonlyargcount


def _changed_here(path: str) -> bool:
    """Whether a file has been written since this process began."""
    try:
        began: float = psutil.Process().create_time()
        return os.path.getmtime(path) > began - _CLOCKS
    except OSError:  # no file: a cell, or a prompt
        return False


def _among(codes: Iterable[CodeType], wanted: Any) -> Found | None:
    """Where live code is from, if the wanted code is among it."""
    code = next((code for code in codes if _is_among([code], wanted)), None)
    if code is None or not has_text(code.co_filename):
        return None
    return _of_live(code)


def below_name(module: str, name: str) -> Iterator[CodeType]:
    """Code of a name within a module's object of that name, decorated or not."""
    home = sys.modules.get(module)
    for code in _codes_below([vars(home).get(name)] if home is not None else []):
        if code.co_name == name:
            yield code


def _in_module(module: str, name: str) -> Iterator[CodeType]:
    """Code of a name within an object of a module of this process."""
    found = sys.modules.get(module)
    if found is None:
        return
    for code in _codes_below(list(vars(found).values())):
        yield from (each for each in nested(code) if each.co_name == name)


def _codes_below(values: list[Any]) -> Iterator[CodeType]:
    """Code of functions, classes, and what wraps them."""
    seen: set[int] = set()
    while values:
        value = values.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, FunctionType):
            if not is_nameless(value.__code__.co_filename):
                yield value.__code__
            values.append(vars(value).get("__wrapped__"))
            values.extend(_cells(value))
        elif isinstance(value, type) and not value.__module__.startswith("builtins"):
            values.extend(vars(value).values())
        elif isinstance(value, partial):
            values.append(value.func)
        elif isinstance(value, (MethodType, staticmethod, classmethod)):
            values.append(value.__func__)
        elif isinstance(value, property):
            values.extend([value.fget, value.fset, value.fdel])


def _cells(function: FunctionType) -> list[Any]:
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # it is empty as yet
            continue
    return found


def _living() -> Iterator[CodeType]:
    """Code of all functions whose globals are ``__main__``'s, or a module's by value.

    ``gc.get_referrers`` asks each object in C, and makes no list of all of them.
    """
    main = sys.modules.get("__main__")
    own = [*([main] if main is not None else []), *by_value_modules()]
    for value in gc.get_referrers(*map(vars, own)):
        if isinstance(value, FunctionType) and not is_nameless(
            value.__code__.co_filename
        ):
            yield value.__code__
