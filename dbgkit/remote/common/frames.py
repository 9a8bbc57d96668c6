"""Whose frame is it: Dask's, an installed package's, or the user's own?"""

from __future__ import annotations

import os
import re
import site
import sys
import sysconfig
import threading
import traceback
from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import FrameType, TracebackType

from .codes import file_of_frame

# Packages whose frames are machinery around the user's function.
_MACHINERY = ("dask", "distributed", "tornado", "dbgkit", "tblib", "IPython")
_STDLIB_MACHINERY = ("asyncio", "concurrent", "multiprocessing", "threading.py")
_PACKAGE_ROOT = re.compile(r"[/\\](?:site|dist)-packages[/\\]([^/\\]+)")
_WINDOWS_LIB = re.compile(r"^[A-Za-z]:.*\\lib\\(\w+)(?:\.py)?(?:\\|$)", re.IGNORECASE)
# Also as the name of a recorded file that is not here (debugger/recorded_files.py).
_CYTHON = re.compile(r"\.(?:pyx|pxd|pxi)(?: \(as recorded[, \d]*\)>?)?$")
_WORKER = re.compile(r"distributed[/\\]worker\.py$")
MOST_LINES = 40  # of one call stack
MOST_PLACES = 2_000  # of one that are looked at
Place = tuple[FrameType, int]  # and the line that it stands at
_LINE = re.compile(r'^  File "(?P<file>.+?)", line (?P<line>\d{1,9}), in (?P<name>.+)$')


def frames_of_threads() -> dict[int, FrameType]:
    """What each other thread runs, by its id: ``sys._current_frames``.

    Without this thread's own frame, which would refer to itself by what it has here:
    all frames, with the users' values, would stay alive until garbage is collected.
    """
    frames = sys._current_frames()
    frames.pop(threading.get_ident(), None)
    return frames


def places_of(frame: FrameType | None, most: int = MOST_PLACES) -> list[Place]:
    """The frames of a call stack, outermost first, with the line each stands at.

    Of more than that, the innermost.
    """
    found: list[Place] = []
    while frame is not None and len(found) < most:
        found.append((frame, line_at(frame)))
        frame = frame.f_back
    return found[::-1]


def is_in_worker(places: Sequence[Place]) -> bool:
    """Whether a call stack is within what ``distributed/worker.py`` runs in threads."""
    files = (frame.f_code.co_filename for frame, _ in places)
    return any(_WORKER.search(file) for file in files)


def line_at(frame: FrameType) -> int:
    """The line that a frame stands at; where it is between two, the one before.

    A loop's jump back may belong to no line, and that is where a thread hands the
    interpreter over to the one that looks at it.
    """
    lineno: int | None = frame.f_lineno
    if lineno is not None:
        return lineno
    found = frame.f_code.co_firstlineno
    for start, _, line in frame.f_code.co_lines():
        if start > frame.f_lasti:
            break
        found = line or found
    return found


def lines_of(places: Sequence[Place]) -> list[str]:
    """Lines of a call stack, the innermost last; the outermost of many left out."""
    return [
        f"{line.filename}:{line.lineno} in {line.name}: {line.line or ''}"
        for line in traceback.StackSummary.extract(iter(places[-MOST_LINES:]))
    ]


def stack_lines(frame: FrameType) -> list[str]:
    """As `lines_of`, of a frame and those that have called it."""
    return lines_of(places_of(frame, MOST_LINES))


def _own_roots() -> tuple[str, ...]:
    """Folders of this Python's standard library and of installed packages."""
    paths = {sysconfig.get_path(n) for n in ("stdlib", "platstdlib", "purelib")}
    paths.update(site.getsitepackages() if hasattr(site, "getsitepackages") else [])
    paths.add(site.getusersitepackages())
    return tuple(os.path.normpath(p) + os.sep for p in paths if p)


_ROOTS = _own_roots()
_THIS_FILE = os.path.join("remote", "common", "frames.py")
# An editable install of ours is not below site-packages.
_OURS = (
    (os.path.abspath(__file__).removesuffix(_THIS_FILE),)
    if "__file__" in globals()  # not where this came as source
    else ()
)


def package_of(filename: str) -> str:
    """Name of the installed package that a file belongs to, or ``""``.

    Works on paths of another machine too, as it looks for ``site-packages``.
    """
    found = _PACKAGE_ROOT.findall(filename)
    if found:
        return str(found[-1]).removesuffix(".py")
    # What came as source is named so (cluster/shipping.py, worker/recorder_spec.py).
    if filename.startswith(_OURS) or "<dbgkit" in filename:
        return "dbgkit"
    # NumPy before 1.25 has wrappers that stand in no file.
    return "numpy" if filename == "<__array_function__ internals>" else ""


def is_stdlib(filename: str) -> bool:
    """Whether a file is the standard library's, here or (by its path) elsewhere."""
    if filename.startswith("<frozen "):
        return True
    if _PACKAGE_ROOT.search(filename):
        return False
    if any(filename.startswith(root) for root in _ROOTS):
        return True
    windows = _WINDOWS_LIB.match(filename)
    if windows and windows[1] in sys.stdlib_module_names:
        return True
    return bool(re.search(r"[/\\]lib(?:64)?[/\\]python3\.\d+[/\\]", filename))


@lru_cache(maxsize=1_000)  # a recursion's frames are of one file
def is_machinery(filename: str) -> bool:
    """Whether a frame of this file is Dask's, asyncio's or ours: to be hidden."""
    if package_of(filename) in _MACHINERY:
        return True
    if is_stdlib(filename):
        parts = re.split(r"[/\\]", filename)
        return any(part in _STDLIB_MACHINERY for part in parts[-3:])
    return False


@lru_cache(maxsize=1_000)  # a recursion's frames are of one file
def is_own(filename: str) -> bool:
    """Whether a file is the user's own: no installed package, no standard library."""
    return not (
        package_of(filename)
        or is_stdlib(filename)
        # Compiled Cython, pandas' say: its path is that of where it was built, and
        # its frames have neither source nor locals.
        or is_compiled(filename)
    )


def is_compiled(filename: str) -> bool:
    """Whether a file is Cython's, whose frames have no locals."""
    return _CYTHON.search(filename) is not None


def _is_readable(filename: str) -> bool:
    return not is_machinery(filename) and not is_compiled(filename)


def walk(tb: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    """Frames of a traceback with the line each stands at, outermost first."""
    while tb is not None:
        yield tb.tb_frame, tb.tb_lineno
        tb = tb.tb_next


def own_index(filenames: list[str]) -> int | None:
    """Which frame to stop at first; ``filenames`` are outermost first.

    The innermost frame of the user's own code; where there is none, the innermost
    that is not machinery, preferably one with source and locals, not a compiled one;
    None where all is machinery.
    """
    for test in (is_own, _is_readable, lambda name: not is_machinery(name)):
        for index in range(len(filenames) - 1, -1, -1):
            if test(filenames[index]):
                return index
    return None


def own_line(exception: BaseException) -> tuple[str, int, str] | None:
    """``(filename, lineno, function)`` of the innermost frame of the user's own."""
    frames = list(walk(exception.__traceback__))
    index = own_index([file_of_frame(frame) for frame, _ in frames])
    if index is None:
        return None
    frame, lineno = frames[index]
    return frame.f_code.co_filename, lineno, frame.f_code.co_name


def parse_traceback(text: str) -> list[tuple[str, int, str]]:
    """``(filename, lineno, function)`` of each frame of a formatted traceback."""
    return [
        (found["file"], int(found["line"]), found["name"])
        for found in map(_LINE.match, text.splitlines())
        if found
    ]


def own_line_of_text(text: str) -> tuple[str, int, str] | None:
    """Like `own_line`, for a traceback that is only left as text."""
    frames = parse_traceback(text)
    index = own_index([filename for filename, _, _ in frames])
    return None if index is None else frames[index]


def format_exception(exception: BaseException) -> str:
    """The exception's traceback as text; never raises, whatever its ``__str__``."""
    try:
        return "".join(
            traceback.format_exception(
                type(exception), exception, exception.__traceback__
            )
        )
    except Exception as error:  # a hostile __str__ or __cause__
        frames = "".join(traceback.format_tb(exception.__traceback__))
        return f"{frames}{type(exception).__name__} (unprintable: {error!r})\n"
