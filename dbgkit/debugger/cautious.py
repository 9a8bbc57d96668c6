"""Prompts on recordings: what they print is escaped, and no ``.pdbrc`` is run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from dbgkit.debugger.escaping import Escaping
from dbgkit.debugger.recording import RecordedError, is_foreign


@contextmanager
def careful(debugger: Any, exception: BaseException) -> Iterator[None]:
    """Have a debugger show a recording as such; afterwards it is as before."""
    stdout = getattr(debugger, "stdout", None)  # one that is no pdb may have none
    if stdout is None or not isinstance(exception, RecordedError):
        yield
        return
    debugger.stdout = Escaping(stdout)
    try:
        with _without_rc(debugger) if is_foreign(exception) else nullcontext():
            yield
    finally:
        debugger.stdout = stdout


@contextmanager
def _without_rc(debugger: Any) -> Iterator[None]:
    """Keep lines of ``.pdbrc`` for later: ``rcLines`` (pdb.py), run once, as it opens.

    IPython's debugger is the same for each prompt.
    """
    lines, debugger.rcLines = debugger.rcLines, []
    debugger.reads_no_rc = True
    try:
        yield
    finally:
        debugger.reads_no_rc = False
        debugger.rcLines = lines
