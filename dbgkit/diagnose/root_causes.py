"""Failures with one root cause agree in class, message and innermost own line."""

from __future__ import annotations

from collections.abc import Iterable

from dbgkit.model import Failure
from dbgkit.remote.common.frame_codes import own_place
from dbgkit.remote.common.texts import Signature, signature
from dbgkit.source.shown import codes_of_failure


def signature_of(failure: Failure) -> Signature:
    """What identical failures share; what varies in messages does not count."""
    return signature(
        failure.exception_type,
        failure.message,
        own_place(failure.traceback_text, codes_of_failure(failure)),
    )


def root_causes(failures: Iterable[Failure]) -> list[Failure]:
    """The first failure of each root cause, in the order given."""
    first: dict[Signature, Failure] = {}
    for failure in failures:
        first.setdefault(signature_of(failure), failure)
    return list(first.values())
