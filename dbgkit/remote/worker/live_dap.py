"""An editor debugs a stopped task, by debugpy: one at a time in a worker's process.

The thread goes from its prompt to debugpy, and back once the editor has left while it
stands at a stop. Messages travel over the comm of the session that had the prompt.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

from ..common.codes import is_dynamic
from ..common.frames import is_machinery
from .live_dap_pydevd import MONITORS, Tracer, is_used, load
from .live_dap_rules import COMMANDS, Rules
from .live_dap_wire import Framing, Message, NotTheProtocol, Wire, packed
from .live_prompt import Interrupted
from .live_source import Sources, place_of
from .live_stop import RUNNING, WAITING, Stop

INSISTING = 0.5  # seconds between two interruptions
INSTALL = "install debugpy in its environment: python -m pip install -U debugpy"
_PATH = re.compile(r"[/\\]|[A-Za-z]:[/\\]")  # how names begin that are paths


class HandedOver(BaseException):
    """The task runs, and stops again in debugpy: raised at the prompt."""


class Debugger(Protocol):
    """What is needed of the prompt's debugger."""

    def enter_at(self, frame: FrameType) -> None:
        """Open the prompt at a frame."""

    def is_the_tasks(self, frame: FrameType) -> bool:
        """Whether a frame is the task's, and not of what runs it."""

    def gone_on(self) -> None:
        """The task goes on for good."""


class _Holder:
    """Whose session it is that this process has."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.editor: Editor | None = None


_HOLDER = _Holder()


class Editor:
    """One session of an editor; made in the stopped thread, at its prompt."""

    def __init__(
        self, stop: Stop, sources: Sources, debugger: Debugger, system: str
    ) -> None:
        self.stop = stop
        self.sources = sources
        self.debugger = debugger
        self.thread = threading.current_thread()
        self._over = False
        self.problem = ""  # why it ended, if that was nobody's wish
        self._lock = threading.Lock()
        self._standing = True  # the thread does nothing but what the editor asks
        self._runs = False  # something that the editor has asked for
        self._waits = False  # it stands, until it is told to go on
        self._at_prompt = True  # it came from there, and returns there
        self._halting = False  # it stands where code of ours has called
        self._left_at: FrameType | None = None
        self._cancel = threading.Event()
        self._tracer: Tracer | None = None
        self._framing = Framing()
        self._rules = Rules(
            to_editor=self._to_editor,
            to_debugpy=lambda message: self._wire.put(message),
            leave=self.end,
            resumed=self._resumed,
            texts=self,
            thread=self.thread.name,
            title=f"{stop.key!s:.200} on {stop.worker.address}",
            system=system,
        )
        self._wire = Wire(self._rules.tell)

    @property
    def is_on(self) -> bool:
        """Whether the task stops in debugpy."""
        return not self._over and not self._at_prompt

    # -- in the thread -------------------------------------------------------

    def claim(self) -> tuple[str, str]:
        """Take the process's one place; else why not, and what to do."""
        try:
            pydevd = load()
        except ImportError as error:
            return f"its worker cannot import debugpy ({error})", INSTALL
        with _HOLDER.lock:
            other = _HOLDER.editor
            if other is not None:
                visitor = other.stop.visitor
                who = visitor.who if visitor else "somebody"
                why = f"{who} debugs {other.stop.key!s:.200} in the same process"
            elif is_used(pydevd):
                why = "its process is debugged by debugpy already"
            else:
                _HOLDER.editor = self
                return "", ""
        return why, "pdb is there: enter it without debugger="

    def give_back(self) -> None:
        """The place is free again."""
        with _HOLDER.lock:
            if _HOLDER.editor is self:
                _HOLDER.editor = None

    def start(self, frame: FrameType, event: str, arg: Any) -> bool:
        """Debug from where the thread stands; whether the task then goes on by it.

        Else it stands there as before, and the editor has left.
        """
        try:
            self._tracer = Tracer(self, self._wire)
            if self._tracer.configure(self._cancel):
                self._tracer.stand(frame, event, arg)
        finally:
            with self._lock:
                over = self.is_over()
                self._at_prompt = over
            if over:
                self.close()
        return not over

    def halt(self, frame: FrameType, event: str = "line", arg: Any = None) -> None:
        """Stop at a frame that has called for it."""
        assert self._tracer is not None
        self._halting = True
        try:
            self._tracer.stand(frame, event, arg)
        finally:
            self._halting = False

    def stands(self, frame: FrameType, event: str, wait: Callable[[], Any]) -> None:
        """Called by debugpy as the thread comes to a stop."""
        assert self._tracer is not None
        stop = self.stop
        if not self._at_prompt:
            self.sources.find(_shown_with(frame))
            if not self._is_wanted(frame, self._tracer):
                self._tracer.pass_by()
                return
        with self._lock:
            if self.is_over():
                return
            self._standing = True
        stop.pause.begin()
        stop.moved(WAITING, place_of(frame))
        self._waits = True
        wait()
        with self._lock:
            self._standing = self._waits = False
            over = self.is_over()
        if not over:
            stop.pause.end()
            stop.moved(RUNNING, stop.place)
        elif not self._at_prompt:
            self._left_at = frame
            # Until Python 3.11 debugpy would take what is raised there for its own.
            if MONITORS or self._halting:
                self.after()

    def after(self) -> None:
        """Go back to the prompt, if the editor has left at a stop."""
        frame, self._left_at = self._left_at, None
        if frame is None:
            return
        self.close()
        if self.stop.how:
            self.stop.pause.end()
            self.debugger.gone_on()
        else:
            self.say_left()
            self.debugger.enter_at(frame)

    def say_left(self) -> None:
        """Tell the session that the task waits on."""
        ended = {"op": "ended", "how": "detached", "until": self.stop.until}
        self.stop.say({**ended, "why": self.problem})

    def _is_wanted(self, frame: FrameType, tracer: Tracer) -> bool:
        """Whether to stop: in the task, and where the editor has set a breakpoint.

        Those in code that travelled by value have lines alone: see `Rules`.
        """
        if self._halting:
            return True
        if not tracer.is_at_breakpoint():
            return self.debugger.is_the_tasks(frame)
        if not is_dynamic(frame.f_code.co_filename):
            return True
        home = self.sources.of(frame).file
        return self._rules.wants(home, frame.f_lineno)

    def runs(self, command: Callable[[], Any]) -> None:
        """Run what the editor asks for, so that it can be interrupted."""
        self._runs = True
        try:
            self.stop.execute()
            command()
        except Interrupted:
            pass
        finally:
            self.stop.settle()
            self._runs = False

    # -- from any thread -----------------------------------------------------

    def is_over(self) -> bool:
        """Whether the editor has left, or is to."""
        return self._over

    def take(self, data: bytes) -> None:
        """Bytes of the editor's."""
        if self.is_over():
            return
        try:
            for message in self._framing.feed(data):
                if message.get("command") in COMMANDS:
                    self.stop.counted()
                self._rules.request(message)
        except NotTheProtocol as error:
            self.problem = f"what connected does not speak DAP: {error}"
            self.end()

    def _resumed(self) -> None:
        if self._tracer is not None:
            self._tracer.nudge()

    def _to_editor(self, message: Message) -> None:
        self.stop.say({"op": "dap", "data": packed(message)})

    def end(self) -> None:
        """The editor leaves: a task that stands waits on, one that runs goes on."""
        with self._lock:
            if self.is_over():
                return
            self._over = True
            standing, tracer = self._standing, self._tracer
        self._cancel.set()
        self._rules.ended()
        if self._waits and tracer is not None and self._rules.is_resuming:
            tracer.wake()  # it has been told to go on, and debugpy has not done so yet
        if standing and not (self._waits and tracer and tracer.is_to_run()):
            if tracer is not None:
                tracer.wake()
                self.stop.worker.loop.add_callback(self._insist)
            return
        self.close()
        if not self.stop.over:
            self.debugger.gone_on()

    def _insist(self) -> None:
        """See that what the editor has had run in the thread ends: in the loop."""
        worker = self.stop.worker
        if self._runs and worker is not None:
            self.stop.insist()
            worker.loop.call_later(INSISTING, self._insist)

    def close(self) -> None:
        """Take debugpy off, as far as that does not need the thread."""
        self._over = True
        self._wire.close()
        try:
            if self._tracer is not None:
                self._tracer.close()
        finally:
            self.give_back()

    # -- source --------------------------------------------------------------

    def shown(self, frame: FrameType) -> str:
        """The file of a frame's code at the client, if it travelled by value."""
        found = self.sources.known(frame.f_code)
        return found.file if found and found.file != frame.f_code.co_filename else ""

    def knows(self, name: str) -> bool:
        """Whether code that travelled by value is of a file of that name."""
        return name in self.sources.names

    def text_of(self, name: str) -> str | None:
        """The text of what has a name, and no file, such as a notebook's cell."""
        if not self.knows(name) or _PATH.match(name):
            return None
        text = self.sources.lines_of_file(name)
        if text is None:
            return None
        above = "\n" * (text.first - 1)
        return above + "".join(f"{line.rstrip(os.linesep)}\n" for line in text.lines)


def _shown_with(frame: FrameType | None) -> list[FrameType]:
    """A frame, and those of the task that have called it."""
    found = []
    while frame is not None and not is_machinery(frame.f_code.co_filename):
        found.append(frame)
        frame = frame.f_back
    return found
