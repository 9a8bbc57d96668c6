"""Names under which debuggers find the recorded lines of a file, and no others.

A frame may be said to be of any file: one that is here and is another one, a pipe, a
device. So it has its own name only where the file here has the recorded lines.
"""

from __future__ import annotations

import itertools
import linecache
from collections import OrderedDict
from collections.abc import Iterator, Mapping

from dbgkit.model import FrameSummary, Recording
from dbgkit.remote.common.texts import visible
from dbgkit.remote.secrets.redact import LINE_WIDTH
from dbgkit.source.texts import local_lines

_MOST_LINES = 2_000_000  # of all files of a recording: 16 MB
_MOST_NAMES = 2_000  # of files of recordings that were entered

# Those that linecache has of ours, the latest last, with the number of their lines.
_names: OrderedDict[str, int] = OrderedDict()


def names_for(recording: Recording) -> dict[str, str]:
    """Each frame's file -> a name under which debuggers find its recorded lines."""
    recorded: dict[str, dict[int, str]] = {}
    for frame in _frames(recording):
        recorded.setdefault(frame.filename, {}).update(frame.source)
    found, left = {}, _MOST_LINES
    for filename, source in recorded.items():
        if not recording.foreign and _is_itself(filename, source):
            found[filename] = filename
            continue
        lines = _whole(recording.sources.get(filename, ""), source, left)
        left -= len(lines)
        found[filename] = _remembered(filename, lines, recording.foreign)
    _forget_oldest()
    return found


def _frames(recording: Recording) -> Iterator[FrameSummary]:
    yield from recording.frames
    for cause in recording.causes:
        yield from cause.frames


def _is_itself(filename: str, source: Mapping[int, str]) -> bool:
    """Whether debuggers find just what was recorded under the file's own name.

    The file is here, with these lines; or it is none, and nothing was recorded.
    """
    if not source:
        return filename[:1] + filename[-1:] == "<>" and filename not in linecache.cache
    here = local_lines(filename)
    return all(
        0 < number <= len(here)
        and here[number - 1].rstrip()[:LINE_WIDTH]
        == line.removesuffix("…")[:LINE_WIDTH]
        for number, line in source.items()
    )


def _whole(text: str, source: Mapping[int, str], most: int) -> list[str]:
    """The lines of a file; those that nobody recorded are empty."""
    lines = visible(text).split("\n") if text else []
    last = max(source, default=0)
    if max(last, len(lines)) > most:
        return []
    lines += [""] * (last - len(lines))
    for number, line in source.items():
        if not lines[number - 1].strip():
            lines[number - 1] = visible(line)
    return [f"{line}\n" if line else "\n" for line in lines]


def _remembered(filename: str, lines: list[str], foreign: bool) -> str:
    """Have ``linecache`` give the lines; the name that it has them under."""
    for number in itertools.count(1):
        # Another recording may be of another state of the file: each has its own.
        name = f"{filename} (as recorded{f', {number}' if number > 1 else ''})"
        # Whatever becomes of its cache, linecache looks for no file of such a name.
        name = f"<{name}>" if foreign else name
        kept = linecache.cache.get(name)
        if kept is None or len(kept) != 4 or kept[2] == lines:
            break
    # Without a time of change it is never looked for on disk.
    linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
    _names[name] = len(lines)
    _names.move_to_end(name)
    return name


def _forget_oldest() -> None:
    """Drop what was entered long ago."""
    while len(_names) > _MOST_NAMES or sum(_names.values()) > 2 * _MOST_LINES:
        name, _ = _names.popitem(last=False)
        linecache.cache.pop(name, None)
