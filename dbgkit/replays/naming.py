"""A failed task in what is said of it, and in what is advised."""

from __future__ import annotations

from typing import Any

from dbgkit import advice
from dbgkit.model import Failure

_KEYLESS = ("local", "file", "graph")  # where no cluster knows a failure by its key


def named(key: Any) -> str:
    """A task by its key; some schedulers do not tell which it was."""
    return "the task" if key is None else repr(key)


def call_again(verb: str, failure: Failure, **options: Any) -> str:
    """How to call a verb for a failure: by its key, if that is a target."""
    known = failure.key is not None and failure.found_in not in _KEYLESS
    return advice.call(verb, *([failure.key] if known else []), **options)
