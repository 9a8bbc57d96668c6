"""Where in a stack to stop first, and which of its frames to leave out."""

from __future__ import annotations

import linecache
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType

from dbgkit.remote.common import frames
from dbgkit.targets.tracebacks import leading, shown_chain

Stack = Sequence[tuple[FrameType, int]]
Location = tuple[str, int, str]  # filename, line number, function


# Frames that lead to the line that asked for the result, while a prompt is open.
_asking: list[FrameType] = []


def first_stop(stack: Stack, stop_at: Location | None = None) -> int:
    """Index to stop at first: ``stop_at``, else the user's own code, else the last.

    ``stack`` is outermost first, and not empty. A frame with both source and locals
    comes before one that lacks either; what asked for the task comes last.
    """
    if stop_at is not None:
        for index in range(len(stack) - 1, -1, -1):
            frame, lineno = stack[index]
            code = frame.f_code
            if (code.co_filename, lineno, code.co_name) == stop_at:
                return index
    start = _start_of_task(stack)
    within = range(start, len(stack))
    files = [frame.f_code.co_filename for frame, _ in stack]
    own = [index for index in within if frames.is_own(files[index])]
    rest = [index for index in within if not frames.is_machinery(files[index])]
    for indices in (own, rest):
        if indices:
            readable = [index for index in indices if _has_both(*stack[index])]
            return (readable or indices)[-1]
    return len(stack) - 1


def _start_of_task(stack: Stack) -> int:
    """Index from which on the frames are the task's; 0 if that is unknown."""
    for index, (frame, _) in enumerate(stack):
        if frame in _asking:
            continue
        place = frame.f_code.co_filename.replace("\\", "/")
        package = frames.package_of(place)
        runs = package == "dbgkit" or (
            # Where Dask calls a task, within this process too.
            package == "dask" and place.endswith(("/local.py", "/_task_spec.py"))
        )
        asked = index > 0 and stack[index - 1][0] in _asking
        if (runs or asked) and not all(is_hidden(each) for each, _ in stack[index:]):
            return index
    return 0


def _has_both(frame: FrameType, lineno: int) -> bool:
    """Whether a frame has source to show, and locals (compiled code has none)."""
    filename = frame.f_code.co_filename
    return not frames.is_compiled(filename) and bool(
        linecache.getline(filename, lineno, frame.f_globals).strip()
    )


def further_in(stack: Stack, index: int) -> list[str]:
    """Frames within the one at ``index`` that lack source or locals, innermost last."""
    return [
        f"{frame.f_code.co_name} ({frame.f_code.co_filename}:{lineno})"
        for frame, lineno in stack[index + 1 :]
        if not is_hidden(frame) and not _has_both(frame, lineno)
    ]


@contextmanager
def led_to_by(exception: BaseException, asked: BaseException | None) -> Iterator[None]:
    """Put the frames above a replayed exception that asked for its result.

    So ``up`` leads from the task to the line of the user's script or cell. They are
    the user's own of ``asked``, the exception as it reached that code; they stay in the
    traceback, for ``%debug``.
    """
    before = list(_asking)
    _asking[:] = lead_to(exception, asked)
    try:
        yield
    finally:
        _asking[:] = before


def lead_to(exception: BaseException, asked: BaseException | None) -> list[FrameType]:
    """As `led_to_by`, for a prompt that others open; gives the frames put above."""
    if asked is None or asked is exception:
        return []
    above = leading(asked.__traceback__)
    inside = exception.__traceback__
    known = {id(frame) for frame, _ in frames.walk(inside)}
    if inside is not None and not any(id(each.tb_frame) in known for each in above):
        for each in reversed(above):
            # A line of 0, or none, is of code that stands in no file.
            lineno = max(1, each.tb_lineno or 1)
            inside = TracebackType(inside, each.tb_frame, each.tb_lasti, lineno)
        exception.__traceback__ = inside
    return [each.tb_frame for each in above]


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
