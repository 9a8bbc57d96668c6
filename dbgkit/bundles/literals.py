"""Secrets among the literals of a task: what is written cannot hide them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from types import FunctionType
from typing import Any

from dbgkit import advice
from dbgkit.errors import SecretInside
from dbgkit.model.secret_names import secret_names
from dbgkit.remote.common.calls import call_of, parameter_names, steps_of
from dbgkit.remote.secrets.redact import redact_lines
from dbgkit.remote.secrets.values import HIDDEN
from dbgkit.remote.values.summarize import Budget, summarize

_MOST = 1_000  # literals that are looked at
_CHARS = 20_000  # of one of them
_DEEPEST = 4  # attributes of attributes


def refuse_secrets(node: Any, key: Any, hint: str = "") -> None:
    """Raise `SecretInside` if a literal of a task looks like a secret, or has one.

    What the task takes from other tasks is data, and is not looked at.
    """
    for number, (name, value) in enumerate(_literals(node)):
        if number >= _MOST:
            return
        if _has_secret(name, value):
            raise SecretInside(
                f"the argument {name or number!r} of {key!r} looks like a secret, or "
                "has one in it, and what is written there is not hidden",
                hint or f"{advice.option('inputs', False)} leaves the inputs out",
                key=key,
            )


def _has_secret(name: str, value: Any, depth: int = 0) -> bool:
    """Whether a value has something in it that would be hidden where it is shown.

    Of an object, its attributes that are not private: what is cached is no secret.
    """
    own = getattr(value, "__dict__", None)
    if type(own) is dict and not isinstance(value, type) and not callable(value):
        return depth < _DEEPEST and any(
            _has_secret(attribute, part, depth + 1)
            for attribute, part in own.items()
            if not attribute.startswith("_")
        )
    budget = Budget(chars=_CHARS, string=_CHARS, secret_names=secret_names())
    return HIDDEN in summarize(value, name=name, budget=budget)["text"]


def has_secret(text: str) -> bool:
    """Whether some source has something in it that is hidden where it is shown."""
    lines = text.splitlines()
    return redact_lines(lines, extra=secret_names()) != lines


def secret_globals(function: FunctionType) -> Iterator[str]:
    """Texts that a function takes from its module, and that look like secrets."""
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if type(value) is str and _has_secret(name, value):
            yield f"the global {name!r}"


def _literals(node: Any) -> Iterator[tuple[str, Any]]:
    """Arguments that are written in the task itself, with their names."""
    from dask._task_spec import DataNode, GraphNode

    for step in steps_of(node).values():
        yield from _literals(step)
    if isinstance(node, DataNode):
        yield "", node.value
        return
    call = None if steps_of(node) else call_of(node)
    if call is None:
        return
    function, args, kwargs = call
    names = chain(parameter_names(function), repeat(""))
    for name, value in chain(zip(names, args, strict=False), kwargs.items()):
        if isinstance(value, GraphNode):
            yield from _literals(value)
        else:
            yield name, value
