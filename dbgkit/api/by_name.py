"""Verbs without a target: what is passed without a name is told where it belongs."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from dbgkit.errors import WrongTarget
from dbgkit.remote.common.texts import safe_repr

F = TypeVar("F", bound=Callable[..., Any])

DUMPS = (".msgpack", ".msgpack.gz", ".yaml", ".yml")  # of Client.dump_cluster_state


def by_name(verb: F) -> F:
    """A verb that takes its options by name alone, and says so."""

    @wraps(verb)
    def call(*args: Any, **options: Any) -> Any:
        if args:
            raise WrongTarget(
                f"{verb.__name__}() has no target: its options are passed by name",
                _meant(args[0], verb.__name__),
            )
        return verb(**options)

    return cast("F", call)


def _meant(value: Any, verb: str) -> str:
    """The option that a value was meant for, as far as it can be told."""
    shown = safe_repr(value, 100)
    if isinstance(value, str) and "://" in value:
        return f"pass an address as client={shown}"
    if isinstance(value, os.PathLike) or (
        isinstance(value, str) and (os.path.isfile(value) or value.endswith(DUMPS))
    ):
        return f"pass a dump's path as view={shown}"
    if type(value).__name__ == "Client":
        return "pass a client as client="
    if verb == "tasks":
        return "pass a pattern or keys as keys="
    return "locate(), why() and story() take a target"
