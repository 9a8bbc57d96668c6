"""From a failure to a replay: plan, pull, run, compare."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from dbgkit.errors import (
    DbgkitError,
    Declined,
    InputMoved,
    InputNotCopyable,
    NoTask,
    NotHere,
    RunSpecUnreadable,
)
from dbgkit.model import (
    Difference,
    Failure,
    Plan,
    Progress,
    Replay,
    Run,
    Step,
    advice,
)
from dbgkit.remote.common.frames import format_exception, is_own, own_line
from dbgkit.remote.recording.raised import raised
from dbgkit.replays.calling import Call, call_graph, call_task
from dbgkit.replays.collectives import ALONE
from dbgkit.replays.compared import InputComparison, recorded_failure, with_causes
from dbgkit.replays.differences import Asked, ask_worker, find_differences
from dbgkit.replays.inputs import Inputs, changed_in_place, pull_inputs
from dbgkit.replays.lacking import Lack, lack_in, lacks
from dbgkit.replays.material import Material, gather_material
from dbgkit.replays.nodes import bind_plainly, describe_call, write
from dbgkit.replays.on_worker import run_on_worker
from dbgkit.replays.on_worker_plan import plan_on_worker
from dbgkit.replays.outcome import (
    CAUSES_UNKNOWN,
    causes_told,
    causes_unknown,
    overall,
    run_told,
)
from dbgkit.replays.planning import Wanted, make_plan
from dbgkit.replays.process import ChildEnd, run_in_child
from dbgkit.replays.reschedule import reschedule_notes
from dbgkit.replays.shuffles import own_function
from dbgkit.replays.standin import WorkerStandIn, in_place_of_worker, reading
from dbgkit.replays.steps import fused_steps, no_steps
from dbgkit.replays.submitted import HandedStored, Submissions
from dbgkit.targets.again import look_again
from dbgkit.targets.failure import outermost_own
from dbgkit.targets.locate import locate_failures
from dbgkit.targets.naming import counted, name_of
from dbgkit.targets.origins import origins_in_graph

Notify = Callable[[Any], Any]


@dataclass
class Prepared:
    """A replay of which all has been brought that the cluster has to give.

    ``there`` is what the worker is surrounded by, where it was asked already;
    ``stand_in`` is what the inputs have found in place of a worker, where the task
    failed on one; ``submissions`` is what it gives the task's own work to.
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
        nothing = Inputs({}, False, material.reader)
        return Prepared(failure, plan, material, nothing, wanted)
    submissions = Submissions(material.link)
    stand_in = _stand_in(failure, material, wanted, submissions, notify)
    with reading(stand_in):
        inputs = pull_inputs(material, plan, wanted.max_bytes, wanted.timeout, notify)
    return Prepared(
        failure,
        plan,
        material,
        inputs,
        wanted,
        stand_in=stand_in,
        submissions=submissions,
    )


def execute(prepared: Prepared, notify: Notify) -> Replay:
    """Run the task as often as wanted, and compare what comes of it.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C: it says what was stopped.
    """
    if ALONE in prepared.plan.warnings:
        failure = prepared.failure
        told = replace(failure, notes=(*failure.notes, ALONE))
        prepared = replace(prepared, failure=told)
    try:
        return _execute(prepared, notify)
    except KeyboardInterrupt as interrupt:
        stopped = _stopped(prepared.failure, interrupt)
    raise KeyboardInterrupt(stopped)


def _stopped(failure: Failure, interrupt: KeyboardInterrupt) -> str:
    line = own_line(interrupt)
    known = line is not None and is_own(line[0])
    at = ", at {}:{} in {}".format(*line) if line and known else ""
    return f"the replay of {failure.key!r} was stopped by Ctrl-C{at}"


def _execute(prepared: Prepared, notify: Notify) -> Replay:
    try:
        return _run_as_planned(prepared, notify)
    except HandedStored as handed:
        key = handed.key
    return _of_submitted(prepared, key, notify)


def _run_as_planned(prepared: Prepared, notify: Notify) -> Replay:
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


def _of_submitted(prepared: Prepared, key: Any, notify: Notify) -> Replay:
    """The replay of what a task had submitted, whose stored error it was handed."""
    outer, wanted = prepared.failure, prepared.wanted
    link = prepared.material.link
    assert link is not None
    found = locate_failures(
        key,
        client=link.client,
        timeout=wanted.timeout,
        specs=True,
        max_bytes=wanted.max_bytes,
    )[0]
    note = (
        f"a replay of {outer.key!r} is handed the stored error of {found.key!r}, which "
        "it submits: so that one alone was run"
    )
    before = (*outer.through, outer.key)
    if found.key in before:
        raise NotHere(
            f"a replay of {outer.key!r} is handed the stored error of {key!r}, which "
            "it submits, so that nothing runs again",
            f"let go of the futures of {key!r}, or look at its recording",
            key=outer.key,
        )
    through = (*before, *(each for each in found.through if each not in before))
    found = replace(found, through=through, notes=(*found.notes, note))
    return _execute(_prepare_once(found, wanted, notify), notify)


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
    recording = recorded_failure(material.link, failure)
    comparison = InputComparison(recording)
    failure = with_causes(failure, recording)
    submissions = prepared.submissions
    began = time.perf_counter()
    for number in range(plan.times):
        if plan.times > 1:
            notify(Progress("times", number, plan.times))
        last = number == plan.times - 1
        call = _run_here(prepared, last, notify, notes, comparison)
        lack = lack_in(call.exception)
        if lack is not None:
            notes.append(_only_lacking(failure, material, lack, runs))
            break
        submissions.refuse_stored(call.exception, began)
        told = None if call.exception is None else raised(call.exception)
        run = run_told(failure, told, call.seconds)
        runs.append(run)
        if causes_unknown(failure, told):
            notes.append(CAUSES_UNKNOWN)
        if chosen_run is None or _tells_more(run, chosen_run):
            chosen, chosen_run = call, run
        else:
            submissions.let_go(call.exception)
    assert chosen is not None
    notes += material.link.notes if material.link is not None else []
    comparison.look(chosen.data)
    notes += [*comparison.notes(), *reschedule_notes(runs)]
    error = chosen.exception
    notes += prepared.material.reader.notes(error.__traceback__ if error else None)
    outcome = overall(runs)
    failure = _with_key(failure, chosen)
    differences: tuple[Difference, ...] = ()
    if outcome != "same":
        differences = _why_not_same(prepared, chosen, notes)
    steps = chosen.steps
    return Replay(
        outcome=outcome,
        failure=_named_for_step(failure, material, chosen, steps),
        plan=plan,
        runs=tuple(runs),
        exception=chosen.exception,
        result=chosen.result,
        function=own_function(chosen.function),
        args=chosen.args,
        kwargs=chosen.kwargs,
        inputs=chosen.data,
        steps=steps,
        notes=tuple(dict.fromkeys([*failure.notes, *notes])),
        differences=differences,
        compared=comparison.verdicts,
        submissions=submissions,
    )


def _only_lacking(
    failure: Failure, material: Material, lack: Lack, runs: list[Run]
) -> str:
    """A note on a run that asked for what is not here, if another one failed the same.

    Raises
    ------
    StandInLacks
        There is no such run: then nothing is known of the failure.
    """
    error = lacks(failure, material, lack)
    if not any(run.outcome == "same" for run in runs):
        raise error
    return f"further runs are left out: {error.message}"


def _named_for_step(
    failure: Failure, material: Material, call: Call, steps: tuple[Step, ...]
) -> Failure:
    """The failure of a fused task, named for the user's function that failed.

    Where none did (a call of a library's), it keeps the name that `locate`, a recording
    and a replay elsewhere give it: they do not know which step it was.
    """
    row = material.rows.get(failure.key)
    if row is None or call.exception is None or not steps:
        return failure
    label = outermost_own(call.exception)
    if not label:
        return failure
    size = counted(row.group_size, failure.came_from)
    return replace(failure, name=name_of(failure.key, size, label))


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
    stand_in = prepared.stand_in
    with reading(stand_in):
        data = prepared.inputs.fresh(last=last)
        nodes = {key: material.rows[key].read() for key in plan.run_here}
    comparison.look(data)
    only = nodes.get(material.key) if plan.scope == "task" else None
    surroundings = in_place_of_worker(stand_in, only, notify)
    if plan.scope == "task":
        call = call_task(nodes[material.key], data, surroundings)
    else:
        outputs = [material.key] if material.key is not None else material.outputs
        call = call_graph(nodes, list(outputs), data, notify, surroundings)
    notes.extend(stand_in.notes() if stand_in is not None else ())
    return call


def _stand_in(
    failure: Failure,
    material: Material,
    wanted: Wanted,
    submissions: Submissions,
    notify: Notify,
) -> WorkerStandIn | None:
    if failure.found_in == "local":
        # Where it failed there was no worker, under a scheduler of this process.
        return None
    return WorkerStandIn(
        material.key,
        failure.worker or "",
        material.worker_of(failure),
        submissions.open_client,
        notify,
        wanted.timeout,
        wanted.max_bytes,
    )


def _with_key(failure: Failure, call: Call) -> Failure:
    """The key, where it took the run of the whole graph to find it."""
    if failure.key is not None or call.exception is None or call.key is None:
        return failure
    graph, text = failure.evidence.graph, format_exception(call.exception)
    return replace(
        failure,
        key=call.key,
        name=name_of(call.key, step=outermost_own(call.exception)),
        came_from=origins_in_graph(call.key, graph, text),
    )


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
    if not failure.killed and not causes_told(failure):
        failure = with_causes(failure, recorded_failure(material.link, failure))
    specs: dict[Any, bytes] | None = {}
    try:
        for key in plan.run_here:
            # Written anew, so that its classes are those of the inputs.
            assert specs is not None
            specs[key] = write(material.rows[key].read(), f"the task {key!r}", key)
        prepared.inputs.pickled() if prepared.inputs.shared else None
    except InputNotCopyable:
        specs = None
    ends: list[ChildEnd] = []
    notes = list(failure.notes)
    began = time.perf_counter()
    for number in range(plan.times):
        if plan.times > 1:
            notify(Progress("times", number, plan.times))
        end = run_in_child(
            failure,
            plan,
            material,
            prepared.inputs,
            prepared.wanted,
            specs,
            prepared.stand_in,
        )
        if end.lack is not None:
            so_far = [end.run for end in ends]
            notes.append(_only_lacking(failure, material, end.lack, so_far))
            break
        prepared.submissions.refuse_handed(end.handed, began)
        ends.append(end)
    runs = tuple(end.run for end in ends)
    outcome = overall(runs)
    end = next(end for end in ends if end.run.outcome == outcome)
    notes += [note for end in ends for note in end.notes]
    notes += material.link.notes if material.link is not None else []
    notes += reschedule_notes(runs)
    notes += no_steps(plan, outcome, end.steps)
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
        steps=end.steps,
        notes=tuple(dict.fromkeys(notes)),
        differences=differences,
        crash=end.crash,
    )


def live_post_mortem(failure: Failure, wanted: Wanted) -> Replay | None:
    """A `Replay` that runs nothing, where the failure's own frames are still alive.

    So it is under Dask's threads and synchronous scheduler, if no other run is wanted
    than one here; when Dask called a function on made-up data; and for exceptions
    that have nothing to do with Dask.
    """
    error = failure.exception
    evidence = failure.evidence
    as_usual = wanted.where in (None, "here") and wanted.times == 1
    alive = failure.found_in in ("meta", "exception") or (
        failure.found_in == "local"
        and failure.key is not None
        and as_usual
        and wanted.scope == "task"
    )
    if error is None or not alive:
        return None
    run = Run("same", failure.exception_type, failure.message)
    plan = Plan(failure.key, failure.name, "task", "here", times=0)
    steps = fused_steps(error)
    node = (evidence.graph or {}).get(failure.key)
    function, args, kwargs = bind_plainly(node, evidence.cache or {})
    return Replay(
        outcome="same",
        failure=failure,
        plan=plan,
        runs=(run,),
        exception=error,
        function=function,
        args=args,
        kwargs=kwargs,
        inputs=dict(evidence.cache or {}),
        steps=steps,
        notes=(*failure.notes, "entered as it happened: nothing was run again"),
    )


def refuse_taskless(failure: Failure) -> None:
    """Raise where there is no task to run again."""
    if failure.found_in in ("meta", "exception"):
        raise NoTask(
            f"there is no task to replay: {(failure.notes or ('',))[0]}",
            f"{advice.call('debug')} enters the exception as it is",
            key=failure.key,
        )
