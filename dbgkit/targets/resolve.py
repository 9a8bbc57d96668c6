"""What a user may pass, sorted into what can be asked for."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dbgkit import advice
from dbgkit.cluster.clients import future_client, is_future
from dbgkit.errors import WrongTarget
from dbgkit.model import Failure, Recording
from dbgkit.remote.common.texts import with_article
from dbgkit.targets.executors import behind, is_executors_future
from dbgkit.targets.optimizing import futures_here
from dbgkit.targets.tracebacks import exception_at_hand, meant_by


@dataclass
class Sought:
    """A target, sorted.

    ``nothing`` is True if no target was given and there is no current exception.
    """

    keys: list[Any] = field(default_factory=list)
    exceptions: list[BaseException] = field(default_factory=list)
    collections: list[Any] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    futures: dict[Any, Any] = field(default_factory=dict)
    client: Any = None
    nothing: bool = False


def sort_target(target: Any) -> Sought:
    """Sort a target, of whatever kind, or several in a list, tuple, set or dict."""
    sought = Sought()
    if target is None:
        target = exception_at_hand()
        if target is None:
            sought.nothing = True
            return sought
    _sort_into(sought, target, depth=0)
    return sought


def _sort_into(sought: Sought, target: Any, depth: int) -> None:
    if depth > 10:
        raise WrongTarget("the target is nested too deep", "pass a flat list")
    target = meant_by(target)
    if is_executors_future(target):
        target = behind(target)
    if isinstance(target, Failure):
        sought.failures.append(target)
    elif isinstance(target, Recording):
        sought.keys.append(target.key)
    elif isinstance(target, BaseException):
        sought.exceptions.append(target)
    elif is_future(target):
        sought.keys.append(target.key)
        sought.futures[target.key] = target
        sought.client = sought.client or future_client(target)
    elif _is_collection(target):
        for future in futures_here(target):
            _sort_into(sought, future, depth=1)
        # What was built on persisted chunks may have failed after them.
        sought.collections.append(target)
    elif isinstance(failure := getattr(target, "failure", None), Failure):
        sought.failures.append(failure)
    elif isinstance(target, str) and _ADDRESS.match(target):
        raise WrongTarget(
            f"{target!r} is an address, not a target",
            f"pass it as {advice.option('client')}",
        )
    elif _is_key(target):
        sought.keys.append(target)
    elif isinstance(target, (list, tuple, set, frozenset, dict)):
        members: Iterable[Any] = target.values() if isinstance(target, dict) else target
        for member in members:
            _sort_into(sought, member, depth + 1)
    else:
        raise WrongTarget(
            f"unsupported target: {with_article(type(target).__name__)}",
            _instead(target),
        )


# Of Dask's protocols: a URL may be a key.
_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss|inproc|gateway)://")
_DATA = ("pandas", "numpy", "pyarrow", "polars", "xarray", "scipy")


def _instead(value: Any) -> str:
    """What to pass in place of what is no target."""
    kind = type(value)
    module = str(kind.__module__).partition(".")[0]
    if kind.__name__ == "Client" and module == "distributed":
        return f"pass a client as {advice.option('client')}"
    if module == "distributed" and kind.__name__.endswith("Cluster"):
        return f"connect a Client to it: {advice.option('client')} takes that"
    if module in _DATA:
        return "it holds data, not tasks: pass Dask's own collection, a future or a key"
    if isinstance(value, type) and issubclass(value, BaseException):
        return "pass the exception itself, not its class"
    if callable(value):
        return (
            "a function is no task: pass the future of its call, the delayed call, or "
            "the exception"
        )
    return (
        "pass a future, a collection, a key, an exception, several of these, or "
        "nothing for the last failure"
    )


def _is_collection(value: Any) -> bool:
    """Whether a value is a Dask collection; imports nothing."""
    dask = sys.modules.get("dask.base")
    return dask is not None and bool(dask.is_dask_collection(value))


def _is_key(value: Any) -> bool:
    """Whether a value can be a key (dask.typing.Key): a tuple begins with a string."""
    if isinstance(value, (str, bytes, int, float)):
        return not isinstance(value, bool)
    return (
        isinstance(value, tuple)
        and len(value) > 0
        and isinstance(value[0], (str, bytes))
        and all(_is_key(part) for part in value)
        # ("x-1", "y-2") reads as two keys, ("x-1", 0) as one.
        and (len(value) == 1 or any(not isinstance(part, str) for part in value))
    )
