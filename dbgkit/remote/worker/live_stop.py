"""One task that has stopped: between its thread, which waits, and who talks to it.

Methods are for the worker's event loop, unless they say that they are the thread's.
"""

from __future__ import annotations

import ctypes
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from time import sleep, time
from typing import TYPE_CHECKING, Any, Protocol

from ..common.frames import frames_of_threads
from .live_pause import Pause
from .live_prompt import GoOn, Interrupted

if TYPE_CHECKING:
    from ..common.wire_live import PlaceForm, StopForm

WAITING, RUNNING = "waiting", "running"
MOST_WAITING = 1_000  # messages that the thread has not taken yet
HELD = "held"  # of a failure: nothing waits
AGAIN = 0.05  # seconds until a thread that starts another is interrupted
_DEEP = 10  # frames within ``Thread.start``
_THREADING = threading.Thread.start.__code__.co_filename


class Visitor(Protocol):
    """A session, as a stop needs it."""

    who: str

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the client, from any thread."""


class Guest(Protocol):
    """An editor that debugs the task, in place of somebody at its prompt."""

    def take(self, data: bytes) -> None:
        """Bytes of its own."""

    def end(self) -> None:
        """It is to leave, or has left."""


class Stop:
    """A task that has stopped, until it goes on for good.

    ``on_change`` is called with the stop and what happened to it: ``"moved"``.
    """

    def __init__(
        self,
        worker: Any,
        key: Any,
        prefix: str,
        tokens: Iterable[str],
        limit: float,
        place: PlaceForm,
        on_change: Callable[[Stop, str], None],
    ) -> None:
        self.id = uuid.uuid4().hex
        self.worker = worker
        self.key = key
        self.prefix = prefix
        self.tokens = set(tokens)
        self.limit = limit
        self.place = place
        self.on_change = on_change
        self.header = ""
        self.thread = threading.get_ident()
        self.thread_name = threading.current_thread().name
        self.pause = Pause(worker, key)
        self.since = time()
        self.until = self.since + limit
        self.state = WAITING
        self.visitor: Visitor | None = None
        self.entered: float | None = None
        self.commands = 0
        self.cancelled = False
        self.how = ""  # how it went on, or is to
        self.over = False
        # Makes the task stop at its next line, while it runs: the debugger's.
        self.halt: Callable[[], None] = lambda: None
        self.guest: Guest | None = None
        self._inbox: deque[dict[str, Any]] = deque()
        self._changed = threading.Condition()
        self._reading = False
        self._executing = False
        self._executed = 0  # how much has run at the prompt
        self._interrupted = False
        self._deciding = False
        self._due = False

    def form(self) -> StopForm:
        """What the scheduler lists."""
        ts = self.worker.state.tasks.get(self.key)
        visitor = self.visitor
        return {
            "id": self.id,
            "key": self.key,
            "prefix": self.prefix,
            "worker": self.worker.address,
            "thread": self.thread_name,
            "place": self.place,
            "since": self.since,
            "until": self.until,
            "state": self.state,
            "who": visitor.who if visitor else "",
            "entered": self.entered,
            "commands": self.commands,
            "resources": dict(getattr(ts, "resource_restrictions", None) or {}),
            "cancelled": self.cancelled,
            "tokens": sorted(self.tokens),
            "exception": "",
        }

    # -- for the loop --------------------------------------------------------

    def enter(self, visitor: Visitor) -> None:
        """Somebody comes to the prompt; nobody else is there."""
        with self._changed:
            self.visitor = visitor
            self.entered = time()
            self._touch()
            self._put({"op": "entered"})

    def leave(self, visitor: Visitor) -> None:
        """They have left; what they had run at the prompt is interrupted."""
        with self._changed:
            if self.visitor is not visitor:
                return
            self.visitor, self.entered = None, None
            self._inbox.clear()
            self._touch()
            if self._reading:
                self._put({"op": "left"})
            elif not self._break_in():
                self._due = True  # what they have sent is about to run
        self._end_guest()

    def deliver(self, message: dict[str, Any]) -> bool:
        """Hand a message of the session to the thread; False: too many wait there."""
        with self._changed:
            self._touch()
            if len(self._inbox) >= MOST_WAITING:
                return False
            self._put(message)
            return True

    def interrupt(self) -> None:
        """Ctrl-C: interrupt what runs at the prompt, or halt the task where it runs."""
        with self._changed:
            self._touch()
            if self._break_in():
                return
            if self.state == RUNNING:
                self.halt()
            elif self._reading and not self._inbox:
                self._put({"op": "interrupt"})
            else:
                self._due = True  # what it is meant for is about to run

    def release(self, how: str) -> None:
        """Have the task go on by itself."""
        with self._changed:
            self.how = self.how or how
            self._break_in()
            self._changed.notify_all()
        self._end_guest()

    def take(self, data: bytes) -> None:
        """Hand bytes of an editor on."""
        with self._changed:
            self._touch()
        if self.guest is not None:
            self.guest.take(data)

    def insist(self) -> bool:
        """Interrupt what still runs at the prompt; whether it does."""
        with self._changed:
            return self._break_in()

    def _end_guest(self) -> None:
        if self.guest is not None:
            self.guest.end()

    def _touch(self) -> None:
        self.until = time() + self.limit

    def _put(self, message: dict[str, Any]) -> None:
        self._inbox.append(message)
        self._changed.notify_all()

    def _break_in(self) -> bool:
        """Raise `Interrupted` in the thread, if it runs something at the prompt."""
        # While this is set, the thread waits for what is decided: see `settle`.
        self._deciding = True
        try:
            if self._executing and _is_starting_another(self.thread):
                self.worker.loop.add_callback(self._break_in_later, self._executed)
            elif self._executing:
                self._interrupted = True
                _raise_in(self.thread, Interrupted)
            return self._executing
        finally:
            self._deciding = False

    def _break_in_later(self, number: int) -> None:
        def again() -> None:
            with self._changed:
                if number == self._executed:
                    self._break_in()

        self.worker.loop.call_later(AGAIN, again)

    # -- for the thread ------------------------------------------------------

    def read(self, wanted: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The next message, after telling the session what is ``wanted``.

        It waits as long as it takes; raises `GoOn` once the task is to go on.
        """
        was_executing = self._executing
        self.settle()  # an exception that comes as a lock is taken would leave it taken
        with self._changed:
            self._reading = True
            if wanted is not None:
                self.say(wanted)
                self._due = self._due and wanted["op"] != "prompt"
            try:
                while True:
                    if self.how:
                        raise GoOn(self.how)
                    if self._inbox:
                        message = self._inbox.popleft()
                        break
                    self._changed.wait()
            finally:
                self._reading = False
        self._executing = was_executing
        return message

    def say(self, message: Mapping[str, Any]) -> None:
        """Send a message to whoever is there."""
        visitor = self.visitor
        if visitor is not None:
            visitor.send(dict(message))

    def execute(self) -> None:
        """What runs from now on, until `settle`, can be interrupted."""
        due, self._due = self._due, False
        if due:
            raise Interrupted
        self._executed += 1
        self._executing = True

    def settle(self) -> None:
        """Nothing is raised in this thread any more: what is due is taken here.

        No lock is taken, as an exception that comes meanwhile would leave it taken. And
        nothing is taken back: ``PyThreadState_SetAsyncExc`` with NULL leaves Python
        3.11 in a loop of its own, in a thread that is traced.
        """
        while True:
            try:
                self._executing = False
                while self._deciding:
                    sleep(0)
                if self._interrupted:
                    _raise_in(self.thread, Interrupted)
                    while True:
                        pass
                return
            except Interrupted:
                self._interrupted = False

    @property
    def is_at_prompt(self) -> bool:
        """Whether what runs in the thread was typed there."""
        return self.state != RUNNING

    @property
    def is_busy(self) -> bool:
        """Whether something runs at its prompt."""
        return self._executing

    def counted(self) -> None:
        """One more command."""
        self.commands += 1
        self.on_change(self, "moved")

    def moved(self, state: str, place: PlaceForm) -> None:
        """It waits somewhere else, or runs."""
        self.state, self.place = state, place
        self.on_change(self, "moved")


def _is_starting_another(thread: int) -> bool:
    """Whether a thread is within ``Thread.start``.

    An exception for it would come to the new one, which has the same id until it runs
    (before Python 3.12), and end that before the other knows that it is there: the
    other would wait for good.
    """
    frame = frames_of_threads().get(thread)
    for _ in range(_DEEP):
        if frame is None:
            return False
        code = frame.f_code
        if code.co_name == "start" and code.co_filename == _THREADING:
            return True
        frame = frame.f_back
    return False


def _raise_in(thread: int, kind: type[BaseException]) -> None:
    """Raise an exception in a thread, at its next bytecode: it does not reach C."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(kind)
    )
