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

import sys
from types import ModuleType

from dbgkit._version import __version__

TYPE_CHECKING = False  # `typing` would be most of what importing this costs
if TYPE_CHECKING:
    from typing import Any

    from dbgkit import errors as errors
    from dbgkit.api import (
        deaths,
        debug,
        debugging,
        doctor,
        failures,
        locate,
        record,
        recordings,
        replay,
        story,
        tasks,
        why,
    )
    from dbgkit.errors import DbgkitError
    from dbgkit.frontends.magics import (
        load_ipython_extension,
        unload_ipython_extension,
    )
    from dbgkit.model import Failure, Plan, Recording
    from dbgkit.replay.result import Replay

__all__ = [
    "DbgkitError",
    "Failure",
    "Plan",
    "Recording",
    "Replay",
    "__version__",
    "deaths",
    "debug",
    "debugging",
    "doctor",
    "errors",
    "failures",
    "load_ipython_extension",
    "locate",
    "record",
    "recordings",
    "replay",
    "story",
    "tasks",
    "unload_ipython_extension",
    "why",
]

_HOMES = {
    "DbgkitError": "dbgkit.errors",
    "Failure": "dbgkit.model",
    "Plan": "dbgkit.model",
    "Recording": "dbgkit.model",
    "Replay": "dbgkit.replay.result",
    "deaths": "dbgkit.api",
    "debug": "dbgkit.api",
    "debugging": "dbgkit.api",
    "doctor": "dbgkit.api",
    "failures": "dbgkit.api",
    "load_ipython_extension": "dbgkit.frontends.magics",
    "locate": "dbgkit.api",
    "record": "dbgkit.api",
    "recordings": "dbgkit.api",
    "replay": "dbgkit.api",
    "story": "dbgkit.api",
    "tasks": "dbgkit.api",
    "unload_ipython_extension": "dbgkit.frontends.magics",
    "why": "dbgkit.api",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "errors":
        return import_module("dbgkit.errors")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps ``dbgkit.locate`` and ``dbgkit.replay`` the verbs.

    The rooms that the verbs live in have the same names, and Python binds a
    subpackage to its parent as it is imported.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
