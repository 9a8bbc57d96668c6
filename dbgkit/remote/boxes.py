"""Black boxes of workers: where they are, how they are written, what they say.

A box is a file of fixed size: what does not change, the last sample, and one slot for
each task that runs. Whoever survives a worker (its nanny, or another worker of the
same host) reads it.
"""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
from collections.abc import Iterable
from typing import Any

import msgpack
import psutil

SLOTS = 64  # tasks at a time; of more, the rest is counted
STACK_LIMIT = 4_000  # characters of a crash's stack

MAGIC = b"dbgkit-box-1"
FIXED = struct.Struct("<12sI")  # the magic, and the length of what is fixed
FIXED_ROOM = 1_008
MOVING = struct.Struct("<dQQ")  # of the last sample: time, memory; tasks left out
MOVING_AT = 1_024
SLOTS_AT = 1_088
# In use (0: not any more), how the key is written, its length, started, bytes of
# inputs, thread.
SLOT = struct.Struct("<BBHdQQ4x")  # the key follows
LINE = struct.Struct("<dH")  # when it was read, and its length
KEY_AT, KEY_ROOM = 32, 480
LINE_AT, LINE_ROOM = 512, 512
LINE_TEXT_AT = LINE_AT + 16
SLOT_SIZE = 1_024
SIZE = SLOTS_AT + SLOTS * SLOT_SIZE
THREAD, COROUTINE = 1, 2  # what a slot in use is of
PACKED, TEXT = 1, 2  # how a key is written
ERRORS = "surrogatepass"


def folder_in(parent: str) -> str:
    """The folder of a user's black boxes, below one for temporary files."""
    owner = getattr(os, "getuid", lambda: 0)()
    return os.path.join(parent, f"dbgkit-boxes-{owner}")


def file_of(pid: int, started: float) -> str:
    """Name of the box of one process; process ids are used again."""
    return f"{pid}-{started:.2f}"


def remove_box(path: str) -> None:
    """Remove a box, the file for crashes next to it, and the folder once empty."""
    for name in (path, f"{path}.stack"):
        with contextlib.suppress(OSError):
            os.unlink(name)
    with contextlib.suppress(OSError):  # there are others
        os.rmdir(os.path.dirname(path))


def read_box(path: str) -> dict[str, Any] | None:
    """What a box says, in builtin types; None where there is no whole one.

    Returns
    -------
    dict
        ``pid``, ``started``, ``worker``, ``nanny``, ``scheduler``, ``crashes``;
        ``sampled``, ``memory``, ``left_out``; ``tasks``: a list of dicts with ``key``
        (packed) or ``text`` (of one too long), ``start``, ``inputs``, ``thread``,
        ``line``, ``line_at``, ``coroutine``; ``ended``: such of tasks that have ended,
        where no other one has taken their place; and ``stack``, what Python wrote of a
        crash.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(SIZE + 1)
    except OSError:
        return None
    if len(data) != SIZE:
        return None
    magic, length = FIXED.unpack_from(data)
    if magic != MAGIC or length > FIXED_ROOM:
        return None
    try:
        found: dict[str, Any] = msgpack.unpackb(
            data[FIXED.size : FIXED.size + length], unicode_errors=ERRORS
        )
    except ValueError:  # msgpack's own errors too
        return None
    sampled, memory, left_out = MOVING.unpack_from(data, MOVING_AT)
    slots = range(SLOTS_AT, SIZE, SLOT_SIZE)
    tasks = [_read_slot(data, at) for at in slots if data[at]]
    tasks.sort(key=lambda task: task["start"])
    found.update(sampled=sampled, memory=memory, left_out=left_out, tasks=tasks)
    # How the key is written: not at all in a slot that nobody ever had.
    ended = [_read_slot(data, at) for at in slots if not data[at] and data[at + 1]]
    found["ended"] = ended
    found["stack"] = _read_stack(path)
    return found


def _read_slot(data: bytes, at: int) -> dict[str, Any]:
    used, written, length, start, inputs, thread = SLOT.unpack_from(data, at)
    packed = data[at + KEY_AT : at + KEY_AT + min(length, KEY_ROOM)]
    line_at, length = LINE.unpack_from(data, at + LINE_AT)
    line = data[at + LINE_TEXT_AT :][: min(length, LINE_ROOM - 16)]
    return {
        "key": packed if written == PACKED else b"",
        "text": "" if written == PACKED else packed.decode("utf-8", "replace"),
        "start": start,
        "inputs": inputs,
        "thread": thread,
        "coroutine": used == COROUTINE,
        "line": line.decode("utf-8", "replace"),
        "line_at": line_at,
    }


def _read_stack(path: str) -> str:
    """What Python wrote of a crash: its kind, and the thread that it happened in."""
    try:
        with open(f"{path}.stack", encoding="utf-8", errors="replace") as file:
            text = file.read(1_000_000)
    except OSError:
        return ""
    crash, _, threads = text.partition("\n\n")
    for part in threads.split("\n\n"):
        if part.startswith("Current thread"):
            return f"{crash}\n{part}"[:STACK_LIMIT]
    return text[:STACK_LIMIT]


def boxes_in(folders: Iterable[str]) -> Iterable[str]:
    """Paths of all boxes in some folders."""
    for folder in folders:
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                if name[:1].isdigit() and not name.endswith(".stack"):
                    yield os.path.join(folder, name)


def read_boxes_of(wanted: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    """Boxes of workers of this host that are gone.

    Parameters
    ----------
    wanted : iterable of (str, int)
        Addresses and process ids.

    Returns
    -------
    list of dict
        What `read_box` gives, and ``alive``: whether the process still runs.
    """
    pairs = {(address, pid) for address, pid in wanted}
    names = tuple(f"{pid}-" for _, pid in pairs)
    found = []
    for path in boxes_in([folder_in(tempfile.gettempdir())]):
        box = read_box(path) if os.path.basename(path).startswith(names) else None
        if box is not None and (box["worker"], box["pid"]) in pairs:
            box["alive"] = is_alive(box["pid"], box["started"])
            found.append(box)
    return found


def is_alive(pid: int, started: float) -> bool:
    """Whether a process runs, and is no other one of the same id; no zombie."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return bool(abs(process.create_time() - started) < 1.0)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
