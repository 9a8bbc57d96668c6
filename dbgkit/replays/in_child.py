"""A replay in child processes: repeated runs, and how they end."""

from __future__ import annotations

import time
from typing import Any

from dbgkit.errors import InputNotCopyable
from dbgkit.model import Difference, Progress, Replay
from dbgkit.replays.environment import differences_noted
from dbgkit.replays.inputs_compared import recorded_failure, with_causes
from dbgkit.replays.lacking import only_lacking
from dbgkit.replays.outcome import causes_known, notes_on, overall
from dbgkit.replays.preparing import Notify, Prepared
from dbgkit.replays.process import ChildEnd, run_in_child
from dbgkit.replays.steps import no_steps
from dbgkit.replays.submitted import HandedStored


def replay_in_child(prepared: Prepared, notify: Notify) -> Replay | HandedStored:
    """Run the task as often as wanted, each time in a child of this process."""
    failure, plan, material = prepared.failure, prepared.plan, prepared.material
    if not failure.killed and not causes_known(failure):
        failure = with_causes(failure, recorded_failure(material.link, failure))
    specs = _written(prepared)
    ends: list[ChildEnd] = []
    notes = list(failure.notes)
    began = time.perf_counter()
    for number in range(plan.times):
        notify(Progress("times", number, plan.times))
        end = run_in_child(failure, prepared, specs)
        if end.lack is not None:
            so_far = [end.run for end in ends]
            notes.append(only_lacking(failure, material, end.lack, so_far))
            break
        stored = prepared.submissions.stored_among(end.handed, began)
        if stored is not None:
            return stored
        ends.append(end)
    notify(Progress("times", plan.times, plan.times))
    runs = tuple(end.run for end in ends)
    outcome = overall(runs)
    end = next(end for end in ends if end.run.outcome == outcome)
    notes += [note for end in ends for note in end.notes]
    notes += material.link.notes if material.link is not None else []
    notes += notes_on(runs)
    notes += no_steps(plan, outcome, end.steps)
    differences: tuple[Difference, ...] = ()
    if outcome in ("different", "passed"):
        differences = differences_noted(failure, prepared.there, material.link, notes)
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


def _written(prepared: Prepared) -> dict[Any, bytes] | None:
    """Run specs for a child, by key; None if what it needs cannot be pickled."""
    rows, inputs = prepared.material.rows, prepared.inputs
    try:
        specs = {key: rows[key].written() for key in prepared.plan.run_here}
        if inputs.shared:
            inputs.pickled()
    except InputNotCopyable:
        return None
    return specs
