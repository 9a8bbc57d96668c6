"""What is kept of a shrunk input, as a file or a test."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from dbgkit.model import Shrunk

_T = TypeVar("_T")


def with_kept(
    target: Any, do: Callable[[Any], _T], *refused: type[BaseException]
) -> _T:
    """Do something with a target; with a shrunk one, with what is to be kept of it.

    If that is ``refused``, it is done with the smallest input alone: what the failure
    does not need may be a secret, or have no text.
    """
    if isinstance(target, Shrunk) and target.kept is not None:
        with suppress(*refused):
            return do(target.kept)
    return do(target)
