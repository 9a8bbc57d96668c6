"""The thread on a worker that runs a failed task again, on copies of its inputs."""

from __future__ import annotations

import inspect
import os
import pickle
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from mmap import mmap
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from dask._task_spec import Task

from ..common.carried import carried_by
from ..common.exceptions import linked
from ..common.texts import safe_repr, safe_str
from ..common.unpickling import Reading, pickle_alike
from ..recording.handed import handed_keys
from ..recording.packing import pack
from ..recording.raised import raised
from ..recording.steps import MOST_STEPS, BegunTask, steps_of_run, steps_wire
from ..recording.take import Limits, kind_of, take
from ..secrets.redact import redact_text
from ..values.fingerprints import fingerprints
from ..values.summarize import Budget, summarize
from .replay import Course, Stop
from .replay_leases import within
from .replay_standin import (
    InPlaceOfWorker,
    as_task,
    in_place_of_worker,
    notes_of,
    run_to_end,
)

if TYPE_CHECKING:
    from ..common.wire_replays import Job, RunError, RunForm, SentRecording

PRINTS_SECONDS = 0.2  # for all inputs of a run
MOST_PRINTS = 1_000
MOST_KINDS = 5  # kinds of failures of which a recording is brought home
COMPARED = 16 * 2**20  # bytes of inputs that are compared with what the task left


def run(
    job: Job, values: dict[Any, Any], shared: set[Any], worker: Any, course: Course
) -> None:
    """Run a task as often as wanted; ``course`` receives all that is found.

    ``values`` are all inputs that were in some worker's memory, ``shared`` the keys of
    those that somebody else in this process holds too.
    """
    target = job["order"][-1]
    try:
        # Less than the call's own limit, so that what it waited for can be reported.
        limit = within(job["timeout"])
        around = in_place_of_worker(worker, target, job["ask"], job["find"], limit)
        with around as stand_in:
            _Replay(job, values, shared, worker, course, stand_in).run()
            course.notes += notes_of(stand_in)
            course.begin("end", target)
    except Stop as stop:
        course.problem = stop.answer


@dataclass
class _Replay:
    """One `run`."""

    job: Job
    values: dict[Any, Any]
    shared: set[Any]
    worker: Any
    course: Course
    stand_in: InPlaceOfWorker

    def __post_init__(self) -> None:
        self.limits = Limits.from_wire(self.job["limits"])
        # Where the worker lives in a user's process, its classes are the user's.
        self.reading = Reading()

    def run(self) -> None:
        order, times = self.job["order"], self.job["times"]
        each = list(order) if self.job["ancestors"] else [order[-1]]
        nodes = self._read(order)
        before = [key for key in order if key not in each]
        if before:
            self._compute_inputs(before, nodes)
        for number in range(times):
            if self.course.stopped:
                return
            last = number == times - 1
            if number:
                nodes = self._read(each)
            data = self._fresh(_inputs_of(each, nodes), last=last)
            self._print(data)
            self.course.runs.append(self._once(each, nodes, data))
            self._print(data)
            if last and len(each) == 1:
                self.course.begin("compare", order[-1])
                self.course.changed = self._changed(data)

    def _read(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """Run specs: new objects each time, so that literals stay as they are."""
        nodes = {}
        for key in keys:
            try:
                nodes[key] = self.reading.loads(self.job["specs"][key])
            except Exception as error:  # unpickling runs anybody's code
                raise Stop("unreadable", key, safe_str(error)) from error
        return nodes

    def _compute_inputs(self, keys: list[Any], nodes: Mapping[Any, Any]) -> None:
        """Compute inputs that no worker has in memory; they belong to this thread."""
        target = self.job["order"][-1]
        data = self._fresh(_inputs_of(keys, nodes), last=False)
        wanted = set(nodes[target].dependencies)
        last_use = {name: key for key in keys for name in nodes[key].dependencies}
        for key in keys:
            if self.course.stopped:
                return
            self.course.begin("compute", key)
            try:
                data[key] = self._call(key, nodes[key], data)
            except BaseException as error:  # the task's own, SystemExit too
                raise Stop("input-failed", key, safe_repr(error)) from error
            if key in wanted:
                self.values[key] = data[key]
            for name in nodes[key].dependencies:
                if last_use[name] == key:
                    del data[name]

    def _fresh(self, keys: Iterable[Any], *, last: bool) -> dict[Any, Any]:
        """Values that the task may change.

        The last run takes those that belong to this thread without copying.
        """
        self.course.begin("copy", self.job["order"][-1])
        wanted = [key for key in keys if key in self.values]
        own = [key for key in wanted if last and key not in self.shared]
        data = {key: self.values[key] for key in wanted if key not in own}
        data = _copy(data, self.reading) if data else {}
        return {**data, **{key: self.values[key] for key in own}}

    def _print(self, data: Mapping[Any, Any]) -> None:
        """Fingerprints of inputs: the task may change them, so before it and after."""
        wanted = {key: data[key] for key in self.job["compared"] if key in data}
        if wanted:
            self.course.begin("compare", self.job["order"][-1])
            self.course.prints += fingerprints(wanted, PRINTS_SECONDS)
            del self.course.prints[MOST_PRINTS:]

    def _once(
        self, keys: list[Any], nodes: Mapping[Any, Any], data: dict[Any, Any]
    ) -> RunForm:
        """One run, up to the first task that fails, in wire form."""
        data = dict(data)
        begun: deque[BegunTask] = deque(maxlen=MOST_STEPS)
        start = perf_counter()
        run: RunForm = {"error": None, "returned": None, "key": None, "seconds": 0.0}
        try:
            for key in keys:
                run["key"] = key
                if isinstance(nodes[key], Task):
                    begun.append((key, nodes[key], _inputs(nodes[key], data)))
                self.course.begin("call", key)
                data[key] = self._call(key, nodes[key], data)
        except BaseException as error:  # the task's own, SystemExit too
            run["seconds"] = perf_counter() - start
            self.course.begin("record", run["key"])
            described = run["error"] = self._describe(error, run["key"])
            self._add_steps(described["kind"], begun, error)
            _let_go(error)
        else:
            run["seconds"] = perf_counter() - start
            self.course.begin("record", run["key"])
            budget = Budget(secret_names=self.limits.secret_names)
            run["returned"] = summarize(data[keys[-1]], budget=budget)
            self._add_steps("", begun, None)
        return run

    def _call(self, key: Any, node: Any, data: dict[Any, Any]) -> Any:
        """Call one node as a worker does; a coroutine in a loop of its own."""
        self.stand_in._dbgkit_key = key
        inputs = _inputs(node, data)
        # What runs in a worker's loop is no task that could secede.
        coroutine = bool(getattr(node, "is_coro", False))
        with nullcontext() if coroutine else as_task(self.worker, key):
            result = node(inputs)
            if inspect.iscoroutine(result):
                return run_to_end(result, self.stand_in)
        carried = carried_by(result)
        if carried is not None:
            raise carried
        return result

    def _describe(self, error: BaseException, key: Any) -> RunError:
        kind = kind_of(error)
        recordings = self.course.recordings
        if kind not in recordings and len(recordings) < MOST_KINDS:
            recordings[kind] = self._record(error, key)
        return {**raised(error), "kind": kind, "handed": handed_keys(error)}

    def _add_steps(
        self, kind: str, begun: Iterable[BegunTask], error: BaseException | None
    ) -> None:
        """What each step was called with, one run per kind; ``""`` is passed."""
        known = self.course.steps
        if self.job["ancestors"] and kind not in known and len(known) <= MOST_KINDS:
            steps = steps_of_run(begun, error)
            known[kind] = steps_wire(steps, self.limits.secret_names)

    def _record(self, error: BaseException, key: Any) -> SentRecording:
        """A recording, as the recorder of a cluster takes it."""
        names = self.limits.secret_names
        header: SentRecording = {
            "key": key,
            "exception_type": type(error).__name__,
            "message": redact_text(safe_str(error, 2_000), extra=names),
            "worker": self.worker.address,
            "pid": os.getpid(),
            "when": time(),
            "left_out": 0,
            "gap": "",
            "packed": b"",
        }
        try:
            recording = take(error, self.limits, short=False)
            recording["message"] = recording["message"] or header["message"]
            header["packed"], header["left_out"] = pack(recording, self.limits.nbytes)
        except Exception as failed:  # reported, and the outcome is known all the same
            header["gap"] = f"could not be recorded: {safe_repr(failed, 300)}"
        return header

    def _changed(self, data: Mapping[Any, Any]) -> list[Any]:
        """Inputs that the task has changed in place."""
        if self.job["nbytes"] > COMPARED:
            return []
        return [
            key
            for key in data
            if key in self.shared
            and not pickle_alike(self.values[key], data[key], self.reading.loads)
        ]


def _inputs(node: Any, data: Mapping[Any, Any]) -> dict[Any, Any]:
    return {name: data[name] for name in node.dependencies}


def _inputs_of(keys: Iterable[Any], nodes: Mapping[Any, Any]) -> dict[Any, None]:
    return {name: None for key in keys for name in nodes[key].dependencies}


def _copy(values: dict[Any, Any], reading: Reading) -> dict[Any, Any]:
    """Copy values through one pickle, so that shared parts stay shared.

    Buffers are copied once, and not through the pickle.
    """
    from distributed.protocol.pickle import dumps

    buffers: list[Any] = []
    try:
        frame = dumps(values, buffer_callback=buffers.append)
        copied = reading.loads(frame, buffers=[_bytes_of(b) for b in buffers])
    except Exception as error:  # pickling runs anybody's code
        raise Stop("uncopyable", _culprit(values, reading), safe_str(error)) from error
    return dict(copied)


def _culprit(values: dict[Any, Any], reading: Reading) -> Any:
    """Which value cannot be copied, as the error for all does not show it."""
    from distributed.protocol.pickle import dumps

    for key, value in values.items():
        try:
            reading.loads(dumps(value))
        except Exception:  # this one: the error was reported already
            return key
    return next(iter(values))


def _bytes_of(buffer: pickle.PickleBuffer) -> memoryview:
    """A copy of a buffer, writable where it is writable.

    In parts, so that other threads get their turn: a ``bytearray`` is zero-filled at
    once.
    """
    raw = buffer.raw()
    large = raw.nbytes > _PART
    copy = memoryview(mmap(-1, raw.nbytes) if large else bytearray(raw.nbytes))
    for start in range(0, raw.nbytes, _PART):
        copy[start : start + _PART] = raw[start : start + _PART]
    return copy.toreadonly() if raw.readonly else copy


_PART = 4 * 2**20  # bytes


def _let_go(error: BaseException) -> None:
    """Clear the frames of an exception: they hold the copies of the inputs."""
    for each in linked(error):
        each.__traceback__ = None
