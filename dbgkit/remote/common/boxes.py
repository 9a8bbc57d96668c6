"""Black boxes of workers: their format, and how they are read.

A box is a file of fixed size: what does not change, the last sample, those of memory
before it, the last lines that were logged, and one slot for each task that runs. Its
nanny, or another worker on the same host, reads it after the
worker has died. It has a nonce that the worker has reported to the scheduler: owners of
files mean little where users have namespaces, or all containers run as root.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import msgpack
import psutil

from .own_files import NotOwn, OwnFolder
from .own_thread import TooSlow, apart

if TYPE_CHECKING:
    from .wire_deaths import (
        Box,
        BoxFixed,
        BoxPlace,
        BoxTask,
        BoxUnread,
        LoggedForm,
        MemoryForm,
    )

SLOTS = 64  # tasks at a time; of more, the rest is counted
STACK_LIMIT = 4_000  # characters of a crash's stack

MAGIC = b"dbgkit-box-3"
FIXED = struct.Struct("<12sI")  # the magic, and the length of what is fixed
FIXED_BYTES = 1_008
# Of the last sample: time, memory; tasks left out, lines left out; bytes that were in
# the file of its standard error.
MOVING = struct.Struct("<dQQQQ")
MOVING_AT = 1_024
CLOSED_AT = MOVING_AT + MOVING.size  # 1: its worker closed in good order
MEMORY_AT = 1_088
MEMORY = struct.Struct("<dQ")  # time, memory
MEMORY_SAMPLES = 300  # the newest takes the oldest one's place
LOGGED_AT = MEMORY_AT + MEMORY_SAMPLES * MEMORY.size
LOGGED = struct.Struct("<dIHH")  # time, how often, level, length; the text follows
LOGGED_LINES = 16  # the newest takes the oldest one's place
LOGGED_BYTES = 512
SLOTS_AT = LOGGED_AT + LOGGED_LINES * LOGGED_BYTES
# In use (0: not any more), how the key is written, its length, started, bytes of
# inputs, thread, length of its function's first line.
SLOT = struct.Struct("<BBHdQQH2x")
KEY_AT, KEY_BYTES = 32, 480  # the key follows, and after it that line
FIRST_BYTES = 480
LINE = struct.Struct("<dH")  # when it was read, and its length
LINE_AT, LINE_BYTES = 1_024, 512
LINE_TEXT_AT = LINE_AT + 16
RAISED = struct.Struct("<H")  # length of what it raised that ends its worker
RAISED_AT, RAISED_BYTES = 1_536, 512
SLOT_SIZE = 2_048
SIZE = SLOTS_AT + SLOTS * SLOT_SIZE
THREAD, COROUTINE = 1, 2  # what a slot in use is of
PACKED, TEXT = 1, 2  # how a key is written
ERRORS = "surrogatepass"
HISTORY = 60  # seconds of memory's samples that are sent
READING_LIMIT = 2.0  # seconds for boxes to be read
_STACK_READ = 1_000_000  # bytes
_TIMES = 4e9  # seconds since 1970; later ones are none
_TEXTS = ("worker", "nanny", "scheduler", "crashes", "nonce", "stderr_file")
_STDERR_READ = 16_000  # bytes
_PLAIN_FILE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_KINDS = {**dict.fromkeys(_TEXTS, str), "pid": int, "started": float}


def file_of(pid: int, started: float) -> str:
    """Name of the box of one process; process ids are used again."""
    return f"{pid}-{started:.2f}"


def remove_box(path: str) -> None:
    """Remove a box, the file for crashes next to it, and the folder once empty."""
    parent, name = os.path.split(path)
    with contextlib.suppress(OSError), OwnFolder(parent) as folder:
        for each in (name, f"{name}.stack"):
            with contextlib.suppress(OSError):
                folder.remove(each)
    with contextlib.suppress(OSError):  # there are others
        os.rmdir(parent)


def read_box(path: str, nonce: str = "") -> Box | None:
    """The content of a box; None if it is missing or incomplete: see `own_box`."""
    try:
        return own_box(path, nonce)
    except OSError:
        return None


def own_box(path: str, nonce: str = "") -> Box:
    """The content of a box, in builtin types.

    ``nonce`` is what its worker reported; if empty, any will do.

    Raises
    ------
    NotOwn
        Someone else may have written it, or it is not a box, or not that one.
    FileNotFoundError
        It does not exist, for instance because its worker closed normally.
    """
    parent, name = os.path.split(path)
    with OwnFolder(parent) as folder:
        data = folder.read(name, SIZE + 1)
        found = _fixed(data)
        if found is None:
            raise NotOwn(errno.EPERM, "it is not a black box", path)
        if nonce not in ("", found["nonce"]):
            raise NotOwn(errno.EPERM, "it is not the one that the worker made", path)
        stack = _read_stack(folder, f"{name}.stack", found["nonce"])
    moving = MOVING.unpack_from(data, MOVING_AT)
    sampled, memory, left_out, unlogged, written = moving
    slots = range(SLOTS_AT, SIZE, SLOT_SIZE)
    tasks = [_read_slot(data, at) for at in slots if data[at]]
    tasks.sort(key=lambda task: task["start"])
    # How the key is written: not at all in a slot that nobody ever had.
    ended = [_read_slot(data, at) for at in slots if not data[at] and data[at + 1]]
    box = {
        **found,
        "stack": stack,
        "sampled": _time(sampled),
        "memory": memory,
        "left_out": left_out,
        "tasks": tasks,
        "ended": ended,
        "history": history(_read_memory(data)),
        "logged": read_logged(data),
        "unlogged": unlogged,
        "stderr": _read_stderr(found["stderr_file"], written),
        "closed": data[CLOSED_AT] == 1,
    }
    return cast("Box", box)


def _fixed(data: bytes) -> BoxFixed | None:
    """What does not change; None if this is not a box."""
    if len(data) != SIZE:
        return None
    magic, length = FIXED.unpack_from(data)
    if magic != MAGIC or length > FIXED_BYTES:
        return None
    try:
        found = msgpack.unpackb(
            data[FIXED.size : FIXED.size + length], unicode_errors=ERRORS
        )
    except ValueError:  # msgpack's own errors too
        return None
    if not isinstance(found, dict):
        return None
    fixed = {name: found.get(name) for name in _KINDS}
    fit = all(type(fixed[name]) is kind for name, kind in _KINDS.items())
    return cast("BoxFixed", fixed) if fit else None


def _time(seconds: float) -> float:
    """Seconds since 1970; 0 for invalid values."""
    return seconds if 0.0 < seconds < _TIMES else 0.0


def _read_slot(data: bytes, at: int) -> BoxTask:
    head = SLOT.unpack_from(data, at)
    used, written, length, start, inputs, thread, first_length = head
    begin = at + KEY_AT
    end = begin + min(length, KEY_BYTES)
    packed = data[begin:end]
    first = data[end : end + min(first_length, FIRST_BYTES)]
    line_at, length = LINE.unpack_from(data, at + LINE_AT)
    line = data[at + LINE_TEXT_AT :][: min(length, LINE_BYTES - 16)]
    (length,) = RAISED.unpack_from(data, at + RAISED_AT)
    raised = data[at + RAISED_AT + RAISED.size :][: min(length, RAISED_BYTES - 2)]
    return {
        "key": packed if written == PACKED else b"",
        "text": "" if written == PACKED else packed.decode("utf-8", "replace"),
        "start": _time(start),
        "inputs": inputs,
        "thread": thread,
        "coroutine": used == COROUTINE,
        "first": first.decode("utf-8", "replace"),
        "line": line.decode("utf-8", "replace"),
        "line_at": _time(line_at),
        "raised": raised.decode("utf-8", "replace"),
    }


def _read_memory(data: bytes) -> list[MemoryForm]:
    samples = data[MEMORY_AT : MEMORY_AT + MEMORY_SAMPLES * MEMORY.size]
    found = MEMORY.iter_unpack(samples)
    return [(when, memory) for when, memory in found if _time(when)]


def read_logged(data: bytes) -> list[LoggedForm]:
    """Lines that were logged, the oldest first."""
    found: list[LoggedForm] = []
    for at in range(LOGGED_AT, SLOTS_AT, LOGGED_BYTES):
        when, times, level, length = LOGGED.unpack_from(data, at)
        text = data[at + LOGGED.size : at + min(LOGGED.size + length, LOGGED_BYTES)]
        if _time(when) and text:
            shown = text.decode("utf-8", "replace")
            found.append({"when": when, "level": level, "text": shown, "times": times})
    return sorted(found, key=lambda line: line["when"])


def _read_stderr(path: str, begin: int) -> str:
    """The end of the file of its standard error: what came after the last sample."""
    if not path:
        return ""
    try:
        number = os.open(path, _PLAIN_FILE)
    except (OSError, ValueError):
        return ""
    try:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            return ""
        begin = max(begin, found.st_size - _STDERR_READ)
        if begin >= found.st_size:
            return ""
        os.lseek(number, begin, os.SEEK_SET)
        return os.read(number, _STDERR_READ).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(number)


def history(samples: Iterable[MemoryForm]) -> list[MemoryForm]:
    """Samples of memory, the oldest first: of each second of a minute the highest."""
    most: dict[int, MemoryForm] = {}
    for sample in samples:
        second = int(sample[0])
        if second not in most or most[second][1] < sample[1]:
            most[second] = sample
    last = max(most, default=0)
    return [most[each] for each in sorted(most) if each > last - HISTORY]


def _read_stack(folder: OwnFolder, name: str, nonce: str) -> str:
    """What Python wrote of a crash: its kind, and the thread that it happened in."""
    try:
        data = folder.read(name, _STACK_READ)
    except OSError:
        return ""
    first, _, written = data.decode("utf-8", "replace").partition("\n")
    if first != nonce:
        return ""
    crash, _, threads = written.partition("\n\n")
    for part in threads.split("\n\n"):
        if part.startswith("Current thread"):
            return f"{crash}\n{part}"[:STACK_LIMIT]
    return written[:STACK_LIMIT]


async def read_boxes_of(wanted: Iterable[BoxPlace]) -> list[BoxUnread | Box]:
    """Boxes of workers of this host that are gone: what each has, or why it is unread.

    ``wanted`` are their places as the workers themselves reported them.
    """
    found: list[BoxUnread | Box] = []
    slow: OSError | None = None
    for place in wanted:
        worker, pid = place["worker"], place["pid"]
        try:
            if slow is not None:
                raise slow
            box: Box = await apart(
                own_box, place["path"], place["nonce"], limit=READING_LIMIT
            )
        except FileNotFoundError:
            continue
        except OSError as error:
            unread = why_unread(error)
            found.append({"worker": worker, "pid": pid, "unread": unread})
            slow = error if isinstance(error, TooSlow) else slow
            continue
        box["alive"] = is_alive(box["pid"], box["started"])
        found.append({**box, "worker": worker, "pid": pid})
    return found


def why_unread(error: OSError) -> str:
    """Why something cannot be read: ``/tmp/a: it is a link, not a file``."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"[:500]


def is_alive(pid: int, started: float) -> bool:
    """Whether a process runs: not another one with its id, and not a zombie."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return bool(abs(process.create_time() - started) < 1.0)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
