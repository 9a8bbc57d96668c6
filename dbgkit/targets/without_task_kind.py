"""What an exception is that no failed task is known for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What an exception is.

    Attributes
    ----------
    code : str
        See ``Failure.kind``.
    exception : BaseException
        The relevant one of a chain.
    notes : tuple of str
        What happened, and what to do.
    """

    code: str
    exception: BaseException
    notes: tuple[str, ...]
