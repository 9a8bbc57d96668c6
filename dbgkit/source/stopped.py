"""Lines and texts of code that is stopped on a worker, as they are known here."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from dbgkit.remote.common.codes import is_dynamic
from dbgkit.source.finding import Found, Index
from dbgkit.source.places import cell_name, place
from dbgkit.source.texts import local_line, local_lines

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_live import PlaceForm

LONGEST = 500_000  # characters of a file that is sent whole
MOST_LINES = 10_000


class Stopped:
    """Finds the source of places on workers, for one call."""

    def __init__(self) -> None:
        self._index = Index()

    def line(self, where: PlaceForm) -> tuple[str, str]:
        """``file.py:12 in work``, and the text of that line where it is known."""
        filename, text = where["file"], where["text"]
        if not text and (found := self._find(where)):
            filename = found.filename
            text = local_line(filename, where["line"]).strip()
        return f"{place(filename, where['line'])} in {where['name']}", text

    def text(self, where: PlaceForm) -> dict[str, Any] | None:
        """The file of a place, as its worker is to show it; None if it is not known."""
        found = self._find(where)
        if found is None:
            return None
        lines, first = local_lines(found.filename), 1
        if sum(map(len, lines)) > LONGEST and found.first:
            lines, first = lines[found.first - 1 : found.last], found.first
        name = cell_name(found.filename) or found.filename
        return {"file": name, "lines": lines[:MOST_LINES], "first": first}

    def mapping(self, where: PlaceForm) -> tuple[str, str] | None:
        """A folder here, and the one on the worker, that hold the same files.

        None if the worker's path of a place is right here as well, or is not known.
        """
        remote = where["file"]
        if is_dynamic(remote) or cell_name(remote) or os.path.exists(remote):
            return None
        found = self._find(where)
        if found is None or cell_name(found.filename):
            return None
        return _roots(found.filename, remote)

    def _find(self, where: PlaceForm) -> Found | None:
        filename = where["file"]
        if cell_name(filename) and local_lines(filename):
            return Found(filename)  # of this very notebook
        return self._index.find_text(
            where["name"],
            where["line"],
            where["mark"],
            where["module"] or "__main__",
            filename,
        )


def _roots(local: str, remote: str) -> tuple[str, str] | None:
    """The folders in which two paths begin to be the same."""
    here, there = re.split(r"[/\\]", local), re.split(r"[/\\]", remote)
    same = 0
    while same < min(len(here), len(there)) - 1 and here[-1 - same] == there[-1 - same]:
        same += 1
    if not same:
        return None
    local = local[: len(local) - len("/".join(here[-same:])) - 1]
    remote = remote[: len(remote) - len("/".join(there[-same:])) - 1]
    return local or "/", remote or "/"
