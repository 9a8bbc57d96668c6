"""Steps that had begun when a task failed, in the user's terms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dbgkit.model import Plan, Step, ValueSummary
from dbgkit.model.frames import checked
from dbgkit.remote.common.keys import as_key
from dbgkit.remote.recording.steps import (
    BegunStep,
    BegunTask,
    failed_steps,
    steps_of_run,
)
from dbgkit.targets.naming import name_of, prefix_of

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_replays import StepForm


def begun_steps(
    begun: Iterable[BegunTask], exception: BaseException | None
) -> tuple[Step, ...]:
    """The steps of a run in this process, with their live values."""
    return tuple(map(_named, steps_of_run(begun, exception)))


def fused_steps(exception: BaseException) -> tuple[Step, ...]:
    """Steps of fused tasks that had begun, out of a traceback with live frames."""
    return tuple(map(_named, failed_steps(exception)))


def steps_from_wire(wires: Iterable[StepForm]) -> tuple[Step, ...]:
    """Steps whose values are `ValueSummary`: those themselves are elsewhere."""
    return tuple(
        _named(
            BegunStep(
                key=as_key(wire["key"]),
                function=checked(str, wire["function"]),
                label=checked(str, wire["label"]),
                inputs={
                    as_key(key): ValueSummary.from_wire(value)
                    for key, value in wire["inputs"]
                },
                arguments=tuple(
                    (checked(str, name), ValueSummary.from_wire(value))
                    for name, value in wire["arguments"]
                ),
                failed=bool(wire["failed"]),
            )
        )
        for wire in wires
    )


def _named(step: BegunStep) -> Step:
    """A step under its own name, or what Dask calls it where the function is Dask's."""
    label = step.label or prefix_of(step.key)
    name = name_of(step.key, step=label)
    return Step(**{**step._asdict(), "label": label, "name": name})


def no_steps(plan: Plan, outcome: str, steps: Sequence[Step] = ()) -> list[str]:
    """The note of a run elsewhere that ended before it could report its steps."""
    cut = outcome in ("died", "timeout") and not steps
    if plan.scope != "ancestors" or len(plan.run_here) < 2 or not cut:
        return []
    return ["the inputs of its steps are not known: the run did not finish"]
