"""The thread on a worker that runs a failed task again, on copies of its inputs."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from dask._task_spec import Task

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
from .replay_copies import copy_values
from .replay_leases import within
from .replay_standin import (
    InPlaceOfWorker,
    call_as_task,
    in_place_of_worker,
    notes_of,
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
        data = copy_values(data, self.reading) if data else {}
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
        """Call one node as a worker does."""
        inputs = _inputs(node, data)
        return call_as_task(self.worker, self.stand_in, key, node, inputs)

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


def _let_go(error: BaseException) -> None:
    """Clear the frames of an exception: they hold the copies of the inputs."""
    for each in linked(error):
        each.__traceback__ = None
