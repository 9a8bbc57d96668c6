"""A worker's black box: a small file that tells what it did when it was killed.

A worker writes into it as tasks start and end, through a memory map, so that what was
written is there whatever becomes of the process. It lies outside of the worker's own
directory, which its nanny clears.
"""

from __future__ import annotations

import contextlib
import faulthandler
import mmap
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from time import time
from types import FrameType
from typing import IO, Any

import msgpack
import psutil

from .boxes import (
    COROUTINE,
    ERRORS,
    FIXED,
    FIXED_ROOM,
    KEY_AT,
    KEY_ROOM,
    LINE,
    LINE_AT,
    LINE_ROOM,
    MAGIC,
    MOVING,
    MOVING_AT,
    PACKED,
    SIZE,
    SLOT,
    SLOT_SIZE,
    SLOTS,
    SLOTS_AT,
    TEXT,
    THREAD,
    boxes_in,
    file_of,
    folder_in,
    is_alive,
    read_box,
    remove_box,
)
from .frames import own_index

EVERY = 0.2  # seconds between two samples of lines and memory
KEPT = 3600.0  # seconds that a dead worker's box is left for others to read
ELSEWHERE = "elsewhere"  # a task whose line is not seen: in another process, say
_DEEPEST = 200  # frames to look through for one of the user's own


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
            unicode_errors=ERRORS,
        )
        self.path, file = _new_file(file_of(os.getpid(), started))
        self._crashes: IO[str] | None = None
        try:
            # In full: a hole in a file on a full disk would kill the worker.
            with file:
                head = FIXED.pack(MAGIC, len(fixed)) + fixed.ljust(FIXED_ROOM, b" ")
                file.write(head)
                file.write(bytes(SIZE - len(head)))
                file.flush()
                self._map = mmap.mmap(file.fileno(), SIZE)
            if watched == "on":  # to be appended to: it may be emptied in between
                self._crashes = open(f"{self.path}.stack", "a")  # noqa: SIM115
        except OSError:
            remove_box(self.path)
            raise
        if self._crashes is not None:
            faulthandler.enable(self._crashes)
        self._stack_seen = 0
        self._free = list(range(SLOTS - 1, -1, -1))
        self._left_out = 0
        # What each slot's line is read from: a thread's id, or a coroutine.
        self._runs: dict[int, Any] = {}
        self._earlier: dict[int, Callable[[], bool]] = {}
        self._lined: set[int] = set()  # slots that a line was written to
        self._stopped = threading.Event()
        _sweep(os.path.dirname(self.path))
        self.sample()
        self._thread = threading.Thread(
            target=self._watch, name="dbgkit black box", daemon=True
        )
        self._thread.start()

    def begin(
        self, key: Any, inputs: int, run: Any = None, start: float | None = None
    ) -> int:
        """Say that a task starts; returns what `end` takes.

        Parameters
        ----------
        key : Key
        inputs : int
            Bytes.
        run : optional
            What its line is read from: its coroutine, or `ELSEWHERE`; by default this
            thread.
        start : float, optional
            Seconds since 1970; by default now.
        """
        try:
            slot = self._free.pop()
        except IndexError:
            self._left_out += 1
            return -1
        try:
            packed, written = _pack_key(key)
            at = SLOTS_AT + slot * SLOT_SIZE
            thread = 0 if run is ELSEWHERE else threading.get_ident()
            used = COROUTINE if run not in (None, ELSEWHERE) else THREAD
            head = SLOT.pack(
                used, written, len(packed), start or time(), inputs, thread
            )
            if slot in self._lined:  # of the task that was here before
                self._lined.discard(slot)
                LINE.pack_into(self._map, at + LINE_AT, 0.0, 0)
            self._map[at : at + KEY_AT + len(packed)] = head + packed
        except ValueError:  # it was closed meanwhile
            return -1
        self._runs[slot] = thread if run is None else run
        return slot

    def end(self, slot: int) -> None:
        """Say that a task has ended, however."""
        if slot < 0:
            return
        self._runs.pop(slot, None)
        try:  # not contextlib.suppress: this is on the path of each task
            self._map[SLOTS_AT + slot * SLOT_SIZE] = 0
        except ValueError:  # it was closed meanwhile
            return
        self._free.append(slot)

    def begin_earlier(
        self, key: Any, inputs: int, start: float, runs: Callable[[], bool]
    ) -> None:
        """Say that a task runs since before there was this box.

        Nobody tells when it ends: it is asked with each sample.
        """
        slot = self.begin(key, inputs, ELSEWHERE, start)
        self._earlier[slot] = runs

    def _watch(self) -> None:
        while not self._stopped.wait(EVERY):
            with contextlib.suppress(ValueError):  # it was closed meanwhile
                self.sample()

    def sample(self) -> None:
        """Write down the memory, and which line each task is at."""
        now = time()
        memory = self._process.memory_info().rss
        MOVING.pack_into(self._map, MOVING_AT, now, memory, self._left_out)
        self._drop_stack_of_child()
        for slot, runs in list(self._earlier.items()):
            if not runs():
                del self._earlier[slot]
                self.end(slot)
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

    def _drop_stack_of_child(self) -> None:
        """Empty the file for crashes of what a forked child of this process wrote.

        It inherits both the file and the handlers. Not at the first look: this process
        itself may be just about to end.
        """
        if self._crashes is None:
            return
        written = os.fstat(self._crashes.fileno()).st_size
        if written and written == self._stack_seen:
            os.ftruncate(self._crashes.fileno(), 0)
            written = 0
        self._stack_seen = written

    def _write_line(self, slot: int, line: str, now: float) -> None:
        at = SLOTS_AT + slot * SLOT_SIZE + LINE_AT
        text = line.encode("utf-8", ERRORS)[-(LINE_ROOM - 16) :]
        self._lined.add(slot)
        self._map[at + 16 : at + 16 + len(text)] = text
        LINE.pack_into(self._map, at, now, len(text))

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


class _Packers(threading.local):
    """One packer a thread: making one costs more than all the rest."""

    def __init__(self) -> None:
        self.pack = msgpack.Packer(unicode_errors=ERRORS).pack


_packers = _Packers()


def _pack_key(key: Any) -> tuple[bytes, int]:
    packed = _packers.pack(key)
    if len(packed) <= KEY_ROOM:
        return packed, PACKED
    text = repr(key)[:KEY_ROOM].encode("utf-8", "backslashreplace")
    return text[:KEY_ROOM], TEXT


def _of_thread(frame: FrameType | None) -> list[tuple[str, int, str]]:
    """Places of a thread, outermost first."""
    found: list[tuple[str, int, str]] = []
    while frame is not None and len(found) < _DEEPEST:
        code = frame.f_code
        found.append((code.co_filename, frame.f_lineno or 0, code.co_name))
        frame = frame.f_back
    return found[::-1]


def _of_coroutine(coroutine: Any) -> list[tuple[str, int, str]]:
    """Places of what a coroutine waits in, outermost first."""
    found: list[tuple[str, int, str]] = []
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
    long_ago = time() - KEPT
    for path in list(boxes_in([folder])):
        with contextlib.suppress(OSError):
            if os.stat(path).st_mtime > long_ago:
                continue
            # In memory (tmpfs), a file that is mapped has the time of its making.
            box = read_box(path)
            if box is None:
                pid = int(os.path.basename(path).partition("-")[0])
                alive = psutil.pid_exists(pid)
            else:
                # In another container it may be alive, though it is not seen here.
                alive = box["sampled"] > long_ago
                alive = alive or is_alive(box["pid"], box["started"])
            if not alive:
                remove_box(path)
