"""The environment of a process: run on a worker, and here, to compare the two."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import dask

if TYPE_CHECKING:
    from ..common.wire_tasks import Surroundings


def describe_process(names: tuple[str, ...] = ()) -> Surroundings:
    """Python, packages, directory, environment variables, Dask's configuration.

    Names and values are sent as text; the client redacts them before it shows or
    keeps them.
    """
    versions: dict[str, str | None] = {}
    for name in names:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {
        "python": platform.python_version(),
        "packages": versions,
        "directory": _directory(),
        "environment": dict(os.environ),
        "configuration": _flatten(dask.config.config),
    }


def _directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


def _flatten(config: Any, prefix: str = "") -> dict[str, str]:
    """A nested configuration as ``{"a.b.c": "text"}``."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            flat.update(_flatten(value, f"{name}."))
        else:
            flat[name] = repr(value)[:500]
    return flat
