"""Runs inside a worker: records a task's frames at the moment that it fails.

A task's run spec is replaced by a wrapper just before it runs, as no other hook of Dask
sees the live exception: it is gone before any plugin is notified of the failure. The
scheduler's own copy of the run spec is never changed.
"""

from __future__ import annotations

import os
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import WorkerPlugin

from ..common.announcing import announce
from ..common.carried import carried_by
from ..common.exceptions import traceback_of
from ..common.frames import walk
from ..common.handlers import Handler
from ..common.holding import offer
from ..common.origins import origins_of
from ..common.origins_steps import frames_of
from ..common.texts import sendable, type_and_message
from ..common.worker_code import pass_as_worker_code
from ..recording.packing import MOST_MESSAGE, gap_of, header_of, pack, unpack
from ..recording.take import (
    Limits,
    hide_secrets,
    kind_of,
    take,
    type_and_words,
)
from .black_box import BlackBox
from .deaths import box_for, close_box, inputs_of, tell_of
from .last_words import LastWords
from .pool_files import PoolFiles, leave
from .recorder_spec import (
    NO_FAILURES,
    Watched,
    bare,
    is_wrapped,
    taken_off,
)

if TYPE_CHECKING:
    from ..common.wire_failures import OriginForm
    from ..common.wire_recordings import RecordedPart, RecorderSettings
    from ..common.wire_tasks import RecorderState

MOST_WAITING = 100  # recordings of tasks whose failure is not yet known of
MOST_KINDS = 1_000
ORIGINS = 100  # run specs that are looked at for where values came from


class Recorder(WorkerPlugin):  # type: ignore[misc]
    """Records failures, and sends them to the scheduler as events.

    The scheduler's part listens to their ``topic``; ``deaths`` is the name of the one
    that watches deaths, empty without one.
    """

    def __init__(self, topic: str, limits: RecorderSettings, deaths: str = "") -> None:
        self.topic = topic
        self.deaths = deaths
        self.limits = Limits.from_wire(limits)
        self.worker: Any = None
        self.unwanted = False
        self.box: BlackBox | None = None
        self.words: LastWords | None = None
        # What was recorded, or why it could not be.
        self.waiting: OrderedDict[Any, RecordedPart | str] = OrderedDict()
        self.kinds: Counter[str] = Counter()
        # What runs in a process pool's child, where that leaves its recording, and of
        # how many bytes at most.
        self.elsewhere: dict[Any, tuple[Watched, str, int]] = {}
        self.files = PoolFiles()
        # Tasks whose result carries an exception: finished for Dask.
        self.carried: set[Any] = set()
        self.dropped = 0
        self.errors: list[str] = []

    async def setup(self, worker: Any) -> None:
        self.worker = worker
        name = f"{self.topic}-settings"
        worker.handlers[name] = Handler(name, self, "take_settings")
        settings = await announce(worker, self.topic, self)
        if settings:
            self.limits = Limits.from_wire(settings)
        box = None if self.worker is None else await box_for(worker, self.fail)
        if box is None:
            return
        if self.worker is None:  # it was taken off meanwhile
            await close_box(box, for_good=False)
            return
        self.box = box
        self.words = LastWords(
            box,
            lambda text, most: hide_secrets(text, self.limits, most),
            lambda error, most: type_and_words(error, self.limits, most),
            self.fail,
        )
        await self._report_box()

    async def _report_box(self) -> None:
        if self.box is not None and self.deaths:
            await tell_of(self.box, self.worker, self.deaths, self.fail)

    async def take_settings(self, settings: RecorderSettings) -> bool:
        """Called by the scheduler's part: other limits, from the next recording on."""
        self.limits = Limits.from_wire(settings)
        await self._report_box()  # the part that watches deaths may be a new one
        return True

    async def teardown(self, worker: Any) -> None:
        """Give every running task its own run spec back."""
        self.worker = None
        worker.handlers.pop(f"{self.topic}-settings", None)
        goes_on = worker.status.name in ("running", "paused")
        if goes_on and not self.unwanted:
            # After all recordings that are still under way: the scheduler's part
            # waits for it.
            self._log(worker, {"parted": worker.address})
        box, self.box = self.box, None
        words, self.words = self.words, None
        keep = False
        if words is not None:
            words.stop()
            keep = not goes_on and words.tell_scheduler(worker, self.deaths)
        self.waiting.clear()
        self.elsewhere.clear()
        for ts in list(worker.state.tasks.values()):
            if is_wrapped(ts.run_spec):
                _, ts.run_spec = taken_off(ts.run_spec)
        await self.files.close()
        # A box that says why its worker ends is left for others to read.
        if box is not None and not (words and words.ends and not goes_on):
            await close_box(box, for_good=goes_on, keep=keep)

    def _log(self, worker: Any, msg: Any) -> None:
        # Not Worker.log_event, which sends later: the failure would be first.
        worker.batched_stream.send({"op": "log-event", "topic": self.topic, "msg": msg})

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        """Called by the worker for each change of each task's state, in its loop."""
        if finish == "executing":
            ts = self.worker.state.tasks.get(key)
            if ts is not None and type(ts.run_spec) is not Watched:
                inputs = 0 if self.box is None else inputs_of(ts)
                ts.run_spec = Watched(key, ts.run_spec, self, inputs)
        elif finish == "error" or (finish in _ENDS and start in _RUNNING):
            ts = self.worker.state.tasks.get(key)
            watched = None
            if ts is not None and is_wrapped(ts.run_spec):
                watched, ts.run_spec = taken_off(ts.run_spec)
                if watched is not None:
                    watched.end()
            if finish == "error" and start not in _UNWANTED:
                self.send(key, ts, self._why_none(key, start, watched))
            elif key in self.carried and finish == "memory":
                self.send(key, ts, "")
            elif self.waiting:  # done, cancelled, or to be scheduled anew: no failure
                self.waiting.pop(key, None)
            if self.elsewhere:
                path, _ = self._let_go(key)
                if path and finish != "memory":  # a healthy one has left nothing
                    self.files.discard(path)
            self.carried.discard(key)

    def record(self, key: Any, exception: BaseException, args: Any, spec: Any) -> None:
        """Take a recording, in the thread that the task ran in; never raises.

        ``args`` is what the run spec was called with: its inputs, by key.
        """
        if self.worker is None:
            return  # it was taken off while the task ran
        try:
            kind = kind_of(exception, self.limits)
            short = self._count(kind) > self.limits.repeats
            recording = take(
                exception,
                self.limits,
                short=short,
                inputs=_inputs(args),
                origins=self._origins(key, spec, exception),
            )
            # Packed here, in the task's own thread: the worker's loop has others to
            # serve.
            packed, left_out = pack(recording, self.limits.nbytes)
            self.waiting[key] = header_of(recording, packed, left_out)
            while len(self.waiting) > MOST_WAITING:
                self.waiting.popitem(last=False)
                self.dropped += 1
        except Exception as error:
            # The job goes on whatever happens here; `doctor` reports it.
            self.fail(f"recording {type(exception).__name__}", error)
            self.waiting[key] = self.errors[-1]
        self._offer(key, exception)

    def _offer(self, key: Any, exception: BaseException) -> None:
        """Have it held with its live frames, where somebody wants that."""
        worker = self.worker
        try:
            message = type_and_words(exception, self.limits, MOST_MESSAGE)
            if worker is not None:
                carried = key in self.carried
                offer(worker, key, exception, message, carried=carried)
        except Exception as error:
            self.fail(f"holding {type(exception).__name__}", error)

    def _origins(
        self, key: Any, spec: Any, exception: BaseException
    ) -> list[OriginForm]:
        """Where the task's values came from, as far as this worker knows."""
        tasks = self.worker.state.tasks

        def spec_of(name: Any) -> Any:
            return bare(getattr(tasks.get(name), "run_spec", None))

        try:
            frames = frames_of(walk(traceback_of(exception)))
            return origins_of(key, bare(spec), spec_of, frames=frames, visits=ORIGINS)
        except Exception as error:  # the frames are worth more than that
            self.fail("finding where values came from", error)
            return []

    def look_at_result(self, key: Any, result: Any, args: Any, spec: Any) -> None:
        """Record the exception that a library hands back as a result, if it does."""
        error = carried_by(result)
        if error is not None and not isinstance(error, NO_FAILURES):
            self.carried.add(key)
            self.record(key, error, args, spec)

    def _count(self, kind: str) -> int:
        """How many of a kind there were, with this one."""
        if len(self.kinds) > MOST_KINDS:
            self.kinds.clear()
        self.kinds[kind] += 1
        return self.kinds[kind]

    def for_child(self, watched: Watched) -> tuple[Any, ...]:
        """What to pickle in place of a run spec that a process pool's child is to run.

        Called in threads of the pools.
        """
        path = self._path_for(watched)
        if not path:
            return eval, ("spec", {"spec": watched.spec})
        names = {"module": __name__, "spec": watched.spec, "path": path}
        return eval, (_IN_CHILD, {**names, "limits": asdict(self.limits)})

    def _path_for(self, watched: Watched) -> str:
        """A file for a child to leave its recording in; empty where there is none."""
        path = ""
        worker = self.worker
        try:
            if worker is not None:
                path = self.files.new(worker.local_directory)
        except OSError as error:
            self.fail("making a folder for process pools", error)
        if self.worker is None:  # it has been taken off meanwhile
            self.files.drop()
            return ""
        self.elsewhere[watched.key] = watched, path, self.limits.nbytes
        return path

    def _fetch(self, key: Any) -> RecordedPart | str | None:
        """What a child of a process pool has recorded; None without any."""
        path, nbytes = self._let_go(key)
        if not path:
            return None
        try:
            packed = self.files.take(path, nbytes)
            recording = unpack(packed)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self.fail("reading what a process pool's child has recorded", error)
            return f"{_IN_POOL}: {self.errors[-1]}"
        self._count(recording["kind"])
        return header_of(recording, packed, 0)

    def _let_go(self, key: Any) -> tuple[str, int]:
        """Forget what ran in a pool's child; returns its file and most bytes."""
        watched, path, nbytes = self.elsewhere.pop(key, (None, "", 0))
        if watched is not None:
            watched.end()
        return path, nbytes

    def _why_none(self, key: Any, start: str, watched: Watched | None) -> str:
        """Why there would be no recording of a failure."""
        if key in self.elsewhere:
            path = self.elsewhere[key][1]
            return _IN_POOL if path else f"{_IN_POOL}: {self.errors[-1]}"
        if start not in _RUNNING:
            return "it did not run: its worker failed before that"
        if watched is None:
            return "it had begun before the recorder was turned on"
        if watched.slot is None:
            return "its worker failed before it ran, or could not send it to a process"
        return "its worker failed outside the task itself"

    def note_ending(self, slot: int | None, error: BaseException) -> None:
        """Note what a task has raised that ends its worker; never raises."""
        if self.words is not None and slot is not None:
            self.words.note_ending(slot, error)

    def fail(self, doing: str, error: BaseException) -> None:
        self.errors.append(f"{doing}: {type(error).__name__}: {error!s:.200}")
        del self.errors[:-10]

    def send(self, key: Any, ts: Any, gap: str) -> None:
        """Send what was recorded of a task that has failed, ahead of the failure.

        ``gap`` is why there is no recording, should there be none.
        """
        recorded = self.waiting.pop(key, None)
        try:
            recorded = recorded or self._fetch(key) or gap
            kind, message = self._from_dask(ts)
            if isinstance(recorded, str):
                recorded = gap_of(kind, recorded)
            # Only code of the user's own could have said it: Dask has let it.
            recorded["message"] = recorded["message"] or message
            place = {"worker": self.worker.address, "pid": os.getpid()}
            carried = {"carried": key in self.carried}
            event = {
                name: sendable(value) if isinstance(value, str) else value
                for name, value in {**recorded, **place, **carried}.items()
            }
            self._log(self.worker, {**event, "key": key})
        except Exception as error:
            self.dropped += 1
            self.fail("sending a recording", error)

    def _from_dask(self, ts: Any) -> tuple[str, str]:
        """Class and message of a failure as Dask has them, secrets hidden."""
        kind, message = type_and_message(getattr(ts, "exception_text", "") or "")
        try:
            return kind, hide_secrets(message, self.limits, MOST_MESSAGE)
        except Exception as error:
            self.fail("hiding secrets", error)
            return kind, ""

    def state(self) -> RecorderState:
        """Its state, for `doctor`."""
        box = self.box
        return {
            "dropped": self.dropped,
            "errors": list(self.errors),
            "box": "" if box is None else box.path,
            "refused": "" if box is None else box.refused,
        }


# A task that was cancelled still runs, and may be wanted again meanwhile.
_RUNNING = ("executing", "long-running", "cancelled", "resumed")
_UNWANTED = ("cancelled", "resumed")  # Dask lets go of what comes of these
# What Dask recommends at the end of a run; anything else leaves it running.
_ENDS = ("memory", "error", "rescheduled")
_IN_POOL = "it ran in a process pool, whose process did not record it"


def _inputs(args: Any) -> Mapping[Any, Any]:
    return args[0] if args and isinstance(args[0], dict) else {}


# A child that was forked has this module; one that was not runs the plain task.
_IN_CHILD = (
    "(lambda found: found.InChild(spec, path, limits) if found else spec)"
    "(__import__('sys').modules.get(module))"
)


class InChild:
    """A run spec in a child of a process pool: leaves its recording in a file."""

    def __init__(self, spec: Any, path: str, limits: RecorderSettings) -> None:
        self.spec = spec
        self.path = path
        self.limits = Limits.from_wire(limits)

    def __call__(self, *args: Any) -> Any:
        try:
            return self.spec(*args)
        except NO_FAILURES:
            raise
        except BaseException as error:
            self.record(error, args)
            raise

    def record(self, exception: BaseException, args: Any) -> None:
        """Never raises; without a file there is a gap, which is reported."""
        try:
            frames = frames_of(walk(traceback_of(exception)))
            origins = origins_of(None, self.spec, {}.get, frames=frames, visits=ORIGINS)
            recording = take(
                exception,
                self.limits,
                short=False,
                inputs=_inputs(args),
                origins=origins,
            )
            packed, _ = pack(recording, self.limits.nbytes)
            leave(self.path, packed)
        except Exception:
            return


pass_as_worker_code(InChild.__call__)
