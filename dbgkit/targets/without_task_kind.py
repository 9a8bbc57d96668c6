"""What an exception is, that no failed task is known of: what a family says."""

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
        Of a chain, the one that it is about.
    notes : tuple of str
        What happened, and what to do.
    """

    code: str
    exception: BaseException
    notes: tuple[str, ...]
