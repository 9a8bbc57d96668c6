"""Texts that code may be compiled from: scripts, cells, modules, named files."""

from __future__ import annotations

import ast
import io
import json
import linecache
import os
import re
import stat
import sys
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce
from io import StringIO
from operator import or_
from types import CodeType, ModuleType
from typing import Any

from dbgkit.model.display import running_shell
from dbgkit.remote.common.codes import is_dynamic, nested

TIMED = "<timed exec>"  # what IPython calls the file of a cell below ``%%time``
COMMAND = "<python -c>"  # our name for the text of ``python -c``
_BIGGEST = 20_000_000  # bytes of one file of source
_MOST_FILES = 20_000  # files of a folder that is named
_CELL = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # how IPython compiles its cells
# What `moved` adds to the name of a file.
MOVED = r"now \d+ lines? (?:down|up)"
_MOVED_NAME = re.compile(rf" \({MOVED}\)$")
# As `debugger.recorded_files` names files of recordings.
_RECORDED_NAME = re.compile(r" \(as recorded(?:, \d+)?\)>?$")
CELL_NAME = re.compile(r"^<ipython-input-(\d+)-")
_SKIPPED = {
    "node_modules",
    "site-packages",
    "__pycache__",
    ".git",
    ".ipynb_checkpoints",
}


@dataclass(frozen=True)
class Text:
    """One text, and the file name that its code has or will have.

    ``cell`` is the number of a notebook's cell, 0 for other texts; ``known`` says that
    ``linecache`` has the text under that name, or that the file itself exists.
    """

    filename: str
    text: str
    cell: int = 0
    flags: int = 0
    known: bool = True

    def codes_named(self, name: str) -> Iterator[CodeType]:
        """Code of a name, on any line of the text."""
        word = "lambda" if name == "<lambda>" else name
        # Most texts of a folder are not worth compiling.
        if word.startswith("<") or word in self.text:
            codes = _codes(self.filename, self.text, self.flags)
            yield from (code for code in codes if code.co_name == name)

    def show(self) -> str:
        """Have debuggers and tracebacks find the text by its file's name."""
        if not self.known:
            remember(self.filename, self.text)
        return self.filename


def remember(filename: str, text: str) -> None:
    """Have ``linecache`` give a text for a name; ``checkcache`` leaves it there."""
    lines = StringIO(text, newline=None).readlines()  # as Python counts lines
    linecache.cache[filename] = (len(text), None, lines, filename)


@lru_cache(maxsize=1_000)
def _codes(filename: str, text: str, flags: int) -> tuple[CodeType, ...]:
    """All code of a text; none of it is run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = compile(text, filename, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return ()  # no Python, or of another version
    return tuple(nested(whole))


def is_nameless(filename: str) -> bool:
    """Whether code's file name says nothing about where it is from."""
    if filename == "<string>":  # ``exec`` has that too, before Python 3.13
        return command_line() is not None
    return is_dynamic(filename) or filename == TIMED


def has_text(filename: str) -> bool:
    """Whether there is a text by that name, in a file or in ``linecache``."""
    return filename in linecache.cache or os.path.isfile(filename)


def local_lines(filename: str) -> list[str]:
    """The lines of a file of this machine by a name that may come from anywhere.

    Empty where it is no regular file of a size to be read, and no text that
    ``linecache`` has, such as a notebook's cell.
    """
    entry = linecache.cache.get(filename)
    if entry is not None and len(entry) == 4 and entry[1] is None:
        return entry[2]
    text = read_file(filename)
    if text is None:
        return []
    # So that who shows it by its name has its present state.
    linecache.checkcache(filename)
    return list(io.StringIO(text))  # as linecache splits them


def local_line(filename: str, lineno: int) -> str:
    """One of the lines that `local_lines` gives; empty where there is none."""
    lines = local_lines(filename)
    return lines[lineno - 1] if 0 < lineno <= len(lines) else ""


def read_file(path: str) -> str | None:
    """The text of a source file as Python reads it; None if it cannot be read."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _BIGGEST:
            return None
        return _read(path, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=1_000)
def _read(path: str, changed: int, size: int) -> str | None:
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (SyntaxError, UnicodeDecodeError):
        return None


def text_of_module(module: ModuleType | None) -> Text | None:
    """The text of a module's file, if it has one here."""
    path = getattr(module, "__file__", None)
    if not isinstance(path, str):
        return None
    if path.endswith(".pyc"):
        path = path[:-1]
    text = read_file(path)
    return None if text is None else Text(path, text)


def main_texts() -> Iterator[Text]:
    """The texts behind ``__main__``: a script, ``python -c``, cells; newest first."""
    script = text_of_module(sys.modules.get("__main__"))
    if script is not None:
        yield script
    yield from sorted(cells(), key=lambda text: -text.cell)
    command = command_line()
    if command is not None:
        yield Text(COMMAND, command, known=False)


def came_from_stdin() -> bool:
    """Whether ``__main__`` was read from standard input, so its text is gone."""
    named = getattr(sys.modules.get("__main__"), "__file__", "<stdin>")
    is_prompt = hasattr(sys, "ps1") or running_shell() is not None
    return named == "<stdin>" and sys.argv[:1] in ([""], ["-"]) and not is_prompt


def command_line() -> str | None:
    """The text of ``python -c``, if this process was started that way."""
    words = list(getattr(sys, "orig_argv", ()))
    if sys.argv[:1] != ["-c"] or "-c" not in words:
        return None
    place = words.index("-c") + 1
    return words[place] if place < len(words) else None


def cells() -> Iterator[Text]:
    """Cells of a notebook, of IPython, and other texts that only ``linecache`` has."""
    numbers = _cell_numbers()
    flags = _CELL | _shell_flags()
    for filename, entry in list(linecache.cache.items()):
        # IPython, doctest and Python's own prompt leave no time of change.
        if len(entry) != 4 or entry[1] is not None or os.path.exists(filename):
            continue
        # See `command_line`, and `moved`. What was recorded is another process' code.
        if filename in (COMMAND, "<string>") or _MOVED_NAME.search(filename):
            continue
        if _RECORDED_NAME.search(filename):
            continue
        number = numbers.get(filename, 0)
        yield Text(filename, "".join(entry[2]), number, flags)
        yield from _magic_cells(number, flags)


def _magic_cells(number: int, flags: int) -> Iterator[Text]:
    """What follows the first line of a cell such as ``%%time``: it runs apart."""
    shell = running_shell()
    history = getattr(getattr(shell, "history_manager", None), "input_hist_raw", ())
    raw = history[number] if 0 < number < len(history) else ""
    first, _, rest = raw.partition("\n")
    if first.startswith("%%") and rest:
        name = f"<ipython-input-{number}-{first.split()[0]}>"
        yield Text(name, _transformed(shell, rest), number, flags, known=False)


def _cell_numbers() -> dict[str, int]:
    """Numbers of the cells of this process, by the names that their code has.

    ``CachingCompiler._filename_map`` (IPython/core/compilerop.py).
    """
    shell = running_shell()
    own = getattr(getattr(shell, "compile", None), "_filename_map", {})
    numbers = {name: number for name, number in own.items() if isinstance(number, int)}
    for filename in list(linecache.cache):
        found = CELL_NAME.match(filename)
        if found:
            numbers.setdefault(filename, int(found[1]))
    return numbers


def _transformed(transformer: Any, cell: str) -> str:
    """A cell with its magics turned into Python."""
    with warnings.catch_warnings():
        # For lines that end in other ways than Python's.
        warnings.simplefilter("ignore")
        try:
            return str(transformer.transform_cell(cell))
        except SyntaxError:
            return cell


def _shell_flags() -> int:
    """``from __future__`` imports that hold in all further cells."""
    flags = getattr(getattr(running_shell(), "compile", None), "flags", 0)
    import __future__

    futures = (getattr(__future__, name) for name in __future__.all_feature_names)
    return int(flags & reduce(or_, (each.compiler_flag for each in futures)))


def by_value_modules() -> list[ModuleType]:
    """Modules whose functions cloudpickle pickles by value, and those below them."""
    cloudpickle = sys.modules.get("cloudpickle")
    if cloudpickle is None:
        return []
    names = tuple(cloudpickle.list_registry_pickle_by_value())
    below = tuple(f"{name}." for name in names)
    return [
        module
        for name, module in list(sys.modules.items())
        if isinstance(module, ModuleType) and (name in names or name.startswith(below))
    ]


def named_texts(paths: Iterable[str]) -> Iterator[Text]:
    """Texts of files, folders and notebooks that the user names."""
    for path in paths:
        for file in _files_below(path) if os.path.isdir(path) else [path]:
            if file.endswith(".ipynb"):
                yield from _texts_of_notebook(file)
            elif (text := read_file(file)) is not None:
                yield Text(file, text)


def _files_below(folder: str) -> Iterator[str]:
    left = _MOST_FILES
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - _SKIPPED)
        for name in sorted(files):
            if name.endswith((".py", ".ipynb")):
                left -= 1
                if not left:
                    return
                yield os.path.join(root, name)


def _texts_of_notebook(path: str) -> Iterator[Text]:
    """Cells of a notebook's file, each under a name of its own; newest first."""
    try:
        found = json.loads(read_file(path) or "")
        cells = [cell for cell in found["cells"] if cell["cell_type"] == "code"]
        sources = ["".join(cell.get("source", "")) for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return  # no notebook, or none of a form that is known
    numbered = []
    for index, (cell, text) in enumerate(zip(cells, sources, strict=True)):
        number = cell.get("execution_count")
        numbered.append((number if type(number) is int else 0, index, text))
    for number, index, text in sorted(numbered, reverse=True):
        label = f"In[{number}]" if number else f"cell {index + 1}"
        name = f"{path}[{label}]"
        yield Text(name, _as_python(text), number, _CELL, known=False)
        first, _, rest = text.partition("\n")
        if first.startswith("%%") and rest:
            yield Text(f"{name} {first.split()[0]}", rest, number, _CELL, known=False)


def _as_python(cell: str) -> str:
    """A cell of a file with its magics turned into Python, if it has any."""
    if not re.search(r"^\s*[%!?]", cell, re.MULTILINE):
        return cell
    from IPython.core.inputtransformer2 import TransformerManager

    return _transformed(TransformerManager(), cell)
