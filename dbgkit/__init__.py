"""A distributed debugging toolkit for Dask: from a failed job to the failed frame.

The verbs are loaded on first use, so that importing dbgkit costs next to nothing
and hooks nothing.

Examples
--------
>>> import dbgkit
>>> dbgkit.__version__  # doctest: +ELLIPSIS
'...'
"""

from __future__ import annotations

from dbgkit._version import __version__

TYPE_CHECKING = False  # `typing` would be most of what importing this costs
if TYPE_CHECKING:
    from typing import Any

    from dbgkit import errors as errors
    from dbgkit.api.attach import attach
    from dbgkit.api.break_at import break_at
    from dbgkit.api.deaths import deaths
    from dbgkit.api.debug import debug
    from dbgkit.api.debugging import debugging
    from dbgkit.api.doctor import doctor
    from dbgkit.api.failures import failures
    from dbgkit.api.live import live
    from dbgkit.api.load import load
    from dbgkit.api.locate import locate
    from dbgkit.api.peek import peek
    from dbgkit.api.record import record
    from dbgkit.api.recordings import recordings
    from dbgkit.api.replay import replay
    from dbgkit.api.report import report
    from dbgkit.api.save import save
    from dbgkit.api.shrink import shrink
    from dbgkit.api.story import story
    from dbgkit.api.tasks import tasks
    from dbgkit.api.to_test import to_test
    from dbgkit.api.watch import watch
    from dbgkit.api.why import why
    from dbgkit.errors import DbgkitError
    from dbgkit.frontends.ipython.magics import (
        load_ipython_extension,
        unload_ipython_extension,
    )
    from dbgkit.model import Bundle, Failure, Plan, Recording, Replay

__all__ = [
    "Bundle",
    "DbgkitError",
    "Failure",
    "Plan",
    "Recording",
    "Replay",
    "__version__",
    "attach",
    "break_at",
    "deaths",
    "debug",
    "debugging",
    "doctor",
    "errors",
    "failures",
    "live",
    "load",
    "load_ipython_extension",
    "locate",
    "peek",
    "record",
    "recordings",
    "replay",
    "report",
    "save",
    "shrink",
    "story",
    "tasks",
    "to_test",
    "unload_ipython_extension",
    "watch",
    "why",
]

# Where the names are that are no verb: a verb has the name of its file.
_HOMES = {
    "Bundle": "dbgkit.model",
    "DbgkitError": "dbgkit.errors",
    "Failure": "dbgkit.model",
    "Plan": "dbgkit.model",
    "Recording": "dbgkit.model",
    "Replay": "dbgkit.model",
    "load_ipython_extension": "dbgkit.frontends.ipython.magics",
    "unload_ipython_extension": "dbgkit.frontends.ipython.magics",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "errors":
        return import_module("dbgkit.errors")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, f"dbgkit.api.{name}")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
