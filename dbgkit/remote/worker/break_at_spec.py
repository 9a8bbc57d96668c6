"""A run spec that may stop: at its first line, or where it fails.

Replaces a task's own from just before it runs until it ends, for tasks whose key is
armed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

from distributed import Reschedule

from ..common.aborting import Aborted
from ..common.worker_code import BREAKING, WATCHED, pass_as_worker_code
from .break_at_place import At

NO_FAILURES = (Reschedule, SystemExit, KeyboardInterrupt)


class Tracing(Protocol):
    """What looks for a first line."""

    def end(self) -> None:
        """The task has ended: look no more."""


class Breaks(Protocol):
    """What is needed of a worker's places."""

    def start(self, spec: Breaking) -> Tracing | None:
        """A task begins, in its thread: look for its first line, if it may stop."""

    def failed(self, spec: Breaking, error: BaseException) -> None:
        """It has failed: stop there, if it is wanted. May raise what aborts it."""

    def left(self, spec: Breaking) -> None:
        """It is sent to another process."""


class Breaking:
    """A wrapped run spec: for a worker it behaves, and pickles, as the spec itself."""

    __slots__ = ("ats", "key", "places", "spec")

    def __init__(self, key: Any, spec: Any, places: Breaks, ats: list[At]) -> None:
        self.key = key
        self.spec = spec
        self.places = places
        self.ats = ats

    def __getattr__(self, name: str) -> Any:
        return getattr(self.spec, name)

    def __repr__(self) -> str:
        return repr(self.spec)

    def __reduce__(self) -> tuple[Any, ...]:
        """For a process pool, where nothing stops."""
        self.places.left(self)
        return eval, ("spec", {"spec": self.spec})

    def __call__(self, *args: Any) -> Any:
        tracing = self.places.start(self)
        try:
            return self.spec(*args)
        except NO_FAILURES:
            raise
        except BaseException as error:  # Dask takes all others for failures
            if tracing is not None:
                tracing.end()
            try:
                self.places.failed(self, error)
            except Aborted as aborted:
                # It fails where the task failed, and not in what asked.
                raise aborted.with_traceback(error.__traceback__) from error
            raise
        finally:
            if tracing is not None:
                tracing.end()


pass_as_worker_code(Breaking.__call__)


def put_in(spec: Any, key: Any, places: Breaks, ats: list[At]) -> Any:
    """A run spec that may stop; the recorder's own wrapper stays outside of it."""
    if type(spec).__name__ == WATCHED:
        spec.spec = put_in(spec.spec, key, places, ats)
        return spec
    if type(spec) is Breaking and spec.places is places:
        spec.ats = ats
        return spec
    return Breaking(key, spec, places, ats)


def taken_off(spec: Any, places: Breaks) -> Any:
    """A run spec without this wrapper, wherever it is among others."""
    if type(spec) is Breaking and spec.places is places:
        return taken_off(spec.spec, places)
    if type(spec).__name__ in (WATCHED, BREAKING):
        spec.spec = taken_off(spec.spec, places)
    return spec


def bare(spec: Any) -> Any:
    """A run spec without any wrapper around it."""
    while type(spec).__name__ in (WATCHED, BREAKING):
        spec = spec.spec
    return spec


class FirstLine:
    """Finds where a task's code begins, by ``sys.settrace`` until it is there.

    Parameters
    ----------
    wanted : list of At
    choose : callable
        Whether a frame, which is about to run, is where one of these begins.
    arrive : callable
        Called with the frame at its first line; gives whether it has stopped.
    miss : callable
        Called at the end with those that were not found.
    """

    def __init__(
        self,
        wanted: list[At],
        choose: Callable[[At, FrameType], bool],
        arrive: Callable[[FrameType, list[At]], bool],
        miss: Callable[[list[At]], None],
    ) -> None:
        self._wanted = wanted
        self._choose = choose
        self._arrive = arrive
        self._miss = miss
        self._found: list[At] = []
        self._before = sys.gettrace()
        sys.settrace(self._called)

    def take(self, frame: FrameType) -> list[At]:
        """What a frame, which is at its first line, is wanted for; looks on for rest.

        For what else is called at that line.
        """
        found = self._found or [at for at in self._wanted if self._choose(at, frame)]
        self._found = []
        self._wanted = [at for at in self._wanted if at not in found]
        return found

    def _called(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "call" and not self._found:
            self._found = [at for at in self._wanted if self._choose(at, frame)]
            if self._found:
                return self._at_line
        return None

    def _at_line(self, frame: FrameType, event: str, arg: Any) -> Any:
        frame.f_trace = None
        if event != "line" or not self._found:
            return None
        found = self.take(frame)
        if not self._wanted:
            self._stop()
        try:
            self._arrive(frame, found)
        except Aborted as aborted:
            # It leads to the task's own line, not on into what stopped it.
            raise aborted.with_traceback(None) from None
        return frame.f_trace  # the debugger's, if it goes on tracing

    def _stop(self) -> None:
        """Look no more; where a debugger has taken over, it stays."""
        if self.here() is self:
            sys.settrace(self._before)

    @classmethod
    def here(cls) -> FirstLine | None:
        """The one that looks in this thread."""
        found = getattr(sys.gettrace(), "__self__", None)
        return found if isinstance(found, cls) else None

    def look_on(self) -> None:
        """Look on, after a debugger that was opened meanwhile has ended."""
        if self._wanted and sys.gettrace() is None:
            sys.settrace(self._called)

    def end(self) -> None:
        """The task has ended."""
        self._stop()
        missed, self._wanted = self._wanted, []
        if missed:
            self._miss(missed)
