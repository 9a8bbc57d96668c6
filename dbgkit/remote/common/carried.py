"""Exceptions that a library hands back as a task's result: for Dask it has finished.

joblib's Dask backend does.
"""

from __future__ import annotations

from typing import Any

CARRIER = "_ExceptionWithTraceback"


def is_carrier(type_name: str) -> bool:
    """Whether a type, by its name with or without module, carries an exception.

    ``_ExceptionWithTraceback`` (joblib/externals/loky/process_executor.py).
    """
    return type_name.rpartition(".")[2] == CARRIER


def carried_by(value: Any) -> BaseException | None:
    """The exception that a result carries, with its frames where it was raised here."""
    if type(value).__name__ != CARRIER:
        return None
    error = getattr(value, "exc", None)
    return error if isinstance(error, BaseException) else None
