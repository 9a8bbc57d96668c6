"""Completion of targets: keys of futures, and variables; asks nobody."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any

from dbgkit.frontends.kinds import Option

_MOST = 200
_MOST_MEMBERS = 100  # of a list, looked at for a future
# An option whose value, in part or not at all, is the last that was typed.
_OPENED = re.compile(r"(?:^|(?<=\s))(?P<flag>--[a-z][a-z-]*)(?:=|\s+)(?P<value>\S*)$")


def complete_value(
    typed: str, symbol: str, options: Sequence[Option]
) -> list[str] | None:
    """Values of the option before the cursor; None if there is none that takes any."""
    found = _OPENED.search(typed)
    named = [o for o in options if found and o.flag == found["flag"]]
    if found is None or not named or named[0].kind == "flag":
        return None
    part = found["value"].rpartition(",")[2]
    minus = "-" if named[0].keyword == "sort" and part.startswith("-") else ""
    offered = [f"{minus}{each}" for each in named[0].choices or named[0].some()]
    # The symbol may begin before the part, or after it.
    before = symbol[: max(0, len(symbol) - len(part))]
    done = max(0, len(part) - len(symbol))
    return [before + each[done:] for each in offered if each.startswith(part)]


def complete_target(
    typed: str,
    symbol: str,
    namespace: Mapping[str, Any],
    options: Sequence[str],
    statuses: Collection[str] | None = ("error",),
) -> list[str]:
    """What may follow, as replacements of ``symbol``.

    That is the last part of ``typed``, which is all after the magic's name.
    Parentheses and commas end one, so of a tuple key it is not the whole. Keys are
    those of futures with one of the ``statuses``; None: with any.
    """
    last = typed.rsplit(maxsplit=1)[-1] if typed[-1:].strip() else ""
    if last.startswith("-"):
        return [option for option in options if option.startswith(last)]
    target = typed.lstrip()
    done = len(target) - len(symbol)
    candidates = [*_held_keys(statuses), *_variables(namespace)]
    return [text[done:] for text in candidates if text.startswith(target)]


def _held_keys(statuses: Collection[str] | None) -> list[str]:
    """Keys of futures that the current client holds, the newest first."""
    from dbgkit.cluster.clients import current_client, held_future_states

    client = current_client()
    if client is None:
        return []
    held = [
        key
        for key, state in held_future_states(client).items()
        if statuses is None or state.status in statuses
    ]
    return [str(key) for key in islice(reversed(held), _MOST)]


def _variables(namespace: Mapping[str, Any]) -> list[str]:
    """Names of variables that are a target."""
    return [
        name
        for name, value in list(namespace.items())
        if not name.startswith("_") and _is_target(value)
    ]


def _is_target(value: Any) -> bool:
    from dbgkit.cluster.clients import is_future

    if isinstance(value, (list, tuple, set)):
        return any(is_future(member) for member in islice(value, _MOST_MEMBERS))
    if isinstance(value, type):
        return False
    # A collection has this on its class; asking the object could compute something.
    return (
        is_future(value)
        or isinstance(value, BaseException)
        or hasattr(type(value), "__dask_graph__")
    )
