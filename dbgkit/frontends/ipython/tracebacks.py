"""IPython's own traceback, with the lines of code that travelled by value.

Frames of such code arrive without the name of their file, so that IPython finds no
source. Stand-ins that name the file are shown instead; the exception keeps its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from dbgkit.remote.common.codes import is_dynamic, mark_of
from dbgkit.remote.common.frames import walk

if TYPE_CHECKING:
    from dbgkit.source import Found, Index

_MOST_FRAMES = 1_000
_OURS = (Exception,)  # known by its identity from a tuple of the user's


def show_lines(shell: Any) -> None:
    """Have a shell show them; one with a handler of the user's own keeps that."""
    if not shell.custom_exceptions:
        shell.set_custom_exc(_OURS, _show)


def show_as_before(shell: Any) -> None:
    """Undo `show_lines`."""
    if shell.custom_exceptions is _OURS:
        shell.set_custom_exc((), None)


def _show(
    shell: Any, kind: Any, error: Any, tb: Any, tb_offset: int | None = None
) -> None:
    """Show an exception as IPython itself does."""
    with _with_lines(error):
        shown = (kind, error, error.__traceback__)
        shell.showtraceback(shown, tb_offset=tb_offset, running_compiled_code=True)
    if getattr(sys, "last_value", None) is error:
        sys.last_traceback = tb


@contextmanager
def _with_lines(error: BaseException) -> Iterator[None]:
    """Tracebacks of an exception, and of what it came from, that say their files."""
    from dbgkit.targets.tracebacks import chain

    before = [
        (each, each.__traceback__)
        for each in chain(error)
        if _has_lost_files(each.__traceback__)
    ]
    if not before:
        yield
        return
    from dbgkit.source import Index

    index = Index()
    try:
        for each, tb in before:
            each.__traceback__ = _mended(tb, index)
        yield
    finally:
        for each, tb in before:
            each.__traceback__ = tb


def _has_lost_files(tb: TracebackType | None) -> bool:
    frames = islice(walk(tb), _MOST_FRAMES)
    return any(is_dynamic(frame.f_code.co_filename) for frame, _ in frames)


def _mended(tb: TracebackType | None, index: Index) -> TracebackType | None:
    entries = []
    while tb is not None:
        entries.append(tb)
        tb = tb.tb_next
    made: TracebackType | None = None
    for entry in reversed(entries):
        frame, last = entry.tb_frame, entry.tb_lasti
        code = frame.f_code
        if is_dynamic(code.co_filename):
            mark = mark_of(code.co_filename)
            home = index.find_text(code.co_name, entry.tb_lineno, mark)
            if home is not None:
                frame, last = _frame(home, entry.tb_lineno, code.co_name)
        made = TracebackType(made, frame, last, entry.tb_lineno)
    return made


def _frame(home: Found, line: int, name: str) -> tuple[FrameType, int]:
    """A frame of a function that stands at a line of a file, and its instruction.

    IPython goes by where its function begins, too.
    """
    first = home.first if 0 < home.first <= line else line
    text = "\n" * (first - 1) + "def stand():" + "\n" * (line - first) + " raise error"
    names: dict[str, Any] = {"error": _Stand()}
    exec(compile(text, home.filename, "exec"), names)
    stand = names["stand"]
    stand.__code__ = stand.__code__.replace(co_name=name)
    if sys.version_info >= (3, 11):
        stand.__code__ = stand.__code__.replace(co_qualname=name)
    try:
        stand()
    except _Stand as error:
        assert error.__traceback__ is not None
        tb = error.__traceback__.tb_next
        assert tb is not None
        return tb.tb_frame, tb.tb_lasti
    raise AssertionError("unreachable")


class _Stand(Exception):
    """What is raised to have a frame."""
