"""Prompts on recordings: what they print is escaped, and no ``.pdbrc`` is run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dbgkit.debugger.escaping import Escaping
from dbgkit.debugger.recording import RecordedError, is_foreign


@contextmanager
def careful(debugger: Any, exception: BaseException) -> Iterator[None]:
    """Have a debugger show a recording as such; afterwards it is as before."""
    if not isinstance(exception, RecordedError):
        yield
        return
    stdout, lines = debugger.stdout, debugger.rcLines
    debugger.stdout = Escaping(stdout)
    if is_foreign(exception):
        debugger.rcLines = []  # pdb runs them as it opens, once
    try:
        yield
    finally:
        debugger.stdout = stdout
        if is_foreign(exception):
            debugger.rcLines = lines
