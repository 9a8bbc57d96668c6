"""What a worker runs, seen from outside: its tasks' threads and coroutines.

`why` and `peek` both take it from here. Nothing is stopped, and nothing is changed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ..common.frames import (
    MOST_PLACES,
    frames_of_threads,
    is_in_worker,
    is_stdlib,
    line_at,
    places_of,
)

if TYPE_CHECKING:
    from types import FrameType

    from ..common.frames import Place
    from ..common.wire_peek import How

# Reading ``f_locals`` copies the values into the frame before Python 3.13, and undoes
# what a debugger's prompt has assigned there.
READING_WRITES = sys.version_info < (3, 13)
# A plugin of the worker that pauses threads has them in an attribute of this name:
# ``{thread id: (the task's key, how that is told)}``.
PAUSED = "dbgkit_paused"
MOST_TRIES = 5  # to catch a call stack that is whole
MOST_AWAITS = 200  # coroutines within one another
_STARTS = ("_bootstrap", "_bootstrap_inner")  # threading.py: what a thread begins with
_RUNS_ACTOR = ("_run_actor", "apply_function_actor")  # distributed/worker.py
_NOTHING = object()
# States of the worker's in which a task may run.
RUNS = ("executing", "long-running", "cancelled", "resumed")


class Seen(NamedTuple):
    """One running task: its call stack, outermost first, and how it runs.

    ``paused`` says why its thread is traced, or paused: empty if it is neither.
    ``awaits``: what a coroutine waits for, if that is no coroutine.
    """

    how: How
    places: list[Place]
    paused: str = ""
    awaits: str = ""
    executor: str = ""

    @property
    def unread(self) -> bool:
        """Whether its variables may not be read from outside."""
        return READING_WRITES and bool(self.paused)


class Around:
    """What a worker runs at one moment; to be taken, and dropped, in its event loop."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self.threads = _threads(worker)  # key -> ids of its threads
        self._frames = frames_of_threads()
        self._tasks: dict[str, Any] | None = None

    def of(self, key: Any) -> Seen | None:
        """What a task does; None if it does not run here."""
        for ident in self.threads.get(key, ()):
            places = self._stack(ident, key)
            if places:
                return self._in_thread(key, ident, places)
        ts = self._worker.state.tasks.get(key)
        if ts is None or ts.state not in RUNS:
            return None
        task = self._coroutines().get(f"execute({key!r})")
        if task is None:  # what was released before it ran, say
            return None
        places, awaits = places_of_coroutine(task)
        if getattr(ts.run_spec, "is_coro", False):
            return Seen("coroutine", places, _traced(places), awaits)
        name = (ts.annotations or {}).get("executor", "default")
        executor = self._worker.executors.get(name)
        kind = type(executor).__name__
        # As Dask itself tells them apart: `Worker.execute`.
        if executor is None or "ThreadPoolExecutor" in str(type(executor)):
            return Seen("unseen", [])
        return Seen("elsewhere", [], executor=f"{name!r} ({kind})")

    def running(self) -> Iterator[Any]:
        """Keys of all that may run, and names of actors' methods that do."""
        state = self._worker.state
        found = dict.fromkeys(ts.key for ts in (*state.executing, *state.long_running))
        yield from found
        for key, idents in self.threads.items():
            if key not in found and any(self._stack(ident, key) for ident in idents):
                yield key

    def methods_of(self, key: Any) -> list[Any]:
        """Names under which threads run methods of an actor: no keys of tasks."""
        actor = self._worker.state.actors.get(key)
        if actor is None:
            return []
        return [
            name
            for name, idents in self.threads.items()
            if name not in self._worker.state.tasks
            and any(self._actor_of(ident) is actor for ident in idents)
        ]

    def _actor_of(self, ident: int) -> Any:
        """Whose method a thread runs: ``func`` of the frame that calls it."""
        places = places_of(self._frames.get(ident))
        if _traced(places) and READING_WRITES:
            return None
        for frame, _ in places:
            if frame.f_code.co_name in _RUNS_ACTOR:
                return getattr(frame.f_locals.get("func"), "__self__", None)
        return None

    def _stack(self, ident: int, key: Any) -> list[Place]:
        """The call stack of a thread that runs a task; empty if it no longer does.

        A frame that has ended since has lost those that called it.
        """
        places: list[Place] = []
        for _ in range(MOST_TRIES):
            places = places_of(self._frames.get(ident))
            whole = not places or places[0][0].f_code.co_name in _STARTS
            if whole or len(places) == MOST_PLACES:
                break
            self._frames = frames_of_threads()
        # A method of an actor that has raised stays listed (`_run_actor`).
        if not is_in_worker(places) and len(places) < MOST_PLACES:
            return []
        # Since the threads were listed it may have ended, or begun another.
        runs = self._worker.active_threads.get(ident, _NOTHING) == key
        return places if runs or ident in _paused(self._worker) else []

    def _in_thread(self, key: Any, ident: int, places: list[Place]) -> Seen:
        how: How = "thread" if key in self._worker.state.tasks else "actor"
        return Seen(how, places, traced_or_paused(self._worker, ident, places))

    def _coroutines(self) -> dict[str, Any]:
        if self._tasks is None:
            self._tasks = {task.get_name(): task for task in instructions(self._worker)}
        return self._tasks


def _threads(worker: Any) -> dict[Any, list[int]]:
    """Ids of threads by what they run: a task's key, or the name of an actor's method.

    ``Worker.active_threads``, without those that a plugin has taken out of it.
    """
    with worker.active_threads_lock:
        active = dict(worker.active_threads)
    active.update((ident, key) for ident, (key, _) in _paused(worker).items())
    found: dict[Any, list[int]] = {}
    for ident, key in active.items():
        found.setdefault(key, []).append(ident)
    return found


def _paused(worker: Any) -> dict[int, tuple[Any, str]]:
    """Threads that plugins of a worker have paused: see `PAUSED`."""
    found: dict[int, tuple[Any, str]] = {}
    for plugin in list(worker.plugins.values()):
        found.update(getattr(plugin, PAUSED, None) or {})
    return found


def traced_or_paused(worker: Any, ident: int, places: list[Place]) -> str:
    """Why a thread is traced or paused, in words; empty if it is neither.

    A debugger or another tracer sets ``f_trace`` of the frames that it follows; what
    pauses a thread in other ways says so itself: see `PAUSED`.
    """
    told = _paused(worker).get(ident)
    return told[1] if told else _traced(places)


def _traced(places: list[Place]) -> str:
    traced = any(frame.f_trace is not None for frame, _ in places)
    return "a debugger or a tracer follows it" if traced else ""


# --- coroutines -----------------------------------------------------------------


def instructions(worker: Any) -> list[Any]:
    """Tasks of the event loop that run tasks of a worker: ``execute('key')``.

    ``BaseWorker._async_instructions`` (distributed/worker_state_machine.py).
    """
    return list(getattr(worker, "_async_instructions", ()))


def places_of_coroutine(task: Any) -> tuple[list[Place], str]:
    """Where a coroutine of the event loop is suspended, outermost first.

    And what it awaits there, if that is no coroutine. Tasks that it awaits are
    followed, as ``asyncio.wait_for`` makes one.
    """
    places: list[Place] = []
    each: Any = task.get_coro()
    for _ in range(MOST_AWAITS):
        frame, following = _suspended(each)
        if frame is not None:
            places.append((frame, line_at(frame)))
        if following is not None and _suspended(following) != (None, None):
            each = following
            continue
        awaited = awaited_by(task, frame)
        if not isinstance(awaited, asyncio.Task):
            return places, _named(awaited)
        task, each = awaited, awaited.get_coro()
    return places, ""


def _suspended(each: Any) -> tuple[Any, Any]:
    """Frame of a coroutine or generator, and what it awaits."""
    for kind, awaits in (("cr", "await"), ("gi", "yieldfrom"), ("ag", "await")):
        if hasattr(each, f"{kind}_frame"):
            return getattr(each, f"{kind}_frame"), getattr(each, f"{kind}_{awaits}")
    return None, None


def awaited_by(task: Any, frame: FrameType | None) -> Any:
    """The future that a task of the event loop waits for: ``asyncio.Task._fut_waiter``.

    If ``asyncio.gather`` waits for one alone, that one; and what ``asyncio.wait_for``
    has made a task of, which it does before Python 3.12: its local ``fut``.
    """
    if frame is not None and _is_wait_for(frame):
        made = frame.f_locals.get("fut")
        if made is not None:
            return made
    awaited = getattr(task, "_fut_waiter", None)
    members = getattr(awaited, "_children", None)
    pending = [each for each in members or () if not each.done()]
    return pending[0] if len(pending) == 1 else awaited


def _is_wait_for(frame: FrameType) -> bool:
    code = frame.f_code
    return code.co_name == "wait_for" and is_stdlib(code.co_filename)


def _named(awaited: Any) -> str:
    """What several are awaited at once, in words; empty of one alone."""
    members = getattr(awaited, "_children", None)
    pending = sum(not each.done() for each in members or ())
    return f"{pending} awaitables of asyncio.gather" if pending else ""
