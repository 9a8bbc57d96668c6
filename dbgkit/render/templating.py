"""How HTML forms are made: by jinja2's templates, everything escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.console import RenderableType

from dbgkit.remote.common.texts import visible
from dbgkit.render import style, words
from dbgkit.render.frames import stop_of
from dbgkit.render.highlight import css_code, highlighted
from dbgkit.render.registry import Renderer

T = TypeVar("T")
V = TypeVar("V")


def part(
    template: str, view: Any, *args: Any, frame: str = "states", show: str = "show"
) -> str:
    """A fragment that brings its own style: what a macro of a template makes of a view.

    ``show``: the macro, which is handed ``args`` too; ``frame``: the kind of frame.
    """
    return fill(
        "part", subject=f"{template}.html", view=view, args=args, frame=frame, show=show
    )


def renderer(
    template: str,
    view: Callable[[T], V],
    form: Callable[[V], RenderableType],
    **options: str,
) -> Renderer[T]:
    """How a type is shown by a view of it: by a template, and by a rich form.

    ``options`` are those of `part`.
    """
    return Renderer(
        rich=lambda obj: form(view(obj)),
        html=lambda obj: part(template, view(obj), **options),
    )


def fill(template: str, **values: Any) -> str:
    """A template with its values."""
    return _environment().get_template(f"{template}.html").render(**values)


def _visible(value: Any) -> Any:
    """What a template writes; jinja2 escapes what it means in HTML."""
    plain = isinstance(value, str) and not isinstance(value, Markup)
    return visible(value) if plain else value


@cache
def _script() -> Markup:
    """The one script of a page, which nothing of a cluster gets into."""
    folder = resources.files("dbgkit.render") / "templates"
    return Markup((folder / "copy.js").read_text("utf-8"))


def _script_hash() -> str:
    """The script as a page's policy names it, which lets no other run."""
    digest = hashlib.sha256(_script().encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


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
        css_code=css_code,
        script=_script,
        script_hash=_script_hash,
        highlighted=highlighted,
    )
    return environment
