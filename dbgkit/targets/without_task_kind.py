"""What an exception is that no failed task is known of."""

from __future__ import annotations


class Kind:
    """What an exception is, by a code: see ``Failure.kind``.

    ``exception`` is the relevant one of a chain; ``notes`` say what happened, and what
    to do.
    """

    def __init__(self, code: str, exception: BaseException, *notes: str) -> None:
        self.code = code
        self.exception = exception
        self.notes = notes
