"""The recorder's settings: as given, or as in Dask's configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_recordings import RecorderSettings

DEFAULTS = {
    "hold": "64 MB",
    "keep-inputs": 0,
    "nbytes": "256 kB",
    "kept": "4 kB",
    "time": "100 ms",
    "secret-names": [],
    "dashboard": False,
}


def configured() -> RecorderSettings:
    """All settings, as in Dask's configuration."""
    import dask

    found = {name: dask.config.get(f"dbgkit.record.{name}", None) for name in DEFAULTS}
    return {**parsed(DEFAULTS), **parsed(found)}


def parsed(given: Mapping[str, Any]) -> RecorderSettings:
    """Those settings that are not None, in bytes and seconds; or `ValueError`."""
    found: Any = {}
    for name, value in given.items():
        if value is None:
            continue
        try:
            if name == "time":
                found["seconds"] = _time(value)
            elif name == "secret-names":
                found["secret_names"] = _names(value)
            elif name == "dashboard":
                found["dashboard"] = _switch(value)
            else:
                found[name.replace("-", "_")] = _size(value)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise ValueError(
                f"{name.replace('-', '_')}={value!r}: {_WANTED.get(name, _A_SIZE)}"
            ) from error
    settings: RecorderSettings = found
    return settings


def _size(value: Any) -> int:
    from dask.utils import parse_bytes

    size = int(parse_bytes(value))
    if not 0 <= size < 2**63:
        raise ValueError(value)
    return size


def _time(value: Any) -> float:
    from dask.utils import parse_timedelta

    length = float(parse_timedelta(value, "s"))
    if not 0 <= length < math.inf:
        raise ValueError(value)
    return length


def _names(value: Any) -> list[str]:
    names = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(value)
    "".join(names).encode()  # half of a surrogate pair cannot be sent
    return names


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


_A_SIZE = "a size such as 500MB or 2GiB"
_WANTED = {
    "time": "a time such as 100ms or 2s",
    "secret-names": "a list of names",
    "dashboard": "True or False",
}
