"""What a line of code is called: a cell as IPython calls it, a file by its path."""

from __future__ import annotations

import re
from typing import Any

from dbgkit.model.display import running_shell
from dbgkit.remote.common.codes import is_cell, is_dynamic
from dbgkit.source.finding import EDITED, UNKNOWN
from dbgkit.source.texts import CELL_NAME, MOVED

# As `texts` names the cells of a notebook's file.
_OF_NOTEBOOK = re.compile(
    r"(?P<file>[^/\\]+\.ipynb)\[(?:cell )?(?P<cell>In\[\d+\]|[^\]]+)\]"
)
# As `Index` names code that has changed, or is not known.
_SAID = re.compile(rf"^(?P<file>.+) \((?P<what>{EDITED}|{UNKNOWN}|{MOVED})\)$")
_NO_FILE = re.compile(r"^line \d+ in ")
_LINE = re.compile(r"^(?P<file>.+?):(?P<line>\d{1,9}) in (?P<rest>.+)$", re.DOTALL)


def cell_name(filename: str) -> str:
    """``Cell In[8]``, for a file's name that is a notebook's cell; else empty."""
    own = _own_name(running_shell(), filename)
    if own:
        return own
    if numbered := CELL_NAME.match(filename):
        return f"Cell In[{numbered[1]}]"
    if found := _OF_NOTEBOOK.search(filename):
        return f"{found['file']}, Cell {found['cell']}"
    return "notebook cell" if is_cell(filename) else ""


def _own_name(shell: Any, filename: str) -> str:
    """What a running IPython calls one of its cells.

    ``CachingCompiler.format_code_name`` (IPython/core/compilerop.py).
    """
    name = getattr(getattr(shell, "compile", None), "format_code_name", None)
    found = None if name is None else name(filename)
    return "" if found is None else " ".join(found)


def place(filename: str, lineno: int) -> str:
    """``file.py:12``, or ``Cell In[8], line 12``; ``line 12`` if no file is known."""
    cell = cell_name(filename)
    if cell:
        return f"{cell}, line {lineno}"
    if is_dynamic(filename):
        return f"line {lineno}"
    said = _SAID.match(filename)
    if said:
        return f"{said['file']}:{lineno} ({said['what']})"
    return f"{filename}:{lineno}"


def has_no_file(text: str) -> bool:
    """Whether it is ``line 12 in work``, of code whose file is not known."""
    return _NO_FILE.match(text) is not None


def cells_alike(filenames: tuple[str, ...]) -> str:
    """``In[3] or In[8]``: cells with equal code, the newest last."""
    names = [cell_name(name).removeprefix("Cell ") for name in filenames]
    names = [name for name in names if name]
    return " or ".join(dict.fromkeys(reversed(names))) if len(names) > 1 else ""


def split_line(text: str) -> tuple[str, int, str] | None:
    """File, line and the rest of ``file.py:12 in work``; None for any other text."""
    found = _LINE.match(text)
    return None if found is None else (found["file"], int(found["line"]), found["rest"])
