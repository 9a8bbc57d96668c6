"""Shows any of our data: on a console, as text, as HTML."""

from __future__ import annotations

import io
import os
import sys
from typing import IO, Any

from rich.console import Console, RenderableType

from dbgkit.model.display import running_shell
from dbgkit.render.registry import renderer_of
from dbgkit.render.saying import put_text, writable, writing

HEADER_WIDTH = 120  # columns of a header, at most
# Of a console that prints what it is given, and nothing else.
_PLAIN: Any = {
    "force_jupyter": False,
    "highlight": False,
    "markup": False,
    "emoji": False,
}


def to_rich(obj: Any, *, whole: bool = False) -> RenderableType:
    """The rich form of any of our data; `TypeError` for what is none.

    ``whole``: with all that is known, as each own frame with its source and locals.
    """
    renderer = renderer_of(obj)
    return (renderer.whole if whole and renderer.whole else renderer.rich)(obj)


def to_text(obj: Any, *, width: int | None = 100, color: bool | None = False) -> str:
    """The console form as text.

    ``width``: None: the terminal's. ``color``: with ANSI sequences; None: if standard
    output takes them.
    """
    if width is None:
        width = Console(file=sys.stderr).width
    return printed(to_rich(obj), width=width, color=color)


def to_html(obj: Any) -> str:
    """The HTML form: a fragment that brings its own style, everything escaped."""
    html: str = renderer_of(obj).html(obj)
    return html


def show(obj: Any, *, whole: bool = False, file: IO[str] | None = None) -> None:
    """Print the console form to a file, or standard output; in colours on a terminal.

    ``whole``: as for `to_rich`.
    """
    form = to_rich(obj, whole=whole)
    with writing(file) as stream:
        console = Console(file=stream, **_PLAIN)
        if console.is_terminal and not console.options.ascii_only:
            console.print(form, crop=False)
            return
    # A pipe has no width unless COLUMNS gives it one; and its lines end without blanks.
    width = console.width if console.is_terminal or "COLUMNS" in os.environ else 100
    put_text(printed(form, width=width, color=False), file)


def present(obj: Any) -> None:
    """Show what a verb was to open, and could not: a card in Jupyter, else all of it.

    In Jupyter that is what the value of a cell shows.
    """
    shell = running_shell()
    if getattr(shell, "kernel", None) is None:
        show(obj, whole=True)
    else:
        shell.display_pub.publish(obj._repr_mimebundle_())


def printed(form: RenderableType, *, width: int, color: bool | None) -> str:
    """A rich form as text, without spaces at the ends of lines.

    ``color``: None: if standard output takes them.
    """
    if color is None:
        # rich knows of NO_COLOR, and of dumb terminals.
        color = Console(file=sys.stdout).color_system is not None
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        **_PLAIN,
    )
    with console.capture() as captured:
        console.print(form, crop=False)  # what is to be copied is whole
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def header_text(form: RenderableType, *, width: int | None, color: bool | None) -> str:
    """The lines above a prompt, without a line break at their end."""
    if width is None:
        width = min(HEADER_WIDTH, Console(file=sys.stderr).width)
    return writable(printed(form, width=width, color=color), sys.stdout)
