"""The only package that imports rich and jinja2: how data is shown.

A file for each subject has its rich form, of which the plain text is made, and its
HTML form, by the template of the same name; `registry` says which type is shown by
which. `register` makes `model.Displayed` show itself with this package; the rest is
for front ends. Each is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dbgkit.render.attach import editor_header as editor_header
    from dbgkit.render.attach import stop_header as stop_header
    from dbgkit.render.console import present as present
    from dbgkit.render.console import show as show
    from dbgkit.render.console import to_html as to_html
    from dbgkit.render.console import to_rich as to_rich
    from dbgkit.render.console import to_text as to_text
    from dbgkit.render.failure import place as place
    from dbgkit.render.notifier import ASK_ABOVE_BYTES as ASK_ABOVE_BYTES
    from dbgkit.render.notifier import ASK_ABOVE_TASKS as ASK_ABOVE_TASKS
    from dbgkit.render.notifier import Notifier as Notifier
    from dbgkit.render.recordings import recording_header as recording_header
    from dbgkit.render.replay import header as header
    from dbgkit.render.report import document as document
    from dbgkit.render.saying import put_text as put_text
    from dbgkit.render.saying import say as say
    from dbgkit.render.saying import say_stopped as say_stopped

_HOMES = {
    "attach": ("editor_header", "stop_header"),
    "console": ("present", "show", "to_html", "to_rich", "to_text"),
    "failure": ("place",),
    "notifier": ("ASK_ABOVE_BYTES", "ASK_ABOVE_TASKS", "Notifier"),
    "recordings": ("recording_header",),
    "replay": ("header",),
    "report": ("document",),
    "saying": ("put_text", "say", "say_stopped"),
}


_CONSOLE = "dbgkit.render.console"


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f"{__name__}.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def register() -> None:
    """Let all of our data show itself with this package."""
    from dbgkit.model import show_with
    from dbgkit.source.shown import shown_text

    show_with(
        rich=lambda obj: import_module(_CONSOLE).to_rich(obj),
        text=lambda obj: import_module(_CONSOLE).to_text(obj),
        html=lambda obj: import_module(_CONSOLE).to_html(obj),
        traceback=shown_text,
    )


def load() -> None:
    """Load now what shows a failure.

    Once something has failed, a script may have modules of its own with the same names
    as those that this imports.
    """
    from dbgkit.render import console, notifier, recordings, replay  # noqa: F401
