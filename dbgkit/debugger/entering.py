"""Post-mortem on an exception, in the user's own debugger."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from dbgkit.debugger import choose, stack
from dbgkit.debugger.recording import is_foreign
from dbgkit.debugger.stack import Location
from dbgkit.remote.common.frames import walk
from dbgkit.remote.common.sentences import several
from dbgkit.remote.common.texts import in_line

_FEW = 4  # frames that are named


def enter(
    exception: BaseException,
    *,
    header: str = "",
    stop_at: Location | None = None,
    asked: BaseException | None = None,
) -> None:
    """Open a debugger on an exception's frames, and wait until the user leaves it.

    It stops in the innermost frame of the user's own code. Frames of Dask and of
    dbgkit are left out of ``where``, ``up`` and ``down`` until ``skip_hidden
    false`` is typed. ``%debug`` and ``pdb.pm()`` open the same exception again.

    Parameters
    ----------
    exception : BaseException
        What to open. If it has no frames, what it was raised from is opened; if
        that has none either, a line says so and nothing is opened.
    header : str, optional
        Text to show above the prompt.
    stop_at : (str, int, str), optional
        File, line and function of the frame to stop in, if it is not to be the
        innermost of the user's own.
    asked : BaseException, optional
        The exception as it reached the line that asked for the result, to which
        ``up`` then leads.
    """
    with stack.led_to_by(exception, asked):
        # Others' debuggers look for its files here, and run a .pdbrc.
        if not is_foreign(exception):
            remember(exception)
        _enter(exception, header, stop_at)


def _enter(exception: BaseException, header: str, stop_at: Location | None) -> None:
    name = type(exception).__name__
    with_frames = (e for e in stack.chain(exception) if e.__traceback__ is not None)
    entered = next(with_frames, None)
    if entered is None:
        why = "it was raised by a builtin function, or its traceback was lost on the "
        _say(header, in_line(f"{name} has no frames to open: {why}way here"))
        return
    notes = []
    if entered is not exception:
        notes.append(
            f"{name} has no frames; these are those of the "
            f"{type(entered).__name__} behind it"
        )
    choice = choose.choose()
    if choice.kind == "module" and is_foreign(entered):
        notes.append(f"a file is not opened in {choice.module!r}, but in this debugger")
        choice = choose.usual()
    if choice.kind == "none":
        _say(header, "no prompt: PYTHONBREAKPOINT=0 turns it off")
        return
    _open(choice, entered, header, notes, stop_at)


def remember(exception: BaseException | None) -> None:
    """Make an exception the one that ``%debug`` and ``pdb.pm()`` open; None: none."""
    if exception is None:
        for name in ("last_type", "last_value", "last_traceback", "last_exc"):
            vars(sys).pop(name, None)
        return
    sys.last_type = type(exception)
    sys.last_value = exception
    sys.last_traceback = exception.__traceback__
    if sys.version_info >= (3, 12):
        # Earlier Pythons do not set it, so there it would outlive the next error.
        sys.last_exc = exception


def _open(
    choice: choose.Choice,
    exception: BaseException,
    header: str,
    notes: list[str],
    stop_at: Location | None,
) -> None:
    """Open the chosen debugger, or the usual one if it is not available."""
    opened = _module(choice.module) if choice.kind == "module" else None
    if choice.kind == "module":
        if opened is None:
            notes.append(
                f"PYTHONBREAKPOINT names {choice.module!r}, which has nothing to open "
                "on an exception; this is the usual debugger"
            )
            choice = choose.usual()
        elif not isinstance(opened, type):
            _say(_above(exception, header, notes, switch=""))
            opened(exception.__traceback__)
            return
    header = _above(exception, header, notes)
    if choice.kind == "ipython":
        from dbgkit.debugger import ipython

        ipython.enter(exception, header, stop_at)
    else:
        import pdb

        from dbgkit.debugger import plain

        plain.enter(opened or pdb.Pdb, exception, header, stop_at)


def _module(name: str) -> Any:
    """A module's ``Pdb`` class or ``post_mortem`` function; None if it has neither."""
    import bdb

    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    found = getattr(module, "Pdb", None)
    if isinstance(found, type) and issubclass(found, bdb.Bdb):
        return found
    found = getattr(module, "post_mortem", None)
    return found if callable(found) else None


def _above(
    exception: BaseException,
    header: str,
    notes: list[str],
    switch: str = "`skip_hidden false` shows them, ",
) -> str:
    """The header, followed by what else the user should know at the prompt."""
    hidden = stack.count_hidden(exception.__traceback__)
    above = [*notes, *(_further_in(exception) if switch else ())]
    lines = [*([header] if header else ()), *map(in_line, above)]
    if switch:
        frames = "1 machinery frame" if hidden == 1 else f"{hidden} machinery frames"
        counted = f"{frames} hidden: {switch}" if hidden else ""
        lines.append(f"[{counted}`q` leaves]")
    return "\n".join(lines)


def _further_in(exception: BaseException) -> list[str]:
    """The frames within the one that the prompt opens in, if they show nothing."""
    entries = list(walk(exception.__traceback__))
    found = stack.further_in(entries, stack.first_stop(entries)) if entries else []
    if not found:
        return []
    return [f"further in, without source or locals: {several(found, most=_FEW)}"]


def _say(*texts: str) -> None:
    for text in texts:
        if text:
            print(text, file=sys.stdout)
