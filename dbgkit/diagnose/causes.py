"""Failures with one root cause look alike: class, message, innermost own line."""

from __future__ import annotations

from collections.abc import Iterable

from dbgkit.model import Failure
from dbgkit.remote.frames import own_line_of_text
from dbgkit.remote.texts import Signature, signature


def signature_of(failure: Failure) -> Signature:
    """What makes failures one: numbers and addresses in the message do not count."""
    return signature(
        failure.exception_type,
        failure.message,
        own_line_of_text(failure.traceback_text),
    )


def root_causes(failures: Iterable[Failure]) -> list[Failure]:
    """The first failure of each root cause, in the order given."""
    first: dict[Signature, Failure] = {}
    for failure in failures:
        first.setdefault(signature_of(failure), failure)
    return list(first.values())
