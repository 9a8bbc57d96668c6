"""The thread on a worker that shrinks the input of a failed task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..common.exceptions import linked
from ..common.texts import safe_str
from ..common.unpickling import Reading
from ..recording.shrink_same import describe
from .replay import Stop
from .replay_copies import copy_values
from .replay_leases import within
from .replay_standin import call_as_task, in_place_of_worker, notes_of
from .shrink_task import Ways, shrink

if TYPE_CHECKING:
    from ..common.wire_shrink import Described, ShrinkJob, ShrunkForm
    from .shrink import Course


def run(
    job: ShrinkJob, values: dict[Any, Any], worker: Any, course: Course
) -> ShrunkForm:
    """Shrink; ``course`` is told how far it is."""
    order = job["order"]
    limit = within(job["timeout"])
    reading = Reading()
    around = in_place_of_worker(worker, order[-1], job["ask"], job["find"], limit)
    with around as stand_in:

        def compute(key: Any, node: Any, data: dict[Any, Any]) -> Any:
            course.begin(call=True)
            try:
                return call_as_task(worker, stand_in, key, node, data)
            finally:
                course.begin(call=False)

        def run_once(key: Any, node: Any, data: dict[Any, Any]) -> Described | None:
            try:
                compute(key, node, data)
            except BaseException as error:  # the task's own, SystemExit too
                described = describe(error)
                for each in linked(error):  # their frames hold the copies
                    each.__traceback__ = None
                return described
            return None

        def copied(value: Any) -> Any:
            return copy_values({"": value}, reading)[""]

        form = shrink(
            order,
            _read(job, reading),
            values,
            job["limits"],
            lambda key: job["sources"],
            Ways(run_once, compute, copied, _packed, course.why_stop),
            course.tell,
            lambda shrinking: setattr(course, "shrinking", shrinking),
        )
        if "notes" in form:
            form["notes"] += notes_of(stand_in)
        return form


def _read(job: ShrinkJob, reading: Reading) -> dict[Any, Any]:
    nodes = {}
    for key, spec in job["specs"].items():
        try:
            nodes[key] = reading.loads(spec)
        except Exception as error:  # unpickling runs anybody's code
            raise Stop("unreadable", key, safe_str(error)) from error
    return nodes


def _packed(values: Any) -> bytes:
    """The smallest input, pickled as Dask pickles what it sends."""
    from distributed.protocol.pickle import dumps

    data: bytes = dumps(values)
    return data
