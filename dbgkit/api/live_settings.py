"""Settings of live sessions: as given, or as in Dask's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbgkit.remote.common.parsing import in_daskish

DEFAULTS = {"most": 1, "limit": "10 min"}
MOST = 10_000  # tasks


def configured() -> dict[str, Any]:
    """All settings, as in Dask's configuration."""
    import dask

    found = {name: dask.config.get(f"dbgkit.live.{name}", None) for name in DEFAULTS}
    return {**parsed(DEFAULTS), **parsed(found)}


def is_always_on() -> bool:
    """Whether the preload is to turn it on: ``dbgkit.live.always``."""
    import dask

    return dask.config.get("dbgkit.live.always", False) is True


def parsed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings that are not None; a limit in seconds; or `ValueError`."""
    from dask.utils import parse_timedelta

    found: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        try:
            if name == "most":
                found[name] = _number(value)
            else:
                found[name] = _length(parse_timedelta(in_daskish(value), "s"))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"{name}={value!r}: {_WANTED[name]}") from error
    return found


def _number(value: Any) -> int:
    if isinstance(value, bool) or not 1 <= int(value) <= MOST:
        raise ValueError(value)
    return int(value)


def _length(value: Any) -> float:
    if not 0 < float(value) < 10**9:
        raise ValueError(value)
    return float(value)


_WANTED = {
    "most": f"a number of tasks, from 1 to {MOST:,}",
    "limit": "a time such as 10min or 1h",
}
