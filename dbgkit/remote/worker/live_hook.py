"""``sys.breakpointhook`` of a process, while ``live`` is on for a worker in it.

A ``breakpoint()`` outside of a worker's tasks goes where it would go without it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from distributed import Worker
from distributed.worker import _worker_cvar, thread_state

from .live_source import place_of

if TYPE_CHECKING:
    from ..common.wire_live import PlaceForm

OTHER_PROCESS = (
    "dbgkit: breakpoint() in a process that a task has started: it has no worker, so "
    "it goes on; run the task in the worker's own threads to stop there"
)


class User(Protocol):
    """A plugin, as the hook needs it."""

    worker: Any

    def reached(self, key: Any, frame: FrameType, header: str) -> Any:
        """A task has come to a ``breakpoint()``, in its own thread."""

    def passed(self, key: Any, place: PlaceForm, why: str) -> None:
        """A ``breakpoint()`` where nothing can stop."""

    def takes(self, thread: int) -> bool:
        """Whether a ``breakpoint()`` in a thread is for it."""


class Hook:
    """The hook, and the plugins of this process that use it.

    Called, it looks up what to call, which then is called by the interpreter: the
    frame above that one is the user's own, as debuggers expect it.
    """

    def __init__(self) -> None:
        self.users: list[User] = []
        self._before: Any = None
        self._process = 0
        self._lock = threading.Lock()

    @property
    def __call__(self) -> Callable[..., Any]:
        return self._chosen(sys._getframe(1))

    def add(self, user: User) -> None:
        """Put the hook in place, for the first."""
        with self._lock:
            self.users.append(user)
            self._process = os.getpid()
            if len(self.users) == 1 and sys.breakpointhook is not self:
                self._before, sys.breakpointhook = sys.breakpointhook, self

    def remove(self, user: User) -> None:
        """Take the hook off again, with the last.

        If somebody has put another in its place, that stays, and this one passes all
        on.
        """
        with self._lock:
            if user in self.users:
                self.users.remove(user)
            if not self.users and sys.breakpointhook is self:
                sys.breakpointhook, self._before = self._before, None

    def _chosen(self, frame: FrameType) -> Callable[..., Any]:
        before: Callable[..., Any] = self._before or sys.__breakpointhook__
        if self.users and os.getpid() != self._process:
            return _nothing if is_turned_off() else _in_other_process
        found = task_here(frame)
        user = found and next((u for u in self.users if u.worker is found[0]), None)
        if not (found and user and user.takes(threading.get_ident())):
            return before
        if is_turned_off():
            return _nothing
        _, key, why = found
        if why:
            return partial(_passed, user, key, frame, why)
        return partial(_reached, user, key, frame)


def task_here(frame: FrameType) -> tuple[Any, Any, str] | None:
    """Worker and key of what runs here, and why it cannot stop; None outside of tasks.

    ``thread_state`` and ``_worker_cvar`` (distributed/worker.py) say so to
    ``get_worker`` too.
    """
    state = getattr(thread_state, "execution_state", None)
    if state is not None:
        is_actor = getattr(thread_state, "actor", False)
        why = "it is in a method of an actor, which is no task" if is_actor else ""
        return state["worker"], thread_state.key, why
    worker = _worker_cvar.get(None)
    if worker is None:
        return None
    why = "it is in a coroutine: to stop there would stop the worker's event loop"
    return worker, key_of_coroutine(frame), why


def key_of_coroutine(frame: FrameType | None) -> Any:
    """The key of the async task that runs a frame; None if another coroutine does.

    ``Worker.execute`` (distributed/worker.py) awaits the task's coroutine.
    """
    while frame is not None:
        if frame.f_code.co_name == "execute" and "key" in frame.f_code.co_varnames:
            known = frame.f_locals
            if isinstance(known.get("self"), Worker):
                return known["key"]
        frame = frame.f_back
    return None


def is_turned_off() -> bool:
    """Whether ``PYTHONBREAKPOINT=0`` turns every ``breakpoint()`` off here."""
    wanted = "" if sys.flags.ignore_environment else os.environ.get("PYTHONBREAKPOINT")
    return wanted == "0"


def _nothing(*args: Any, **kwargs: Any) -> None:
    """What ``PYTHONBREAKPOINT=0`` asks for."""


def _in_other_process(*args: Any, **kwargs: Any) -> None:
    print(OTHER_PROCESS, file=sys.stderr)


def _passed(
    user: User, key: Any, frame: FrameType, why: str, *args: Any, **kwargs: Any
) -> None:
    user.passed(key, place_of(frame), why)


def _reached(
    user: User, key: Any, frame: FrameType, *args: Any, header: Any = "", **kwargs: Any
) -> None:
    user.reached(key, frame, str(header or ""))


HOOK = Hook()
