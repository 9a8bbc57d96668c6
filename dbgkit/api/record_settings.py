"""The recorder's settings: as given, or as in Dask's configuration."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from dbgkit.remote.common.parsing import in_daskish

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_recordings import RecorderSettings


class Holding(NamedTuple):
    """How many failures of each kind are held on each worker, and how long."""

    most: int
    seconds: float


DEFAULTS = {
    "hold": "64 MB",
    "keep-inputs": 0,
    "nbytes": "256 kB",
    "kept": "4 kB",
    "time": "100 ms",
    "secret-names": [],
    "dashboard": False,
}
# Of failures that are held with their frames.
HOLDING = {"keep-frames": 0, "most": 3}
MOST = 100  # of one kind


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


def holding(keep_frames: Any = None, most: Any = None) -> Holding | None:
    """How failures are to be held, as given or as in Dask's configuration.

    None: they are not; or `ValueError`.
    """
    import dask

    given = {"keep-frames": keep_frames, "most": most}
    for name, value in given.items():
        if value is None:
            value = dask.config.get(f"dbgkit.record.{name}", None)
            given[name] = HOLDING[name] if value is None else value
    length = _each("keep-frames", given["keep-frames"], _frames)
    number = _each("most", given["most"], _number)
    if most is not None and not length:
        raise ValueError(f"most={most!r}: it goes with keep_frames")
    return Holding(number, length) if length else None


def _frames(value: Any) -> float:
    if value is True:
        raise TypeError(value)
    return _time(value)


def _each(name: str, value: Any, read: Callable[[Any], Any]) -> Any:
    try:
        return read(value)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        wanted = _WANTED.get(name, _A_SIZE)
        raise ValueError(f"{name.replace('-', '_')}={value!r}: {wanted}") from error


def _number(value: Any) -> int:
    if isinstance(value, bool) or not 1 <= int(value) <= MOST:
        raise ValueError(value)
    return int(value)


def _size(value: Any) -> int:
    from dask.utils import parse_bytes

    size = int(parse_bytes(value))
    if not 0 <= size < 2**63:
        raise ValueError(value)
    return size


def _time(value: Any) -> float:
    from dask.utils import parse_timedelta

    length = float(parse_timedelta(in_daskish(value), "s"))
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
    "keep-frames": "a time such as 10min, or 0",
    "most": f"a number of failures, from 1 to {MOST}",
}
