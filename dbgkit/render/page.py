"""The HTML form, for notebooks: made from templates, everything escaped."""

from __future__ import annotations

from functools import cache
from html import escape
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from dbgkit.model import Failure, Plan
from dbgkit.render import words
from dbgkit.render.rows import stop_of
from dbgkit.render.views import view_failure, view_plan, view_replay
from dbgkit.replay.result import Replay


def to_html(obj: Any) -> str:
    """The HTML form of a `Failure`, `Plan` or `Replay`; ``repr`` of anything else."""
    if isinstance(obj, Replay):
        return _fill("replay.html", view=view_replay(obj))
    if isinstance(obj, Failure):
        return _fill("failure.html", view=view_failure(obj))
    if isinstance(obj, Plan):
        return _fill("plan.html", view=view_plan(obj))
    return f"<pre>{escape(repr(obj))}</pre>"


def _fill(name: str, **values: Any) -> str:
    return _environment().get_template(name).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dbgkit.render", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(count=words.count, stop_of=stop_of)
    return environment
