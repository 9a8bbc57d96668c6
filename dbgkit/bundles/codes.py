"""Code as source text, and back: bytecode is of one minor version of Python only.

A text is written with a code object only if compiling it here gives that very code.
What is read is found in the text by its name, its first line, and its number among
those that have both in common.
"""

from __future__ import annotations
import __future__

import ast
import linecache
import marshal
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.util import MAGIC_NUMBER
from io import StringIO
from types import CodeType
from typing import Any

from dbgkit.bundles.generated import text_of_generated
from dbgkit.errors import BundleUnreadable
from dbgkit.remote.common.codes import DYNAMIC, identity, under
from dbgkit.source import Index
from dbgkit.source.texts import CELL_NAME, read_file, remember

MAGIC = MAGIC_NUMBER.hex()
SAVED = "as saved"  # what is added to a file's name if another text has it here
_CELL = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # how IPython compiles its cells
_FUTURES = (
    __future__.annotations.compiler_flag | __future__.barry_as_FLUFL.compiler_flag
)
# What may go wrong as a text is compiled.
_NO_CODE = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)


@dataclass(frozen=True, eq=False)
class Source:
    """Lines of a file that were compiled on their own.

    ``first`` is the number of the first one, ``flags`` and ``optimize`` are those of
    the compiler.
    """

    filename: str
    text: str
    first: int = 1
    flags: int = 0
    optimize: int = -1

    @property
    def placed(self) -> str:
        """The text on the lines that it has in its file."""
        return "\n" * (self.first - 1) + self.text

    def compiled(self, filename: str) -> CodeType:
        """All its code; none of it is run."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code: CodeType = compile(
                self.placed,
                filename,
                "exec",
                self.flags,
                dont_inherit=True,
                optimize=self.optimize,
            )
        return code

    @cached_property
    def codes(self) -> list[CodeType]:
        """What `compiled` holds, in the order of the text; empty if it is no Python."""
        try:
            return list(_in_order(self.compiled(self.filename)))
        except _NO_CODE:
            return []

    @cached_property
    def read(self) -> list[CodeType]:
        """The same on the reading side: tracebacks and debuggers find the text."""
        try:
            found = self.compiled(show(self.filename, self.placed))
        except _NO_CODE as error:
            raise BundleUnreadable(
                f"code of {self.filename!r} cannot be compiled by this Python: {error}",
                "open the file with the Python that it was saved by",
            ) from None
        return list(_in_order(found))


def _in_order(code: CodeType) -> Iterator[CodeType]:
    """A code object, and all within it, in the order in which they were compiled."""
    yield code
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _in_order(value)


def _alike(codes: list[CodeType], name: str, line: int) -> list[CodeType]:
    """Different code of one name that begins on one line.

    The block of a ``finally`` is compiled twice, and counts once.
    """
    found = {
        (identity(code), _columns(code)): code
        for code in codes
        if code.co_name == name and code.co_firstlineno == line
    }
    return list(found.values())


def _columns(code: CodeType) -> Any:
    """Where each instruction stands in the text; unknown before Python 3.11."""
    positions = getattr(code, "co_positions", None)
    return None if positions is None else tuple(positions())


# -- writing -------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Which code of a text it is: number ``which`` among ``count`` that are alike.

    ``kind`` and ``kinds`` say that of code that differs in what it does.
    """

    source: Source
    which: int
    count: int
    kind: int
    kinds: int


@dataclass
class Sources:
    """Finds the smallest text of each code, for one pickle."""

    index: Index
    _texts: dict[tuple[str, str], _Text] = field(default_factory=dict)

    def find(self, code: CodeType, namespace: Mapping[str, Any]) -> Place | None:
        """The text that gives some code; None if there is none.

        ``namespace`` are the globals of its function.
        """
        for filename, text in self._candidates(code, namespace):
            key = (filename, text)
            if key not in self._texts:
                self._texts[key] = _Text(filename, text)
            found = self._texts[key].place(code)
            if found is not None:
                return found
        return None

    def _candidates(
        self, code: CodeType, namespace: Mapping[str, Any]
    ) -> Iterator[tuple[str, str]]:
        filename = code.co_filename
        generated = text_of_generated(code)
        if generated is not None:
            yield filename, generated
            return
        for text in _texts_of(filename):
            yield filename, text
        module, path = namespace.get("__name__"), namespace.get("__file__")
        found = self.index.find(
            code,
            module if isinstance(module, str) else "__main__",
            path if isinstance(path, str) else "",
        )
        if found is not None:
            for text in _texts_of(found.filename):
                yield found.filename, text


def _texts_of(filename: str) -> Iterator[str]:
    """Texts by a file's name: the one that was read, and the one that is there now."""
    entry = linecache.cache.get(filename)
    if entry is not None and len(entry) == 4:
        yield "".join(entry[2])
    text = read_file(filename)
    if text is not None:
        yield text


class _Text:
    """One text, cut into its top-level statements."""

    def __init__(self, filename: str, text: str) -> None:
        self.filename = filename
        self.lines = StringIO(text, newline=None).readlines()
        self._parts: dict[tuple[int, int, int], Source] = {}

    def place(self, code: CodeType) -> Place | None:
        """Where some code is, in as little of the text as gives it."""
        futures = code.co_flags & _FUTURES
        for flags in (futures, futures | _CELL):
            spans = self._spans(flags)
            line = code.co_firstlineno
            holding = [span for span in spans if span[0] <= line <= span[1]]
            for first, last in [*holding[:1], (1, len(self.lines))]:
                found = _place_in(self._part(first, last, flags), code)
                if found is not None:
                    return found
        return None

    def _part(self, first: int, last: int, flags: int) -> Source:
        key = (first, last, flags)
        if key not in self._parts:
            text = "".join(self.lines[first - 1 : last])
            optimize = sys.flags.optimize
            self._parts[key] = Source(self.filename, text, first, flags, optimize)
        return self._parts[key]

    def _spans(self, flags: int) -> list[tuple[int, int]]:
        return _statements("".join(self.lines), flags)


@lru_cache(maxsize=200)
def _statements(text: str, flags: int) -> list[tuple[int, int]]:
    """First and last lines of the top-level statements; of several on a line, once."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree: Any = compile(
                text, "<text>", "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True
            )
    except _NO_CODE:
        return []
    spans: list[tuple[int, int]] = []
    for statement in tree.body:
        decorators = getattr(statement, "decorator_list", ())
        first = min([statement.lineno, *(each.lineno for each in decorators)])
        last = statement.end_lineno or first
        if spans and first <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(last, spans[-1][1]))
        else:
            spans.append((first, last))
    return spans


def _place_in(source: Source, code: CodeType) -> Place | None:
    alike = _alike(source.codes, code.co_name, code.co_firstlineno)
    wanted = identity(code)
    same = [which for which, each in enumerate(alike) if identity(each) == wanted]
    if not same:
        return None
    # Code that does the same may stand twice on a line.
    there = [which for which in same if _columns(alike[which]) == _columns(code)]
    kinds = list(_by_kind(alike))
    return Place(
        source, (there or same)[0], len(alike), kinds.index(wanted), len(kinds)
    )


def _by_kind(codes: list[CodeType]) -> dict[Any, CodeType]:
    """The first code of each that does something else than those before."""
    found: dict[Any, CodeType] = {}
    for code in codes:
        found.setdefault(identity(code), code)
    return found


# -- reading -------------------------------------------------------------------
# Pickles in files name these functions: their names and arguments stay.


def read_source(
    filename: str, text: str, first: int, flags: int, optimize: int
) -> Source:
    """A text of a pickle."""
    return Source(filename, text, first, flags, optimize)


def read_code(
    source: Source,
    name: str,
    line: int,
    which: int,
    count: int,
    kind: int,
    kinds: int,
    free: tuple[str, ...],
    traits: Any,
) -> CodeType:
    """Code of a pickle, from its text."""
    alike = _alike(source.read, name, line)
    if len(alike) != count:  # Python before 3.11 knows no columns
        alike, which, count = list(_by_kind(alike).values()), kind, kinds
    if len(alike) != count:  # another Python leaves out what never runs
        alike = [each for each in alike if traits_of(each) == traits]
        which, count = 0, 1
    if len(alike) != count or alike[which].co_freevars != free:
        raise BundleUnreadable(
            f"this Python compiles the text of {name!r} ({source.filename!r}, line "
            f"{line}) to other code",
            "open the file with the Python that it was saved by",
        )
    return alike[which]


def traits_of(code: CodeType) -> tuple[Any, ...]:
    """What code has in common with itself as each version of Python compiles it."""
    names: set[str] = set()
    within = []
    for each in _in_order(code):
        names.update(each.co_names)
        # Since Python 3.12 a comprehension is no code of its own.
        if each is not code and each.co_name not in _COMPREHENSIONS:
            within.append((each.co_name, *_arguments(each)))
    return _arguments(code), tuple(sorted(names)), tuple(sorted(within))


_COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>")


def _arguments(code: CodeType) -> tuple[str, ...]:
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def read_bytecode(data: bytes, magic: str) -> CodeType:
    """Code of a pickle that had no text; of this very version of Python.

    What has no file's name is looked for here, among code that is the very same.
    """
    if (
        magic != MAGIC
    ):  # it is not refused by itself: it gives wrong results, or crashes
        raise BundleUnreadable(
            "the call holds bytecode of another version of Python",
            "open the file with the Python that it was saved by",
        )
    return under(marshal.loads(data), DYNAMIC)


def show(filename: str, text: str) -> str:
    """Have ``linecache`` give a text; by which name.

    It is the file's own, unless a file or a cell here has another text by that name.
    """
    number = 0
    name = filename
    if filename.startswith("<") and not _is_unique(filename):
        name = f"{filename} ({SAVED})"
    while not _has_room(name, text):
        number += 1
        name = f"{filename} ({SAVED}{f', {number}' if number > 1 else ''})"
    return name


def _is_unique(filename: str) -> bool:
    """Whether a name tells a cell by its text; ``<stdin>`` may be anything."""
    return CELL_NAME.match(filename) is not None


def _has_room(filename: str, text: str) -> bool:
    """Whether a text is, or can be made, part of what is known by a name."""
    lines = StringIO(text).readlines()
    if os.path.lexists(filename):
        there = read_file(filename)
        known = [] if there is None else StringIO(there, newline=None).readlines()
        return _is_part(lines, known)
    entry: Any = linecache.cache.get(filename)
    if entry is None:
        remember(filename, text)
        return True
    if len(entry) != 4 or entry[1] is not None:
        return False
    both = _merged(lines, entry[2])
    if both is not None:
        remember(filename, "".join(both))
    return both is not None


def _is_part(lines: list[str], known: list[str]) -> bool:
    return len(lines) <= len(known) and all(
        not line.strip() or line.rstrip() == other.rstrip()
        for line, other in zip(lines, known, strict=False)
    )


def _merged(lines: list[str], known: list[str]) -> list[str] | None:
    """Two texts of one file, parts of which each has left out; None if they differ."""
    longest = max(len(lines), len(known))
    pairs = zip(_padded(lines, longest), _padded(known, longest), strict=True)
    found = []
    for line, other in pairs:
        if line.strip() and other.strip() and line.rstrip() != other.rstrip():
            return None
        found.append(line if line.strip() else other)
    return found


def _padded(lines: list[str], length: int) -> list[str]:
    ended = [line if line.endswith("\n") else f"{line}\n" for line in lines]
    return ended + ["\n"] * (length - len(lines))
