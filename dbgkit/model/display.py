"""Data can show itself by a renderer that a higher layer provides."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from dbgkit.model.base import Jsonable

_renderers: dict[str, Callable[[Any], Any]] = {}
# The last that a verb has printed and returned, and in which cell.
_printed: list[tuple[int, object, Callable[[], object]]] = []


def running_shell() -> Any:
    """The IPython shell of this process, or None; never imports IPython."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython() if get_ipython is not None else None


def show_with(**renderers: Callable[[Any], Any]) -> None:
    """Set the functions that make the forms ``rich``, ``text`` and ``html``.

    And ``traceback``: the text of a failure's, with the files and lines of its code.
    """
    _renderers.update(renderers)


def was_printed(obj: object, cell_running: Callable[[], object]) -> None:
    """Note that a verb has printed what it returns; ``cell_running``: in which cell."""
    _printed[:] = [(id(obj), cell_running(), cell_running)]


def in_short(obj: object) -> bool:
    """Whether the value of a cell repeats what its verb has just printed."""
    return any(
        cell is not None and id(obj) == printed and running() == cell
        for printed, cell, running in _printed
    )


def is_terminal(stream: Any) -> bool:
    """Whether a stream is a terminal; a missing, closed or replaced one is not."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):
        return False


def traceback_shown(failure: Any) -> str:
    """The traceback's text of a failure as it is to be shown."""
    shown = _renderers.get("traceback")
    return str(shown(failure) if shown else failure.traceback_text)


class Displayed(Jsonable):
    """Mixin: a rich form on a console, text and HTML in Jupyter.

    ``repr`` stays one line, for the debugger and for logs; ``print`` shows the text.
    """

    __slots__ = ()

    def __str__(self) -> str:
        text = _renderers.get("text")
        return str(text(self)) if text else repr(self)

    def __rich__(self) -> Any:
        render = _renderers.get("rich")
        return render(self) if render else repr(self)

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> dict[str, str]:
        if in_short(self):
            return {"text/plain": repr(self)}
        text, html = _renderers.get("text"), _renderers.get("html")
        bundle = {"text/plain": text(self) if text else repr(self)}
        if html:
            bundle["text/html"] = html(self)
        return bundle
