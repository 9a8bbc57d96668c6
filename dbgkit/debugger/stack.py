"""Where in a stack to stop first, and which of its frames to leave out."""

from __future__ import annotations

from collections.abc import Sequence
from types import FrameType, TracebackType

from dbgkit.locate.traces import shown_chain
from dbgkit.remote import frames

Stack = Sequence[tuple[FrameType, int]]
Location = tuple[str, int, str]  # filename, line number, function


def first_stop(stack: Stack, stop_at: Location | None = None) -> int:
    """Index to stop at first: ``stop_at``, else the user's own code, else the last.

    ``stack`` is outermost first, and not empty.
    """
    if stop_at is not None:
        for index in range(len(stack) - 1, -1, -1):
            if _location(stack[index]) == stop_at:
                return index
    own = frames.own_index([frame.f_code.co_filename for frame, _ in stack])
    return len(stack) - 1 if own is None else own


def is_hidden(frame: FrameType) -> bool:
    """Whether a frame is Dask's or ours, and so left out until asked for."""
    return frames.is_machinery(frame.f_code.co_filename)


def count_hidden(tb: TracebackType | None) -> int:
    """How many frames of a traceback are left out."""
    return sum(is_hidden(frame) for frame, _ in frames.walk(tb))


def chain(exception: BaseException) -> list[BaseException]:
    """An exception, members of groups, and what it was raised from: newest first."""
    return [exception, *(error for _, error in shown_chain(exception))]


def listed(exception: BaseException) -> tuple[BaseException, ...]:
    """The same as the ``exceptions`` command lists it: the exception itself last."""
    found = shown_chain(exception, backwards=True)
    return (*reversed([error for _, error in found]), exception)


def _location(entry: tuple[FrameType, int]) -> Location:
    frame, lineno = entry
    return frame.f_code.co_filename, lineno, frame.f_code.co_name
