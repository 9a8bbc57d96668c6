"""Texts by the names of their files and modules."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator

from dbgkit.bundles.to_test_text import Home
from dbgkit.source.texts import main_texts, read_file


def homes_of_module(name: str) -> Iterator[Home]:
    if name == "__main__":  # the script, or the cells, newest first
        for text in main_texts():
            yield Home(text.filename, text.text)
        return
    path = getattr(sys.modules.get(name), "__file__", None)
    home = home_named(path) if isinstance(path, str) else None
    if home is not None:
        yield home


def home_named(filename: str) -> Home | None:
    """A text by the name that debuggers know it by."""
    lines = linecache.getlines(filename)
    text = "".join(lines) if lines else read_file(filename)
    return Home(filename, text) if text else None
