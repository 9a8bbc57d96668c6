"""All that a replay needs from the cluster: planned, confirmed and pulled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from dbgkit.errors import Declined, InputMoved, RunSpecUnreadable
from dbgkit.model import Failure, Plan
from dbgkit.replays.environment import Asked
from dbgkit.replays.inputs import Inputs, pull_inputs
from dbgkit.replays.material import Material, gather_material
from dbgkit.replays.nodes import describe_call
from dbgkit.replays.on_worker_plan import plan_on_worker
from dbgkit.replays.planning import Wanted, make_plan
from dbgkit.replays.standin import WorkerStandIn, reading
from dbgkit.replays.submitted import Submissions
from dbgkit.targets.located_before import brought_up_to_date

Notify = Callable[[Any], Any]


@dataclass
class Prepared:
    """A replay that has everything it needs from the cluster.

    ``there`` is the worker's environment, if it was asked already; ``stand_in`` is what
    the inputs have found in place of a worker, if the task failed on one;
    ``submissions`` is what the task's own work is submitted through.
    """

    failure: Failure
    plan: Plan
    material: Material
    inputs: Inputs
    wanted: Wanted
    there: Asked | None = None
    stand_in: WorkerStandIn | None = None
    submissions: Submissions = field(default_factory=lambda: Submissions(None))


def plan_replay(failure: Failure, wanted: Wanted) -> tuple[Plan, Material]:
    """What a replay would do; see `make_plan` and `plan_on_worker` for the errors."""
    material = gather_material(failure, wanted.timeout, wanted.sources)
    planning = plan_on_worker if wanted.where == "worker" else make_plan
    return planning(failure, material, wanted), material


def plan_alone(failure: Failure, wanted: Wanted) -> Plan:
    """The plan alone, with the call; nothing is pulled, computed or run."""
    plan, material = plan_replay(failure, wanted)
    row = material.rows.get(material.key)
    if row is None:
        return plan
    try:
        return replace(plan, call=describe_call(row.read()))
    except RunSpecUnreadable:
        if plan.where != "worker":
            raise
        return plan  # the code need not be here


def prepare(failure: Failure, wanted: Wanted, notify: Notify) -> Prepared:
    """Plan, ask for confirmation, and pull the inputs.

    Raises `Declined` if ``notify`` returned False for the plan.
    """
    try:
        return prepare_once(failure, wanted, notify)
    except InputMoved:
        # Values move, and are released, between the look and the pull.
        failure = brought_up_to_date(failure, wanted.timeout, wanted.max_bytes)
    return prepare_once(failure, wanted, notify)


def prepare_once(failure: Failure, wanted: Wanted, notify: Notify) -> Prepared:
    """As `prepare`, but raises if a value has moved meanwhile."""
    plan, material = plan_replay(failure, wanted)
    if notify(plan) is False:
        raise Declined(f"the replay of {failure.key!r} was declined", key=failure.key)
    if plan.where == "worker":
        nothing = Inputs({}, False, material.reader)
        return Prepared(failure, plan, material, nothing, wanted)
    submissions = Submissions(material.link)
    stand_in = None
    # Where it failed there was no worker, under a scheduler of this process.
    if failure.found_in != "local":
        stand_in = WorkerStandIn(
            material.key,
            failure.worker or "",
            material.worker_of(failure),
            submissions.open_client,
            notify,
            wanted.timeout,
            wanted.max_bytes,
        )
    with reading(stand_in):
        inputs = pull_inputs(material, plan, wanted.max_bytes, wanted.timeout, notify)
    return Prepared(
        failure, plan, material, inputs, wanted, None, stand_in, submissions
    )
