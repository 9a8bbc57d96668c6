"""Completion of targets: keys of failed futures, and variables; asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from dbgkit.cluster.clients import current_client, held_future_states, is_future

_MOST = 200
_MOST_MEMBERS = 100  # of a list, looked at for a future


def complete_target(
    typed: str, symbol: str, namespace: Mapping[str, Any], options: tuple[str, ...]
) -> list[str]:
    """What may follow, as replacements of ``symbol``.

    Parameters
    ----------
    typed : str
        All after the magic's name, up to the cursor.
    symbol : str
        The last part of ``typed``, which is what is replaced. Parentheses and commas
        end one, so of a tuple key it is not the whole.
    namespace : mapping
        The user's variables.
    options : tuple of str
        Options to offer.
    """
    last = typed.rsplit(maxsplit=1)[-1] if typed[-1:].strip() else ""
    if last.startswith("-"):
        return [option for option in options if option.startswith(last)]
    target = typed.lstrip()
    done = len(target) - len(symbol)
    candidates = [*_failed_keys(), *_variables(namespace)]
    return [text[done:] for text in candidates if text.startswith(target)]


def _failed_keys() -> list[str]:
    """Keys of failed futures that the current client holds, the newest first."""
    client = current_client()
    if client is None:
        return []
    failed = [
        key
        for key, state in held_future_states(client).items()
        if state.status == "error"
    ]
    return [str(key) for key in islice(reversed(failed), _MOST)]


def _variables(namespace: Mapping[str, Any]) -> list[str]:
    """Names of variables that are a target."""
    return [
        name
        for name, value in list(namespace.items())
        if not name.startswith("_") and _is_target(value)
    ]


def _is_target(value: Any) -> bool:
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
