"""Python's own parser, for texts that anyone may have written."""

from __future__ import annotations

import ast
import re
from typing import Any

TRIES = 20


def parsed(text: str, mode: str = "exec") -> Any:
    """The syntax tree of a text.

    Python 3.11 counts the depth of trees once for all threads: where another parses
    at the same time, and both were interrupted by a look for garbage, of which Dask
    keeps time in Python, one of them gets a ``SystemError``
    (https://github.com/python/cpython/issues/106905). A retry succeeds.

    Raises `ValueError` if it is not Python of this version, or nested too deeply.
    """
    for left in reversed(range(TRIES)):
        try:
            return ast.parse(text, mode=mode)
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise ValueError(f"not valid Python: {error}") from None
        except SystemError:
            if not left:
                raise
    raise AssertionError("unreachable")


def literal(text: str) -> Any:
    """The value of a literal, as `ast.literal_eval` reads it; `ValueError` if none."""
    try:
        return ast.literal_eval(parsed(text.lstrip(" \t"), "eval"))
    except (TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"not a literal: {error}") from None


def in_daskish(time: Any) -> Any:
    """A length of time as ``dask.utils.parse_timedelta`` reads it: it knows no ``min``.

    >>> print(in_daskish("10 min"), in_daskish("5s"), in_daskish(3))
    10 m 5s 3
    """
    return re.sub(r"(?<=[\d\s])min$", "m", time) if isinstance(time, str) else time
