"""Shrinks in this process, on copies of the inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbgkit.remote.common.exceptions import linked
from dbgkit.remote.recording.shrink_same import describe
from dbgkit.remote.worker.shrink_task import Ways, shrink
from dbgkit.replays.calling import Call, call_task
from dbgkit.replays.nodes import write
from dbgkit.replays.on_worker_plan import in_order
from dbgkit.replays.preparing import Notify, Prepared
from dbgkit.replays.shrink_plan import NO_LIMIT, ShrinkWanted, sources_of, telling
from dbgkit.replays.standin import in_place_of_worker, reading

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_shrink import Described, ShrunkForm


def shrink_here(prepared: Prepared, wanted: ShrinkWanted, notify: Notify) -> ShrunkForm:
    """Run the task here on less and less of its inputs.

    Ctrl-C ends it, with the best so far.
    """
    material = prepared.material
    order = keys_to_run(prepared)
    with reading(prepared.stand_in):
        nodes = {key: material.rows[key].read() for key in order}
    return shrink(
        order,
        nodes,
        dict(prepared.inputs.values),
        wanted.limits(prepared.wanted.timeout, NO_LIMIT),
        lambda key: sources_of(prepared.failure, key, nodes),
        ways_here(prepared, notify),
        telling(notify),
    )


def keys_to_run(prepared: Prepared) -> list[Any]:
    """What runs, the task itself last: it alone, or all that leads to it."""
    if prepared.plan.scope == "task":
        return [prepared.material.key]
    return in_order(prepared.material)


def ways_here(prepared: Prepared, notify: Notify) -> Ways:
    """How tasks run in this process."""
    reader, stand_in = prepared.material.reader, prepared.stand_in

    def call(node: Any, data: dict[Any, Any]) -> Call:
        return call_task(node, data, in_place_of_worker(stand_in, node, notify))

    def run(key: Any, node: Any, data: dict[Any, Any]) -> Described | None:
        error = call(node, data).exception
        if error is None:
            return None
        described = describe(error)
        prepared.submissions.let_go(error)
        for link in linked(error):  # their frames hold the copies
            link.__traceback__ = None
        return described

    def compute(key: Any, node: Any, data: dict[Any, Any]) -> Any:
        done = call(node, data)
        if done.exception is not None:
            raise done.exception
        return done.result

    def copied(value: Any) -> Any:
        with reading(stand_in):
            return reader.loads(write(value, "an input"))

    return Ways(run, compute, copied, lambda values: write(values, "the inputs"))
