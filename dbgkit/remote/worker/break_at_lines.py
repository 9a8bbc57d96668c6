"""Stops at lines, and as functions begin: ``sys.monitoring``, for all workers here.

Each code is looked at once, as it first runs: unpickled copies of a function are other
code objects. Events of all but the wanted lines are disabled, so that these cost
nothing from then on. Python 3.12 and newer.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Protocol

from ..common.aborting import Aborted
from .break_at_place import At

IS_THERE = sys.version_info >= (3, 12)
_TOOLS = (3, 4, 5)  # not those of debuggers, coverage and profilers (PEP 669)
_NAME = "dbgkit break_at"
NO_TOOL = "no tool of sys.monitoring is free in its worker's process"


class User(Protocol):
    """What a worker wants to stop at."""

    def wanted_in(self, code: CodeType, frame: FrameType) -> list[tuple[At, int]]:
        """Places in some code, which a frame is about to run; line 0 is its start."""

    def at_line(self, frame: FrameType, ats: list[At]) -> None:
        """A frame is about to run a line that somebody wants."""


class _Code:
    """Code in which lines are wanted."""

    def __init__(
        self,
        code: CodeType,
        wanted: list[tuple[User, list[tuple[At, int]]]],
        forget: Callable[[_Code], None],
    ) -> None:
        self.number = id(code)
        self.code = weakref.ref(code, lambda _: forget(self))
        self.wanted = wanted
        self.lines = {line for _, places in wanted for _, line in places}
        self.starts = 0 in self.lines
        # Lines at which it has started: events of these stay on.
        self.firsts: set[int] = set()


class Lines:
    """The tool, for as long as somebody uses it."""

    def __init__(self) -> None:
        self.users: list[User] = []
        self.tool: int | None = None
        self._codes: dict[int, _Code] = {}
        self._local = threading.local()
        self._lock = threading.RLock()  # what is called below may call back

    def use(self, user: User, wanted: bool) -> str:
        """Use it or not, or look anew at what is wanted; why that is impossible."""
        with self._lock:
            if wanted and self.tool is None and not self._take_tool():
                return NO_TOOL
            if user in self.users:
                self.users.remove(user)
                if not wanted and not self.users:
                    self._leave()
                    return ""
            elif not wanted:
                return ""
            if wanted:
                self.users.append(user)
            self._disarm()
            _monitoring().restart_events()
            return ""

    def _take_tool(self) -> bool:
        monitoring = _monitoring()
        for tool in _TOOLS:
            try:
                monitoring.use_tool_id(tool, _NAME)
            except ValueError:  # somebody else's
                continue
            self.tool = tool
            events = monitoring.events
            monitoring.register_callback(tool, events.PY_START, self._start)
            monitoring.register_callback(tool, events.LINE, self._line)
            monitoring.set_events(tool, events.PY_START)
            return True
        return False

    def _leave(self) -> None:
        monitoring, tool, events = _monitoring(), self.tool, _monitoring().events
        monitoring.set_events(tool, 0)
        self._disarm()
        for event in (events.PY_START, events.LINE):
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)
        self.tool = None

    def _disarm(self) -> None:
        for each in list(self._codes.values()):
            code = each.code()
            if code is not None:
                _monitoring().set_local_events(self.tool, code, 0)
        self._codes.clear()

    # -- called by Python, in any thread: what they raise is raised there ----------

    def _start(self, code: CodeType, offset: int) -> Any:
        monitoring = _monitoring()
        found = self._codes.get(id(code))
        if found is None or found.code() is not code:
            frame = sys._getframe(1)
            found = self._look(code, frame)
            if found is None:
                return monitoring.DISABLE
        if not found.starts:
            return monitoring.DISABLE
        self._local.started = sys._getframe(1)
        return None

    def _look(self, code: CodeType, frame: FrameType) -> _Code | None:
        wanted = [(user, user.wanted_in(code, frame)) for user in list(self.users)]
        wanted = [each for each in wanted if each[1]]
        if not wanted:
            return None
        found = _Code(code, wanted, self._forget)
        with self._lock:
            if self.tool is None:
                return None
            self._codes[found.number] = found
            events = _monitoring().events
            _monitoring().set_local_events(self.tool, code, events.LINE)
        return found

    def _forget(self, found: _Code) -> None:
        if self._codes.get(found.number) is found:
            self._codes.pop(found.number, None)

    def _line(self, code: CodeType, line: int) -> Any:
        found = self._codes.get(id(code))
        if found is None:
            return _monitoring().DISABLE
        frame = sys._getframe(1)
        taken, self._local.taken = getattr(self._local, "taken", None), None
        if taken == (frame, line):
            return None
        numbers = self._numbers(found, frame, line)
        if not numbers:
            return None if line in found.firsts else _monitoring().DISABLE
        for user, places in found.wanted:
            ats = [at for at, number in places if number in numbers]
            try:
                if ats:
                    user.at_line(frame, ats)
            except Aborted as aborted:
                # It leads to the task's own line, not on into what stopped it.
                raise aborted.with_traceback(None) from None
        return None

    def _numbers(self, found: _Code, frame: FrameType, line: int) -> set[int]:
        """What a frame is at, of what is wanted of its code."""
        numbers = {line} & found.lines
        if found.starts and getattr(self._local, "started", None) is frame:
            self._local.started = None
            found.firsts.add(line)
            numbers.add(0)
        return numbers

    def take(self, user: User, frame: FrameType) -> list[At]:
        """What is wanted of a line that a frame is about to run, and is not told anew.

        For who traces it too: ``sys.settrace`` is told of a line before this is.
        """
        found = self._codes.get(id(frame.f_code))
        if found is None:
            return []
        numbers = self._numbers(found, frame, frame.f_lineno)
        ats = [
            at
            for each, places in found.wanted
            if each is user
            for at, number in places
            if number in numbers
        ]
        if ats:
            self._local.taken = (frame, frame.f_lineno)
        return ats


def _monitoring() -> Any:
    """The module, of which older Pythons know nothing."""
    return sys.monitoring  # type: ignore[attr-defined, unused-ignore]


LINES = Lines()
