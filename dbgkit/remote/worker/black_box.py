"""A worker's black box: a small file that shows what it was doing when it died.

A worker writes into it as tasks start and end, through a memory map, so that the
content survives however the process ends. It is outside the worker's own directory,
which its nanny clears.
"""

from __future__ import annotations

import contextlib
import faulthandler
import mmap
import os
import secrets
import sys
import threading
from collections.abc import Callable
from itertools import count
from time import time
from typing import IO, Any

import msgpack
import psutil

from ..common.boxes import (
    CLOSED_AT,
    COROUTINE,
    ERRORS,
    FIXED,
    FIXED_BYTES,
    KEY_BYTES,
    LINE,
    LINE_AT,
    LINE_BYTES,
    MAGIC,
    MEMORY,
    MEMORY_AT,
    MEMORY_SAMPLES,
    MOVING,
    MOVING_AT,
    PACKED,
    RAISED,
    RAISED_AT,
    RAISED_BYTES,
    SIZE,
    SLOT,
    SLOT_SIZE,
    SLOTS,
    SLOTS_AT,
    TEXT,
    THREAD,
    file_of,
    remove_box,
)
from ..common.frames import frames_of_threads
from ..common.own_files import OwnFolder
from .black_box_folders import make_file, remove_dead, sweep
from .black_box_lines import (
    FirstLines,
    frames_of_coroutine,
    frames_of_thread,
    line_of,
)
from .black_box_logs import LoggedLines, stderr_file, stderr_size

EVERY = 0.2  # seconds between two samples of lines and memory
# What a task may raise that ends its worker, instead of failing the task
# (``_run_task_simple`` in distributed/worker.py).
ENDINGS = (SystemExit, KeyboardInterrupt)
ELSEWHERE = "elsewhere"  # a task whose line is not seen: in another process, say


class BlackBox:
    """Records in a file what a worker's process is doing.

    Its worker reports ``path`` and ``nonce`` to the scheduler; readers check them.
    Raises `OSError` if the file cannot be made.

    With ``crashes``, Python writes the stacks of a crash into a file next to it. There
    is one place for them in a process: only for one of the worker's own.
    """

    def __init__(self, worker: str, nanny: str, scheduler: str, crashes: bool) -> None:
        self.scheduler = scheduler
        self.nonce = secrets.token_hex(16)
        self._process = psutil.Process()
        started = self._process.create_time()
        self._watched = "off"
        if crashes:
            self._watched = "elsewhere" if faulthandler.is_enabled() else "on"
        self._fields = {
            "pid": os.getpid(),
            "started": started,
            "worker": worker,
            "nanny": nanny,
            "scheduler": scheduler,
            "nonce": self.nonce,
            "stderr_file": stderr_file(),
        }
        made = make_file(file_of(os.getpid(), started))
        self.path, file = made.path, made.file
        self.refused = made.refused  # why it is not in the usual folder
        self._crashes: IO[bytes] | None = None
        self._unheld = 0  # references to it while Python's handler has none
        try:
            # In full: a hole in a file on a full disk would kill the worker.
            with file:
                head = self._head()
                file.write(head)
                file.write(bytes(SIZE - len(head)))
                file.flush()
                self._map = mmap.mmap(file.fileno(), SIZE)
                _keep_whole(file)
            if self._watched == "on":
                self._crashes = self._make_stack()
        except OSError:
            remove_box(self.path)
            raise
        self._enable()
        self._stack_seen = 0
        self._free = list(range(SLOTS - 1, -1, -1))
        self._left_out = 0
        # What each slot's line is read from: a thread's id, or a coroutine.
        self._runs: dict[int, Any] = {}
        self._earlier: dict[int, Callable[[], bool]] = {}
        self._elsewhere: dict[int, Any] = {}  # keys of those that are not seen
        self._lined: set[int] = set()  # slots that a line was written to
        self.first_lines = FirstLines()
        self._samples = count()
        self.lines = LoggedLines(self._map)
        self._stopped = threading.Event()
        sweep()
        self.sample()
        self._thread = threading.Thread(
            target=self._watch, name="dbgkit black box", daemon=True
        )
        self._thread.start()

    def _head(self) -> bytes:
        """What does not change, but for where crashes are written."""
        # "elsewhere": somebody has Python write them to another place
        fields = {**self._fields, "crashes": self._watched}
        fixed = msgpack.packb(fields, unicode_errors=ERRORS)
        head: bytes = FIXED.pack(MAGIC, len(fixed)) + fixed.ljust(FIXED_BYTES, b" ")
        return head

    def _see_crashes(self) -> None:
        """Note where crashes are written: here, unless they are written elsewhere.

        Whoever enables Python's handler last gets them: the user's own code, or the
        box of another version, which may be off by now.
        """
        if self._watched == "on" and not self._has_crashes():
            self._leave_crashes()
            self._watched = "elsewhere"
        elif self._watched == "elsewhere" and not faulthandler.is_enabled():
            try:
                self._crashes = self._make_stack()
            except OSError:
                self._watched = "off"
                return
            if self._stopped.is_set() or faulthandler.is_enabled():
                self._leave_crashes()
                return
            self._watched = "on"
            self._enable()
        else:
            return
        head = self._head()
        self._map[: len(head)] = head

    def _enable(self) -> None:
        self._unheld = self._references()  # nobody but this box has the file now
        if self._crashes is not None:
            faulthandler.enable(self._crashes)

    def _references(self) -> int:
        return sys.getrefcount(self._crashes)

    def _has_crashes(self) -> bool:
        """Whether Python's handler still holds the file, since it does not say which.

        Pinned by tests/test_deaths_contract.py.
        """
        return self._references() > self._unheld

    def _leave_crashes(self) -> None:
        file, self._crashes = self._crashes, None
        if file is not None:
            file.close()

    def _make_stack(self) -> IO[bytes]:
        """The file for crashes, which begins with the nonce."""
        parent, name = os.path.split(f"{self.path}.stack")
        with OwnFolder(parent) as folder:
            with contextlib.suppress(FileNotFoundError):
                folder.remove(name)  # of an earlier process of this id
            return folder.create(name, self.nonce.encode() + b"\n")

    def begin(
        self,
        key: Any,
        inputs: int,
        run: Any = None,
        start: float | None = None,
        first: bytes = b"",
    ) -> int:
        """Note that a task starts, with its inputs' bytes; returns what `end` takes.

        Its line is read from ``run``: its coroutine, or `ELSEWHERE`; by default, this
        thread. ``first`` is the first one; several, of a fused task, are parted.
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
                used, written, len(packed), start or time(), inputs, thread, len(first)
            )
            if slot in self._lined:  # of the task that was here before
                self._lined.discard(slot)
                LINE.pack_into(self._map, at + LINE_AT, 0.0, 0)
            text = head + packed + first
            self._map[at : at + len(text)] = text
        except ValueError:  # it was closed meanwhile
            return -1
        self._runs[slot] = thread if run is None else run
        if run is ELSEWHERE:
            self._elsewhere[slot] = key
        return slot

    def end(self, slot: int) -> None:
        """Note that a task has ended, in whatever way."""
        if slot < 0:
            return
        if self._runs.pop(slot, None) is ELSEWHERE:
            self._elsewhere.pop(slot, None)
        try:  # not contextlib.suppress: this is on the path of each task
            self._map[SLOTS_AT + slot * SLOT_SIZE] = 0
        except ValueError:  # it was closed meanwhile
            return
        self._free.append(slot)

    def raised(self, slot: int, text: str, line: str) -> None:
        """Note that a task has raised what ends its worker, in place of its `end`.

        Nothing else takes its slot, as other tasks may still begin.
        """
        if slot < 0:
            return
        self._runs.pop(slot, None)
        with contextlib.suppress(ValueError):  # it was closed meanwhile
            if line:
                self._write_line(slot, line, time())
            at = SLOTS_AT + slot * SLOT_SIZE + RAISED_AT
            written = text.encode("utf-8", ERRORS)[: RAISED_BYTES - RAISED.size]
            text_at = at + RAISED.size
            self._map[text_at : text_at + len(written)] = written
            RAISED.pack_into(self._map, at, len(written))

    def begin_earlier(
        self,
        key: Any,
        inputs: int,
        start: float,
        runs: Callable[[], bool],
        first: bytes = b"",
    ) -> None:
        """Note that a task has been running since before there was this box.

        Nothing reports its end: each sample checks it.
        """
        slot = self.begin(key, inputs, ELSEWHERE, start, first)
        self._earlier[slot] = runs

    def elsewhere(self) -> list[tuple[int, Any]]:
        """Slots and keys of tasks that run where they are not seen."""
        return list(self._elsewhere.items())

    def _watch(self) -> None:
        while not self._stopped.wait(EVERY):
            with contextlib.suppress(ValueError):  # it was closed meanwhile
                self._see_crashes()
                self.sample()

    def sample(self) -> None:
        """Write the memory in use, and the line that each task is at."""
        now = time()
        memory = self._process.memory_info().rss
        lost = self._left_out, self.lines.sampled()
        written = stderr_size() if self._fields["stderr_file"] else 0
        MOVING.pack_into(self._map, MOVING_AT, now, memory, *lost, written)
        at = MEMORY_AT + next(self._samples) % MEMORY_SAMPLES * MEMORY.size
        MEMORY.pack_into(self._map, at, now, memory)
        self._drop_stack_of_child()
        for slot, runs in list(self._earlier.items()):
            if not runs():
                del self._earlier[slot]
                self.end(slot)
        if not self._runs:
            return
        frames = frames_of_threads()
        for slot, run in list(self._runs.items()):
            if isinstance(run, int):
                line = line_of(frames_of_thread(frames.get(run)))
            else:
                line = line_of(frames_of_coroutine(run))
            if line and self._runs.get(slot) is run:
                self._write_line(slot, line, now)

    def _drop_stack_of_child(self) -> None:
        """Empty the file for crashes if a forked child of this process wrote into it.

        It inherits both the file and the handlers. Not the first time: this process
        itself may be about to end.
        """
        if self._crashes is None:
            return
        head = len(self.nonce) + 1
        written = os.fstat(self._crashes.fileno()).st_size
        if written > head and written == self._stack_seen:
            os.ftruncate(self._crashes.fileno(), head)
            written = head
        self._stack_seen = written

    def _write_line(self, slot: int, line: str, now: float) -> None:
        at = SLOTS_AT + slot * SLOT_SIZE + LINE_AT
        text = line.encode("utf-8", ERRORS)[-(LINE_BYTES - 16) :]
        self._lined.add(slot)
        self._map[at + 16 : at + 16 + len(text)] = text
        LINE.pack_into(self._map, at, now, len(text))

    def close(self, *, for_good: bool, keep: bool = False) -> None:
        """Stop, and remove all that was made.

        Boxes of dead workers of this cluster too, if it is ``for_good``: nobody will
        ask for them any more. With ``keep``, the file stays for others to read.
        """
        self._stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join(1.0)
        if self._crashes is not None and self._has_crashes():
            faulthandler.disable()
        self._leave_crashes()
        self._runs.clear()
        self._elsewhere.clear()
        if keep:
            self._map[CLOSED_AT] = 1
        self._map.close()
        if keep:
            return
        if for_good:
            remove_dead(self.scheduler, [os.path.dirname(self.path)])
        remove_box(self.path)


def _keep_whole(file: IO[bytes]) -> None:
    """Protect a mapped file from being truncated: its writer would die of SIGBUS.

    Also from accidents of the same user (not of root). Windows refuses to truncate
    mapped files, and to remove read-only ones; some file systems have no modes.
    """
    if os.name != "nt":
        with contextlib.suppress(OSError):
            os.fchmod(file.fileno(), 0o400)


class _Packers(threading.local):
    """One packer a thread: making one costs more than all the rest."""

    def __init__(self) -> None:
        self.pack = msgpack.Packer(unicode_errors=ERRORS).pack


_packers = _Packers()


def _pack_key(key: Any) -> tuple[bytes, int]:
    packed = _packers.pack(key)
    if len(packed) <= KEY_BYTES:
        return packed, PACKED
    text = repr(key)[:KEY_BYTES].encode("utf-8", "backslashreplace")
    return text[:KEY_BYTES], TEXT
