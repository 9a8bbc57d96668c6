"""What the pickles of files name: files of old are opened by each later version.

Names and signatures here stay as they are; what is to change gets another name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any


class RunTask:
    """All that a task does, as a function of no arguments."""

    def __init__(self, node: Any, data: Mapping[Any, Any]) -> None:
        self.node, self.data = node, data

    def __call__(self) -> Any:
        return self.node(dict(self.data))


def for_each(
    function: Callable[..., Any],
    items: Sequence[Any],
    *others: Sequence[Any],
    names: Sequence[str] = (),
    given: Mapping[str, Any] = MappingProxyType({}),
) -> list[Any]:
    """What bags map, without Dask: one call for each item.

    The values of the last lists are given by ``names``, beside what is ``given`` in
    each call; as ``map_chunk`` (dask/bag/core.py) does.
    """
    count = 1 + len(others) - len(names)
    found = []
    for values in zip(items, *others):  # noqa: B905
        named = dict(zip(names, values[count:], strict=True))
        found.append(function(*values[:count], **{**given, **named}))
    return found
