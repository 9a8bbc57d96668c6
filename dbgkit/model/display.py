"""Data shows itself, but does not know how: a renderer is handed in from above."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_renderers: dict[str, Callable[[Any], Any]] = {}


def show_with(**renderers: Callable[[Any], Any]) -> None:
    """Set the functions that make the forms ``rich``, ``text`` and ``html``."""
    _renderers.update(renderers)


class Displayed:
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
        text, html = _renderers.get("text"), _renderers.get("html")
        bundle = {"text/plain": text(self) if text else repr(self)}
        if html:
            bundle["text/html"] = html(self)
        return bundle
