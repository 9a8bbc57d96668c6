"""Failures that are held: the exception itself, with its live frames, and no thread.

The recorder offers them as tasks fail. Each is let go by time, by number, as the
worker's memory runs short, or when nobody wants it any more; its frames are cleared
then, since Dask's own refer to themselves: without that, their locals would stay until
a garbage collection.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from time import time
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from distributed import Worker, system
from distributed.utils import key_split
from distributed.worker import _worker_cvar, thread_state

from ..common.codes import file_of_frame
from ..common.exceptions import linked, traceback_of
from ..common.frames import Place, is_machinery, own_index, walk
from ..common.texts import sendable
from .live_pause import NoPause
from .live_prompt import GoOn
from .live_source import place_of
from .live_stop import HELD, Stop

if TYPE_CHECKING:
    from ..common.wire_live import Arming, PlaceForm, StopForm

MOST_HELD = 100  # failures of one worker
Kind = tuple[str, str, int]  # class, file and line
THREAD = "dbgkit-held"
# A function's frame has a copy of its locals, once they were read, which it keeps.
_COPIES_LOCALS = sys.version_info < (3, 13)
_EXECUTE: Any = inspect.unwrap(Worker.execute).__code__
_GENERATORS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
LOOK = 0.05  # seconds between looks at time and memory
LEAST_FREE = 0.7  # of its memory limit, if Dask has no thresholds of its own


class Debugger(Protocol):
    """The prompt of a failure: see ``live_pdb.HeldPdb``."""

    dropped: bool

    def enter_failed(
        self, error: BaseException, failure: TracebackType | None = None
    ) -> None:
        """Open it, until its session ends."""

    def let_go(self) -> None:
        """Refer to nothing of the task any more."""


class HeldStop(Stop):
    """A failure that is held; a session with it has a thread of its own."""

    def __init__(
        self,
        worker: Any,
        key: Any,
        place: PlaceForm,
        limit: float,
        on_change: Callable[[Stop, str], None],
    ) -> None:
        super().__init__(worker, key, key_split(key), (), limit, place, on_change)
        self.pause = NoPause(worker, key)
        self.state = HELD
        self.exception: BaseException | None = None
        # Not the exception's own: who raises it again adds to that.
        self.traceback: TracebackType | None = None
        self.caught: TracebackType | None = None  # with Dask's frames, that caught it
        self.message = ""
        self.kind: Kind = ("", "", 0)
        self.talking = False  # the thread of a session is there

    def form(self) -> StopForm:
        return {**super().form(), "exception": self.message, "resources": {}}

    def reopen(self) -> None:
        """Have a thread read what the next session says."""
        with self._changed:
            self.how = ""
            self._inbox.clear()
            self.talking = True

    def clear(self) -> None:
        """Refer to nothing of the task any more."""
        error, caught = self.exception, self.caught
        self.exception = self.traceback = self.caught = None
        if error is None:
            return
        # A client in this process may have the same frames in its own debugger.
        shared = self.worker.address.startswith("inproc")
        for frame in _ended_frames(error, caught):
            if not shared or is_machinery(frame.f_code.co_filename):
                _clear(frame)


def _own_place(traceback: TracebackType | None) -> Place:
    frames = list(walk(traceback))
    own = own_index([file_of_frame(frame) for frame, _ in frames])
    return frames[-1 if own is None else own]


def _is_of_here(traceback: TracebackType) -> bool:
    """Whether this thread has raised it: others may raise the same exception."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame is not traceback.tb_frame:
        frame = frame.f_back
    return frame is not None


def _of_this_run(traceback: TracebackType) -> TracebackType | None:
    """What a task's exception has passed.

    One object that is raised again and again has the frames of earlier tasks below
    those of this one.
    """
    outermost, own = traceback.tb_frame, []
    tb: TracebackType | None = traceback
    while tb is not None and _is_of_run(tb.tb_frame, outermost):
        own.append(tb)
        tb = tb.tb_next
    if tb is None:
        return traceback
    made = None
    for each in reversed(own):
        made = TracebackType(made, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return made


def _is_of_run(frame: FrameType, outermost: FrameType) -> bool:
    return frame is outermost or frame.f_code is not outermost.f_code


def _ended_frames(
    error: BaseException, caught: TracebackType | None
) -> Iterator[FrameType]:
    """Frames that an exception has passed, or that called these: all have ended.

    But for the outermost of a traceback, which has caught it: that of the task's own
    is Dask's, another's may be a coroutine that waits. ``Worker.execute``
    (distributed/worker.py) has returned what made the task fail.
    """
    yield from (frame for frame, _ in walk(caught))
    above = caught.tb_frame.f_back if caught is not None else None
    while above is not None:
        ended = above.f_code is _EXECUTE or not _waits(above)
        if ended and is_machinery(above.f_code.co_filename):
            yield above
        above = above.f_back
    for each in islice(linked(error), 1, None):
        frames = [frame for frame, _ in walk(traceback_of(each))]
        yield from (frame for frame in frames[1:])
        yield from (frame for frame in frames[:1] if not _waits(frame))


def _waits(frame: FrameType) -> bool:
    """Whether it may be a coroutine's that waits, which clearing it would close."""
    return bool(frame.f_code.co_flags & _GENERATORS)


def _clear(frame: FrameType) -> None:
    """Drop a frame's locals; one that still runs keeps them."""
    try:
        frame.clear()
    except RuntimeError:
        return
    if _COPIES_LOCALS and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        frame.f_locals.clear()  # what was read before; not a module's own


class HeldFailures:
    """What one worker holds.

    ``make`` makes a debugger for one; ``log`` reports to the scheduler's part, in the
    loop; ``on_change`` is that of each.
    """

    def __init__(
        self,
        make: Callable[[Stop], Debugger],
        log: Callable[[Any], None],
        on_change: Callable[[Stop, str], None],
    ) -> None:
        self._make = make
        self.worker: Any = None
        self.most = 0  # of each kind; 0: nothing is held
        self.limit = 0.0  # seconds
        self._log = log
        self._on_change = on_change
        self._held: dict[str, HeldStop] = {}  # the oldest first
        # Of tasks that Dask has not yet called failed; the state that does so.
        self._offered: dict[Any, tuple[HeldStop, str]] = {}
        self._lock = threading.Lock()
        self._looks = False
        self._clears: threading.Thread | None = None

    def get(self, name: str) -> HeldStop | None:
        """One of them, by its id."""
        return self._held.get(name)

    def __iter__(self) -> Iterator[HeldStop]:
        return iter(list(self._held.values()))

    # -- in a task's thread ----------------------------------------------------

    def offer(
        self, key: Any, exception: BaseException, message: str, *, carried: bool
    ) -> None:
        """Hold a failure, if there are not enough of its kind: see `holding.offer`."""
        whole = traceback_of(exception)
        if not self.most or whole is None or not (carried or _is_of_here(whole)):
            return
        traceback = _of_this_run(whole)
        frame, line = _own_place(traceback)
        kind = message.partition(":")[0], frame.f_code.co_filename, line
        if self._count(kind) >= self.most:
            return
        place, limit = place_of(frame, line), self.limit
        made = HeldStop(self.worker, key, place, limit, self._on_change)
        made.exception, made.traceback = exception, traceback
        made.message, made.kind = sendable(message), kind
        with self._lock:
            if self._count(kind) < self.most:
                self._offered[key] = made, "memory" if carried else "error"

    def _count(self, kind: Kind) -> int:
        """How many of a kind there are."""
        offered = [each for each, _ in list(self._offered.values())]
        return sum(each.kind == kind for each in (*self, *offered))

    # -- in the worker's event loop --------------------------------------------

    def follow(self, worker: Any, armings: Mapping[str, Arming]) -> None:
        """Hold what these want; without any, nothing."""
        wanted = [each for each in armings.values() if "holds" in each]
        self.worker = worker
        self.most = max((each["most"] for each in wanted), default=0)
        self.limit = max((each["limit"] for each in wanted), default=0.0)
        if not wanted:
            self._let_all_go("off")

    def _let_all_go(self, how: str) -> None:
        self._offered.clear()
        for each in self:
            self.let_go(each, how)

    def moved(self, key: Any, start: str, finish: str) -> None:
        """A task that has offered its failure is in another state."""
        made, expected = self._offered.get(key, (None, ""))
        if made is None or finish in ("executing", "long-running"):
            return
        with self._lock:
            self._offered.pop(key, None)
            # Dask lets go of what becomes of a task that was cancelled; and it may have
            # been turned off meanwhile.
            is_failure = finish == expected and start not in ("cancelled", "resumed")
            if is_failure and self.most:
                made.since, made.until = time(), time() + made.limit
                if made.exception is not None:
                    caught = traceback_of(made.exception)
                    made.caught = caught and _of_this_run(caught)
                self._held[made.id] = made
            else:
                return
        self._log({"held": made.form()})
        if len(self._held) > MOST_HELD:
            self.let_go(self._oldest(), "number")
        self._look()

    def close(self, *, tell: bool) -> None:
        """Hold nothing any more; ``tell`` the scheduler's part, unless all ends."""
        self.most = 0
        if not tell:
            self._log = _nothing
        self._let_all_go("off" if tell else "closing")

    def open(self, held: HeldStop, debuggers: dict[int, Any]) -> None:
        """Have a thread of its own read what a session says, until that has ended.

        ``debuggers`` has its debugger, by the thread, while that is there.
        """
        held.reopen()
        talk = threading.Thread(
            target=self._converse, args=(held, debuggers), name=THREAD, daemon=True
        )
        talk.start()

    def _converse(self, held: HeldStop, debuggers: dict[int, Any]) -> None:
        held.thread = me = threading.get_ident()
        # What `get_worker` and `breakpoint` go by; both end with this thread.
        _worker_cvar.set(held.worker)
        thread_state.execution_state = {"worker": held.worker}
        thread_state.key = held.key
        debugger = None
        try:
            debugger = debuggers[me] = self._make(held)
            held.read()  # that they have entered: not to be asked for a command before
            if held.exception is not None:
                debugger.enter_failed(held.exception, held.traceback)
        except GoOn:
            pass
        finally:
            debuggers.pop(me, None)
            dropped = debugger is not None and debugger.dropped
            if debugger is not None:
                debugger.let_go()
            held.worker.loop.add_callback(self._left, held, dropped)

    def _left(self, held: HeldStop, dropped: bool) -> None:
        """The thread of a session with a failure has ended."""
        held.talking = False
        if dropped:
            self.let_go(held, "dropped")
        elif held.over:
            self._clear(held)
        else:  # to whoever is still there, should the prompt itself have failed
            held.say({"op": "ended", "how": "detached", "until": held.until})

    @property
    def any_offered(self) -> bool:
        return bool(self._offered)

    def _oldest(self) -> HeldStop:
        """Of those that nobody is in, if there is one."""
        free = [each for each in self if each.visitor is None]
        return (free or list(self))[0]

    def let_go(self, held: HeldStop, how: str) -> None:
        """Hold it no longer: its memory is free, once nothing runs at its prompt."""
        if self._held.pop(held.id, None) is None:
            return
        held.over = True
        held.say({"op": "ended", "how": how, "until": held.until})
        self._log({"over": held.form(), "how": how})
        held.release(how)
        if not held.talking:
            self._clear(held)

    def _clear(self, held: HeldStop) -> None:
        """In a thread: what goes may have code of the user's own that takes long."""
        self._clears = threading.Thread(target=held.clear, name=THREAD, daemon=True)
        self._clears.start()

    def _look(self) -> None:
        """Let go of what is held for too long, or takes memory that is short."""
        if not self._looks and self._held:
            self._looks = True
            self.worker.loop.asyncio_loop.call_later(LOOK, self._look_again)
        for each in self:
            if each.until < time() and not each.is_busy:
                self.let_go(each, "limit")
        clears = self._clears is not None and self._clears.is_alive()
        if self._held and not clears and is_short_of_memory(self.worker):
            self.let_go(self._oldest(), "memory")

    def _look_again(self) -> None:
        self._looks = False
        if self._held:
            self._look()


def _nothing(_: Any) -> None:
    """In place of what is reported."""


def is_short_of_memory(worker: Any) -> bool:
    """Whether a worker's process has as much as Dask starts to act upon.

    ``WorkerMemoryManager`` (distributed/worker_memory.py) has its limit, None where
    there is none, and what fractions of it make it spill and pause, False if they do
    not.
    """
    manager = worker.memory_manager
    limit = manager.memory_limit or system.MEMORY_LIMIT
    acts = [manager.memory_spill_fraction, manager.memory_pause_fraction]
    fraction = min([each for each in acts if each], default=LEAST_FREE)
    used: int = worker.monitor.get_process_memory()
    return bool(used > limit * fraction)
