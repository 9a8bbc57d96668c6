"""A recording as an exception with frames, for the same debuggers.

A frame is a real one: a line of code is run at the recorded file and line, with the
recorded locals as its variables, and raises at once. The user's own code is not run.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any

from dbgkit.debugger.recorded_files import names_for
from dbgkit.model import FrameSummary, RecordedCause, Recording, ValueSummary
from dbgkit.remote.common.texts import visible

_MOST_LINES = 1_000_000


class RecordedError(Exception):
    """Base of the exceptions that stand for recorded ones."""

    exceptions: tuple[BaseException, ...] = ()  # of a group
    foreign = False  # whether it is out of a file of unknown origin


class RecordedValue:
    """What was recorded of a value that was not recorded whole: a text."""

    __slots__ = ("_summary",)

    def __init__(self, summary: ValueSummary) -> None:
        self._summary = summary

    def __repr__(self) -> str:
        return visible(f"<recorded {self._summary.type}: {self._summary.text}>")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"{name!r}: only a summary of this {self._summary.type} was recorded"
        )


def as_exception(recording: Recording) -> BaseException:
    """The recorded exception, with frames to enter and what it was raised from."""
    files = names_for(recording)
    errors = [_error(recording, files, recording.foreign)]
    for cause in recording.causes:
        error = _error(cause, files, recording.foreign)
        parent = errors[cause.parent + 1]
        errors.append(error)
        if cause.how == "member":
            parent.exceptions = (*parent.exceptions, error)
        elif cause.how == "cause":
            parent.__cause__ = error
        else:
            parent.__context__ = error
    return errors[0]


def is_foreign(exception: BaseException) -> bool:
    """Whether an exception stands for a recording out of a file of unknown origin."""
    return isinstance(exception, RecordedError) and exception.foreign


def _error(
    recorded: Recording | RecordedCause, files: Mapping[str, str], foreign: bool
) -> RecordedError:
    message = visible(recorded.message)
    space = {"__module__": "builtins", "__str__": lambda self: message}
    kind = type(recorded.exception_type or "Exception", (RecordedError,), space)
    error: RecordedError = kind(message)
    error.foreign = foreign
    error.__traceback__ = _traceback(recorded.frames, recorded.values, files)
    return error


def _traceback(
    frames: Sequence[FrameSummary],
    values: Mapping[int, Mapping[str, Any]],
    files: Mapping[str, str],
) -> types.TracebackType | None:
    tb: types.TracebackType | None = None
    for index in range(len(frames) - 1, -1, -1):
        frame = frames[index]
        if not 0 < frame.lineno <= _MOST_LINES:
            continue  # stands for frames that were left out
        made = _run(frame, values.get(index, {}), files[frame.filename])
        tb = types.TracebackType(tb, made.tb_frame, made.tb_lasti, made.tb_lineno)
    return tb


def _run(
    frame: FrameSummary, whole: Mapping[str, Any], filename: str
) -> types.TracebackType:
    """A traceback entry of a frame that stands where the recorded one stood."""
    first = min(frame.source[0][0] if frame.source else frame.lineno, frame.lineno)
    code = compile("\n" * (frame.lineno - first) + "raise __stop__", "?", "exec")
    code = code.replace(
        co_filename=filename,
        co_name=frame.function,
        co_firstlineno=first,  # of a line table that counts from there
    )
    variables: dict[str, Any] = {"__stop__": RecordedError()}
    # Comprehensions at a prompt look for names among the globals alone.
    space: dict[str, Any] = {}
    try:
        exec(code, space, variables)
    except RecordedError as error:
        tb = error.__traceback__
        error.__traceback__ = None
    assert tb is not None and tb.tb_next is not None
    del variables["__stop__"]
    for name, summary in frame.locals:
        value = whole[name] if name in whole else RecordedValue(summary)
        if not name.startswith("__"):
            variables[name] = space[name] = value
        elif isinstance(value, bool):  # __tracebackhide__
            variables[name] = value  # others mean something to debuggers, too
    return tb.tb_next
