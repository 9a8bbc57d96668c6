"""From a failure to a replay: plan, pull, run, compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dbgkit.errors import (
    DbgkitError,
    Declined,
    InputMoved,
    InputNotCopyable,
    NoTask,
    RunSpecUnreadable,
)
from dbgkit.locate import look_again
from dbgkit.locate.facts import outermost_own
from dbgkit.locate.naming import name_of
from dbgkit.model import Difference, Failure, Plan, Progress, Run, Step
from dbgkit.replay.calling import Call, call_graph, call_task
from dbgkit.replay.compared import InputComparison, recorded_failure
from dbgkit.replay.differences import Asked, ask_worker, find_differences
from dbgkit.replay.inputs import Inputs, changed_in_place, pull_inputs
from dbgkit.replay.material import Material, gather_material
from dbgkit.replay.nodes import describe_call, failed_steps
from dbgkit.replay.on_worker import run_on_worker
from dbgkit.replay.on_worker_plan import plan_on_worker
from dbgkit.replay.outcome import overall, run_of
from dbgkit.replay.planning import Wanted, make_plan
from dbgkit.replay.process import run_in_child
from dbgkit.replay.result import Replay
from dbgkit.replay.surroundings import WorkerStandIn, in_place_of_worker

Notify = Callable[[Any], Any]


@dataclass
class Prepared:
    """A replay of which all has been brought that the cluster has to give.

    ``there`` is what the worker is surrounded by, where it was asked already.
    """

    failure: Failure
    plan: Plan
    material: Material
    inputs: Inputs
    wanted: Wanted
    there: Asked | None = None


def plan_replay(failure: Failure, wanted: Wanted) -> tuple[Plan, Material]:
    """What a replay would do; see `make_plan` and `plan_on_worker` for the errors."""
    material = gather_material(failure, wanted.timeout)
    planning = plan_on_worker if wanted.where == "worker" else make_plan
    return planning(failure, material, wanted), material


def dry_run(failure: Failure, wanted: Wanted) -> Plan:
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
    """Plan, ask, and bring the inputs.

    Raises
    ------
    Declined
        ``notify`` returned False for the plan.
    """
    try:
        return _prepare_once(failure, wanted, notify)
    except InputMoved:
        # Values move, and are released, between the look and the pull.
        failure = look_again(failure, wanted.timeout, wanted.max_bytes)
    return _prepare_once(failure, wanted, notify)


def _prepare_once(failure: Failure, wanted: Wanted, notify: Notify) -> Prepared:
    plan, material = plan_replay(failure, wanted)
    if notify(plan) is False:
        raise Declined(f"the replay of {failure.key!r} was declined", key=failure.key)
    if plan.where == "worker":
        return Prepared(failure, plan, material, Inputs({}, False), wanted)
    inputs = pull_inputs(material, plan, wanted.max_bytes, wanted.timeout, notify)
    return Prepared(failure, plan, material, inputs, wanted)


def execute(prepared: Prepared, notify: Notify) -> Replay:
    """Run the task as often as wanted, and compare what comes of it."""
    if prepared.plan.where == "worker":
        return _on_worker(prepared, notify)
    if prepared.plan.where == "process":
        return _in_child(prepared, notify)
    try:
        return _here(prepared, notify)
    except InputNotCopyable:
        if prepared.wanted.where == "here":
            raise
    plan = replace(
        prepared.plan,
        where="process",
        warnings=(*prepared.plan.warnings, "inputs cannot be copied: a fork has them"),
    )
    return _in_child(replace(prepared, plan=plan), notify)


def _on_worker(prepared: Prepared, notify: Notify) -> Replay:
    failure, wanted = prepared.failure, prepared.wanted
    try:
        return run_on_worker(
            failure, prepared.plan, prepared.material, wanted.timeout, notify
        )
    except InputMoved:
        # Nothing was run yet: values move, and workers come and go.
        failure = look_again(failure, wanted.timeout, wanted.max_bytes)
    again = _prepare_once(failure, wanted, notify)
    return run_on_worker(failure, again.plan, again.material, wanted.timeout, notify)


def _here(prepared: Prepared, notify: Notify) -> Replay:
    failure, plan, material = prepared.failure, prepared.plan, prepared.material
    notes: list[str] = []
    runs: list[Run] = []
    chosen: Call | None = None
    chosen_run: Run | None = None
    comparison = InputComparison(recorded_failure(material.link, failure))
    for number in range(plan.times):
        if plan.times > 1:
            notify(Progress("times", number, plan.times))
        call = _run_here(prepared, number == plan.times - 1, notify, notes, comparison)
        run = run_of(failure, call.exception, call.seconds)
        runs.append(run)
        if chosen_run is None or _tells_more(run, chosen_run):
            chosen, chosen_run = call, run
    assert chosen is not None
    comparison.look(chosen.data)
    notes += comparison.notes()
    outcome = overall(runs)
    failure = _with_key(failure, chosen)
    differences: tuple[Difference, ...] = ()
    if outcome != "same":
        differences = _why_not_same(prepared, chosen, notes)
    steps = failed_steps(chosen.exception) if chosen.exception is not None else ()
    return Replay(
        outcome=outcome,
        failure=_named_for_step(failure, material, chosen, steps),
        plan=plan,
        runs=tuple(runs),
        exception=chosen.exception,
        result=chosen.result,
        function=chosen.function,
        args=chosen.args,
        kwargs=chosen.kwargs,
        inputs=chosen.data,
        steps=steps,
        notes=tuple(dict.fromkeys([*failure.notes, *notes])),
        differences=differences,
        compared=comparison.verdicts,
    )


def _named_for_step(
    failure: Failure, material: Material, call: Call, steps: tuple[Step, ...]
) -> Failure:
    """The failure, named for the step of the fused task that failed."""
    row = material.rows.get(failure.key)
    if row is None or call.exception is None or not steps:
        return failure
    label = outermost_own(call.exception) or steps[-1].label
    return replace(failure, name=name_of(failure.key, row.group_size, label))


def _tells_more(run: Run, than: Run) -> bool:
    """Whether a run is the better one to look at: the same failure, else any."""
    rank = {"same": 2, "different": 1}
    return rank.get(run.outcome, 0) > rank.get(than.outcome, 0)


def _run_here(
    prepared: Prepared,
    last: bool,
    notify: Notify,
    notes: list[str],
    comparison: InputComparison,
) -> Call:
    plan, material = prepared.plan, prepared.material
    data = prepared.inputs.fresh(last=last)
    comparison.look(data)
    nodes = {key: material.rows[key].read() for key in plan.run_here}
    stand_in = _stand_in(prepared, notify)
    surroundings = in_place_of_worker(stand_in)
    if plan.scope == "task":
        call = call_task(nodes[material.key], data, surroundings)
    else:
        outputs = [material.key] if material.key is not None else material.outputs
        call = call_graph(nodes, list(outputs), data, notify, surroundings)
    notes.extend(
        f"the task asked its worker for {name!r}, which the stand-in has not"
        for name in stand_in.lacked
    )
    if stand_in.submits:
        notes.append("the task asked for a client: work it submitted really ran")
    return call


def _stand_in(prepared: Prepared, notify: Notify) -> WorkerStandIn:
    link = prepared.material.link
    address = prepared.failure.worker or ""
    return WorkerStandIn(
        prepared.material.key,
        address,
        prepared.material.worker_of(prepared.failure),
        lambda: link.client if link is not None else None,
        notify,
    )


def _with_key(failure: Failure, call: Call) -> Failure:
    """The key, where it took the run of the whole graph to find it."""
    if failure.key is not None or call.exception is None or call.key is None:
        return failure
    return replace(failure, key=call.key, name=name_of(call.key))


def _why_not_same(
    prepared: Prepared, call: Call, notes: list[str]
) -> tuple[Difference, ...]:
    """What may be the reason that it did not fail in the same way."""
    plan, material = prepared.plan, prepared.material
    if plan.scope == "task":
        changed: list[Any] = []
        try:
            changed = changed_in_place(material, plan, prepared.inputs, call.data)
        except DbgkitError as error:
            notes.append(f"whether the task changes its inputs is not known: {error}")
        notes.extend(
            f"the task changes its input {key!r} in place: on the worker it had been "
            "changed before, so that this run began from other values"
            for key in changed
        )
    return _differences(prepared, notes)


def _differences(prepared: Prepared, notes: list[str]) -> tuple[Difference, ...]:
    """In what this process differs from the worker; asks it, if nobody has."""
    asked = prepared.there
    if asked is None and prepared.material.link is not None:
        asked = ask_worker(prepared.material.link, prepared.failure)
    if asked is None:
        return ()
    differences, note = find_differences(prepared.failure, asked)
    notes.extend([note] if note else [])
    return differences


def _in_child(prepared: Prepared, notify: Notify) -> Replay:
    failure, plan, material = prepared.failure, prepared.plan, prepared.material
    specs: dict[Any, bytes] | None = {}
    try:
        for key in plan.run_here:
            row = material.rows[key]
            row.read()
            assert row.spec is not None and specs is not None
            specs[key] = row.spec
        prepared.inputs.pickled() if prepared.inputs.shared else None
    except InputNotCopyable:
        specs = None
    ends = []
    for number in range(plan.times):
        if plan.times > 1:
            notify(Progress("times", number, plan.times))
        ends.append(
            run_in_child(
                failure, plan, material, prepared.inputs, prepared.wanted.timeout, specs
            )
        )
    runs = tuple(end.run for end in ends)
    outcome = overall(runs)
    end = next(end for end in ends if end.run.outcome == outcome)
    notes = [*failure.notes, *(note for end in ends for note in end.notes)]
    differences: tuple[Difference, ...] = ()
    if outcome in ("different", "passed"):
        differences = _differences(prepared, notes)
    return Replay(
        outcome=outcome,
        failure=failure,
        plan=plan,
        runs=runs,
        inputs=prepared.inputs.values,
        frames=end.frames,
        notes=tuple(dict.fromkeys(notes)),
        differences=differences,
        crash=end.crash,
    )


def live_post_mortem(failure: Failure) -> Replay | None:
    """A `Replay` that runs nothing, where the failure's own frames are still alive.

    So it is under Dask's threads and synchronous scheduler, when Dask called a
    function on made-up data, and for exceptions that have nothing to do with Dask.
    """
    error = failure.exception
    evidence = failure.evidence
    alive = failure.source in ("meta", "exception") or (
        failure.source == "local" and failure.key is not None
    )
    if error is None or not alive:
        return None
    run = Run("same", failure.exception_type, failure.message)
    plan = Plan(failure.key, failure.name, "task", "here", times=0)
    steps = failed_steps(error)
    return Replay(
        outcome="same",
        failure=failure,
        plan=plan,
        runs=(run,),
        exception=error,
        inputs=dict(evidence.cache or {}),
        steps=steps,
        notes=(*failure.notes, "entered as it happened: nothing was run again"),
    )


def refuse_taskless(failure: Failure) -> None:
    """Raise where there is no task to run again."""
    if failure.source in ("meta", "exception"):
        raise NoTask(
            f"there is no task to replay: {(failure.notes or ('',))[0]}",
            "dbgkit.debug() enters the exception as it is",
            key=failure.key,
        )
