"""The source that a file takes along: of the user's own frames, secrets hidden."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dbgkit.model import FrameSummary, Recording
from dbgkit.remote.common.parsing import parsed
from dbgkit.remote.secrets.redact import LINE_WIDTH, redact_lines
from dbgkit.source.texts import local_lines

_MOST_LINES = 20_000  # of one file


def sources_of(recording: Recording) -> dict[str, str]:
    """The text around each of the user's own frames, by the name of its file.

    Each line stands where it stands in its file. Of the file there are the functions,
    classes and statements that the frames are in; all other lines are empty. Where a
    file has changed since, there is none of it.
    """
    if recording.foreign:  # what is here under its names is not its own
        return dict(recording.sources)
    frames: dict[str, list[FrameSummary]] = {}
    for frame in _own_frames(recording):
        frames.setdefault(frame.filename, []).append(frame)
    found = {}
    for filename, within in frames.items():
        lines = _lines(filename)
        if lines and all(_is_of(frame, lines) for frame in within):
            wanted = {frame.lineno for frame in within}
            found[filename] = _around(lines, wanted, recording.secret_names)
    return found


def _own_frames(recording: Recording) -> Iterator[FrameSummary]:
    frames = [*recording.frames]
    for cause in recording.causes:
        frames += cause.frames
    yield from (frame for frame in frames if frame.own)


def _lines(filename: str) -> list[str]:
    """Lines of a file or a cell; none if that is not here."""
    return local_lines(filename)[:_MOST_LINES]


def _is_of(frame: FrameSummary, lines: list[str]) -> bool:
    """Whether a text is the one that the frame's recorded lines are of."""
    if frame.lineno not in dict(frame.source):  # it is taken along, too
        return False
    hidden = redact_lines([line.rstrip("\r\n") for line in lines])
    return all(
        number <= len(hidden) and _begin_alike(hidden[number - 1], line)
        for number, line in frame.source
    )


def _begin_alike(line: str, recorded: str) -> bool:
    width = LINE_WIDTH - 1
    return line.rstrip()[:width] == recorded.removesuffix("…").rstrip()[:width]


def _around(lines: list[str], wanted: set[int], names: Iterable[str]) -> str:
    """The statements that some lines are in, in a text of which the rest is empty."""
    kept: set[int] = set()
    for first, last in _statements("".join(lines)):
        if any(first <= number <= last for number in wanted):
            kept.update(range(first, last + 1))
    kept |= wanted
    plain = [line.rstrip("\r\n") for line in lines[: max(kept)]]
    hidden = redact_lines(plain, extra=names)
    shown = [
        line if number in kept else "" for number, line in enumerate(hidden, start=1)
    ]
    return "\n".join(shown) + "\n"


def _statements(text: str) -> list[tuple[int, int]]:
    """First and last lines of a text's outermost statements, decorators included."""
    try:
        body = parsed(text).body
    except ValueError:
        return []  # magics of a notebook, or of another Python
    found = []
    for statement in body:
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(each.lineno for each in decorators)])
        found.append((first, statement.end_lineno or first))
    return found
