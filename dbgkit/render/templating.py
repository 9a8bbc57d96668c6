"""How HTML forms are made: by jinja2's templates, everything escaped."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dbgkit.remote.common.texts import visible
from dbgkit.render import style, words
from dbgkit.render.frames import stop_of


def part(
    template: str, view: Any, *args: Any, frame: str = "states", show: str = "show"
) -> str:
    """A fragment that brings its own style.

    Parameters
    ----------
    template : str
        Name of a template, without its ending.
    view : object
        What is to be shown, handed to the template's macro, as ``args`` are.
    frame : str
        The kind of frame around it.
    show : str
        Name of the macro.
    """
    return fill(
        "part", subject=f"{template}.html", view=view, args=args, frame=frame, show=show
    )


def fill(template: str, **values: Any) -> str:
    """A template with its values."""
    return _environment().get_template(f"{template}.html").render(**values)


def _visible(value: Any) -> Any:
    """What a template writes; jinja2 escapes what it means in HTML."""
    plain = isinstance(value, str) and not isinstance(value, Markup)
    return visible(value) if plain else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dbgkit.render", "templates"),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        count=words.count,
        stop_of=stop_of,
        known_states=style.STATES,
        known_deaths=style.DEATHS,
        css_palette=style.css_palette,
        css_rules=style.css_rules,
    )
    return environment
