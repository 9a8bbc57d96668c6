"""A worker's black box: a small file that tells what it did when it was killed.

A worker writes into it as tasks start and end, through a memory map, so that what was
written is there whatever becomes of the process. It lies outside of the worker's own
directory, which its nanny clears. Whoever survives (the nanny, or another worker of
the same host) reads it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import mmap
import os
import struct
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from time import time
from types import FrameType
from typing import IO, Any

import msgpack
import psutil

from .frames import own_index

SLOTS = 64  # tasks at a time; of more, the rest is counted
EVERY = 0.2  # seconds between two samples of lines and memory
STACK_LIMIT = 4_000  # characters of a crash's stack

_MAGIC = b"dbgkit-box-1"
_FIXED = struct.Struct("<12sI")  # the magic, and the length of what is fixed
_FIXED_ROOM = 1_008
_MOVING = struct.Struct("<dQQ")  # of the last sample: time, memory; tasks left out
_MOVING_AT = 1_024
_SLOTS_AT = 1_088
# In use, how the key is written, its length, started, bytes of inputs, thread.
_SLOT = struct.Struct("<BBHdQQ")
_LINE = struct.Struct("<dH")  # when it was read, and its length
_KEY_AT, _KEY_ROOM = 32, 480
_LINE_AT, _LINE_ROOM = 512, 512
_LINE_TEXT_AT = _LINE_AT + 16
_SLOT_SIZE = 1_024
_SIZE = _SLOTS_AT + SLOTS * _SLOT_SIZE
_PACKED, _TEXT = 1, 2  # how a key is written
_DEEPEST = 200  # frames to look through for one of the user's own
_ERRORS = "surrogatepass"


# -- where ---------------------------------------------------------------------


def folder_in(parent: str) -> str:
    """The folder of a user's black boxes, below one for temporary files."""
    owner = getattr(os, "getuid", lambda: 0)()
    return os.path.join(parent, f"dbgkit-boxes-{owner}")


def file_of(pid: int, started: float) -> str:
    """Name of the box of one process; process ids are used again."""
    return f"{pid}-{started:.2f}"


def _new_file(name: str) -> tuple[str, IO[bytes]]:
    """Make a file of this name, for this user alone, in the folder of the boxes."""
    folder = folder_in(tempfile.gettempdir())
    path, number = os.path.join(folder, name), 1
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    for _ in range(100):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        owner = os.lstat(folder).st_uid
        if hasattr(os, "getuid") and owner != os.getuid():
            raise PermissionError(f"{folder} is somebody else's")
        try:
            return path, os.fdopen(os.open(path, flags, 0o600), "w+b")
        except FileExistsError:  # another worker of this process
            number += 1
            path = os.path.join(folder, f"{name}.{number}")
        except FileNotFoundError:  # the folder was empty, and somebody removed it
            continue
    raise FileExistsError(path)


def remove_box(path: str) -> None:
    """Remove a box, the file for crashes next to it, and the folder once empty."""
    for name in (path, f"{path}.stack"):
        with contextlib.suppress(OSError):
            os.unlink(name)
    with contextlib.suppress(OSError):  # there are others
        os.rmdir(os.path.dirname(path))


# -- writing -------------------------------------------------------------------


class BlackBox:
    """Says what a worker's process does, in a file.

    Parameters
    ----------
    worker : str
        Address of the worker.
    nanny : str
        Of its nanny; empty without one.
    scheduler : str
        Of its scheduler.
    crashes : bool
        Whether to have Python write the stacks of a crash into a file next to it.
        There is one place for them in a process: only for one of the worker's own.

    Raises
    ------
    OSError
        The file cannot be made.
    """

    def __init__(self, worker: str, nanny: str, scheduler: str, crashes: bool) -> None:
        self.scheduler = scheduler
        self._process = psutil.Process()
        started = self._process.create_time()
        watched = "off"
        if crashes:
            watched = "elsewhere" if faulthandler.is_enabled() else "on"
        fixed = msgpack.packb(
            {
                "pid": os.getpid(),
                "started": started,
                "worker": worker,
                "nanny": nanny,
                "scheduler": scheduler,
                # "elsewhere": somebody has Python write them to another place
                "crashes": watched,
            },
            unicode_errors=_ERRORS,
        )
        self.path, file = _new_file(file_of(os.getpid(), started))
        # Written in full: a hole in a file on a full disk would kill the worker.
        with file:
            file.write(_FIXED.pack(_MAGIC, len(fixed)) + fixed.ljust(_FIXED_ROOM, b" "))
            file.write(bytes(_SIZE - file.tell()))
            file.flush()
            self._map = mmap.mmap(file.fileno(), _SIZE)
        self._crashes: IO[str] | None = None
        if watched == "on":
            self._crashes = open(f"{self.path}.stack", "w")  # noqa: SIM115 (kept open)
            faulthandler.enable(self._crashes)
        self._free = list(range(SLOTS - 1, -1, -1))
        self._left_out = 0
        # What each slot's line is read from: a thread's id, or a coroutine.
        self._runs: dict[int, Any] = {}
        self._stopped = threading.Event()
        _sweep(os.path.dirname(self.path))
        self.sample()
        self._thread = threading.Thread(
            target=self._watch, name="dbgkit black box", daemon=True
        )
        self._thread.start()

    def begin(self, key: Any, inputs: int, coroutine: Any = None) -> int:
        """Say that a task starts; returns what `end` takes."""
        try:
            slot = self._free.pop()
        except IndexError:
            self._left_out += 1
            return -1
        try:
            packed, written = _pack_key(key)
            at = _SLOTS_AT + slot * _SLOT_SIZE
            self._map[at + _KEY_AT : at + _KEY_AT + len(packed)] = packed
            _LINE.pack_into(self._map, at + _LINE_AT, 0.0, 0)
            thread = threading.get_ident()
            _SLOT.pack_into(
                self._map, at, 1, written, len(packed), time(), inputs, thread
            )
        except ValueError:  # it was closed meanwhile
            return -1
        self._runs[slot] = thread if coroutine is None else coroutine
        return slot

    def end(self, slot: int) -> None:
        """Say that a task has ended, however."""
        if slot < 0:
            return
        self._runs.pop(slot, None)
        with contextlib.suppress(ValueError):  # it was closed meanwhile
            self._map[_SLOTS_AT + slot * _SLOT_SIZE] = 0
        self._free.append(slot)

    def _watch(self) -> None:
        while not self._stopped.wait(EVERY):
            with contextlib.suppress(ValueError):  # it was closed meanwhile
                self.sample()

    def sample(self) -> None:
        """Write down the memory, and which line each task is at."""
        now = time()
        memory = self._process.memory_info().rss
        _MOVING.pack_into(self._map, _MOVING_AT, now, memory, self._left_out)
        if not self._runs:
            return
        frames = sys._current_frames()
        for slot, run in list(self._runs.items()):
            if isinstance(run, int):
                line = _line_of(_of_thread(frames.get(run)))
            else:
                line = _line_of(_of_coroutine(run))
            if line and self._runs.get(slot) is run:
                self._write_line(slot, line, now)

    def _write_line(self, slot: int, line: str, now: float) -> None:
        at = _SLOTS_AT + slot * _SLOT_SIZE + _LINE_AT
        text = line.encode("utf-8", _ERRORS)[-(_LINE_ROOM - 16) :]
        self._map[at + 16 : at + 16 + len(text)] = text
        _LINE.pack_into(self._map, at, now, len(text))

    def close(self, *, for_good: bool) -> None:
        """Stop, and remove all that was made.

        Parameters
        ----------
        for_good : bool
            Whether boxes of dead workers of this cluster are removed too: nobody
            will ask for them any more.
        """
        self._stopped.set()
        if self._crashes is not None:
            faulthandler.disable()
            self._crashes.close()
            self._crashes = None
        if self._thread is not threading.current_thread():
            self._thread.join(1.0)
        self._runs.clear()
        self._map.close()
        for path in boxes_in([os.path.dirname(self.path)]) if for_good else ():
            box = read_box(path)
            if box is None or box["scheduler"] != self.scheduler:
                continue
            if not is_alive(box["pid"], box["started"]):
                remove_box(path)
        remove_box(self.path)


def _pack_key(key: Any) -> tuple[bytes, int]:
    packed = msgpack.packb(key, unicode_errors=_ERRORS)
    if len(packed) <= _KEY_ROOM:
        return packed, _PACKED
    text = repr(key)[:_KEY_ROOM].encode("utf-8", "backslashreplace")
    return text[:_KEY_ROOM], _TEXT


def _of_thread(frame: FrameType | None) -> list[tuple[str, int, str]]:
    """Places of a thread, outermost first."""
    found = []
    while frame is not None and len(found) < _DEEPEST:
        code = frame.f_code
        found.append((code.co_filename, frame.f_lineno or 0, code.co_name))
        frame = frame.f_back
    return found[::-1]


def _of_coroutine(coroutine: Any) -> list[tuple[str, int, str]]:
    """Places of what a coroutine waits in, outermost first."""
    found = []
    for _ in range(_DEEPEST):
        frame = getattr(coroutine, "cr_frame", None)
        if type(coroutine).__name__ != "coroutine" or frame is None:
            break
        code = frame.f_code
        found.append((code.co_filename, frame.f_lineno or 0, code.co_name))
        coroutine = coroutine.cr_await
    return found


def _line_of(places: list[tuple[str, int, str]]) -> str:
    """``file.py:12 in work``: the innermost line of the user's own code."""
    index = own_index([filename for filename, _, _ in places])
    if index is None:
        return ""
    filename, line, function = places[index]
    return f"{filename}:{line} in {function}"


def _sweep(folder: str) -> None:
    """Remove the boxes of processes that died long ago, and that nobody has read."""
    long_ago = time() - 24 * 3600
    for entry in os.scandir(folder):
        pid = entry.name.partition("-")[0]
        with contextlib.suppress(OSError):
            old = entry.stat().st_mtime < long_ago
            if old and pid.isdigit() and not psutil.pid_exists(int(pid)):
                os.unlink(entry.path)


# -- reading -------------------------------------------------------------------


def read_box(path: str) -> dict[str, Any] | None:
    """What a box says, in builtin types; None where there is no whole one.

    Returns
    -------
    dict
        ``pid``, ``started``, ``worker``, ``nanny``, ``scheduler``, ``crashes``; ``sampled``,
        ``memory``, ``left_out``; ``tasks``: a list of dicts with ``key`` (packed) or
        ``text`` (one too long), ``start``, ``inputs``, ``thread``, ``line``, ``line_at``;
        and ``stack``, what Python wrote of a crash.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_SIZE + 1)
    except OSError:
        return None
    if len(data) != _SIZE:
        return None
    magic, length = _FIXED.unpack_from(data)
    if magic != _MAGIC or length > _FIXED_ROOM:
        return None
    found: dict[str, Any] = msgpack.unpackb(
        data[_FIXED.size : _FIXED.size + length], unicode_errors=_ERRORS
    )
    sampled, memory, left_out = _MOVING.unpack_from(data, _MOVING_AT)
    tasks = [
        _read_slot(data, at)
        for at in range(_SLOTS_AT, _SIZE, _SLOT_SIZE)
        if data[at] == 1
    ]
    tasks.sort(key=lambda task: task["start"])
    found.update(sampled=sampled, memory=memory, left_out=left_out, tasks=tasks)
    found["stack"] = _read_stack(path)
    return found


def _read_slot(data: bytes, at: int) -> dict[str, Any]:
    _, written, length, start, inputs, thread = _SLOT.unpack_from(data, at)
    packed = data[at + _KEY_AT : at + _KEY_AT + min(length, _KEY_ROOM)]
    line_at, length = _LINE.unpack_from(data, at + _LINE_AT)
    line = data[at + _LINE_TEXT_AT :][: min(length, _LINE_ROOM - 16)]
    return {
        "key": packed if written == _PACKED else b"",
        "text": "" if written == _PACKED else packed.decode("utf-8", "replace"),
        "start": start,
        "inputs": inputs,
        "thread": thread,
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


def read_boxes_of(wanted: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Boxes of dead workers of this host, by their addresses.

    Parameters
    ----------
    wanted : mapping of str to int
        Address and process id of workers that are gone.

    Returns
    -------
    dict
        What `read_box` gives, and ``alive``: whether the process still runs.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in boxes_in([folder_in(tempfile.gettempdir())]):
        if not os.path.basename(path).startswith(
            tuple(f"{pid}-" for pid in wanted.values())
        ):
            continue
        box = read_box(path)
        if box is None or wanted.get(box["worker"]) != box["pid"]:
            continue
        box["alive"] = is_alive(box["pid"], box["started"])
        found[box["worker"]] = box
    return found


def is_alive(pid: int, started: float) -> bool:
    """Whether a process runs, and is no other one of the same id; no zombie."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(process.create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
