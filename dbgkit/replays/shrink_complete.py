"""What of a shrunk input files and tests have."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from dbgkit.model import Shrunk

_T = TypeVar("_T")


def with_complete(
    target: Any, do: Callable[[Any], _T], *refused: type[BaseException]
) -> _T:
    """Do something with a target; with a shrunk one, with its complete rows.

    If that is ``refused``, it is done with the smallest input alone: what the failure
    does not need may be a secret, or have no text.
    """
    if isinstance(target, Shrunk) and target.complete is not None:
        with suppress(*refused):
            return do(target.complete)
    return do(target)
