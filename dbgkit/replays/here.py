"""A replay in this process, so that the frames of what fails stay alive."""

from __future__ import annotations

import time
from dataclasses import replace

from dbgkit.errors import DbgkitError
from dbgkit.model import Difference, Failure, Progress, Replay, Run, Step
from dbgkit.remote.common.frames import format_exception
from dbgkit.remote.recording.raised import raised
from dbgkit.replays.calling import Call, call_graph, call_task
from dbgkit.replays.environment import differences_noted
from dbgkit.replays.inputs import changed_in_place
from dbgkit.replays.inputs_compared import (
    InputComparison,
    changed_note,
    recorded_failure,
    with_causes,
)
from dbgkit.replays.lacking import lack_in, only_lacking
from dbgkit.replays.material import Material
from dbgkit.replays.outcome import (
    CAUSES_UNKNOWN,
    causes_unknown,
    notes_on,
    overall,
    run_of,
)
from dbgkit.replays.preparing import Notify, Prepared
from dbgkit.replays.shuffles import own_function
from dbgkit.replays.standin import in_place_of_worker, reading
from dbgkit.replays.submitted import HandedStored
from dbgkit.targets.failure import outermost_own
from dbgkit.targets.naming import counted, name_of
from dbgkit.targets.origins import origins_in_graph


def replay_here(prepared: Prepared, notify: Notify) -> Replay | HandedStored:
    """Run the task as often as wanted, on inputs copied afresh for each run."""
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
        notify(Progress("times", number, plan.times))
        last = number == plan.times - 1
        call = _run_here(prepared, last, notify, notes, comparison)
        lack = lack_in(call.exception)
        if lack is not None:
            notes.append(only_lacking(failure, material, lack, runs))
            break
        stored = submissions.handed_to(call.exception, began)
        if stored is not None:
            return stored
        form = None if call.exception is None else raised(call.exception)
        run = run_of(failure, form, call.seconds)
        runs.append(run)
        if causes_unknown(failure, form):
            notes.append(CAUSES_UNKNOWN)
        if chosen_run is None or _says_more(run, chosen_run):
            chosen, chosen_run = call, run
        else:
            submissions.let_go(call.exception)
    notify(Progress("times", plan.times, plan.times))
    assert chosen is not None
    return _replay_of(prepared, failure, runs, chosen, comparison, notes)


def _replay_of(
    prepared: Prepared,
    failure: Failure,
    runs: list[Run],
    chosen: Call,
    comparison: InputComparison,
    notes: list[str],
) -> Replay:
    """The replay, described by its most informative run."""
    plan, material = prepared.plan, prepared.material
    notes += material.link.notes if material.link is not None else []
    comparison.compare_values(chosen.data)
    notes += [*comparison.notes(), *notes_on(runs)]
    error = chosen.exception
    notes += material.reader.notes(error.__traceback__ if error else None)
    outcome = overall(runs)
    failure = _with_key(failure, chosen)
    different = outcome != "same"
    differences = _why_not_same(prepared, chosen, notes) if different else ()
    steps = chosen.steps
    return Replay(
        outcome=outcome,
        failure=_named_for_step(failure, material, chosen, steps),
        plan=plan,
        runs=tuple(runs),
        exception=error,
        result=chosen.result,
        function=own_function(chosen.function),
        args=chosen.args,
        kwargs=chosen.kwargs,
        inputs=chosen.data,
        steps=steps,
        notes=tuple(dict.fromkeys([*failure.notes, *notes])),
        differences=differences,
        compared=comparison.verdicts,
        submissions=prepared.submissions,
    )


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
    comparison.compare_values(data)
    only = nodes[material.key] if plan.scope == "task" else None
    surroundings = in_place_of_worker(stand_in, only, notify)
    if only is not None:
        call = call_task(only, data, surroundings)
    else:
        call = call_graph(nodes, list(material.roots), data, notify, surroundings)
    notes.extend(stand_in.notes() if stand_in is not None else ())
    return call


def _says_more(run: Run, than: Run) -> bool:
    """Whether a run is more informative: the same failure, else any."""
    rank = {"same": 2, "different": 1}
    return rank.get(run.outcome, 0) > rank.get(than.outcome, 0)


def _with_key(failure: Failure, call: Call) -> Failure:
    """The key, if it took a run of the whole graph to find it."""
    if failure.key is not None or call.exception is None or call.key is None:
        return failure
    graph, text = failure.evidence.graph, format_exception(call.exception)
    return replace(
        failure,
        key=call.key,
        name=name_of(call.key, step=outermost_own(call.exception)),
        came_from=origins_in_graph(call.key, graph, text),
    )


def _named_for_step(
    failure: Failure, material: Material, call: Call, steps: tuple[Step, ...]
) -> Failure:
    """The failure of a fused task, named for the user's function that failed.

    If none did (a library's call failed), it keeps the name that `locate`, a recording
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


def _why_not_same(
    prepared: Prepared, call: Call, notes: list[str]
) -> tuple[Difference, ...]:
    """Possible reasons why it did not fail in the same way."""
    plan, material = prepared.plan, prepared.material
    if plan.scope == "task":
        try:
            changed = changed_in_place(material, plan, prepared.inputs, call.data)
            notes += map(changed_note, changed)
        except DbgkitError as error:
            notes.append(f"whether the task changes its inputs is not known: {error}")
    return differences_noted(prepared.failure, prepared.there, material.link, notes)
