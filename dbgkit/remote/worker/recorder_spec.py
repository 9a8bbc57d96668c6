"""A run spec that records a failure while its frames are alive.

Replaces a task's own from just before it runs until it ends.
"""

from __future__ import annotations

from typing import Any, Protocol

from distributed import Reschedule

from ..common.worker_code import BREAKING, WATCHED, pass_as_worker_code
from .black_box import ELSEWHERE, ENDINGS, BlackBox

NO_FAILURES = (Reschedule, *ENDINGS)


class Watcher(Protocol):
    """What is needed of the recorder."""

    box: BlackBox | None

    def record(self, key: Any, exception: BaseException, args: Any, spec: Any) -> None:
        """Record a failure, in the thread that the task ran in; never raises."""

    def look_at_result(self, key: Any, result: Any, args: Any, spec: Any) -> None:
        """Record the exception that a result carries, if it does."""

    def note_ending(self, slot: int | None, error: BaseException) -> None:
        """Note in the box that a task has raised what ends its worker; never raises."""

    def fail(self, doing: str, error: BaseException) -> None:
        """Note what went wrong here; the task goes on."""

    def for_child(self, watched: Watched) -> tuple[Any, ...]:
        """What a run spec is pickled as, for a child of a process pool to run it."""


def is_wrapped(spec: Any) -> bool:
    """Whether a run spec is a recorder's, also one of another version."""
    return type(spec) is Watched or type(spec).__name__ == WATCHED


def bare(spec: Any) -> Any:
    """A run spec without any wrapper around it."""
    while is_wrapped(spec) or type(spec).__name__ == BREAKING:
        spec = spec.spec
    return spec


def taken_off(spec: Any) -> tuple[Watched | None, Any]:
    """This version's wrapper, and the run spec without it."""
    if type(spec) is Watched:
        return spec, spec.spec
    if not is_wrapped(spec):
        return None, spec
    found, spec.spec = taken_off(spec.spec)
    return found, spec


class Watched:
    """A wrapped run spec: for a worker it behaves, and pickles, as the spec itself."""

    __slots__ = ("inputs", "key", "recorder", "slot", "spec")

    def __init__(self, key: Any, spec: Any, recorder: Watcher, inputs: int) -> None:
        self.key = key
        self.spec = spec
        self.recorder = recorder
        self.inputs = inputs  # bytes
        self.slot: int | None = None  # of the box, once it runs

    def __getattr__(self, name: str) -> Any:
        return getattr(self.spec, name)

    def __repr__(self) -> str:
        return repr(self.spec)

    def __reduce__(self) -> tuple[Any, ...]:
        """For a process pool: what records there too, if this code is there.

        In the box it runs from here on: nothing reports when its turn comes there.
        """
        if self.slot is None:
            self.begin(ELSEWHERE)
        return self.recorder.for_child(self)

    def begin(self, run: Any = None) -> None:
        """Note in the box that it runs."""
        box = self.recorder.box
        if box is None:
            self.slot = -1
            return
        try:
            first = box.first_lines.of(bare(self.spec))
        except Exception as error:  # the task goes on whatever happens here
            self.recorder.fail("looking for a task's first lines", error)
            first = b""
        self.slot = box.begin(self.key, self.inputs, run, first=first)

    def end(self) -> None:
        """Note in the box that it no longer runs."""
        slot, self.slot = self.slot, -1
        box = self.recorder.box
        if box is not None and slot is not None:
            box.end(slot)

    def raised(self, error: BaseException) -> None:
        """Note what it has raised that ends its worker, in place of `end`."""
        slot, self.slot = self.slot, -1
        self.recorder.note_ending(slot, error)

    def __call__(self, *args: Any) -> Any:
        self.begin()
        try:
            result = self.spec(*args)
        except ENDINGS as error:
            self.raised(error)
            raise
        except Reschedule:
            raise
        except BaseException as error:  # Dask takes all others for failures
            self.recorder.record(self.key, error, args, self.spec)
            raise
        finally:
            self.end()
        if self.spec.is_coro:
            return _awaited(self, result, args)
        self.recorder.look_at_result(self.key, result, args, self.spec)
        return result


async def _awaited(watched: Watched, result: Any, args: Any) -> Any:
    watched.begin(result)
    try:
        return await result
    except ENDINGS as error:
        watched.raised(error)
        raise
    except Reschedule:
        raise
    except BaseException as error:
        watched.recorder.record(watched.key, error, args, watched.spec)
        raise
    finally:
        watched.end()


pass_as_worker_code(Watched.__call__)
pass_as_worker_code(_awaited)
